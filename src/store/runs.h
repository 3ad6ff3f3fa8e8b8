// Training runs with the ledger of what they learned from, files by their hash, and settings, on a connection within a
// transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/records.h"
#include "store/sqlite.h"

namespace andiron {

// Adds a run, or changes the one of that id (all but the time it was made).
Result<StoredRun> put_run(SqliteConnection& db, StoredRun run, int64_t now_ms);
Result<std::optional<StoredRun>> find_run(SqliteConnection& db, std::string_view id);
// With its part of the ledger. kNotFound where there is none.
Status remove_run(SqliteConnection& db, std::string_view id);
// In the order in which they were made.
Result<std::vector<StoredRun>> list_runs(SqliteConnection& db);

// What is in the ledger already is not added again. The run must exist; the rest is ids, whose text may be gone.
Status add_lessons(SqliteConnection& db, const std::vector<Lesson>& lessons);
Result<std::vector<Lesson>> lessons_of_run(SqliteConnection& db, std::string_view run);
// The ids of the runs that learned from a conversation, removed or not.
Result<std::vector<std::string>> runs_that_learned(SqliteConnection& db, std::string_view conversation);
// Takes from what is kept of a run what it shows of the rows that it learns from: the items of its "samples".
Status strike_samples(SqliteConnection& db, std::string_view run);
// Whether a message that the run learned from is gone. False where there is no such run.
Result<bool> misses_lessons(SqliteConnection& db, std::string_view run);

// Keeps a file once, whatever the number of messages it is attached to, and gives its hash. Another file of the same
// hash, which can be made on purpose, is an Error.
Result<std::string> put_file(SqliteConnection& db, std::string_view media, std::span<const uint8_t> bytes);
Result<std::optional<StoredFile>> find_file(SqliteConnection& db, std::string_view hash);
// Removes files that no message has.
Result<int64_t> remove_loose_files(SqliteConnection& db);

// Null removes it.
Status put_setting(SqliteConnection& db, std::string_view name, const Json& value);
// Null where there is none.
Result<Json> find_setting(SqliteConnection& db, std::string_view name);
Result<std::vector<std::pair<std::string, Json>>> list_settings(SqliteConnection& db);

}  // namespace andiron
