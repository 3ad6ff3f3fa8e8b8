#include "serve/api_anthropic.h"

#include <utility>

#include "serve/api_parts.h"

namespace andiron {

namespace {

constexpr auto kIgnored = FieldUse::kIgnored;
constexpr auto kRefused = FieldUse::kRefused;
constexpr std::string_view kCached = "prefixes are kept and found by their content";
constexpr std::string_view kOneCaller = "only the model calls tools here";
constexpr std::string_view kText[] = {"text"};

const ApiTable kMessage = {"a message", {{"role"}, {"content"}}};
const ApiTable kTextBlock = {"a text block",
                             {{"type"},
                              {"text"},
                              {"cache_control", kIgnored, kCached},
                              {"citations", kIgnored, "templates here know no citations"}}};
const ApiTable kThinkingBlock = {"a thinking block",
                                 {{"type"}, {"thinking"}, {"signature", kIgnored, "thinking is not signed here"}}};
const ApiTable kUseBlock = {"a tool_use block",
                            {{"type"},
                             {"id"},
                             {"name"},
                             {"input"},
                             {"cache_control", kIgnored, kCached},
                             {"caller", kIgnored, kOneCaller},
                             {"toolset_name", kRefused, "tools have plain names here"}}};
const ApiTable kResultBlock = {"a tool_result block",
                               {{"type"},
                                {"tool_use_id"},
                                {"content"},
                                {"is_error"},
                                {"cache_control", kIgnored, kCached},
                                {"toolset_name", kRefused, "tools have plain names here"}}};
const ApiTable kTool = {"a tool",
                        {{"type"},
                         {"name"},
                         {"description"},
                         {"input_schema"},
                         {"cache_control", kIgnored, kCached},
                         {"strict", kIgnored, "calls are always held to the schema where one is forced"},
                         {"eager_input_streaming", kIgnored, "input is always sent as it comes"},
                         {"input_examples", kRefused, "templates here know no examples; describe them"},
                         {"defer_loading", kRefused, "all tools are shown to the model"},
                         {"allowed_callers", kRefused, kOneCaller}}};
const ApiTable kChoice = {"a tool choice", {{"type"}, {"name"}, {"disable_parallel_tool_use"}}};
const ApiTable kThinking = {
    "thinking", {{"type"}, {"display"}, {"budget_tokens", kIgnored, "max_tokens bounds thinking and answer together"}}};
const ApiTable kOutput = {"output_config", {{"effort"}, {"format"}}};

// The blocks of a message in OpenAI's form: thinking, text and calls are one message of the assistant, each result of a
// tool is a message of its own.
class BlockReader {
 public:
  BlockReader(ChatAsk& ask, std::string_view role, std::optional<ApiError>& error)
      : ask_(ask), role_(role), error_(error) {}

  void read(const Json& block, const std::string& place) {
    const std::string_view type = block.member("type").text_or("");
    const bool assistant = role_ == "assistant";
    if (type == "text") return read_text(block, place);
    if (type == "thinking" && assistant) return read_thinking(block, place);
    if (type == "redacted_thinking" && assistant) return;  // only its server can read it
    if (type == "tool_use" && assistant) return read_use(block, place);
    if (type == "tool_result" && !assistant) return read_result(block, place);
    error_ = refuse(place + ".type", "unsupported_value", "\"{}.type\" is {}; messages of the {} may hold {}", place,
                    shown(block.member("type")), role_,
                    assistant ? "\"text\", \"thinking\" and \"tool_use\"" : "\"text\" and \"tool_result\"");
  }

  // Puts down what was gathered; results stand before it.
  void finish() {
    if (error_ || (!has_text_ && thinking_.empty() && calls_.items().empty() && has_results_)) return;
    Json message = chat_message(role_, std::move(text_));
    if (!thinking_.empty()) message.set("reasoning_content", std::move(thinking_));
    if (!calls_.items().empty()) message.set("tool_calls", std::move(calls_));
    ask_.messages.push(std::move(message));
  }

 private:
  void read_text(const Json& block, const std::string& place) {
    FieldReader in(block, kTextBlock, error_, place);
    std::string text;
    if (in.need("text") != nullptr) in.text("text", text);
    if (has_text_) text_ += '\n';
    has_text_ = true;
    text_ += text;
  }

  void read_thinking(const Json& block, const std::string& place) {
    FieldReader in(block, kThinkingBlock, error_, place);
    std::string text;
    if (in.need("thinking") != nullptr) in.text("thinking", text);
    if (!thinking_.empty()) thinking_ += '\n';
    thinking_ += text;
  }

