// Conversations and their messages.
#include "serve/chat_requests.h"

#include <algorithm>
#include <utility>

#include "base/json_fields.h"
#include "serve/api_fields.h"

namespace andiron {

namespace {

constexpr std::string_view kSetByStore = "the store sets it";
constexpr int64_t kConversationsMax = 1000;  // of one list

ApiError missing(std::string_view what, std::string_view id) {
  return {404, format("there is no {} \"{}\"", what, in_quotes(id)), "", "not_found", {}};
}

// An object, taken as it is.
void read_object(FieldReader& in, std::string_view name, Json& value) {
  const Json* found = in.find(name);
  if (found == nullptr) return;
  if (!found->is_object()) return in.wrong(name, "an object");
  value = *found;
}

template <typename T, typename Read>
void read_optional(FieldReader& in, std::string_view name, std::optional<T>& value, const Read& read) {
  if (in.find(name) == nullptr) return;
  T found{};
  read(found);
  value = std::move(found);
}

// What a list tells of a conversation: without its system prompt, which may be long.
Json in_short(const Conversation& conversation) {
  Json out = Json::object();
  out.set("id", conversation.id).set("title", conversation.title).set("model", conversation.model);
  out.set("adapters", conversation.adapters).set("for_training", conversation.for_training);
  out.set("created_ms", conversation.created_ms).set("changed_ms", conversation.changed_ms);
  return out;
}

ChatResult removal_answer(Result<Store::Removal> removal) {
  if (!removal.ok()) return store_failed(removal.error());
  ChatAnswer answer;
  answer.removal = std::move(*removal);
  return answer;
}

// The conversation that the path names.
ApiResult<Conversation> find_chat(Store& store, const HttpRequest& request) {
  const std::string& id = request.captures.at("id");
  auto found = store.conversation(id);
  if (!found.ok()) return store_failed(found.error());
  if (!found->has_value()) return missing("conversation", id);
  return std::move(**found);
}

ApiResult<Message> find_chat_message(Store& store, const HttpRequest& request) {
  const std::string& id = request.captures.at("id");
  auto found = store.message(id);
  if (!found.ok()) return store_failed(found.error());
  if (!found->has_value()) return missing("message", id);
  return std::move(**found);
}

// A 400 where `id` is not "" and not a message of the conversation.
std::optional<ApiError> check_within(Store& store, std::string_view conversation, std::string_view id,
                                     std::string_view param) {
  if (id.empty()) return std::nullopt;
  const auto found = store.message(id);
  if (!found.ok()) return store_failed(found.error());
  if (found->has_value() && (*found)->conversation == conversation) return std::nullopt;
  return refuse(std::string(param), "invalid_value", "\"{}\" must be a message of this conversation, not \"{}\"", param,
                in_quotes(id));
}

// What would make the store refuse a message, so that the answer can tell a wrong request from a failing disk.
std::optional<ApiError> check_message(Store& store, const Message& message) {
  if (const auto valid = check_record(message); !valid.ok()) return bad_record(valid.error());
  if (auto wrong = check_within(store, message.conversation, message.parent, "parent")) return wrong;
  if (auto wrong = check_within(store, message.conversation, message.edit_of, "edit_of")) return wrong;
  if (!message.edit_of.empty()) {
    const auto original = store.message(message.edit_of);
    if (!original.ok()) return store_failed(original.error());
    const bool beside =
        original->has_value() && (*original)->parent == message.parent && (*original)->role == message.role;
    if (!beside) return refuse("edit_of", "invalid_value", "an edit has the parent and the role of what it edits");
  }
  for (const std::string& hash : message.files) {
    const auto file = store.file(hash);
    if (!file.ok()) return store_failed(file.error());
    if (!file->has_value()) return refuse("files", "invalid_value", "there is no file \"{}\"", in_quotes(hash));
  }
  return std::nullopt;
}

ApiResult<Message> read_message(const HttpRequest& request) {
  static const ApiTable kTable = {"a message",
                                  {{"id"},
                                   {"parent"},
                                   {"edit_of"},
                                   {"role"},
                                   {"content"},
                                   {"reasoning"},
                                   {"extra"},
                                   {"files"},
                                   {"model"},
                                   {"adapters"},
                                   {"thumb", FieldUse::kRefused, "it is set by PUT /api/store/messages/{id}/thumb"},
                                   {"conversation", FieldUse::kRefused, "the path names it"},
                                   {"created_ms", FieldUse::kRefused, kSetByStore}}};
  std::optional<ApiError> error;
  FieldReader in(request.json, kTable, error);
  Message message;
  message.conversation = request.captures.at("id");
  in.need("role");
  in.need("content");
  in.text("id", message.id);
  in.text("parent", message.parent);
  in.text("edit_of", message.edit_of);
  in.text("role", message.role);
  in.text("content", message.content);
  in.text("reasoning", message.reasoning);
  in.text("model", message.model);
  in.text("adapters", message.adapters);
  read_object(in, "extra", message.extra);
  const Json* files = in.find("files");
  if (files != nullptr && !from_json(*files, message.files)) in.wrong("files", "a list of hashes");
  if (error) return std::move(*error);
  return message;
}

}  // namespace

ChatAnswer chat_answer(const Json& body, int status) { return {body.dump(), status}; }

Json removal_json(const Store::Removal& removal) {
  Json removed = Json::object();
  removed.set("conversations", removal.removed.conversations).set("messages", removal.removed.messages);
  removed.set("files", removal.removed.files);
  Json out = Json::object();
  out.set("removed", std::move(removed)).set("traces_gone", removal.traces_gone).set("runs", to_json(removal.runs));
  return out;
}

ApiError store_failed(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kDiskFull: return {507, error.message, "", "disk_full", {}};
    case ErrorKind::kNotFound: return {404, error.message, "", "not_found", {}};
    case ErrorKind::kConflict: return {409, error.message, "id", "exists", {}};
    case ErrorKind::kMachine:
    case ErrorKind::kOther: break;
  }
  return {500, error.message, "", "store_failed", {}};
}

