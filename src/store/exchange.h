// The whole store, or some conversations of it, as JSON lines and back, on a connection within a transaction.
//
//   {"andiron": "store", "version": 1}                           first
//   {"setting": {"name", "value"}}
//   {"file": {"hash", "media", "base64"}}                        before the messages that have it
//   {"conversation": {...}}  {"message": {...}}                  the members of store/records.h, in their order
//   {"run": {...}}  {"lesson": {...}}
//   {"end": N}                                                   last: N lines before it, so that a cut file is known
//
// Messages may follow in a later export, without the line of their conversation, which is there by then: so what is too
// large for one request comes in several. The first must not show ("shown") what is not in it.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/records.h"
#include "store/sqlite.h"

namespace andiron {

// Takes a line with its end; its Error ends the export.
using LineSink = std::function<Status(std::string_view line)>;

// Everything; what was imported into an empty store gives the same bytes again.
Status export_store(SqliteConnection& db, const LineSink& sink);
// These conversations with their files; no settings, runs or ledger.
Status export_conversations(SqliteConnection& db, const std::vector<std::string>& ids, const LineSink& sink);

struct ImportReport {
  int64_t lines = 0;
  int64_t conversations = 0, messages = 0, files = 0, runs = 0, settings = 0;  // added
  int64_t kept = 0;  // that were there already, and stay as they are
};

// Adds what an export holds. Conversations, runs and settings that are there stay as they are, whatever the export says
// of them; a message that is there must have the same text. Any fault is an Error that names the line; the caller then
// rolls back. Nothing is trusted: sizes, depth, types, names and order are checked, as are the hashes of files. Unknown
// members are refused, as part of what they mean would be lost. What an export says of consent to training counts only
// with `keep_consent`, where the person who imports it wants that; otherwise no new conversation is for training.
Result<ImportReport> import_store(SqliteConnection& db, std::string_view text, bool keep_consent);

}  // namespace andiron
