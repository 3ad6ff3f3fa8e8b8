#include "serve/tool_calls_prompt.h"

#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr std::string_view kBefore =
    "You can call the functions below. To call one, answer with nothing but the call, in this form:\n{}\nCall one only "
    "where it helps; else answer as usual.\n";

bool has_role(const Json& message, std::string_view role) { return message.member("role").text_or("") == role; }

// The first message where it is the system's, else a new one in front.
Json& system_message(Json& messages) {
  auto& list = messages.items();
  if (list.empty() || !has_role(list.front(), "system")) {
    Json system = Json::object();
    system.set("role", "system").set("content", "");
    list.insert(list.begin(), std::move(system));
  }
  return list.front();
}

void describe(Json& messages, const Json& tools, const CallStyle& style) {
  Json* content = system_message(messages).find("content");
  std::string text(content->text_or(""));
  if (!text.empty()) text += "\n\n";
  text += fmt::format(kBefore, call_text(style, "NAME", "{\"PARAMETER\": \"VALUE\"}"));
  for (const Json& tool : tools.items_or_none()) text.append("\n").append(tool.member("function").dump());
  *content = Json(std::move(text));
}

std::string tagged_text(const CallStyle& style, std::string_view name, const Json& arguments) {
  std::string text = style.open + std::string(name) + style.name_end + "\n";
  for (const auto& [key, value] : arguments.is_object() ? arguments.members() : Json::Object{}) {
    const std::string& attribute = value.is_string() ? style.text_attribute : style.json_attribute;
    text.append(style.key_open).append(key).append(style.key_end).append(attribute).append(style.value_open);
    text.append(value.is_string() ? value.as_string() : value.dump()).append(style.value_end).append("\n");
  }
  return text + style.close;
}

// name(key="value") and call:name{key:<quote>value<quote>}; JSON's values are near enough to Python's.
std::string listed_text(const CallStyle& style, std::string_view name, const Json& arguments) {
  const bool gemma = style.body == CallStyle::Body::kGemma;
  std::string text;
  for (const auto& [key, value] : arguments.is_object() ? arguments.members() : Json::Object{}) {
    if (!text.empty()) text += gemma ? "," : ", ";
    text += key + (gemma ? ":" : "=");
    text += gemma && value.is_string() ? style.value_end + value.as_string() + style.value_end : value.dump();
  }
  const std::string call = std::string(name) + (gemma ? "{" + text + "}" : "(" + text + ")");
  return style.open + (gemma ? call : "[" + call + "]") + style.close;
}

void calls_to_text(Json& message, const CallStyle& style) {
  const Json* calls = message.find("tool_calls");
  if (calls == nullptr) return;
  std::string text(message.member("content").text_or(""));
  for (const Json& call : calls->items_or_none()) {
    if (!text.empty()) text += '\n';
    const Json& function = call.member("function");
    const Json& arguments = function.member("arguments");
    text += call_text(style, function.member("name").text_or(""),
                      arguments.is_string() ? arguments.as_string() : arguments.dump());
  }
  Json plain = Json::object();
  for (const auto& [key, value] : message.members()) {
    if (key != "tool_calls" && key != "content") plain.set(key, value);
  }
  plain.set("content", std::move(text));
  message = std::move(plain);
}

void result_to_text(Json& message) {
  Json plain = Json::object();
  plain.set("role", "user");
  plain.set("content", format("The function returned: {}", message.member("content").text_or("")));
  message = std::move(plain);
}

}  // namespace

bool takes_tools_in_system(std::string_view chat_template) {
  return chat_template.find("message['tools']") != std::string_view::npos;
}

std::string call_text(const CallStyle& style, std::string_view name, std::string_view arguments) {
  using Body = CallStyle::Body;
  std::string text = style.section_open.empty() ? "" : style.section_open + "\n";
  if (style.body == Body::kNamedJson) {
    text += style.open + style.name_before + std::string(name) + style.name_after + style.name_end;
    text.append(arguments).append(style.close);
  } else if (style.body == Body::kJson) {
    std::string call = style.name_is_key ? format("{{{}: {}}}", json_quote(name), arguments)
                                         : format("{{\"{}\": {}, \"{}\": {}}}", style.name_key, json_quote(name),
                                                  style.arguments_key, arguments);
    if (style.is_list) call = "[" + call + "]";
    text += style.bare ? call : style.open + call + style.close;
  } else {
    const auto parsed = parse_json(arguments, "arguments");
    const Json values = parsed.ok() ? *parsed : Json();
    text += style.body == Body::kTagged ? tagged_text(style, name, values) : listed_text(style, name, values);
  }
  return style.section_close.empty() ? text : text + "\n" + style.section_close;
}

ToolConversation fit_tools(const Json& messages, const Json& tools, const ChatTemplate& chat, const CallStyle& style) {
  const ChatCapabilities& can = chat.capabilities();
  ToolConversation out = {messages, tools};
  const bool in_system = !can.tools && takes_tools_in_system(chat.source());
  for (Json& message : out.messages.items()) {
    if (!can.tool_calls) calls_to_text(message, style);
    if (!can.tool_results && has_role(message, "tool")) result_to_text(message);
  }
  if (can.tools || tools.is_null()) return out;
  if (in_system) {
    Json definitions = Json::array();
    for (const Json& tool : tools.items_or_none()) definitions.push(tool.member("function"));
    system_message(out.messages).set("tools", definitions.dump());
  } else {
    describe(out.messages, tools, style);
  }
  out.tools = Json();
  return out;
}

}  // namespace andiron
