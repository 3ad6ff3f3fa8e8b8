#include "text/chat_template_probe.h"

#include <string>
#include <utility>

namespace andiron {

namespace {

// Words that no template has in it.
constexpr std::string_view kQuestion = "zqQuestionqz";
constexpr std::string_view kAnswer = "zqAnswerqz";
constexpr std::string_view kSystem = "zqSystemqz";
constexpr std::string_view kToolName = "zqToolqz";
constexpr std::string_view kCalledName = "zqCalledqz";
constexpr std::string_view kResultName = "zqReturnedqz";
constexpr std::string_view kToolResult = "zqResultqz";
constexpr std::string_view kKey = "zqKeyqz";
constexpr std::string_view kValue = "zqValueqz";
constexpr std::string_view kBos = "zqBosqz";
// 2024-01-01: any date serves.
constexpr int64_t kProbeTime = 1'704'067'200;

Json message(std::string_view role, Json content) {
  Json out = Json::object();
  out.set("role", role).set("content", std::move(content));
  return out;
}

template <typename... Messages>
Json conversation(Messages... messages) {
  Json out = Json::array();
  (out.push(std::move(messages)), ...);
  return out;
}

Json text_part(std::string_view text) {
  Json part = Json::object();
  part.set("type", "text").set("text", text);
  Json parts = Json::array();
  parts.push(std::move(part));
  return parts;
}

Json tool_definitions() {
  Json property = Json::object();
  property.set("type", "string").set("description", "d");
  Json properties = Json::object();
  properties.set(std::string(kKey), std::move(property));
  Json required = Json::array();
  required.push(kKey);
  Json parameters = Json::object();
  parameters.set("type", "object").set("properties", std::move(properties)).set("required", std::move(required));
  Json function = Json::object();
  function.set("name", kToolName).set("description", "d").set("parameters", std::move(parameters));
  Json tool = Json::object();
  tool.set("type", "function").set("function", std::move(function));
  Json tools = Json::array();
  tools.push(std::move(tool));
  return tools;
}

Json arguments_object() {
  Json out = Json::object();
  out.set(std::string(kKey), kValue);
  return out;
}

Json call_message(Json arguments, Json content) {
  Json function = Json::object();
  function.set("name", kCalledName).set("arguments", std::move(arguments));
  Json call = Json::object();
  call.set("id", "call00001").set("type", "function").set("function", std::move(function));
  Json calls = Json::array();
  calls.push(std::move(call));
  Json out = message("assistant", std::move(content));
  out.set("tool_calls", std::move(calls));
  return out;
}

Json result_message(Json content) {
  Json out = message("tool", std::move(content));
  out.set("tool_call_id", "call00001").set("name", kResultName);
  return out;
}

// There are some forty probes of a few short messages each; all published templates get by on 1,000 steps for one.
// Together they may not cost more than a single render may.
constexpr jinja::Limits kProbeLimits{.steps = 20'000, .memory_bytes = 8ull << 20};

class Probe {
 public:
  explicit Probe(const ChatTemplate& chat) : chat_(chat) {}

  ChatCapabilities run() {
    probe_content();
    const Json user = message("user", content(kQuestion));
    can_.system_role = shows(conversation(message("system", content(kSystem)), user), kSystem);
    can_.tools = shows(conversation(user), kToolName, tool_definitions());
    probe_tool_calls(user);
    can_.writes_bos = render(conversation(user), no_tools_).rfind(kBos, 0) == 0;
    for (const char* name : {"enable_thinking", "thinking"}) {
      if (can_.thinking_variable.empty() && is_switch(conversation(user), name)) can_.thinking_variable = name;
    }
    return can_;
  }

 private:
  // The prompt, or nothing when the template refuses.
  std::string render(const Json& messages, const Json& tools, const Json& variables = Json::object()) {
    ChatOptions options;
    options.bos_token = kBos;
    options.eos_token = "zqEosqz";
    options.variables = variables;
    options.now = kProbeTime;
    options.adapt = false;
    options.limits = kProbeLimits;
    auto prompt = chat_.render(messages, tools, options);
    return prompt.ok() ? std::move(prompt->text) : std::string();
  }

  bool shows(const Json& messages, std::string_view word) { return shows(messages, word, no_tools_); }
  bool shows(const Json& messages, std::string_view word, const Json& tools) {
    return render(messages, tools).find(word) != std::string::npos;
  }

  // Content in a form the template takes.
  Json content(std::string_view text) const { return can_.text_content ? Json(text) : text_part(text); }

  void probe_content() {
    const Json question = conversation(message("user", kQuestion));
    can_.text_content = shows(question, kQuestion);
    if (!can_.text_content && shows(question, kQuestion, Json::array())) {
      can_.text_content = can_.needs_tools_list = true;
      no_tools_ = Json::array();
    }
    const std::string parts = render(conversation(message("user", text_part(kQuestion))), no_tools_);
    // A template that knows no parts may print the list itself.
    const bool is_printed = parts.find("'type'") != std::string::npos || parts.find("\"type\"") != std::string::npos;
    can_.content_parts = parts.find(kQuestion) != std::string::npos && !is_printed;
    if (!can_.content_parts) can_.text_content = true;  // nothing better to assume
  }

  // Renders a question, a tool call and its result in the ways that templates ask for, until one shows the call.
  std::string render_call(const Json& user, const Json& arguments) {
    const Json result = result_message(content(kToolResult));
    for (const Json& tools : {tool_definitions(), no_tools_}) {
      for (const Json& empty : {content(""), Json(), content(kAnswer)}) {
        const Json call = call_message(arguments, empty);
        for (const Json& messages : {conversation(user, call, result), conversation(user, call)}) {
          std::string prompt = render(messages, tools);
          if (prompt.find(kCalledName) != std::string::npos) return prompt;
        }
      }
    }
    return {};
  }

  void probe_tool_calls(const Json& user) {
    const std::string as_object = render_call(user, arguments_object());
    const std::string as_text = render_call(user, Json(arguments_object().dump()));
    const auto shows_value = [](const std::string& prompt) { return prompt.find(kValue) != std::string::npos; };
    can_.object_arguments = shows_value(as_object);
    // Text written once more as a JSON string shows escaped quotes.
    can_.text_arguments = shows_value(as_text) && as_text.find("\\\"") == std::string::npos;
    can_.tool_calls = can_.object_arguments || can_.text_arguments;
    can_.tool_results = (as_object + as_text).find(kToolResult) != std::string::npos;
    for (const Json& tools : {tool_definitions(), no_tools_}) {  // some show results of calls they do not show
      const Json call = call_message(arguments_object(), content(kAnswer));
      const Json messages = conversation(user, call, result_message(content(kToolResult)));
      can_.tool_results = can_.tool_results || shows(messages, kToolResult, tools);
    }
  }

  bool is_switch(const Json& messages, const char* name) {
    Json on = Json::object();
    on.set(name, true);
    Json off = Json::object();
    off.set(name, false);
    return render(messages, no_tools_, on) != render(messages, no_tools_, off);
  }

  const ChatTemplate& chat_;
  ChatCapabilities can_;
  Json no_tools_;  // what stands for "no tools"
};

}  // namespace

ChatCapabilities probe_capabilities(const ChatTemplate& chat) { return Probe(chat).run(); }

}  // namespace andiron
