#include "data/messages.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {

// Calls and their results within a row are few; text written as JSON within JSON is parsed under these limits.
constexpr JsonLimits kInnerLimits{.depth = 32, .values = 100'000};

constexpr std::pair<std::string_view, std::string_view> kShareGptRoles[] = {{"human", "user"},
                                                                            {"user", "user"},
                                                                            {"gpt", "assistant"},
                                                                            {"assistant", "assistant"},
                                                                            {"chatgpt", "assistant"},
                                                                            {"bing", "assistant"},
                                                                            {"bard", "assistant"},
                                                                            {"model", "assistant"},
                                                                            {"system", "system"},
                                                                            {"function_call", "call"},
                                                                            {"observation", "tool"},
                                                                            {"tool", "tool"},
                                                                            {"function_response", "tool"}};

constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool", "function"};

// Nine letters and digits: the form that Mistral's templates insist on, and others do not mind.
std::string call_id(size_t number) { return format("call{:05}", number % 100000); }

Status check_content(const Json& content) {
  if (content.is_string()) return {};
  if (!content.is_array()) return make_error("\"content\" is neither text nor a list of parts");
  for (const Json& part : content.items()) {
    const Json& type = part.member("type");
    if (!type.is_string()) return make_error("a content part has no \"type\"");
    if (type.as_string() != "text") {
      return make_error("a content part is \"{}\"; only text can be trained on", in_quotes(type.as_string()));
    }
    if (!part.member("text").is_string()) return make_error("a content part of type text has no text");
  }
  return {};
}

// A call as OpenAI has it, from that form or from a bare {"name", "arguments"}.
Result<Json> read_call(const Json& call, size_t number) {
  const Json* function = call.find("function");
  const Json& body = function != nullptr ? *function : call;
  const Json& name = body.member("name");
  const Json* arguments = body.find("arguments");
  if (name.text_or("").empty()) return make_error("a tool call has no function name");
  if (arguments != nullptr && !arguments->is_string() && !arguments->is_object()) {
    return make_error("the arguments of a tool call are neither an object nor text");
  }
  const Json& id = call.member("id");
  Json out = Json::object();
  out.set("id", id.is_string() ? id : Json(call_id(number)));
  out.set("type", "function");
  Json inner = Json::object();
  inner.set("name", name).set("arguments", arguments != nullptr ? *arguments : Json::object());
  out.set("function", std::move(inner));
  return out;
}

class MessageReader {
 public:
  Result<Json> read(const Json& message) {
    if (!message.is_object()) return make_error("a message is not an object");
    const Json& role = message.member("role");
    const Json& from = message.member("from");
    if (role.is_string()) return read_openai(message, role.as_string());
    if (from.is_string()) return read_sharegpt(message, from.as_string());
    return make_error("a message has no \"role\" or \"from\"");
  }

 private:
  // Everything but what is for the trainer stays, so that templates see what a client would send.
  Result<Json> read_openai(const Json& message, const std::string& role) {
    if (std::find(std::begin(kRoles), std::end(kRoles), role) == std::end(kRoles)) {
      return make_error("the role \"{}\" is unknown", in_quotes(role));
    }
    const Json& content = message.member("content");
    const Json& calls = message.member("tool_calls");
    const bool has_calls = role == "assistant" && calls.is_array() && !calls.items().empty();
    if (!calls.is_null() && !calls.is_array()) return make_error("\"tool_calls\" is not a list");
    if (content.is_null()) {
      if (!has_calls) return make_error("a message of the role {} has no \"content\"", role);
    } else {
      TRY(check_content(content));
    }
    Json out = Json::object();
    for (const auto& [key, value] : message.members()) {
      if (key == "content" || key == "tool_calls" || key == "weight") continue;
      out.set(key, value);
    }
    out.set("content", content.is_null() ? Json("") : content);
    if (has_calls) TRY(set_calls(out, calls.items()));
    if (role == "tool" && out.find("tool_call_id") == nullptr) out.set("tool_call_id", answered());
    return out;
  }

  Result<Json> read_sharegpt(const Json& message, const std::string& from) {
    const auto known = std::find_if(std::begin(kShareGptRoles), std::end(kShareGptRoles),
                                    [&](const auto& pair) { return pair.first == from; });
    if (known == std::end(kShareGptRoles)) return make_error("the role \"{}\" is unknown", in_quotes(from));
    const Json& value = message.member("value");
    if (!value.is_string()) return make_error("a message from {} has no \"value\" as text", from);
    if (known->second == "tool") {
      Json out = text_message("tool", value.as_string());
      out.set("tool_call_id", answered());
      return out;
    }
    if (known->second != "call") return text_message(known->second, value.as_string());
    auto parsed = parse_json(value.as_string(), "function_call", kInnerLimits);
    if (!parsed.ok()) return std::move(parsed).error();
    Json out = text_message("assistant", "");
    TRY(set_calls(out, parsed->is_array() ? std::as_const(*parsed).items() : Json::Array{*parsed}));
    return out;
  }

  Status set_calls(Json& message, const Json::Array& calls) {
    if (calls.empty()) return make_error("a message has an empty list of tool calls");
    Json list = Json::array();
    waiting_.clear();
    for (const Json& call : calls) {
      TRY_ASSIGN(Json read, read_call(call, calls_++));
      waiting_.push_back(*read.find("id"));
      list.push(std::move(read));
    }
    message.set("tool_calls", std::move(list));
    next_result_ = 0;
    return {};
  }

  // The id of the call that the next result answers.
  Json answered() {
    if (waiting_.empty()) return call_id(0);
    return waiting_[std::min(next_result_++, waiting_.size() - 1)];
  }

  size_t calls_ = 0;
  Json::Array waiting_;
  size_t next_result_ = 0;
};

}  // namespace

