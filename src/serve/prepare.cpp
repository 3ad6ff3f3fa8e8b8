#include "serve/prepare.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "sample/sampler_options.h"
#include "serve/api_grammar.h"
#include "serve/tool_calls_prompt.h"

namespace andiron {

namespace {

// Of a prompt, what says where the answer begins: within reasoning, within a call.
constexpr size_t kPromptEndBytes = 1024;

ApiError no_chat(const ModelHost& host) {
  return refuse("model", "no_chat_template",
                "\"{0}\" is a base model without a chat template: it goes on with text; ask it by /v1/completions, or "
                "with an adapter that was taught to chat",
                host.name());
}

ApiResult<RenderedPrompt> render(const ModelHost& host, const Worn& worn, const ChatAsk& ask) {
  if (worn.chat == nullptr) return no_chat(host);
  const ChatTemplate& chat = worn.chat->prompt.chat_template();
  const ToolConversation fitted = fit_tools(ask.messages, shown_tools(ask), chat, worn.chat->style.calls);
  ChatOptions options;
  options.variables = template_variables(ask, chat.capabilities().thinking_variable);
  auto rendered = worn.chat->prompt.render(fitted.messages, fitted.tools, options);
  if (!rendered.ok()) return refuse("messages", "invalid_value", "{}", rendered.error().message);
  return std::move(*rendered);
}

// What the template itself would have written.
void append_trusted(RenderedPrompt& prompt, const std::string& text) {
  if (text.empty()) return;
  prompt.text += text;
  if (!prompt.segments.empty() && prompt.segments.back().trusted) {
    prompt.segments.back().text += text;
  } else {
    prompt.segments.push_back({text, true});
  }
}

int32_t vocabulary_of(const ModelHost& host) { return choosable_tokens(*host.model(), host.tokenizer()); }

ApiResult<GenerateOptions> generate_options(const ModelHost& host, const AnswerAsk& ask, uint64_t drawn) {
  GenerateOptions generate;
  generate.sampling = ask.sampling;
  if (!ask.has_seed) generate.sampling.seed = drawn;
  const int32_t vocabulary = vocabulary_of(host);
  for (const LogitBias& bias : ask.sampling.logit_bias) {
    if (bias.token >= 0 && bias.token < vocabulary) continue;
    return refuse("logit_bias", "invalid_value",
                  "\"logit_bias\": there is no token {}; those of this model are 0 to {}", bias.token, vocabulary - 1);
  }
  if (generate.sampling.uses_dry()) generate.sampling.dry_breakers = host.dry_breakers();
  if (const auto checked = validate(generate.sampling, vocabulary); !checked.ok()) {
    return refuse("", "invalid_value", "{}", checked.error().message);
  }
  generate.tokens_max = ask.tokens_max;
  generate.stop = ask.stop;
  generate.logprobs_top = ask.logprobs_top;
  return generate;
}

std::optional<ApiError> compile(GrammarCache& grammars, const std::string& key, const Grammar& grammar,
                                const AnswerFormat& format, GenerateOptions& generate) {
  auto compiled = grammars.get(key, grammar);
  if (!compiled.ok()) {
    const char* param = format.kind == AnswerFormat::Kind::kGrammar ? "grammar"
                        : format.kind == AnswerFormat::Kind::kText  ? "tools"
                                                                    : "response_format";
    return refuse(param, "invalid_value", "{}", compiled.error().message);
  }
  generate.grammar = std::move(*compiled);
  return std::nullopt;
}

using PromptAsk = std::variant<std::string, std::vector<int32_t>>;

ApiResult<std::vector<int32_t>> prompt_ids(const ModelHost& host, const PromptAsk& prompt, const char* field,
                                           EncodeOptions options, bool keeps_end) {
  std::vector<int32_t> ids;
  if (const auto* text = std::get_if<std::string>(&prompt)) {
    ids = keeps_end ? host.tokenizer().encode(*text, options) : text_prompt_tokens(host.tokenizer(), *text, options);
  } else {
    ids = std::get<std::vector<int32_t>>(prompt);
  }
  for (const int32_t id : ids) {
    if (id >= 0 && id < vocabulary_of(host)) continue;
    return refuse(field, "invalid_value", "\"{}\": there is no token {}; those of this model are 0 to {}", field, id,
                  vocabulary_of(host) - 1);
  }
  if (ids.empty()) return refuse(field, "invalid_value", "\"{}\" is empty; this model needs at least one token", field);
  return ids;
}

std::optional<ApiError> check_count(size_t answers) {
  if (answers <= kAnswersMax) return std::nullopt;
  return refuse("n", "invalid_value", "the request asks for {} answers; at most {} can be asked for at once", answers,
                kAnswersMax);
}

}  // namespace

ApiResult<PreparedAnswer> prepare_chat(ModelHost& host, GrammarCache& grammars, ChatAsk ask, uint64_t drawn) {
  PreparedAnswer out;
  auto worn = host.wear(ask.answer.model);
  if (!worn.ok()) return worn.error();
  out.worn = std::move(*worn);
  auto rendered = render(host, out.worn, ask);
  if (!rendered.ok()) return rendered.error();
  const ChatForm& chat = *out.worn.chat;
  auto plan =
      plan_answer(ask, chat.style, rendered->text, [&](std::string_view text) { return host.has_control(text); });
  if (!plan.ok()) return plan.error();
  append_trusted(*rendered, plan->prompt_end);
  auto generate = generate_options(host, ask.answer, drawn);
  if (!generate.ok()) return generate.error();
  out.generate = std::move(*generate);
  if (plan->grammar) {
    if (auto error = compile(grammars, plan->grammar_key, *plan->grammar, ask.answer.format, out.generate)) {
      return std::move(*error);
    }
  }
  out.generate.show_special =
      (chat.reasoning_is_control && !chat.style.reasoning.none()) || (chat.calls_are_control && !plan->tools.empty());
  out.prompts.push_back({chat.prompt.tokens(*rendered), !plan->grammar.has_value()});
  if (out.prompts[0].tokens.empty()) {
    return refuse("messages", "invalid_value", "the conversation is empty; the model needs at least one token");
  }

  ExchangeOptions& exchange = out.exchange;
  exchange.style = {chat.style.reasoning, plan->calls};
  exchange.splitter.tools = std::move(plan->tools);
  exchange.splitter.parallel = ask.tool_choice.parallel;
  exchange.splitter.id_seed = drawn;
  exchange.splitter.prompt =
      rendered->text.substr(rendered->text.size() - std::min(rendered->text.size(), kPromptEndBytes));
  exchange.splitter.call_begin = std::move(plan->call_begin);
  if (out.generate.show_special) {
    exchange.splitter.dropped.assign(host.end_texts().begin(), host.end_texts().end());
  }
  exchange.show_thinking = ask.show_thinking;
  exchange.echo = std::move(ask.echo);
  exchange.ask = std::move(ask.answer);
  return out;
}

ApiResult<PreparedAnswer> prepare_completion(ModelHost& host, GrammarCache& grammars, CompletionAsk ask,
                                             uint64_t drawn) {
  PreparedAnswer out;
  if (auto error = check_count(ask.prompts.size() * static_cast<size_t>(ask.answer.choices))) return std::move(*error);
  auto worn = host.wear(ask.answer.model);
  if (!worn.ok()) return worn.error();
  out.worn = std::move(*worn);
  auto generate = generate_options(host, ask.answer, drawn);
  if (!generate.ok()) return generate.error();
  out.generate = std::move(*generate);
  auto grammar = format_grammar(ask.answer.format);
  if (!grammar.ok()) return grammar.error();
  if (*grammar) {
    const std::string key = "text " + format_key(ask.answer.format);
    if (auto error = compile(grammars, key, **grammar, ask.answer.format, out.generate)) return std::move(*error);
  }
  out.exchange.prompts.clear();
  for (const PromptAsk& prompt : ask.prompts) {
    auto ids = prompt_ids(host, prompt, "prompt", {.add_special = true, .parse_special = ask.raw}, false);
    if (!ids.ok()) return ids.error();
    const auto* text = std::get_if<std::string>(&prompt);
    out.exchange.prompts.push_back(!ask.echo ? "" : text != nullptr ? *text : host.tokenizer().decode(*ids));
    out.prompts.push_back({std::move(*ids), text != nullptr && text->empty() && !*grammar});
  }
  out.exchange.ask = std::move(ask.answer);
  return out;
}

ApiResult<PreparedAnswer> prepare_generate(ModelHost& host, GrammarCache& grammars, GenerateAsk ask, uint64_t drawn) {
  if (!ask.is_chat) return prepare_completion(host, grammars, std::move(ask.text), drawn);
  auto worn = host.wear(ask.chat.answer.model);
  if (!worn.ok()) return worn.error();
  // With a system message, or what else only a chat has, it is refused as a chat is.
  const auto messages = ask.chat.messages.items_or_none();
  const bool is_text = messages.size() == 1 && messages[0].member("role").text_or("") == "user";
  if (worn->chat == nullptr && is_text) {
    return prepare_completion(host, grammars, std::move(ask.text), drawn);
  }
  return prepare_chat(host, grammars, std::move(ask.chat), drawn);
}

ApiResult<std::vector<int32_t>> conversation_tokens(ModelHost& host, const ChatAsk& ask) {
  auto worn = host.wear(ask.answer.model);
  if (!worn.ok()) return worn.error();
  auto rendered = render(host, *worn, ask);
  if (!rendered.ok()) return rendered.error();
  return worn->chat->prompt.tokens(*rendered);
}

ApiResult<std::vector<std::vector<int32_t>>> embedding_tokens(const ModelHost& host, const EmbeddingsAsk& ask) {
  std::vector<std::vector<int32_t>> out;
  for (const PromptAsk& input : ask.inputs) {
    auto ids = prompt_ids(host, input, "input", {.add_special = true, .parse_special = false}, true);
    if (!ids.ok()) return ids.error();
    out.push_back(std::move(*ids));
  }
  return out;
}

ApiResult<std::vector<int32_t>> tokenized(ModelHost& host, const TokenizeAsk& ask) {
  if (ask.messages.is_null()) {
    return text_prompt_tokens(host.tokenizer(), ask.text,
                              {.add_special = ask.add_special, .parse_special = ask.parse_special});
  }
  ChatAsk chat;
  chat.answer.model.asked = chat.answer.model.model = host.name();
  chat.messages = ask.messages;
  chat.tools = ask.tools;
  return conversation_tokens(host, chat);
}

}  // namespace andiron
