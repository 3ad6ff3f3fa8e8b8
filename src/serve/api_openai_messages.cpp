#include "serve/api_openai_messages.h"

#include <algorithm>
#include <utility>

#include "serve/api_openai.h"
#include "serve/api_parts.h"

namespace andiron {

namespace {

constexpr auto kIgnored = FieldUse::kIgnored;
constexpr auto kRefused = FieldUse::kRefused;

const ApiTable kMessage = {"a message",
                           {{"role"},
                            {"content"},
                            {"tool_calls"},
                            {"tool_call_id"},
                            {"reasoning_content"},
                            {"name"},
                            {"refusal", kIgnored, "what a model refused with is its answer's text"},
                            {"annotations", kIgnored, "notes of other servers on an earlier answer"},
                            {"audio", kRefused, "models here read and write text only"},
                            {"function_call", kRefused, "use \"tool_calls\", which took its place"}}};
const ApiTable kCall = {"a tool call", {{"id"}, {"type"}, {"function"}, {"index", kIgnored, "calls stand in order"}}};
const ApiTable kCalledFunction = {"a called function", {{"name"}, {"arguments"}}};
const ApiTable kTool = {"a tool", {{"type"}, {"function"}}};
const ApiTable kFunction = {"a function",
                            {{"name"},
                             {"description"},
                             {"parameters"},
                             {"strict", kIgnored, "calls are always held to the schema where one is forced"}}};

// "developer" is the newer name of "system"; "function" the older one of "tool", and is refused.
constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool"};
constexpr std::string_view kTextParts[] = {"text", "refusal"};

void check_type(FieldReader& in, std::string_view expected) {
  const Json* type = in.find("type");
  if (type != nullptr && type->text_or("") != expected) in.wrong("type", format("\"{}\"", expected));
}

void read_calls(const Json& calls, const std::string& place, Json& message, std::optional<ApiError>& error) {
  if (error) return;
  if (!calls.is_array()) {
    error = refuse(place, "invalid_type", "\"{}\" must be a list, not {}", place, shown(calls));
    return;
  }
  Json list = Json::array();
  for (size_t i = 0; i < calls.items().size(); ++i) {
    const std::string where = format("{}[{}]", place, i);
    FieldReader in(calls.items()[i], kCall, error, where);
    check_type(in, "function");
    std::string id, name, arguments = "{}";
    in.text("id", id);
    if (const Json* function = in.need("function")) {
      FieldReader inner(*function, kCalledFunction, error, where + ".function");
      if (inner.need("name") != nullptr) inner.text("name", name);
      inner.text("arguments", arguments);
    }
    if (error) return;
    Json inner = Json::object();
    inner.set("name", std::move(name)).set("arguments", std::move(arguments));
    Json call = Json::object();
    call.set("id", std::move(id)).set("type", "function").set("function", std::move(inner));
    list.push(std::move(call));
  }
  if (!list.items().empty()) message.set("tool_calls", std::move(list));
}

Json read_message(const Json& given, const std::string& place, std::optional<ApiError>& error) {
  FieldReader in(given, kMessage, error, place);
  if (in.need("role") == nullptr) return {};
  const auto role = in.word("role", kRoles);
  if (!role) return {};
  const std::string_view name = kRoles[*role] == "developer" ? "system" : kRoles[*role];
  const Json* calls = in.find("tool_calls");
  const Json* content = in.find("content");
  const bool may_be_silent = name == "assistant" && (calls != nullptr || in.find("refusal") != nullptr);
  if (content == nullptr && !may_be_silent) in.need("content");
  Json message = Json::object();
  message.set("role", name);
  const Json silence("");
  const auto text = read_text_content(content != nullptr ? *content : silence, kTextParts, place + ".content", error);
  if (!text) return {};
  message.set("content", *text);
  for (const char* key : {"name", "reasoning_content", "tool_call_id"}) {
    std::string value;
    in.text(key, value);
    if (!value.empty()) message.set(key, std::move(value));
  }
  if (calls != nullptr && name != "assistant") in.wrong("tool_calls", "left away but in messages of the assistant");
  if (calls != nullptr) read_calls(*calls, place + ".tool_calls", message, error);
  if (name == "tool") in.need("tool_call_id");
  return message;
}

}  // namespace

void read_openai_messages(const Json& messages, ChatAsk& ask, std::optional<ApiError>& error) {
  if (error) return;
  if (!messages.is_array() || messages.items().empty() || messages.items().size() > kMessagesMax) {
    error = refuse("messages", "invalid_value", "\"messages\" must be a list of 1 to {} messages, not {}", kMessagesMax,
                   shown(messages));
    return;
  }
  for (size_t i = 0; i < messages.items().size() && !error; ++i) {
    ask.messages.push(read_message(messages.items()[i], format("messages[{}]", i), error));
  }
}

void read_openai_tools(const Json& tools, ChatAsk& ask, std::optional<ApiError>& error) {
  if (error) return;
  if (!tools.is_array() || tools.items().size() > kToolsMax) {
    error = refuse("tools", "invalid_value", "\"tools\" must be a list of at most {} tools, not {}", kToolsMax,
                   shown(tools));
    return;
  }
  for (size_t i = 0; i < tools.items().size() && !error; ++i) {
    const std::string place = format("tools[{}]", i);
    // The type first: tools that run on OpenAI's servers have other members.
    const Json& type = tools.items()[i].member("type");
    if (type.is_string() && type.as_string() != "function") {
      error = refuse(place + ".type", "unsupported_value", "\"{}.type\" is {}; only \"function\" is supported", place,
                     shown(type));
      return;
    }
    FieldReader in(tools.items()[i], kTool, error, place);
    check_type(in, "function");
    const Json* function = in.need("function");
    if (function == nullptr) return;
    read_function(*function, kFunction, place + ".function", "parameters", ask, error);
  }
}

void read_openai_tool_choice(FieldReader& in, bool nested, ChatAsk& ask, std::optional<ApiError>& error) {
  static constexpr std::string_view kModes[] = {"auto", "none", "required"};
  const Json* choice = in.find("tool_choice");
  if (choice == nullptr) return;
  if (choice->is_string()) {
    const auto mode = in.word("tool_choice", kModes);
    if (mode) ask.tool_choice.mode = static_cast<ToolMode>(*mode);
  } else {
    const Json& name = (nested ? choice->member("function") : *choice).member("name");
    if (choice->member("type").text_or("") != "function" || !name.is_string()) {
      return in.wrong(
          "tool_choice",
          nested ? "\"auto\", \"none\", \"required\" or {\"type\": \"function\", \"function\": {\"name\": ...}}"
                 : "\"auto\", \"none\", \"required\" or {\"type\": \"function\", \"name\": ...}");
    }
    ask.tool_choice.mode = ToolMode::kRequired;
    ask.tool_choice.name = name.as_string();
  }
  check_tool_choice(ask, in.place("tool_choice"), error);
}

const std::vector<const ApiTable*>& openai_message_tables() {
  static const std::vector<const ApiTable*> kTables = {&kMessage, &kCall, &kCalledFunction, &kTool, &kFunction};
  return kTables;
}

}  // namespace andiron
