// OpenAI's responses: a list of items in, in place of messages.
#include <algorithm>
#include <utility>

#include "serve/api_openai.h"
#include "serve/api_openai_messages.h"
#include "serve/api_parts.h"

namespace andiron {

namespace {

constexpr auto kIgnored = FieldUse::kIgnored;
constexpr auto kRefused = FieldUse::kRefused;
constexpr std::string_view kStateless = "this API keeps no conversations; send the whole input each time";
constexpr std::string_view kTextParts[] = {"input_text", "output_text", "text", "refusal"};
constexpr std::string_view kReasoningParts[] = {"reasoning_text", "summary_text"};

const ApiTable kMessage = {"a message",
                           {{"type"},
                            {"role"},
                            {"content"},
                            {"id", kIgnored, "items are told apart by their place"},
                            {"status", kIgnored, "whatever is sent is taken as it is"},
                            {"phase", kIgnored, "templates here know no phases"}}};
const ApiTable kCall = {"a function call",
                        {{"type"},
                         {"call_id"},
                         {"name"},
                         {"arguments"},
                         {"id", kIgnored, "calls are told apart by call_id"},
                         {"status", kIgnored, "whatever is sent is taken as it is"},
                         {"namespace", kRefused, "tools have plain names here"},
                         {"caller", kRefused, "only the model calls tools here"}}};
const ApiTable kOutput = {"the output of a function call",
                          {{"type"},
                           {"call_id"},
                           {"output"},
                           {"name"},
                           {"id", kIgnored, "outputs are told apart by call_id"},
                           {"status", kIgnored, "whatever is sent is taken as it is"}}};
const ApiTable kReasoning = {"reasoning",
                             {{"type"},
                              {"content"},
                              {"summary"},
                              {"id", kIgnored, "items are told apart by their place"},
                              {"status", kIgnored, "whatever is sent is taken as it is"},
                              {"encrypted_content", kIgnored, "only its server can read it"}}};
const ApiTable kTool = {"a function",
                        {{"type"},
                         {"name"},
                         {"description"},
                         {"parameters"},
                         {"strict", kIgnored, "calls are always held to the schema where one is forced"},
                         {"output_schema", kIgnored, "it says nothing of the call"},
                         {"defer_loading", kRefused, "all tools are shown to the model"},
                         {"allowed_callers", kRefused, "only the model calls tools here"}}};
const ApiTable kText = {
    "text", {{"format"}, {"verbosity", kIgnored, "models here have no such setting; say it in the prompt"}}};
const ApiTable kReasoningOptions = {"reasoning",
                                    {{"effort"},
                                     {"summary", kIgnored, "reasoning is shown as it is"},
                                     {"generate_summary", kIgnored, "reasoning is shown as it is"},
                                     {"context", kIgnored, "what reasoning is sent back, the template decides about"},
                                     {"mode", kRefused, "models here have no such setting"}}};

// Items in order become messages: calls and reasoning belong to the assistant's message that they stand beside.
class InputReader {
 public:
  InputReader(ChatAsk& ask, std::optional<ApiError>& error) : ask_(ask), error_(error) {}

  void read(const Json& item, const std::string& place) {
    const std::string_view type = item.member("type").text_or("message");
    if (type == "message") return read_message(item, place);
    if (type == "function_call") return read_call(item, place);
    if (type == "function_call_output") return read_output(item, place);
    if (type == "reasoning") return read_reasoning(item, place);
    error_ = refuse(place + ".type", "unsupported_value",
                    "\"{}.type\" is {}; \"message\", \"function_call\", \"function_call_output\" and \"reasoning\" are "
                    "supported",
                    place, shown(item.member("type")));
  }
  void finish() {
    if (!reasoning_.empty()) assistant();
  }

 private:
  // The assistant's message that is being put together, a new one where the last is another's.
  Json& assistant() {
    auto& list = ask_.messages.items();
    if (list.empty() || !open_) list.push_back(chat_message("assistant", ""));
    open_ = true;
    if (!reasoning_.empty()) list.back().set("reasoning_content", std::exchange(reasoning_, {}));
    return list.back();
  }

  void read_message(const Json& item, const std::string& place) {
    static constexpr std::string_view kRoles[] = {"user", "assistant", "system", "developer"};
    FieldReader in(item, kMessage, error_, place);
    if (in.need("role") == nullptr) return;
    const auto role = in.word("role", kRoles);
    const Json* content = in.need("content");
    if (!role || content == nullptr) return;
    const auto text = read_text_content(*content, kTextParts, place + ".content", error_);
    if (!text) return;
    open_ = false;
    if (kRoles[*role] == "assistant") {
      *assistant().find("content") = *text;
    } else {
      ask_.messages.push(chat_message(*role >= 2 ? "system" : "user", *text));
    }
  }

