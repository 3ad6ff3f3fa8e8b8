#include "store/runs.h"

#include <algorithm>

#include "base/content_hash.h"
#include "base/strings.h"

namespace andiron {

namespace {

constexpr std::string_view kSelectRun = "SELECT id, adapter, model, state, details, created_ms, changed_ms FROM run ";

Result<std::vector<StoredRun>> read_runs(SqliteConnection& db, std::string_view rest,
                                         std::initializer_list<SqlValue> values) {
  std::vector<StoredRun> out;
  TRY(db.query(std::string(kSelectRun).append(rest), values, [&](SqliteRow& row) -> Status {
    StoredRun run;
    run.id = row.text(0);
    run.adapter = row.text(1);
    run.model = row.text(2);
    run.state = row.text(3);
    TRY_ASSIGN(run.details, parse_kept(row.text(4)));
    run.created_ms = row.integer(5);
    run.changed_ms = row.integer(6);
    out.push_back(std::move(run));
    return {};
  }));
  return out;
}

}  // namespace

Result<StoredRun> put_run(SqliteConnection& db, StoredRun run, int64_t now_ms) {
  TRY(check_record(run));
  if (run.id.empty()) {
    TRY_ASSIGN(run.id, new_id());
  }
  TRY_ASSIGN(const auto made, db.find_number("SELECT created_ms FROM run WHERE id = ?", {run.id}));
  if (made) run.created_ms = *made;
  if (run.created_ms == 0) run.created_ms = now_ms;
  if (run.changed_ms == 0) run.changed_ms = now_ms;
  const std::string details = run.details.dump();
  TRY(db.run(
      "INSERT INTO run (id, adapter, model, state, details, created_ms, changed_ms) VALUES (?, ?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (id) DO UPDATE SET adapter = excluded.adapter, model = excluded.model, state = excluded.state, "
      "details = excluded.details, changed_ms = excluded.changed_ms",
      {run.id, run.adapter, run.model, run.state, details, run.created_ms, run.changed_ms}));
  return run;
}

Result<std::optional<StoredRun>> find_run(SqliteConnection& db, std::string_view id) {
  TRY_ASSIGN(auto found, read_runs(db, "WHERE id = ?", {id}));
  if (found.empty()) return std::optional<StoredRun>();
  return std::optional<StoredRun>(std::move(found.front()));
}

Status remove_run(SqliteConnection& db, std::string_view id) {
  TRY_ASSIGN(const auto run, db.find_number("SELECT number FROM run WHERE id = ?", {id}));
  if (!run) return make_error(ErrorKind::kNotFound, "there is no run \"{}\"", in_quotes(id));
  TRY(db.run("DELETE FROM lesson WHERE run = ?", {*run}));
  return db.run("DELETE FROM run WHERE number = ?", {*run});
}

Result<std::vector<StoredRun>> list_runs(SqliteConnection& db) { return read_runs(db, "ORDER BY number", {}); }

Status add_lessons(SqliteConnection& db, const std::vector<Lesson>& lessons) {
  for (const Lesson& lesson : lessons) {
    TRY(check_record(lesson));
    TRY_ASSIGN(const auto run, db.find_number("SELECT number FROM run WHERE id = ?", {lesson.run}));
    if (!run) return make_error(ErrorKind::kNotFound, "there is no run \"{}\"", lesson.run);
    TRY(db.run("INSERT OR IGNORE INTO lesson (run, conversation, message, kind) VALUES (?, ?, ?, ?)",
               {*run, lesson.conversation, lesson.message, lesson.kind}));
  }
  return {};
}

Result<std::vector<Lesson>> lessons_of_run(SqliteConnection& db, std::string_view run) {
  std::vector<Lesson> out;
  TRY(db.query(
      "SELECT r.id, l.conversation, l.message, l.kind FROM lesson l JOIN run r ON r.number = l.run WHERE r.id = ? "
      "ORDER BY l.conversation, l.message, l.kind",
      {run}, [&](SqliteRow& row) {
        out.push_back({row.text(0), row.text(1), row.text(2), row.text(3)});
        return Status();
      }));
  return out;
}

Result<std::vector<std::string>> runs_that_learned(SqliteConnection& db, std::string_view conversation) {
  std::vector<std::string> out;
  TRY(db.query("SELECT id FROM run WHERE number IN (SELECT run FROM lesson WHERE conversation = ?) ORDER BY number",
               {conversation}, [&](SqliteRow& row) {
                 out.push_back(row.text(0));
                 return Status();
               }));
  return out;
}

Status strike_samples(SqliteConnection& db, std::string_view run) {
  TRY_ASSIGN(auto kept, find_run(db, run));
  Json* samples = kept ? kept->details.find("samples") : nullptr;
  if (samples == nullptr || samples->items_or_none().empty()) return {};
  *samples = Json::array();
  const int64_t changed_ms = kept->changed_ms;
  TRY_ASSIGN([[maybe_unused]] const auto put, put_run(db, std::move(*kept), changed_ms));
  return {};
}

Result<bool> misses_lessons(SqliteConnection& db, std::string_view run) {
  TRY_ASSIGN(const int64_t misses,
             db.number("SELECT EXISTS (SELECT 1 FROM lesson l JOIN run r ON r.number = l.run WHERE r.id = ? "
                       "AND NOT EXISTS (SELECT 1 FROM message m WHERE m.id = l.message))",
                       {run}));
  return misses != 0;
}

Result<std::string> put_file(SqliteConnection& db, std::string_view media, std::span<const uint8_t> bytes) {
  TRY(check_file(media, bytes.size()));
  const std::string hash = content_hash({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  TRY_ASSIGN(const auto kept, find_file(db, hash));
  if (!kept) {
    TRY(db.run("INSERT INTO file (hash, media, bytes) VALUES (?, ?, ?)", {hash, media, SqlBlob{bytes}}));
  } else if (!std::equal(bytes.begin(), bytes.end(), kept->bytes.begin(), kept->bytes.end())) {
    return make_error("the file has the hash {} of another one, which was made on purpose; it is not kept", hash);
  }
  return hash;
}

Result<std::optional<StoredFile>> find_file(SqliteConnection& db, std::string_view hash) {
  std::optional<StoredFile> found;
  TRY(db.query("SELECT hash, media, bytes FROM file WHERE hash = ?", {hash}, [&](SqliteRow& row) {
    found = StoredFile{row.text(0), row.text(1), row.blob(2)};
    return Status();
  }));
  return found;
}

Result<int64_t> remove_loose_files(SqliteConnection& db) {
  TRY(db.run("DELETE FROM file WHERE number NOT IN (SELECT file FROM message_file)"));
  return db.changes();
}

Status put_setting(SqliteConnection& db, std::string_view name, const Json& value) {
  TRY(check_setting(name, value));
  if (value.is_null()) return db.run("DELETE FROM setting WHERE name = ?", {name});
  const std::string text = value.dump();
  TRY_ASSIGN(const int64_t others,
             db.number("SELECT coalesce(sum(length(CAST(name AS BLOB)) + length(CAST(value AS BLOB))), 0) FROM setting "
                       "WHERE name <> ?",
                       {name}));
  if (others + static_cast<int64_t>(name.size() + text.size()) > StoreLimits::kSettingsBytes) {
    return make_error("the setting \"{}\" has {}, and the others {}: all together may have {}; remove some",
                      in_quotes(name), human_bytes(text.size()), human_bytes(static_cast<uint64_t>(others)),
                      human_bytes(StoreLimits::kSettingsBytes));
  }
  return db.run(
      "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      {name, text});
}

Result<Json> find_setting(SqliteConnection& db, std::string_view name) {
  Json found;
  TRY(db.query("SELECT value FROM setting WHERE name = ?", {name}, [&](SqliteRow& row) -> Status {
    TRY_ASSIGN(found, parse_kept(row.text(0)));
    return {};
  }));
  return found;
}

Result<std::vector<std::pair<std::string, Json>>> list_settings(SqliteConnection& db) {
  std::vector<std::pair<std::string, Json>> out;
  TRY(db.query("SELECT name, value FROM setting ORDER BY name", {}, [&](SqliteRow& row) -> Status {
    TRY_ASSIGN(Json value, parse_kept(row.text(1)));
    out.emplace_back(row.text(0), std::move(value));
    return {};
  }));
  return out;
}

}  // namespace andiron