  void read_use(const Json& block, const std::string& place) {
    FieldReader in(block, kUseBlock, error_, place);
    std::string id, name;
    if (in.need("id") != nullptr) in.text("id", id);
    if (in.need("name") != nullptr) in.text("name", name);
    const Json* input = in.need("input");
    if (input != nullptr && !input->is_object()) in.wrong("input", "an object");
    if (!in.ok()) return;
    Json function = Json::object();
    function.set("name", std::move(name)).set("arguments", input->dump());
    Json call = Json::object();
    call.set("id", std::move(id)).set("type", "function").set("function", std::move(function));
    calls_.push(std::move(call));
  }

  void read_result(const Json& block, const std::string& place) {
    FieldReader in(block, kResultBlock, error_, place);
    std::string id;
    bool failed = false;
    if (in.need("tool_use_id") != nullptr) in.text("tool_use_id", id);
    in.flag("is_error", failed);
    const Json nothing("");
    const Json* content = in.find("content");
    const auto text = read_text_content(content != nullptr ? *content : nothing, kText, place + ".content", error_);
    if (!text) return;
    // Templates know no failed results: the word says it.
    Json message = chat_message("tool", failed ? "Error: " + *text : *text);
    message.set("tool_call_id", std::move(id));
    ask_.messages.push(std::move(message));
    has_results_ = true;
  }

