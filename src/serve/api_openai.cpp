#include "serve/api_openai.h"

#include <algorithm>
#include <utility>

#include "serve/api_openai_messages.h"
#include "serve/api_parts.h"

namespace andiron {

namespace {

constexpr auto kIgnored = FieldUse::kIgnored;
constexpr auto kRefused = FieldUse::kRefused;
constexpr std::string_view kNoUsers = "nothing is counted or watched by user here";
constexpr std::string_view kTextOnly = "models here read and write text only";

std::vector<ApiField> with_local(std::vector<ApiField> fields) {
  fields.insert(fields.end(), kLocalFields.begin(), kLocalFields.end());
  return fields;
}

// What chat completions and completions have in common.
void read_common(FieldReader& in, AnswerAsk& ask) {
  read_model(in, ask.model);
  in.number("temperature", ask.sampling.temperature, 0, 2);
  in.number("top_p", ask.sampling.top_p, 0, 1);
  in.number("frequency_penalty", ask.sampling.frequency_penalty, -2, 2);
  in.number("presence_penalty", ask.sampling.presence_penalty, -2, 2);
  in.whole("n", ask.choices, 1, kChoicesMax);
  in.texts("stop", ask.stop, kStopsMax);
  in.flag("stream", ask.stream);
  read_seed(in, ask);
  read_logit_bias(in, ask);
  read_local_sampling(in, ask);
}

void read_stream_options(FieldReader& in, AnswerAsk& ask, std::optional<ApiError>& error) {
  static const ApiTable kTable = {
      "stream_options",
      {{"include_usage"}, {"include_obfuscation", kIgnored, "padding hides lengths from a network; here is none"}}};
  const Json* options = in.find("stream_options");
  if (options == nullptr) return;
  if (!ask.stream) {
    return in.fail(
        refuse(in.place("stream_options"), "invalid_value", "\"stream_options\" goes only with \"stream\": true"));
  }
  FieldReader inner(*options, kTable, error, in.place("stream_options"));
  inner.flag("include_usage", ask.stream_usage);
}

void read_chat_logprobs(FieldReader& in, AnswerAsk& ask) {
  bool wanted = false;
  int32_t top = 0;
  in.flag("logprobs", wanted);
  in.whole("top_logprobs", top, 0, kLogprobsMax);
  if (in.find("top_logprobs") != nullptr && !wanted) {
    in.fail(refuse(in.place("top_logprobs"), "invalid_value", "\"top_logprobs\" goes only with \"logprobs\": true"));
  }
  if (wanted) ask.logprobs_top = top;
}

void read_modalities(FieldReader& in) {
  const Json* modalities = in.find("modalities");
  if (modalities == nullptr) return;
  const auto items = modalities->items_or_none();
  if (items.size() != 1 || items[0].text_or("") != "text")
    in.wrong("modalities", "[\"text\"]: models here write text only");
}

}  // namespace

const ApiTable& openai_chat_fields() {
  static const ApiTable kTable = {
      "a chat completion",
      with_local({{"messages"},
                  {"model"},
                  {"frequency_penalty"},
                  {"presence_penalty"},
                  {"logit_bias"},
                  {"logprobs"},
                  {"top_logprobs"},
                  {"max_completion_tokens"},
                  {"max_tokens"},
                  {"modalities"},
                  {"n"},
                  {"parallel_tool_calls"},
                  {"reasoning_effort"},
                  {"response_format"},
                  {"seed"},
                  {"stop"},
                  {"stream"},
                  {"stream_options"},
                  {"temperature"},
                  {"tool_choice"},
                  {"tools"},
                  {"top_p"},
                  {"chat_template_kwargs"},
                  {"metadata", kIgnored, "requests are not kept, so there is nothing to label"},
                  {"moderation", kIgnored, "no moderation runs here"},
                  {"prediction", kIgnored, "a guess at the answer changes its speed, not the answer"},
                  {"prompt_cache_key", kIgnored, "prefixes are found by their content"},
                  {"prompt_cache_options", kIgnored, "prefixes are kept as long as there is room"},
                  {"prompt_cache_retention", kIgnored, "prefixes are kept as long as there is room"},
                  {"safety_identifier", kIgnored, kNoUsers},
                  {"service_tier", kIgnored, "there is one tier"},
                  {"store", kIgnored, "answers are not kept by this API"},
                  {"user", kIgnored, kNoUsers},
                  {"verbosity", kIgnored, "models here have no such setting; say it in the prompt"},
                  {"audio", kRefused, kTextOnly},
                  {"function_call", kRefused, "use \"tool_choice\", which took its place"},
                  {"functions", kRefused, "use \"tools\", which took its place"},
                  {"web_search_options", kRefused, "nothing here reaches the web"}})};
  return kTable;
}

ApiResult<ChatAsk> parse_openai_chat(const Json& body, const ApiDefaults& defaults) {
  std::optional<ApiError> error;
  FieldReader in(body, openai_chat_fields(), error);
  ChatAsk ask;
  ask.answer.api = Api::kOpenAiChat;
  ask.answer.sampling = defaults.sampling;
  read_common(in, ask.answer);
  in.whole("max_tokens", ask.answer.tokens_max, 1, kAnswerTokensMax);
  in.whole("max_completion_tokens", ask.answer.tokens_max, 1, kAnswerTokensMax);
  read_stream_options(in, ask.answer, error);
  read_chat_logprobs(in, ask.answer);
  read_modalities(in);
  read_response_format(in, "response_format", true, ask.answer);
  read_grammar(in, ask.answer);
  read_effort(in, "reasoning_effort", ask);
  read_template_variables(in, ask);
  if (const Json* messages = in.need("messages")) read_openai_messages(*messages, ask, error);
  if (const Json* tools = in.find("tools")) read_openai_tools(*tools, ask, error);
  in.flag("parallel_tool_calls", ask.tool_choice.parallel);
  read_openai_tool_choice(in, true, ask, error);
  return finished(std::move(ask), error);
}

const ApiTable& openai_completion_fields() {
  static const ApiTable kTable = {
      "a completion",
      with_local({{"model"},
                  {"prompt"},
                  {"echo"},
                  {"frequency_penalty"},
                  {"presence_penalty"},
                  {"logit_bias"},
                  {"logprobs"},
                  {"max_tokens"},
                  {"n"},
                  {"best_of"},
                  {"seed"},
                  {"stop"},
                  {"stream"},
                  {"stream_options"},
                  {"temperature"},
                  {"top_p"},
                  {"response_format"},
                  {"user", kIgnored, kNoUsers},
                  {"suffix", kRefused, "models here write on from the prompt's end; they fill no gaps"}})};
  return kTable;
}

ApiResult<CompletionAsk> parse_openai_completion(const Json& body, const ApiDefaults& defaults) {
  constexpr int32_t kTopMax = 5;  // of the old API
  std::optional<ApiError> error;
  FieldReader in(body, openai_completion_fields(), error);
  CompletionAsk ask;
  ask.answer.api = Api::kOpenAiCompletion;
  ask.answer.sampling = defaults.sampling;
  ask.answer.tokens_max = 16;  // the API's own default
  read_common(in, ask.answer);
  in.whole("max_tokens", ask.answer.tokens_max, 0, kAnswerTokensMax);
  read_stream_options(in, ask.answer, error);
  in.whole("logprobs", ask.answer.logprobs_top, 0, kTopMax);
  read_response_format(in, "response_format", true, ask.answer);
  read_grammar(in, ask.answer);
  in.flag("echo", ask.echo);
  read_prompts(in, "prompt", ask.prompts);
  int32_t best_of = ask.answer.choices;
  in.whole("best_of", best_of, 1, kChoicesMax);
  if (in.ok() && best_of != ask.answer.choices) {
    in.wrong("best_of", format("the same as \"n\", {}: answers are not ranked", ask.answer.choices));
  }
  if (ask.echo && ask.answer.logprobs_top >= 0) {
    in.wrong("echo", "false where \"logprobs\" are asked for: those of the prompt are not kept");
  }
  return finished(std::move(ask), error);
}

const ApiTable& openai_embeddings_fields() {
  static const ApiTable kTable = {
      "an embeddings request",
      {{"input"},
       {"model"},
       {"adapters"},
       {"encoding_format"},
       {"user", kIgnored, kNoUsers},
       {"dimensions", kRefused, "a model's vectors have the length that it was made with"}}};
  return kTable;
}

ApiResult<EmbeddingsAsk> parse_openai_embeddings(const Json& body) {
  static constexpr std::string_view kFormats[] = {"float", "base64"};
  std::optional<ApiError> error;
  FieldReader in(body, openai_embeddings_fields(), error);
  EmbeddingsAsk ask;
  read_model(in, ask.model);
  read_prompts(in, "input", ask.inputs);
  ask.base64 = in.word("encoding_format", kFormats).value_or(0) == 1;
  return finished(std::move(ask), error);
}

const ApiTable& tokenize_fields() {
  static const ApiTable kTable = {"a tokenize request",
                                  {{"content"},
                                   {"messages"},
                                   {"tools"},
                                   {"add_special"},
                                   {"parse_special"},
                                   {"with_pieces"},
                                   {"model", kIgnored, "all models of one server share its tokenizer"}}};
  return kTable;
}

ApiResult<TokenizeAsk> parse_tokenize(const Json& body) {
  std::optional<ApiError> error;
  FieldReader in(body, tokenize_fields(), error);
  TokenizeAsk ask;
  in.text("content", ask.text);
  in.flag("add_special", ask.add_special);
  in.flag("parse_special", ask.parse_special);
  in.flag("with_pieces", ask.pieces);
  const bool has_text = in.find("content") != nullptr;
  if (in.ok() && has_text == (in.find("messages") != nullptr)) {
    in.fail(refuse("content", "invalid_value", "expected either \"content\" or \"messages\""));
  }
  ChatAsk chat;
  if (const Json* messages = in.find("messages")) {
    read_openai_messages(*messages, chat, error);
    ask.messages = std::move(chat.messages);
  }
  if (const Json* tools = in.find("tools")) {
    if (has_text) in.wrong("tools", "left away where \"content\" is asked about");
    read_openai_tools(*tools, chat, error);
    ask.tools = std::move(chat.tools);
  }
  return finished(std::move(ask), error);
}

}  // namespace andiron
