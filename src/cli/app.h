// What several commands need: the machine as the person wants it used, a loaded model, its tokenizer.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/thread_team.h"
#include "cli/options.h"
#include "engine/session.h"
#include "grammar/token_grammar.h"
#include "kernels/kernel_table.h"
#include "model/model.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"

namespace andiron {

struct Machine {
  const KernelTable* kernels = nullptr;
  std::unique_ptr<ThreadTeam> team;
  KvFormat kv_format = kKvF16;
};
// `pin`: threads stay on their processors, for measuring.
Result<Machine> make_machine(const GlobalOptions& global, bool pin = false);

// Each on a line of standard error, unless the person wants none.
void say_notes(const GlobalOptions& global, std::span<const std::string> notes);

struct LoadedModel {
  std::shared_ptr<const Model> model;
  double load_ms = 0;
};
// Shows progress and the model's notes on standard error. "ember" is the model that andiron brings, here and below.
Result<LoadedModel> load_model(const GlobalOptions& global, const Machine& machine, const std::string& path);
// `template_file`: a chat template to use instead of the model's, or "". The tokenizer must know it, for it decides
// which tokens are markup.
Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const ModelSource& source,
                                                        const std::string& template_file = "");
// The same of a path: a model, or a tokenizer.json.
Result<std::shared_ptr<const Tokenizer>> open_tokenizer(const std::string& path, const std::string& template_file = "");
// The text of a chat template's file, which is never standard input; an Error where it is empty or too long.
Result<std::string> read_chat_template(const std::string& path);
// The template of that tokenizer. A base model has none: with an adapter that may have learned to chat (`adapted`) it
// is asked with the one that `andiron learn` trains such models with, otherwise an Error says which commands to type.
Result<ChatPrompt> make_chat_prompt(const Tokenizer& tokenizer, const std::string& model,
                                    const std::string& template_file, bool adapted);

// The text of a file, "-" for standard input.
Result<std::string> read_input(const std::string& path);

// --budget and --until, of which at most one is given: seconds; 0: neither.
Result<double> budget_seconds_of(const std::string& budget, const std::string& until);

// The last name of a folder's path, which need not exist, links resolved as far as can be seen: what to call what is
// made there without giving away the whole path. "" where there is none ("/").
std::string name_of_folder(const std::string& path);

// --memory: GiB as bytes.
Result<uint64_t> memory_bytes_of(double gib);

PackedCacheOptions cache_options(const GlobalOptions& global);

// The prompt as the options want it: as it is, or as a user's message (`adapted`: see make_chat_prompt).
Result<std::vector<int32_t>> prompt_tokens(const RunOptions& options, const std::string& prompt,
                                           const Tokenizer& tokenizer, bool adapted);

// "TOKEN=NUMBER": a token's id, and what is added to its logit.
Result<LogitBias> parse_bias(const std::string& text);

// Fills in what the options leave open (a seed) and turns texts into tokens (bias, DRY breakers).
Result<SamplerOptions> resolve_sampling(const AnswerOptions& options, const Tokenizer& tokenizer);

// What the options want the answer to match, or null.
Result<std::shared_ptr<const TokenGrammar>> load_grammar(const AnswerOptions& options, const Tokenizer& tokenizer);

// The source of guesses the options ask for, or null.
Result<std::unique_ptr<DraftSource>> make_draft_source(const GlobalOptions& global, const AnswerOptions& options,
                                                       const Machine& machine, const Tokenizer& tokenizer,
                                                       int64_t context);

// The stack of these, or null where there are none; its notes go to standard error.
Result<std::shared_ptr<const AdapterStack>> load_stack(const GlobalOptions& global, std::span<const StackEntry> entries,
                                                       const Machine& machine, const Model& model,
                                                       AdapterForm form = AdapterForm::kHalf);

// `prompt_tokens`: of the longest prompt expected; a short one needs less room to be read in.
SessionOptions session_options(const GlobalOptions& global, const Machine& machine, size_t prompt_tokens);

Json timings_json(const PrefillReport& prefill, const GenerateReport& answer, double load_ms);

// Writes one line of JSON to standard output.
void print_json(const Json& json);

}  // namespace andiron
