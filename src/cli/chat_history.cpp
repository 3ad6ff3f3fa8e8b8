#include "cli/chat_history.h"

#include <algorithm>

#include "base/strings.h"

namespace andiron {

namespace {

bool is_question(const Json& message) { return message.member("role").text_or("") == "user"; }

// Where the text of a message stands, or null when it has none. J is Json or const Json.
template <typename J>
J* text_of(J& message) {
  J* content = message.find("content");
  if (content == nullptr || content->is_string()) return content;
  if (!content->is_array()) return nullptr;
  for (J& part : content->items()) {
    J* text = part.member("type").text_or("") == "text" ? part.find("text") : nullptr;
    if (text != nullptr && text->is_string()) return text;
  }
  return nullptr;
}

}  // namespace

Result<ChatHistory> ChatHistory::from_json(const Json& json, std::string_view name) {
  const Json* list = json.is_array() ? &json : json.find("messages");
  if (list == nullptr || !list->is_array()) {
    return make_error("{}: expected a list of messages, or an object with \"messages\"", name);
  }
  ChatHistory conversation("");
  for (const Json& message : list->items()) {
    const Json& role = message.member("role");
    const Json& content = message.member("content");
    if (!role.is_string()) return make_error("{}: a message has no \"role\"", name);
    const bool first = conversation.empty() && conversation.system_.empty();
    if (first && role.as_string() == "system" && content.is_string()) {
      conversation.system_ = content.as_string();
    } else {
      conversation.messages_.push(Json(message));
    }
  }
  return conversation;
}

Json ChatHistory::all() const {
  Json all = Json::array();
  if (!system_.empty()) all.push(Json(Json::Object{{"role", Json("system")}, {"content", Json(system_)}}));
  for (const Json& message : messages_.items()) all.push(Json(message));
  return all;
}

void ChatHistory::add(std::string_view role, std::string_view text) {
  messages_.push(Json(Json::Object{{"role", Json(role)}, {"content", Json(text)}}));
}

size_t ChatHistory::exchanges() const {
  return static_cast<size_t>(std::count_if(messages_.items().begin(), messages_.items().end(), is_question));
}

void ChatHistory::drop_oldest(size_t count) {
  Json::Array& list = messages_.items();
  auto end = list.begin();
  for (; end != list.end(); ++end) {
    if (is_question(*end) && count-- == 0) break;
  }
  list.erase(list.begin(), end);
}

bool ChatHistory::rewind_to_question() {
  Json::Array& list = messages_.items();
  const auto last = std::find_if(list.rbegin(), list.rend(), is_question);
  if (last == list.rend()) return false;
  list.erase(last.base(), list.end());
  return true;
}

std::string ChatHistory::last_text() const {
  const Json* text = text_of(messages_.items().back());
  return text == nullptr ? "" : text->as_string();
}

void ChatHistory::set_last_text(std::string_view text) {
  Json& message = messages_.items().back();
  Json* content = message.find("content");
  if (Json* place = text_of(message)) {
    *place = Json(text);
  } else if (content != nullptr && content->is_array()) {
    content->push(Json(Json::Object{{"type", Json("text")}, {"text", Json(text)}}));
  } else if (content != nullptr) {
    *content = Json(text);
  } else {
    message.set("content", Json(text));
  }
}

}  // namespace andiron
