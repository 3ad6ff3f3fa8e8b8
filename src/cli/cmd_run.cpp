// andiron run: one answer, streamed.
#include <cstdio>

#include "base/strings.h"
#include "cli/adapter_facts.h"
#include "cli/adapter_store.h"
#include "cli/app.h"
#include "cli/chat_history.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "text/chat_prompt.h"

namespace andiron {

namespace {

// What came out, for --json.
struct Output {
  std::string text;
  Json ids = Json::array();
  Json logprobs = Json::array();
};

Json logprobs_json(const Logprobs& logprobs, const Tokenizer& tokenizer) {
  const auto entry = [&](const TokenLogprob& one) {
    Json json = Json::object();
    json.set("id", int64_t{one.token});
    json.set("piece", tokenizer.piece(one.token));
    json.set("logprob", static_cast<double>(one.logprob));
    return json;
  };
  Json json = entry(logprobs.chosen);
  Json top = Json::array();
  for (const TokenLogprob& one : logprobs.top) top.push(entry(one));
  json.set("top", std::move(top));
  return json;
}

void print_summary(const PrefillReport& prefill, const GenerateReport& answer) {
  std::string drafted;
  if (answer.drafted > 0) drafted = format(", {} of {} guesses right", answer.draft_accepted, answer.drafted);
  std::fprintf(
      stderr, "%s\n",
      format("[{} in {:.0f} ms, {} at {:.1f} tokens/s{}, {}]", counted(prefill.tokens, "prompt token"), prefill.ms,
             counted(answer.tokens, "token"), answer.tokens_per_s(), drafted, finish_reason_name(answer.reason))
          .c_str());
}

Json answer_json(Output output, const GenerateReport& answer, const PrefillReport& prefill, double load_ms,
                 uint64_t seed, bool logprobs) {
  Json json = Json::object();
  json.set("text", std::move(output.text));
  json.set("ids", std::move(output.ids));
  json.set("finish_reason", finish_reason_name(answer.reason));
  if (answer.reason == FinishReason::kStopString) json.set("stop_string", answer.stop_string);
  if (logprobs) json.set("logprobs", std::move(output.logprobs));
  json.set("seed", seed);
  json.set("timings", timings_json(prefill, answer, load_ms));
  return json;
}

}  // namespace

Result<int> run_command(const GlobalOptions& global, const RunOptions& options) {
  TRY_ASSIGN(const std::string prompt,
             options.prompt_file.empty() ? Result<std::string>(options.prompt) : read_input(options.prompt_file));
  TRY_ASSIGN(const Machine machine, make_machine(global));
  TRY_ASSIGN(const LoadedModel loaded, load_model(global, machine, options.model));
  TRY_ASSIGN(const auto tokenizer, load_tokenizer(loaded.model->source(), options.chat_template));
  TRY_ASSIGN(const auto worn, parse_adapters(options.answer.adapters));
  TRY_ASSIGN(const auto tokens, prompt_tokens(options, prompt, *tokenizer, may_have_chatted(worn)));
  TRY_ASSIGN(auto session, Session::create(loaded.model, *tokenizer, *machine.kernels, *machine.team,
                                           session_options(global, machine, tokens.size())));
  TRY_ASSIGN(auto adapters, load_stack(global, worn, machine, *loaded.model));
  session->wear(std::move(adapters));
  TRY_ASSIGN(const auto draft, make_draft_source(global, options.answer, machine, *tokenizer, session->context()));
  TRY_ASSIGN(const SamplerOptions sampling, resolve_sampling(options.answer, *tokenizer));
  TRY_ASSIGN(const auto grammar, load_grammar(options.answer, *tokenizer));

  const InterruptGuard interrupt(/*second_ends=*/true);
  Progress progress("reading the prompt", Progress::Unit::kTokens, global.quiet);
  TRY_ASSIGN(
      const PrefillReport prefill,
      session->prefill(tokens, {interrupt.flag(), [&](int64_t done, int64_t total) { progress.update(done, total); }}));
  progress.clear();
  if (prefill.cancelled) return kExitInterrupted;

  GenerateOptions generate;
  generate.sampling = sampling;
  generate.tokens_max = options.answer.tokens_max;
  generate.stop = options.answer.stop;
  generate.ignore_end = options.ignore_end;
  generate.show_special = options.show_special;
  generate.strip_first_space = grammar == nullptr && (prompt.empty() || options.chat);
  generate.grammar = grammar;
  generate.logprobs_top = options.logprobs;
  generate.draft = draft.get();
  generate.cancel = interrupt.flag();
  Output output;
  TRY_ASSIGN(const GenerateReport answer, session->generate(generate, [&](const TokenEvent& event) {
    if (event.token >= 0) output.ids.push(int64_t{event.token});
    if (event.logprobs != nullptr) output.logprobs.push(logprobs_json(*event.logprobs, *tokenizer));
    output.text += event.text;
    if (!options.json && !event.text.empty()) {
      write_untrusted(stdout, event.text);
      std::fflush(stdout);
    }
    return std::ferror(stdout) == 0;  // main() reports it
  }));
  if (options.json) {
    print_json(answer_json(std::move(output), answer, prefill, loaded.load_ms, sampling.seed, options.logprobs >= 0));
  } else if (is_terminal(stdout)) {  // a file or a pipe gets the answer's bytes and no more
    std::fputc('\n', stdout);
  }
  if (!global.quiet && !options.json && is_terminal(stderr)) print_summary(prefill, answer);
  return answer.reason == FinishReason::kCancelled ? kExitInterrupted : 0;
}

}  // namespace andiron