  ChatAsk& ask_;
  std::string_view role_;
  std::optional<ApiError>& error_;
  std::string text_, thinking_;
  bool has_text_ = false, has_results_ = false;
  Json calls_ = Json::array();
};

void read_message(const Json& message, const std::string& place, ChatAsk& ask, std::optional<ApiError>& error) {
  static constexpr std::string_view kRoles[] = {"user", "assistant", "system"};
  FieldReader in(message, kMessage, error, place);
  if (in.need("role") == nullptr) return;
  const auto role = in.word("role", kRoles);
  const Json* content = in.need("content");
  if (!role || content == nullptr) return;
  if (content->is_string()) {
    ask.messages.push(chat_message(kRoles[*role], content->as_string()));
    return;
  }
  if (!content->is_array()) return in.wrong("content", "text or a list of blocks");
  BlockReader blocks(ask, kRoles[*role], error);
  for (size_t i = 0; i < content->items().size() && !error; ++i) {
    blocks.read(content->items()[i], format("{}.content[{}]", place, i));
  }
  blocks.finish();
}

void read_messages(FieldReader& in, ChatAsk& ask, std::optional<ApiError>& error) {
  if (const Json* system = in.find("system")) {
    const auto text = read_text_content(*system, kText, "system", error);
    if (text && !text->empty()) ask.messages.push(chat_message("system", *text));
  }
  const Json* messages = in.need("messages");
  if (messages == nullptr) return;
  if (!messages->is_array() || messages->items().empty() || messages->items().size() > kMessagesMax) {
    return in.wrong("messages", format("a list of 1 to {} messages", kMessagesMax));
  }
  for (size_t i = 0; i < messages->items().size() && !error; ++i) {
    read_message(messages->items()[i], format("messages[{}]", i), ask, error);
  }
}

void read_tools(FieldReader& in, ChatAsk& ask, std::optional<ApiError>& error) {
  each_tool(in, error, [&](const Json& tool, const std::string& place) {
    const Json& type = tool.member("type");
    if (!type.is_null() && type.text_or("") != "custom") {
      error = refuse(place + ".type", "unsupported_value",
                     "\"{}.type\" is {}; only tools that the client runs are supported, which have an \"input_schema\"",
                     place, shown(type));
      return;
    }
    read_function(tool, kTool, place, "input_schema", ask, error);
  });
}

void read_tool_choice(FieldReader& in, ChatAsk& ask, std::optional<ApiError>& error) {
  static constexpr std::string_view kTypes[] = {"auto", "none", "any", "tool"};
  const Json* choice = in.find("tool_choice");
  if (choice == nullptr) return;
  FieldReader inner(*choice, kChoice, error, "tool_choice");
  if (inner.need("type") == nullptr) return;
  const auto type = inner.word("type", kTypes);
  bool single = false;
  inner.flag("disable_parallel_tool_use", single);
  if (!type) return;
  ask.tool_choice.parallel = !single;
  ask.tool_choice.mode = *type >= 2 ? ToolMode::kRequired : static_cast<ToolMode>(*type);
  if (*type == 3 && inner.need("name") != nullptr) inner.text("name", ask.tool_choice.name);
  check_tool_choice(ask, "tool_choice", error);
}

void read_thinking(FieldReader& in, ChatAsk& ask, std::optional<ApiError>& error) {
  static constexpr std::string_view kTypes[] = {"disabled", "enabled", "adaptive", "between_tools"};
  static constexpr std::string_view kDisplays[] = {"summarized", "omitted"};
  const Json* thinking = in.find("thinking");
  if (thinking == nullptr) return;
  FieldReader inner(*thinking, kThinking, error, "thinking");
  if (inner.need("type") == nullptr) return;
  const auto type = inner.word("type", kTypes);
  if (inner.word("display", kDisplays).value_or(0) == 1) ask.show_thinking = false;
  if (type) ask.think = *type > 0;
}

void read_output(FieldReader& in, ChatAsk& ask, std::optional<ApiError>& error) {
  const Json* output = in.find("output_config");
  if (output == nullptr) return;
  FieldReader inner(*output, kOutput, error, "output_config");
  const auto think = ask.think;
  read_effort(inner, "effort", ask);
  ask.think = think;  // how much to think says not whether to
  read_response_format(inner, "format", false, ask.answer);
}

const std::vector<ApiField> kPromptFields = {
    {"model"},
    {"messages"},
    {"system"},
    {"tools"},
    {"tool_choice"},
    {"thinking"},
    {"output_config"},
    {"adapters"},
    {"chat_template_kwargs"},
    {"cache_control", kIgnored, kCached},
    {"speed", kIgnored, "answers come as fast as they can"},
    {"user_profile_id", kIgnored, "nothing is counted or watched by user here"},
    {"workspace_id", kIgnored, "there are no workspaces here"},
    {"mcp_servers", kRefused, "nothing here reaches the network"}};

void read_prompt(FieldReader& in, ChatAsk& ask, std::optional<ApiError>& error) {
  ask.answer.api = Api::kAnthropic;
  read_model(in, ask.answer.model);
  read_messages(in, ask, error);
  read_tools(in, ask, error);
  read_tool_choice(in, ask, error);
  read_thinking(in, ask, error);
  read_output(in, ask, error);
  read_template_variables(in, ask);
}

}  // namespace

const std::vector<const ApiTable*>& anthropic_tables() {
  static const std::vector<const ApiTable*> kTables = {
      &kMessage, &kTextBlock, &kThinkingBlock, &kUseBlock, &kResultBlock, &kTool, &kChoice, &kThinking, &kOutput};
  return kTables;
}

const ApiTable& anthropic_fields() {
  static const ApiTable kTable = [] {
    ApiTable table = {"a message request",
                      {{"max_tokens"},
                       {"stop_sequences"},
                       {"stream"},
                       {"temperature"},
                       {"top_p"},
                       {"seed"},
                       {"logit_bias"},
                       {"metadata", kIgnored, "nothing is counted or watched by user here"},
                       {"service_tier", kIgnored, "there is one tier"},
                       {"inference_geo", kIgnored, "answers are made on this machine"},
                       {"diagnostics", kIgnored, "a question about a cache of another server"},
                       {"container", kRefused, "no code runs here"},
                       {"context_management", kRefused, "a prompt is never cut or rewritten silently"}}};
    for (const auto* more : {&kPromptFields, &kLocalFields}) {
      for (const ApiField& field : *more) {
        if (more == &kPromptFields || field.name != "adapters") table.fields.push_back(field);
      }
    }
    return table;
  }();
  return kTable;
}

const ApiTable& anthropic_count_fields() {
  static const ApiTable kTable = {"a count request", kPromptFields};
  return kTable;
}

ApiResult<ChatAsk> parse_anthropic(const Json& body, const ApiDefaults& defaults) {
  std::optional<ApiError> error;
  FieldReader in(body, anthropic_fields(), error);
  ChatAsk ask;
  AnswerAsk& answer = ask.answer;
  answer.sampling = defaults.sampling;
  read_prompt(in, ask, error);
  if (in.need("max_tokens") != nullptr) in.whole("max_tokens", answer.tokens_max, 1, kAnswerTokensMax);
  in.number("temperature", answer.sampling.temperature, 0, 1);
  in.number("top_p", answer.sampling.top_p, 0, 1);
  in.texts("stop_sequences", answer.stop, kStopsMax);
  in.flag("stream", answer.stream);
  read_seed(in, answer);
  read_logit_bias(in, answer);
  read_local_sampling(in, answer);
  read_grammar(in, answer);
  return finished(std::move(ask), error);
}

ApiResult<ChatAsk> parse_anthropic_count(const Json& body) {
  std::optional<ApiError> error;
  FieldReader in(body, anthropic_count_fields(), error);
  ChatAsk ask;
  read_prompt(in, ask, error);
  return finished(std::move(ask), error);
}

}  // namespace andiron
