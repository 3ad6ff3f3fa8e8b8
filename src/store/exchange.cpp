#include "store/exchange.h"

#include <map>
#include <set>

#include "base/base64.h"
#include "base/content_hash.h"
#include "base/strings.h"
#include "store/chats.h"
#include "store/runs.h"

namespace andiron {

namespace {

constexpr int64_t kVersion = 1;

struct FileLine {
  std::string hash, media, base64;
};
template <FieldsOf<FileLine> F, typename Fields>
void fields(F& file, Fields&& at) {
  at("hash", file.hash);
  at("media", file.media);
  at("base64", file.base64);
}

struct SettingLine {
  std::string name;
  Json value;
};
template <FieldsOf<SettingLine> S, typename Fields>
void fields(S& setting, Fields&& at) {
  at("name", setting.name);
  at("value", setting.value);
}

class Exporter {
 public:
  Exporter(SqliteConnection& db, const LineSink& sink) : db_(db), sink_(sink) {}

  Status begin() {
    Json line = Json::object();
    line.set("andiron", "store").set("version", kVersion);
    return put(line);
  }
  Status settings() {
    TRY_ASSIGN(auto settings, list_settings(db_));
    for (auto& [name, value] : settings) TRY(put("setting", SettingLine{name, std::move(value)}));
    return {};
  }
  Status conversation(const std::string& id) {
    TRY_ASSIGN(const auto conversation, find_conversation(db_, id));
    if (!conversation) return make_error(ErrorKind::kNotFound, "there is no conversation \"{}\"", in_quotes(id));
    TRY_ASSIGN(const auto messages, list_messages(db_, id));
    for (const Message& message : messages) {
      for (const std::string& hash : message.files) TRY(file(hash));
    }
    TRY(put("conversation", *conversation));
    for (const Message& message : messages) TRY(put("message", message));
    return {};
  }
  Status runs() {
    TRY_ASSIGN(const auto runs, list_runs(db_));
    for (const StoredRun& run : runs) {
      TRY(put("run", run));
      TRY_ASSIGN(const auto lessons, lessons_of_run(db_, run.id));
      for (const Lesson& lesson : lessons) TRY(put("lesson", lesson));
    }
    return {};
  }
  Status end() {
    Json line = Json::object();
    line.set("end", lines_);
    return put(line);
  }

 private:
  Status file(const std::string& hash) {
    if (!files_.insert(hash).second) return {};
    TRY_ASSIGN(const auto file, find_file(db_, hash));
    if (!file) return make_error("there is no file \"{}\"", in_quotes(hash));
    return put("file", FileLine{file->hash, file->media, to_base64(file->bytes)});
  }
  template <typename T>
  Status put(const char* kind, const T& record) {
    Json line = Json::object();
    line.set(kind, to_json(record));
    return put(line);
  }
  Status put(const Json& line) {
    ++lines_;
    return sink_(line.dump() + "\n");
  }

  SqliteConnection& db_;
  const LineSink& sink_;
  int64_t lines_ = 0;
  std::set<std::string> files_;
};

// Counts the members that a record has.
struct MemberCounter {
  size_t& count;
  template <typename T>
  void operator()(const char*, const T&) const {
    ++count;
  }
};

// All members, each of its kind, and no other.
template <typename T>
Result<T> read_record(const Json& json, std::string_view kind) {
  T record;
  if (!json.is_object()) return make_error("\"{}\" is not an object", kind);
  std::string wrong;
  fields(record, JsonReader{json, wrong});
  if (!wrong.empty()) return make_error("\"{}\" of the {} is missing, or of the wrong kind", wrong, kind);
  size_t known = 0;
  fields(std::as_const(record), MemberCounter{known});
  if (json.members().size() != known) return make_error("the {} has a member that is not known here", kind);
  return record;
}

class Importer {
 public:
  Importer(SqliteConnection& db, bool keep_consent) : db_(db), keep_consent_(keep_consent) {}

  Status read_line(std::string_view text) {
    if (text.size() > StoreLimits::kLineBytes) {
      return make_error("it has {}; at most {} are read", human_bytes(text.size()),
                        human_bytes(StoreLimits::kLineBytes));
    }
    if (ended_) return make_error("there is something behind the end");
    auto line = parse_json(text, "it", {.depth = StoreLimits::kJsonDepth, .values = StoreLimits::kJsonBytes});
    if (!line.ok()) return std::move(line).error();
    if (!line->is_object() || line->members().empty()) return make_error("expected an object with one member");
    if (report_.lines++ == 0) return read_head(*line);
    if (line->members().size() != 1) return make_error("expected an object with one member");
    const auto& [kind, value] = line->members()[0];
    if (kind == "setting") return read_setting(value);
    if (kind == "file") return read_file(value);
    if (kind == "conversation") return read_conversation(value);
    if (kind == "message") return read_message(value);
    if (kind == "run") return read_run(value);
    if (kind == "lesson") return read_lesson(value);
    if (kind == "end") return read_end(value);
    return make_error("\"{}\" is not known here", in_quotes(kind));
  }

  Result<ImportReport> finish() {
    if (report_.lines == 0) return make_error("the export is empty");
    if (!ended_) return make_error("the export has no end: it was cut off");
    for (const auto& [conversation, shown] : shown_) TRY(show(conversation, shown));
    return report_;
  }