Json text_message(std::string_view role, std::string text) {
  Json message = Json::object();
  message.set("role", role).set("content", std::move(text));
  return message;
}

bool has_content(const Json& message) {
  if (message.find("tool_calls") != nullptr) return true;
  const Json& content = message.member("content");
  if (!content.is_array()) return !is_blank(content.text_or(""));
  return std::any_of(content.items().begin(), content.items().end(),
                     [](const Json& part) { return !is_blank(part.member("text").text_or("")); });
}

Result<Json> read_messages(const Json& list, std::vector<uint8_t>* trained) {
  if (!list.is_array()) return make_error("the messages are not a list");
  MessageReader reader;
  Json out = Json::array();
  for (const Json& item : list.items()) {
    TRY_ASSIGN(Json message, reader.read(item));
    if (trained != nullptr) {
      const Json* weight = item.find("weight");
      if (weight != nullptr && !weight->is_number()) return make_error("\"weight\" of a message is not a number");
      const bool answer = message.member("role").as_string() == "assistant";
      trained->push_back(answer && (weight == nullptr || weight->as_double() != 0) ? 1 : 0);
    }
    out.push(std::move(message));
  }
  return out;
}

Result<Json> read_tools(const Json& tools) {
  if (tools.is_null() || (tools.is_string() && is_blank(tools.as_string()))) return Json();
  if (tools.is_string()) {
    auto parsed = parse_json(tools.as_string(), "\"tools\"", kInnerLimits);
    if (!parsed.ok()) return std::move(parsed).error();
    if (parsed->is_string()) return make_error("\"tools\" is not a list");
    return read_tools(*parsed);
  }
  if (!tools.is_array()) return make_error("\"tools\" is not a list");
  if (tools.items().empty()) return Json();
  Json out = Json::array();
  for (const Json& tool : tools.items()) {
    const Json* function = tool.find("function");
    if (!(function != nullptr ? *function : tool).member("name").is_string())
      return make_error("a tool has no \"name\"");
    if (function != nullptr) {
      out.push(tool);
    } else {
      Json wrapped = Json::object();
      wrapped.set("type", "function").set("function", tool);
      out.push(std::move(wrapped));
    }
  }
  return out;
}

}  // namespace andiron