ApiError bad_record(const Error& error, std::string param) {
  return {400, error.message, std::move(param), "invalid_value", {}};
}

ApiError store_refused(const Error& error, ApiError refusal) {
  const bool is_machine = error.kind == ErrorKind::kDiskFull || error.kind == ErrorKind::kMachine;
  if (is_machine) return store_failed(error);
  return refusal;
}

std::optional<ApiError> check_query(const HttpRequest& request, std::initializer_list<std::string_view> known) {
  for (const auto& [name, value] : request.query) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    return refuse(in_quotes(name), "unknown_parameter", "\"{}\" is not a parameter of this request", in_quotes(name));
  }
  return std::nullopt;
}

std::optional<ApiError> read_query(const HttpRequest& request, std::string_view name, int64_t min, int64_t max,
                                   int64_t& value) {
  const std::string_view text = request.query_value(name);
  if (text.empty()) return std::nullopt;
  const auto number = parse_int(text, name);
  if (number.ok() && *number >= min && *number <= max) {
    value = *number;
    return std::nullopt;
  }
  return refuse(std::string(name), "invalid_value", "\"{}\" must be a whole number from {} to {}, not \"{}\"", name,
                min, max, in_quotes(text));
}

ChatResult list_chats(Store& store, const HttpRequest& request) {
  int64_t limit = 100, offset = 0;
  if (auto wrong = check_query(request, {"limit", "offset"})) return std::move(*wrong);
  if (auto wrong = read_query(request, "limit", 1, kConversationsMax, limit)) return std::move(*wrong);
  if (auto wrong = read_query(request, "offset", 0, int64_t{1} << 40, offset)) return std::move(*wrong);
  const auto found = store.conversations(limit + 1, offset);  // one more, to know whether there are more
  if (!found.ok()) return store_failed(found.error());
  Json list = Json::array();
  for (const Conversation& conversation : *found) {
    if (list.items().size() < static_cast<size_t>(limit)) list.push(in_short(conversation));
  }
  const bool more = found->size() > static_cast<size_t>(limit);
  Json out = Json::object();
  out.set("conversations", std::move(list)).set("more", more);
  return chat_answer(out);
}

