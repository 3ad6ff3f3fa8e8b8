#include "text/chat_template_adapt.h"

#include <algorithm>
#include <utility>

namespace andiron {

namespace {

// The text of content; parts that are not text make it unknown.
std::optional<std::string> text_of(const Json& content) {
  if (content.is_string()) return content.as_string();
  if (!content.is_array()) return std::nullopt;
  std::string text;
  for (const Json& part : content.items()) {
    const Json& piece = part.member("text");
    if (part.member("type").text_or("") != "text" || !piece.is_string()) return std::nullopt;
    if (!text.empty()) text += '\n';
    text += piece.as_string();
  }
  return text;
}

Json parts_of(const std::string& text) {
  Json part = Json::object();
  part.set("type", "text").set("text", text);
  Json parts = Json::array();
  parts.push(std::move(part));
  return parts;
}

void adapt_content(Json& message, const ChatCapabilities& can) {
  Json* content = message.find("content");
  if (content == nullptr) return;
  if (content->is_array() && !can.content_parts && can.text_content) {
    if (auto text = text_of(*content)) *content = Json(std::move(*text));
  } else if (content->is_string() && can.content_parts && !can.text_content) {
    *content = parts_of(content->as_string());
  }
}

void adapt_arguments(Json& message, const ChatCapabilities& can) {
  Json* calls = message.find("tool_calls");
  if (calls == nullptr || !calls->is_array()) return;
  for (Json& call : calls->items()) {
    Json* function = call.find("function");
    Json* arguments = (function != nullptr ? *function : call).find("arguments");
    if (arguments == nullptr) continue;
    if (arguments->is_string() && can.object_arguments && !can.text_arguments) {
      auto parsed = parse_json(arguments->as_string(), "tool call arguments");
      if (parsed.ok() && parsed->is_object()) *arguments = std::move(*parsed);
    } else if (arguments->is_object() && can.text_arguments && !can.object_arguments) {
      *arguments = Json(arguments->dump());
    }
  }
}

bool has_role(const Json& message, std::string_view role) { return message.member("role").text_or("") == role; }

// Puts the system message's text in front of the first user message's.
void fold_system(Json& messages) {
  auto& list = messages.items();
  if (list.size() < 2 || !has_role(list[0], "system") || !has_role(list[1], "user")) return;
  const Json* system = list[0].find("content");
  Json* user = list[1].find("content");
  if (system == nullptr || user == nullptr) return;
  const auto system_text = text_of(*system);
  if (!system_text || (!user->is_string() && !user->is_array())) return;
  if (user->is_string()) {
    *user = Json(*system_text + "\n\n" + user->as_string());
  } else {
    Json parts = parts_of(*system_text);
    for (const Json& part : user->items()) parts.push(part);
    *user = std::move(parts);
  }
  list.erase(list.begin());
}

}  // namespace

Json adapt_messages(const Json& messages, const ChatCapabilities& capabilities) {
  Json out = messages;
  if (!capabilities.system_role) fold_system(out);
  for (Json& message : out.items()) {
    adapt_content(message, capabilities);
    adapt_arguments(message, capabilities);
  }
  return out;
}

}  // namespace andiron