 private:
  static Status read_head(const Json& line) {
    const Json& version = line.member("version");
    if (line.member("andiron").text_or("") != "store" || !version.is_int() || line.members().size() != 2) {
      return make_error(R"(expected {{"andiron": "store", "version": {}}}, with which every export begins)", kVersion);
    }
    if (version.as_int() == kVersion) return {};
    return make_error("the export has version {}; version {} can be read here", version.as_int(), kVersion);
  }
  Status read_setting(const Json& json) {
    TRY_ASSIGN(const SettingLine setting, read_record<SettingLine>(json, "setting"));
    TRY_ASSIGN(const Json there, find_setting(db_, setting.name));
    if (!there.is_null()) return keep();
    ++report_.settings;
    return put_setting(db_, setting.name, setting.value);
  }
  Status read_file(const Json& json) {
    TRY_ASSIGN(const FileLine file, read_record<FileLine>(json, "file"));
    TRY_ASSIGN(const auto bytes, from_base64(file.base64, "the file"));
    TRY_ASSIGN(const auto there, find_file(db_, file.hash));
    TRY_ASSIGN(const std::string hash, put_file(db_, file.media, bytes));
    if (hash != file.hash) return make_error("the file has the hash {}, not \"{}\"", hash, in_quotes(file.hash));
    if (there) return keep();
    ++report_.files;
    return {};
  }
  Status read_conversation(const Json& json) {
    TRY_ASSIGN(Conversation conversation, read_record<Conversation>(json, "conversation"));
    TRY(check_id(conversation.id, "the id of the conversation"));
    TRY_ASSIGN(const auto there, find_conversation(db_, conversation.id));
    if (there) return keep();
    if (!keep_consent_) conversation.for_training = false;
    shown_[conversation.id] = conversation;
    ++report_.conversations;
    auto added = add_conversation(db_, std::move(conversation), 0);
    return added.ok() ? Status() : Status(std::move(added).error());
  }
  Status read_message(const Json& json) {
    TRY_ASSIGN(Message message, read_record<Message>(json, "message"));
    TRY(check_id(message.id, "the id of the message"));
    TRY_ASSIGN(const auto there, find_message(db_, message.id));
    const std::string conversation = message.conversation;
    // Into a conversation that was there the newer messages come too; what it shows stays.
    if (!there && shown_.find(conversation) == shown_.end()) {
      TRY_ASSIGN(const auto before, find_conversation(db_, conversation));
      if (before) shown_[conversation] = *before;
    }
    TRY_ASSIGN(const Message added, add_message(db_, std::move(message), 0));
    if (there) return keep();
    ++report_.messages;
    return {};
  }
  Status read_run(const Json& json) {
    TRY_ASSIGN(StoredRun run, read_record<StoredRun>(json, "run"));
    TRY(check_id(run.id, "the id of the run"));
    TRY_ASSIGN(const auto there, find_run(db_, run.id));
    if (there) return keep();
    ++report_.runs;
    auto added = put_run(db_, std::move(run), 0);
    return added.ok() ? Status() : Status(std::move(added).error());
  }
  Status read_lesson(const Json& json) {
    TRY_ASSIGN(Lesson lesson, read_record<Lesson>(json, "lesson"));
    return add_lessons(db_, {std::move(lesson)});
  }
  Status read_end(const Json& json) {
    if (!json.is_int() || json.as_int() != report_.lines - 1) {
      return make_error("expected \"end\": {}, the number of lines before it: some were lost or added",
                        report_.lines - 1);
    }
    ended_ = true;
    return {};
  }

  // What a conversation shows, and when it was changed, is known once its messages are there.
  Status show(const std::string& id, const Conversation& wanted) {
    ConversationChange change;
    if (!wanted.shown.empty()) change.shown = wanted.shown;
    TRY(change_conversation(db_, id, change, 0));
    return db_.run("UPDATE conversation SET changed_ms = ? WHERE id = ?", {wanted.changed_ms, id});
  }
  Status keep() {
    ++report_.kept;
    return {};
  }

  SqliteConnection& db_;
  bool keep_consent_;
  bool ended_ = false;
  ImportReport report_;
  std::map<std::string, Conversation> shown_;
};

}  // namespace

Status export_store(SqliteConnection& db, const LineSink& sink) {
  Exporter exporter(db, sink);
  TRY(exporter.begin());
  TRY(exporter.settings());
  std::vector<std::string> ids;
  TRY(db.query("SELECT id FROM conversation ORDER BY number", {}, [&](SqliteRow& row) {
    ids.push_back(row.text(0));
    return Status();
  }));
  for (const std::string& id : ids) TRY(exporter.conversation(id));
  TRY(exporter.runs());
  return exporter.end();
}

Status export_conversations(SqliteConnection& db, const std::vector<std::string>& ids, const LineSink& sink) {
  Exporter exporter(db, sink);
  TRY(exporter.begin());
  for (const std::string& id : ids) TRY(exporter.conversation(id));
  return exporter.end();
}

Result<ImportReport> import_store(SqliteConnection& db, std::string_view text, bool keep_consent) {
  Importer importer(db, keep_consent);
  int64_t number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return make_error("line {}: it has no end: the export was cut off", number + 1);
    ++number;
    auto read = importer.read_line(text.substr(0, end));
    if (!read.ok()) {
      return make_error(read.error().kind, "line {}: {}; nothing was imported", number, read.error().message);
    }
    text.remove_prefix(end + 1);
  }
  auto report = importer.finish();
  if (!report.ok()) return make_error(report.error().kind, "{}; nothing was imported", report.error().message);
  return report;
}

}  // namespace andiron