ChatResult create_chat(Store& store, const HttpRequest& request) {
  static const ApiTable kTable = {"a conversation",
                                  {{"id"},
                                   {"title"},
                                   {"system"},
                                   {"model"},
                                   {"adapters"},
                                   {"sampling"},
                                   {"for_training"},
                                   {"shown", FieldUse::kRefused, "a new conversation has no messages"},
                                   {"created_ms", FieldUse::kRefused, kSetByStore},
                                   {"changed_ms", FieldUse::kRefused, kSetByStore}}};
  std::optional<ApiError> error;
  FieldReader in(request.json, kTable, error);
  Conversation conversation;
  in.text("id", conversation.id);
  in.text("title", conversation.title);
  in.text("system", conversation.system);
  in.text("model", conversation.model);
  in.text("adapters", conversation.adapters);
  read_object(in, "sampling", conversation.sampling);
  in.flag("for_training", conversation.for_training);
  if (error) return std::move(*error);
  if (const auto valid = check_record(conversation); !valid.ok()) return bad_record(valid.error());
  const auto added = store.add_conversation(std::move(conversation));
  if (!added.ok()) return store_failed(added.error());
  return chat_answer(to_json(*added), 201);
}

ChatResult read_chat(Store& store, const HttpRequest& request) {
  auto conversation = find_chat(store, request);
  if (!conversation.ok()) return conversation.error();
  const auto messages = store.messages(conversation->id);
  if (!messages.ok()) return store_failed(messages.error());
  Json out = Json::object();
  out.set("conversation", to_json(*conversation)).set("messages", to_json(*messages));
  return chat_answer(out);
}

ChatResult change_chat(Store& store, const HttpRequest& request) {
  static const ApiTable kTable = {
      "a change of a conversation",
      {{"title"}, {"system"}, {"model"}, {"adapters"}, {"sampling"}, {"for_training"}, {"shown"}}};
  std::optional<ApiError> error;
  FieldReader in(request.json, kTable, error);
  ConversationChange change;
  const auto text = [&](std::string_view name, std::optional<std::string>& value) {
    read_optional(in, name, value, [&](std::string& found) { in.text(name, found); });
  };
  text("title", change.title);
  text("system", change.system);
  text("model", change.model);
  text("adapters", change.adapters);
  text("shown", change.shown);
  read_optional(in, "sampling", change.sampling, [&](Json& found) { read_object(in, "sampling", found); });
  read_optional(in, "for_training", change.for_training, [&](bool& found) { in.flag("for_training", found); });
  if (error) return std::move(*error);
  if (const auto valid = check_record(change); !valid.ok()) return bad_record(valid.error());
  auto conversation = find_chat(store, request);
  if (!conversation.ok()) return conversation.error();
  if (change.shown) {
    if (auto wrong = check_within(store, conversation->id, *change.shown, "shown")) return std::move(*wrong);
  }
  if (const auto changed = store.change_conversation(conversation->id, change); !changed.ok()) {
    return store_failed(changed.error());
  }
  auto now = find_chat(store, request);
  if (!now.ok()) return now.error();
  return chat_answer(to_json(*now));
}

ChatResult remove_chat(Store& store, const HttpRequest& request) {
  auto conversation = find_chat(store, request);
  if (!conversation.ok()) return conversation.error();
  return removal_answer(store.remove_conversations({conversation->id}));
}

ChatResult add_chat_message(Store& store, const HttpRequest& request) {
  auto message = read_message(request);
  if (!message.ok()) return message.error();
  if (auto conversation = find_chat(store, request); !conversation.ok()) return conversation.error();
  if (auto wrong = check_message(store, *message)) return std::move(*wrong);
  const auto added = store.add_message(std::move(*message));
  if (added.ok()) return chat_answer(to_json(*added), 201);
  // What is left of what a request can do wrong: a conversation that has as much as one may have.
  if (added.error().kind == ErrorKind::kOther) return bad_record(added.error());
  return store_failed(added.error());
}

ChatResult remove_chat_message(Store& store, const HttpRequest& request) {
  auto message = find_chat_message(store, request);
  if (!message.ok()) return message.error();
  return removal_answer(store.remove_message(message->id));
}

ChatResult put_thumb(Store& store, const HttpRequest& request) {
  static const ApiTable kTable = {"a thumb", {{"thumb"}}};
  std::optional<ApiError> error;
  FieldReader in(request.json, kTable, error);
  int32_t thumb = 0;
  in.need("thumb");
  in.whole("thumb", thumb, -1, 1);
  if (error) return std::move(*error);
  auto message = find_chat_message(store, request);
  if (!message.ok()) return message.error();
  if (const auto set = store.set_thumb(message->id, thumb); !set.ok()) return store_failed(set.error());
  message->thumb = thumb;
  return chat_answer(to_json(*message));
}

}  // namespace andiron