  void read_call(const Json& item, const std::string& place) {
    FieldReader in(item, kCall, error_, place);
    std::string id, name, arguments = "{}";
    if (in.need("call_id") != nullptr) in.text("call_id", id);
    if (in.need("name") != nullptr) in.text("name", name);
    in.text("arguments", arguments);
    if (!in.ok()) return;
    Json function = Json::object();
    function.set("name", std::move(name)).set("arguments", std::move(arguments));
    Json call = Json::object();
    call.set("id", std::move(id)).set("type", "function").set("function", std::move(function));
    Json& message = assistant();
    if (message.find("tool_calls") == nullptr) message.set("tool_calls", Json::array());
    message.find("tool_calls")->push(std::move(call));
  }

  void read_output(const Json& item, const std::string& place) {
    FieldReader in(item, kOutput, error_, place);
    std::string id;
    if (in.need("call_id") != nullptr) in.text("call_id", id);
    const Json* output = in.need("output");
    if (output == nullptr) return;
    const auto text = read_text_content(*output, kTextParts, place + ".output", error_);
    if (!text) return;
    open_ = false;
    Json message = chat_message("tool", *text);
    message.set("tool_call_id", std::move(id));
    ask_.messages.push(std::move(message));
  }

  void read_reasoning(const Json& item, const std::string& place) {
    FieldReader in(item, kReasoning, error_, place);
    const Json* content = in.find("content");
    const std::string_view name = content != nullptr ? "content" : "summary";
    if (content == nullptr) content = in.find("summary");
    if (content == nullptr) return;
    const auto text = read_text_content(*content, kReasoningParts, format("{}.{}", place, name), error_);
    if (!text) return;
    open_ = false;
    reasoning_ = *text;
  }

