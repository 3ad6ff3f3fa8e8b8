// What is asked of the store as a whole: search, settings, export, import.
#include <algorithm>
#include <utility>

#include "base/json_fields.h"
#include "serve/api_fields.h"
#include "serve/chat_requests.h"

namespace andiron {

namespace {

constexpr int64_t kHitsMax = 100;  // of one search

// The snippet in pieces, so that whoever shows it need not count bytes.
Json snippet_pieces(const SearchHit& hit) {
  Json pieces = Json::array();
  size_t at = 0;
  const auto add = [&](size_t end, bool found) {
    if (end <= at) return;
    Json piece = Json::object();
    piece.set("text", hit.snippet.substr(at, end - at)).set("found", found);
    pieces.push(std::move(piece));
    at = end;
  };
  for (const auto& [begin, end] : hit.marks) {
    add(begin, false);
    add(end, true);
  }
  add(hit.snippet.size(), false);
  return pieces;
}

std::vector<std::string> wanted_conversations(const HttpRequest& request) {
  std::vector<std::string> ids;
  for (const auto& [name, value] : request.query) {
    if (name == "conversation") ids.push_back(value);
  }
  return ids;
}

}  // namespace

ChatResult search_chats(Store& store, const HttpRequest& request) {
  int64_t limit = 20, offset = 0;
  if (auto wrong = check_query(request, {"q", "limit", "offset"})) return std::move(*wrong);
  if (auto wrong = read_query(request, "limit", 1, kHitsMax, limit)) return std::move(*wrong);
  if (auto wrong = read_query(request, "offset", 0, int64_t{1} << 40, offset)) return std::move(*wrong);
  const auto hits = store.search(request.query_value("q"), limit, offset);
  // Too many words, above all.
  if (!hits.ok()) return store_refused(hits.error(), bad_record(hits.error(), "q"));
  Json list = Json::array();
  for (const SearchHit& hit : *hits) {
    Json out = Json::object();
    out.set("conversation", hit.conversation).set("title", hit.title).set("message", hit.message);
    out.set("role", hit.role).set("created_ms", hit.created_ms).set("snippet", snippet_pieces(hit));
    list.push(std::move(out));
  }
  Json out = Json::object();
  out.set("hits", std::move(list));
  return chat_answer(out);
}

ChatResult read_settings(Store& store, const HttpRequest&) {
  auto settings = store.settings();
  if (!settings.ok()) return store_failed(settings.error());
  Json values = Json::object();
  for (auto& [name, value] : *settings) values.set(name, std::move(value));
  Json out = Json::object();
  out.set("settings", std::move(values));
  return chat_answer(out);
}

ChatResult put_one_setting(Store& store, const HttpRequest& request) {
  static const ApiTable kTable = {"a setting", {{"value"}}};
  std::optional<ApiError> error;
  FieldReader in(request.json, kTable, error);
  const Json* value = in.need("value");
  if (error) return std::move(*error);
  const std::string& name = request.captures.at("name");
  if (const auto valid = check_setting(name, *value); !valid.ok()) return bad_record(valid.error(), "value");
  if (const auto put = store.put_setting(name, *value); !put.ok()) {  // or there are too many
    return store_refused(put.error(), bad_record(put.error(), "value"));
  }
  Json out = Json::object();
  out.set("name", name).set("value", *value);
  return chat_answer(out);
}

ChatResult remove_one_setting(Store& store, const HttpRequest& request) {
  const std::string& name = request.captures.at("name");
  if (const auto valid = check_setting(name, Json()); !valid.ok()) return bad_record(valid.error());
  const auto gone = store.remove_setting(name);
  if (!gone.ok()) return store_failed(gone.error());
  Json out = Json::object();
  out.set("traces_gone", *gone);
  return chat_answer(out);
}

ChatResult export_chats(Store& store, const HttpRequest& request) {
  if (auto wrong = check_query(request, {"conversation"})) return std::move(*wrong);
  const std::vector<std::string> ids = wanted_conversations(request);
  for (const std::string& id : ids) {
    const auto there = store.conversation(id);
    if (!there.ok()) return store_failed(there.error());
    if (!there->has_value())
      return refuse("conversation", "not_found", "there is no conversation \"{}\"", in_quotes(id));
  }
  std::deque<std::string> pieces;
  size_t bytes = 0;
  bool too_large = false;
  const LineSink sink = [&](std::string_view line) -> Status {
    bytes += line.size();
    too_large = bytes > kExportBytes;
    if (too_large) {
      return make_error("the export is larger than {}; ask for some conversations at a time: ?conversation=ID",
                        human_bytes(kExportBytes));
    }
    if (pieces.empty() || pieces.back().size() + line.size() > kExportPieceBytes) {
      pieces.emplace_back().reserve(std::max(kExportPieceBytes, line.size()));
    }
    pieces.back().append(line);
    return {};
  };
  const auto done = ids.empty() ? store.export_all(sink) : store.export_conversations(ids, sink);
  if (!done.ok()) {
    return too_large ? ApiError{400, done.error().message, "", "export_too_large", {}} : store_failed(done.error());
  }
  ChatAnswer out{"", 200, "application/x-ndjson"};
  out.pieces = std::move(pieces);
  out.headers = {{"content-disposition", "attachment; filename=\"andiron-chats.jsonl\""}};
  return out;
}

ChatResult import_chats(Store& store, const HttpRequest& request) {
  static const ApiTable kTable = {"an import", {{"lines"}, {"keep_consent"}}};
  std::optional<ApiError> error;
  FieldReader in(request.json, kTable, error);
  std::string lines;
  bool keep_consent = false;
  in.need("lines");
  in.text("lines", lines);
  in.flag("keep_consent", keep_consent);
  if (error) return std::move(*error);
  const auto report = store.import(lines, keep_consent);
  if (!report.ok()) {
    return store_refused(report.error(), {400, report.error().message, "lines", "import_failed", {}});
  }
  Json out = Json::object();
  out.set("lines", report->lines).set("conversations", report->conversations).set("messages", report->messages);
  out.set("files", report->files).set("runs", report->runs).set("settings", report->settings);
  out.set("kept", report->kept);
  return chat_answer(out);
}

}  // namespace andiron
