#include "cli/app.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <limits>
#include <memory>
#include <random>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "cli/chat_history.h"
#include "cli/progress.h"
#include "cli/shipped_model.h"
#include "cli/terminal.h"
#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "kernels/dispatch.h"
#include "model/tokenizer_source.h"
#include "sample/dry_breakers.h"
#include "text/jinja.h"
#include "train/time_text.h"

namespace andiron {

Result<Machine> make_machine(const GlobalOptions& global, bool pin) {
  Machine machine;
  TRY_ASSIGN(machine.kernels, select_kernels(global.isa));
  TRY_ASSIGN(machine.kv_format, kv_format_from_name(global.kv));
  const int threads = global.threads > 0 ? global.threads : ThreadTeam::processors_available();
  machine.team = std::make_unique<ThreadTeam>(threads, pin);
  return machine;
}

Result<std::vector<int32_t>> prompt_tokens(const RunOptions& options, const std::string& prompt,
                                           const Tokenizer& tokenizer, bool adapted) {
  if (!options.chat) {
    // The person at the terminal writes the whole prompt, markup included.
    return text_prompt_tokens(tokenizer, prompt,
                              {.add_special = !options.no_special, .parse_special = !options.no_special});
  }
  TRY_ASSIGN(const auto chat, make_chat_prompt(tokenizer, options.model, options.chat_template, adapted));
  ChatHistory conversation(options.system);
  conversation.add("user", prompt);
  TRY_ASSIGN(const auto rendered, chat.render(conversation.all()));
  return chat.tokens(rendered);
}

void say_notes(const GlobalOptions& global, std::span<const std::string> notes) {
  if (global.quiet) return;
  for (const std::string& note : notes) std::fprintf(stderr, "note: %s\n", printable(note).c_str());
}

Result<double> budget_seconds_of(const std::string& budget, const std::string& until) {
  if (!budget.empty()) return parse_duration(budget, "--budget");
  if (!until.empty()) return seconds_until(until, std::time(nullptr), "--until");
  return 0.0;
}

std::string name_of_folder(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path whole = fs::weakly_canonical(path, error);
  if (error) whole = fs::absolute(path, error).lexically_normal();
  if (error) whole = fs::path(path).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

Result<uint64_t> memory_bytes_of(double gib) {
  if (!(gib >= 0 && gib < 1e6)) return make_error("--memory: expected GiB, got {}", gib);
  return static_cast<uint64_t>(gib * 1073741824.0);
}

PackedCacheOptions cache_options(const GlobalOptions& global) {
  PackedCacheOptions options;
  options.enabled = !global.no_cache;
  return options;
}

Result<LoadedModel> load_model(const GlobalOptions& global, const Machine& machine, const std::string& path) {
  const auto begin = std::chrono::steady_clock::now();
  Progress progress("loading weights", Progress::Unit::kBytes, global.quiet);
  LoadOptions options;
  options.team = machine.team.get();
  options.cache = cache_options(global);
  options.progress = [&](uint64_t done, uint64_t total) {
    progress.update(done, total);
    return true;
  };
  LoadedModel loaded;
  TRY_ASSIGN(const std::string file, model_path(path));
  TRY_ASSIGN(loaded.model, Model::load(file, options));
  loaded.load_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  progress.clear();
  say_notes(global, loaded.model->notes());
  return loaded;
}

Result<std::string> read_chat_template(const std::string& path) {
  TRY_ASSIGN(std::string text, path == "-" ? read_text_file(path) : read_input(path));
  if (text.size() > jinja::kMaxTemplateBytes) {
    return make_error("{}: larger than the {} allowed here", path, human_bytes(jinja::kMaxTemplateBytes));
  }
  if (is_blank(text)) {
    return make_error("{}: the chat template is empty; expected Jinja text, such as a model's chat_template.jinja",
                      path);
  }
  return text;
}

namespace {

Result<std::shared_ptr<const Tokenizer>> make_tokenizer(TokenizerSpec spec, const std::string& template_file) {
  if (!template_file.empty()) {
    TRY_ASSIGN(spec.chat_template, read_chat_template(template_file));
  }
  TRY_ASSIGN(auto tokenizer, Tokenizer::create(std::move(spec)));
  return std::make_shared<const Tokenizer>(std::move(tokenizer));
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const ModelSource& source, const std::string& template_file) {
  TRY_ASSIGN(auto spec, tokenizer_spec(source));
  return make_tokenizer(std::move(spec), template_file);
}

Result<std::shared_ptr<const Tokenizer>> open_tokenizer(const std::string& path, const std::string& template_file) {
  TRY_ASSIGN(const std::string file, model_path(path));
  TRY_ASSIGN(auto spec, read_tokenizer(file));
  return make_tokenizer(std::move(spec), template_file);
}

Result<ChatPrompt> make_chat_prompt(const Tokenizer& tokenizer, const std::string& model,
                                    const std::string& template_file, bool adapted) {
  if (adapted || ChatPrompt::can_chat(tokenizer)) {
    return ChatPrompt::create_or_plain(tokenizer, template_file.empty() ? model : template_file);
  }
  return make_error(
      "{0}: this model has no chat template: it is most likely a base model, which continues text. To let it continue "
      "yours, type: andiron run {0} -p \"Once upon a time\"; if it was trained to chat, give its template with "
      "--template FILE (a Jinja file)",
      model);
}

namespace {

Result<std::string> read_stream(std::FILE* stream, std::string_view name) {
  std::string text;
  char buffer[1 << 16];
  for (size_t got; (got = std::fread(buffer, 1, sizeof buffer, stream)) > 0;) text.append(buffer, got);
  if (std::ferror(stream) != 0) return make_error("{}: cannot read it: {}", name, std::strerror(errno));
  return text;
}

}  // namespace

Result<std::string> read_input(const std::string& path) {
  if (path == "-") return read_stream(stdin, "standard input");
  // What the user names may be a pipe, from another program; what is found in a folder may not.
  std::error_code ignored;
  const auto type = std::filesystem::status(path, ignored).type();
  if (type != std::filesystem::file_type::fifo && type != std::filesystem::file_type::character) {
    return read_text_file(path);
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), &std::fclose);
  if (file == nullptr) return make_error("{}: cannot open it: {}", path, std::strerror(errno));
  return read_stream(file.get(), path);
}

Result<LogitBias> parse_bias(const std::string& text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) {
    return make_error("--logit-bias {}: expected TOKEN=NUMBER, such as 13=-1.5 or 13=-inf", andiron::in_quotes(text));
  }
  LogitBias bias;
  const std::string_view number = std::string_view(text).substr(equals + 1);
  if (number == "-inf") {
    bias.bias = -std::numeric_limits<float>::infinity();
  } else {
    TRY_ASSIGN(const double value, parse_double(number, "--logit-bias"));
    bias.bias = static_cast<float>(value);
    if (!std::isfinite(bias.bias))
      return make_error("--logit-bias {}: expected a finite number or -inf", andiron::in_quotes(text));
  }
  TRY_ASSIGN(const int64_t token, parse_int(std::string_view(text).substr(0, equals), "--logit-bias"));
  if (token < 0 || token > INT32_MAX)
    return make_error("--logit-bias {}: expected a token's number", andiron::in_quotes(text));
  bias.token = static_cast<int32_t>(token);
  return bias;
}

Result<SamplerOptions> resolve_sampling(const AnswerOptions& options, const Tokenizer& tokenizer) {
  SamplerOptions sampling = options.sampling;
  if (options.greedy) sampling.temperature = 0;
  // 53 bits, so that the number survives every JSON reader.
  sampling.seed = options.seed ? *options.seed : (uint64_t{std::random_device{}()} << 21) ^ std::random_device{}();
  for (const std::string& text : options.bias) {
    TRY_ASSIGN(const LogitBias bias, parse_bias(text));
    if (bias.token >= tokenizer.vocab_size()) {
      return make_error("--logit-bias {}: expected a token from 0 to {}", andiron::in_quotes(text),
                        tokenizer.vocab_size() - 1);
    }
    sampling.logit_bias.push_back(bias);
  }
  if (sampling.uses_dry()) sampling.dry_breakers = dry_breakers(tokenizer);
  return sampling;
}

Result<std::shared_ptr<const TokenGrammar>> load_grammar(const AnswerOptions& options, const Tokenizer& tokenizer) {
  const bool schema = !options.json_schema.empty();
  const std::string& path = schema ? options.json_schema : options.grammar;
  if (path.empty()) return std::shared_ptr<const TokenGrammar>();
  TRY_ASSIGN(const std::string text, read_text_file(path));
  TRY_ASSIGN(const Grammar grammar, schema ? parse_json_schema(text, path) : parse_gbnf(text, path));
  return TokenGrammar::create(grammar, std::make_shared<const TokenTrie>(tokenizer));
}

Result<std::unique_ptr<DraftSource>> make_draft_source(const GlobalOptions& global, const AnswerOptions& options,
                                                       const Machine& machine, const Tokenizer& tokenizer,
                                                       int64_t context) {
  if (options.lookup) return std::unique_ptr<DraftSource>(std::make_unique<PromptLookup>());
  if (options.draft.empty()) return std::unique_ptr<DraftSource>();
  TRY_ASSIGN(const LoadedModel loaded, load_model(global, machine, options.draft));
  TRY_ASSIGN(const auto other, load_tokenizer(loaded.model->source()));
  const int32_t shared = std::min(tokenizer.vocab_size(), other->vocab_size());
  for (int32_t id = 0; id < shared; ++id) {
    if (tokenizer.piece(id) == other->piece(id)) continue;
    return make_error(
        "{}: this draft model has another vocabulary (token {} is \"{}\", the model's is \"{}\"); a "
        "draft model must share the model's vocabulary",
        options.draft, id, andiron::in_quotes(other->piece(id)), andiron::in_quotes(tokenizer.piece(id)));
  }
  TRY_ASSIGN(auto draft, DraftModel::create(loaded.model, *machine.kernels, *machine.team, context));
  return std::unique_ptr<DraftSource>(std::move(draft));
}

Result<std::shared_ptr<const AdapterStack>> load_stack(const GlobalOptions& global, std::span<const StackEntry> entries,
                                                       const Machine& machine, const Model& model, AdapterForm form) {
  if (entries.empty()) return std::shared_ptr<const AdapterStack>();
  std::vector<std::string> notes;
  TRY_ASSIGN(auto stack, AdapterStack::load(entries, model, *machine.kernels, *machine.team, notes, form));
  say_notes(global, notes);
  return stack;
}

SessionOptions session_options(const GlobalOptions& global, const Machine& machine, size_t prompt_tokens) {
  SessionOptions options;
  options.context = global.context;
  options.kv_format = machine.kv_format;
  options.chunk = std::clamp<int64_t>(static_cast<int64_t>(prompt_tokens), 1, options.chunk);
  return options;
}

Json timings_json(const PrefillReport& prefill, const GenerateReport& answer, double load_ms) {
  Json json = Json::object();
  const int64_t computed = prefill.tokens - prefill.reused;
  json.set("load_ms", load_ms);
  json.set("prompt_tokens", prefill.tokens);
  json.set("prompt_tokens_reused", prefill.reused);
  json.set("prefill_ms", prefill.ms);
  json.set("prefill_tokens_per_s", prefill.ms > 0 ? 1000.0 * static_cast<double>(computed) / prefill.ms : 0.0);
  json.set("first_token_ms", answer.first_token_ms);
  json.set("generated_tokens", answer.tokens);
  json.set("decode_ms", answer.decode_ms);
  json.set("decode_tokens_per_s", answer.tokens_per_s());
  json.set("model_runs", answer.runs);
  json.set("draft_tokens", answer.drafted);
  json.set("draft_accepted", answer.draft_accepted);
  return json;
}

void print_json(const Json& json) {
  const std::string line = json.dump() + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
}

}  // namespace andiron