  ChatAsk& ask_;
  std::optional<ApiError>& error_;
  bool open_ = false;      // the last message is an assistant's to which more may be added
  std::string reasoning_;  // for the next message of the assistant
};

void read_input(FieldReader& in, ChatAsk& ask, std::optional<ApiError>& error) {
  const Json* input = in.need("input");
  if (input == nullptr) return;
  if (input->is_string()) {
    ask.messages.push(chat_message("user", input->as_string()));
    return;
  }
  if (!input->is_array() || input->items().empty() || input->items().size() > kMessagesMax) {
    return in.wrong("input", format("text, or a list of 1 to {} items", kMessagesMax));
  }
  InputReader reader(ask, error);
  for (size_t i = 0; i < input->items().size() && !error; ++i) {
    const std::string place = format("input[{}]", i);
    if (!input->items()[i].is_object()) {
      error = refuse(place, "invalid_type", "\"{}\" must be an object, not {}", place, shown(input->items()[i]));
      return;
    }
    reader.read(input->items()[i], place);
  }
  if (!error) reader.finish();
}

void read_tools(FieldReader& in, ChatAsk& ask, std::optional<ApiError>& error) {
  each_tool(in, error, [&](const Json& tool, const std::string& place) {
    const Json& type = tool.member("type");
    if (type.text_or("") != "function") {
      error = refuse(place + ".type", "unsupported_value", "\"{}.type\" is {}; only \"function\" is supported", place,
                     shown(type));
      return;
    }
    read_function(tool, kTool, place, "parameters", ask, error);
  });
}

void read_include(FieldReader& in, AnswerAsk& ask) {
  const Json* include = in.find("include");
  if (include == nullptr) return;
  constexpr std::string_view kExpected =
      "a list of \"message.output_text.logprobs\" and \"reasoning.encrypted_content\", of which the latter adds "
      "nothing";
  if (!include->is_array()) return in.wrong("include", kExpected);
  for (const Json& item : include->items()) {
    if (item.text_or("") == "message.output_text.logprobs") {
      ask.logprobs_top = std::max(ask.logprobs_top, 0);
    } else if (item.text_or("") != "reasoning.encrypted_content") {
      return in.wrong("include", kExpected);
    }
  }
}

void read_switches(FieldReader& in) {
  bool background = false;
  in.flag("background", background);
  if (background) in.wrong("background", "false: answers come on the connection that asked");
  static constexpr std::string_view kTruncations[] = {"disabled", "auto"};
  if (in.word("truncation", kTruncations).value_or(0) == 1) {
    in.wrong("truncation", "\"disabled\": a prompt is never cut silently");
  }
}

// The members of a response that repeat the request.
Json response_echo(const Json& body, const ChatAsk& ask) {
  const auto given = [&](const char* name, const Json& otherwise) {
    const Json& value = body.member(name);
    return value.is_null() ? otherwise : value;
  };
  Json text_format = Json::object();
  text_format.set("type", "text");
  Json text = Json::object();
  text.set("format", std::move(text_format));
  Json echo = Json::object();
  echo.set("instructions", given("instructions", {})).set("metadata", given("metadata", Json::object()));
  echo.set("max_output_tokens", given("max_output_tokens", {})).set("parallel_tool_calls", ask.tool_choice.parallel);
  echo.set("previous_response_id", Json()).set("reasoning", given("reasoning", Json::object()));
  echo.set("temperature", ask.answer.sampling.temperature).set("text", given("text", text));
  echo.set("tool_choice", given("tool_choice", "auto")).set("tools", given("tools", Json::array()));
  echo.set("top_p", ask.answer.sampling.top_p).set("truncation", "disabled").set("store", false);
  return echo;
}

}  // namespace

const std::vector<const ApiTable*>& openai_response_tables() {
  static const std::vector<const ApiTable*> kTables = {&kMessage, &kCall, &kOutput,          &kReasoning,
                                                       &kTool,    &kText, &kReasoningOptions};
  return kTables;
}

const ApiTable& openai_response_fields() {
  static const ApiTable kTable = [] {
    ApiTable table = {"a response",
                      {{"model"},
                       {"input"},
                       {"instructions"},
                       {"max_output_tokens"},
                       {"parallel_tool_calls"},
                       {"reasoning"},
                       {"stream"},
                       {"temperature"},
                       {"text"},
                       {"tool_choice"},
                       {"tools"},
                       {"top_logprobs"},
                       {"top_p"},
                       {"include"},
                       {"truncation"},
                       {"background"},
                       {"seed"},
                       {"stop"},
                       {"logit_bias"},
                       {"chat_template_kwargs"},
                       {"metadata"},
                       {"moderation", kIgnored, "no moderation runs here"},
                       {"prompt_cache_key", kIgnored, "prefixes are found by their content"},
                       {"prompt_cache_options", kIgnored, "prefixes are kept as long as there is room"},
                       {"prompt_cache_retention", kIgnored, "prefixes are kept as long as there is room"},
                       {"safety_identifier", kIgnored, "nothing is counted or watched by user here"},
                       {"service_tier", kIgnored, "there is one tier"},
                       {"store", kIgnored, "answers are not kept by this API, and say so"},
                       {"stream_options", kIgnored, "padding hides lengths from a network; here is none"},
                       {"user", kIgnored, "nothing is counted or watched by user here"},
                       {"context_management", kRefused, "a prompt is never cut or rewritten silently"},
                       {"conversation", kRefused, kStateless},
                       {"previous_response_id", kRefused, kStateless},
                       {"prompt", kRefused, "no prompts are kept here; send the text"},
                       {"max_tool_calls", kRefused, "no tools run here"}}};
    table.fields.insert(table.fields.end(), kLocalFields.begin(), kLocalFields.end());
    return table;
  }();
  return kTable;
}

ApiResult<ChatAsk> parse_openai_response(const Json& body, const ApiDefaults& defaults) {
  std::optional<ApiError> error;
  FieldReader in(body, openai_response_fields(), error);
  ChatAsk ask;
  AnswerAsk& answer = ask.answer;
  answer.api = Api::kOpenAiResponse;
  answer.sampling = defaults.sampling;
  read_model(in, answer.model);
  in.number("temperature", answer.sampling.temperature, 0, 2);
  in.number("top_p", answer.sampling.top_p, 0, 1);
  in.whole("max_output_tokens", answer.tokens_max, 1, kAnswerTokensMax);
  in.flag("stream", answer.stream);
  in.texts("stop", answer.stop, kStopsMax);
  read_seed(in, answer);
  read_logit_bias(in, answer);
  read_local_sampling(in, answer);
  read_switches(in);
  in.whole("top_logprobs", answer.logprobs_top, 0, kLogprobsMax);
  read_include(in, answer);
  if (const Json* text = in.find("text")) {
    FieldReader inner(*text, kText, error, "text");
    read_response_format(inner, "format", false, answer);
  }
  read_grammar(in, answer);
  if (const Json* reasoning = in.find("reasoning")) {
    FieldReader inner(*reasoning, kReasoningOptions, error, "reasoning");
    read_effort(inner, "effort", ask);
  }
  read_template_variables(in, ask);
  const Json* metadata = in.find("metadata");
  if (metadata != nullptr && !metadata->is_object()) in.wrong("metadata", "an object");
  std::string instructions;
  in.text("instructions", instructions);
  if (!instructions.empty()) ask.messages.push(chat_message("system", std::move(instructions)));
  read_input(in, ask, error);
  read_tools(in, ask, error);
  in.flag("parallel_tool_calls", ask.tool_choice.parallel);
  read_openai_tool_choice(in, false, ask, error);
  if (!error) ask.echo = response_echo(body, ask);
  return finished(std::move(ask), error);
}

}  // namespace andiron
