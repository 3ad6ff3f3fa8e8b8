#include "cli/command_line.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "base/strings.h"
#include "cli/app.h"
#include "cli/command_line_parts.h"
#include "cli/commands.h"
#include "cli/id_list.h"
#include "cli/nearest_name.h"
#include "cli/version.h"
#include "model/quant_mix.h"
#include "model/synth.h"

namespace andiron {

namespace {

using App = CLI::App;

constexpr const char* kExamples =
    "Examples:\n"
    "  andiron run model.gguf -p \"Once upon a time\" -n 200\n"
    "  andiron run model.gguf --chat -p \"Name three trees.\" --json\n"
    "  andiron chat model.gguf\n"
    "  andiron serve model.gguf\n"
    "  andiron inspect model.gguf\n"
    "  andiron quantize hf-folder out.gguf --type Q4_K_M\n"
    "  andiron help quantize\n"
    "MODEL is a .gguf file (of shards: the first) or a Hugging Face folder with config.json and safetensors.\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 130 ended by Ctrl-C. More in the manual page, andiron(1).";

constexpr const char* kNoCommand =
    "andiron: expected a command, such as\n"
    "  andiron run MODEL -p TEXT               to answer\n"
    "  andiron chat MODEL                      to talk\n"
    "  andiron learn MODEL DATA... --as NAME   to train\n"
    "andiron help lists all of them";

// Help that ends with the options of every command, and is the same whether asked for by --help or by help.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_footer(const App* app) const override {
    std::string text = CLI::Formatter::make_footer(app);
    if (app->get_parent() == nullptr) return text;
    const App* root = app;
    while (root->get_parent() != nullptr) root = root->get_parent();
    const auto global = [root](const CLI::Option* option) {
      return option->nonpositional() && option != root->get_help_ptr() && option != root->get_version_ptr();
    };
    const std::string options = make_group("Options of every command", false, root->get_options(global));
    return options.substr(1) + (text.empty() ? "" : "\n" + text);  // it begins with an empty line, and so do we
  }
};

void add_global(App& app, GlobalOptions& o) {
  add_choice(&app, "--isa", o.isa, "scalar|avx2|avx512|amx", "Instruction set (default: the best there is)")
      ->check(CLI::IsMember({"scalar", "avx2", "avx512", "amx"}).description(""));
  app.add_option("--threads,-t", o.threads, "Threads (default: one for each processor)")->transform(whole(1, 1024));
  add_choice(&app, "--kv", o.kv, "f16|q8_0", "Format of the KV cache (default f16)")
      ->check(CLI::IsMember({"f16", "q8_0"}).description(""));
  app.add_option("--ctx,-c", o.context, "Context in tokens (default: what the model was trained for)")
      ->transform(whole(1, kTokensLimit));
  app.add_flag("--no-cache", o.no_cache, "Do not keep packed weights on disk, nor use those kept");
  app.add_flag("--quiet,-q", o.quiet, "No progress, no notes");
}

void add_sampling(App* app, SamplerOptions& s) {
  constexpr const char* kGroup = "Sampling";
  const auto number = [&](const char* name, double& value, const char* help) {
    app->add_option(name, value, help)->group(kGroup)->capture_default_str();
  };
  const auto count = [&](const char* name, int32_t& value, const char* help) {
    app->add_option(name, value, help)->transform(whole(INT32_MIN, INT32_MAX))->group(kGroup)->capture_default_str();
  };
  number("--temp", s.temperature, "Temperature; 0 takes the most likely token");
  count("--top-k", s.top_k, "Keep the k most likely tokens; 0 is off");
  number("--top-p", s.top_p, "Keep the most likely tokens that hold this probability; 1 is off");
  number("--min-p", s.min_p, "Keep tokens this many times as likely as the likeliest; 0 is off");
  number("--typical-p", s.typical_p, "Locally typical sampling; 1 is off");
  number("--xtc-probability", s.xtc_probability, "Exclude top choices with this probability; 0 is off");
  number("--xtc-threshold", s.xtc_threshold, "Probability that makes a top choice");
  app->add_flag("--mirostat", s.mirostat, "Mirostat 2 instead of the filters")->group(kGroup);
  number("--mirostat-tau", s.mirostat_tau, "Its target surprise in bits");
  number("--mirostat-eta", s.mirostat_eta, "Its rate");
  number("--repetition-penalty", s.repetition_penalty, "Divides logits of tokens seen lately; 1 is off");
  number("--presence-penalty", s.presence_penalty, "Subtracted from logits of tokens seen lately; 0 is off");
  number("--frequency-penalty", s.frequency_penalty, "The same for each time they occurred; 0 is off");
  count("--penalty-last-n", s.penalty_last_n, "Tokens that count as lately; -1: many");
  number("--dry-multiplier", s.dry_multiplier, "Strength of DRY against repeated phrases; 0 is off, 0.8 usual");
  number("--dry-base", s.dry_base, "Its growth with the length of the phrase");
  count("--dry-allowed-length", s.dry_allowed_length, "Phrases shorter than this go free");
  count("--dry-last-n", s.dry_last_n, "Tokens it looks back over; -1: many");
}

void add_answer(App* app, AnswerOptions& o) {
  app->add_option("-n,--tokens", o.tokens_max, "Most tokens to generate (default: until the model stops)")
      ->transform(whole(0, kTokensLimit));
  app->add_flag("--greedy", o.greedy, "The most likely token each time, the same as --temp 0");
  app->add_option("--seed", o.seed, "Seed: the same seed gives the same text (default: drawn)")
      ->transform(whole(0, INT64_MAX));  // what JSON output can say exactly
  app->add_option("--stop", o.stop, "Stop before this text (may be repeated)")->allow_extra_args(false);
  app->add_option("--logit-bias", o.bias, "TOKEN=NUMBER added to a token's logit; -inf forbids it (may be repeated)")
      ->allow_extra_args(false);
  auto* draft = app->add_option("--draft", o.draft, "A small model with the same vocabulary, to guess tokens with");
  app->add_option("--adapter", o.adapters, "NAME, FOLDER or FILE, with :STRENGTH behind it (may be repeated)")
      ->type_name(kAdapterType)
      ->allow_extra_args(false);
  app->add_flag("--lookup", o.lookup, "Guess tokens from the text so far (prompt lookup)")->excludes(draft);
  auto* grammar = app->add_option("--grammar", o.grammar, "Answer only what this GBNF grammar allows (FILE)");
  app->add_option("--json-schema", o.json_schema, "Answer in JSON that is valid by this schema (FILE)")
      ->excludes(grammar);
  add_sampling(app, o.sampling);
}

// What can be told of the options without the model.
template <typename Options>
void check_options(const Options&) {}
void check_options(const AnswerOptions& o) {
  require(validate(o.sampling, INT32_MAX));
  for (const std::string& text : o.bias) require(parse_bias(text));
}
void check_options(const RunOptions& o) { check_options(o.answer); }
void check_options(const ChatCommandOptions& o) { check_options(o.answer); }
void check_options(const QuantizeCommandOptions& o) { require(quant_type_from_name(o.type)); }
void check_options(const LearnCommandOptions& o) { require(check_learn_options(o)); }
void check_options(const SynthOptions& o) { require(check_synthetic({o.shape, o.type, o.seed, o.recite})); }
void check_options(const LogitsOptions& o) { require(parse_ids(o.tokens, INT32_MAX, "--tokens")); }
void check_options(const DetokenizeOptions& o) {
  if (o.ids) require(parse_ids(*o.ids, INT32_MAX, "--tokens"));
}

template <typename Options, typename Command>
void on_parsed(App* app, CommandLine& line, std::shared_ptr<Options> options, Command command) {
  on_parsed(app, line, std::move(options), command, [](const Options& o) { check_options(o); });
}

void add_run(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("run", "Answer one prompt");
  add_examples(sub, {"andiron run model.gguf -p \"Once upon a time\" -n 200",
                     "andiron run model.gguf --chat --system \"Be brief.\" -p \"Name three trees.\" --json",
                     "git diff | andiron run model.gguf --chat -f - --greedy",
                     "andiron run model.gguf -f prompt.txt --temp 0.7 --seed 1 --lookup"});
  auto o = std::make_shared<RunOptions>();
  add_model_or_ember(sub, o->model);
  auto* prompt = sub->add_option("-p,--prompt", o->prompt, "The prompt (default: empty)");
  sub->add_option("-f,--file", o->prompt_file, "File with the prompt; - is standard input")->excludes(prompt);
  auto* chat = sub->add_flag("--chat", o->chat, "The prompt is a user's message: use the model's chat template");
  sub->add_option("--system", o->system, "System message, with --chat")->needs(chat);
  add_chat_template(sub, o->chat_template)->needs(chat);
  sub->add_flag("--json", o->json, "Print one line of JSON at the end: text, ids, finish_reason, timings");
  sub->add_flag("--no-special", o->no_special, "No token before the prompt, and control tokens in it are plain text");
  sub->add_flag("--show-special", o->show_special, "Print control tokens too");
  auto* ignore_end = sub->add_flag("--ignore-end", o->ignore_end, "Go on after the model's end-of-answer token");
  sub->add_option("--logprobs", o->logprobs, "With --json: log-probabilities, of this many other tokens too")
      ->transform(whole(0, 1000));
  add_answer(sub, o->answer);
  ignore_end->excludes(sub->get_option("--grammar"))->excludes(sub->get_option("--json-schema"));
  on_parsed(sub, line, o, run_command);
}

void add_chat(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("chat", "Talk with a model; /help inside lists the commands");
  add_examples(sub, {"andiron chat", "andiron chat model.gguf --system \"Answer in French.\" --ctx 8192",
                     "andiron chat model.gguf --load saved.json --kv q8_0"});
  auto o = std::make_shared<ChatCommandOptions>();
  add_model_or_ember(sub, o->model);
  sub->add_option("--system", o->system, "System message");
  sub->add_option("--load", o->load, "Go on with a chat that /save wrote");
  add_chat_template(sub, o->chat_template);
  add_answer(sub, o->answer);
  on_parsed(sub, line, o, chat_command);
}

void add_inspect(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("inspect", "What a model is, what it needs and how fast it should run here");
  add_examples(sub, {"andiron inspect model.gguf", "andiron inspect hf-folder --tensors --json"});
  auto o = std::make_shared<InspectOptions>();
  add_model_or_ember(sub, o->model);
  sub->add_flag("--json", o->json, "Print one line of JSON");
  sub->add_flag("--tensors", o->tensors, "List every tensor");
  on_parsed(sub, line, o, inspect_command);
}

void add_tokenize(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("tokenize", "Text to token ids, with their pieces");
  auto o = std::make_shared<TokenizeOptions>();
  add_examples(sub, {"andiron tokenize model.gguf -p \"Hello world\"",
                     "andiron tokenize model.gguf --file text.txt --no-special --json"});
  add_model(sub, o->model);
  auto* text = sub->add_option("-p,--text", o->text, "The text");
  sub->add_option("--file,-f", o->file, "File with the text; - is standard input (the default)")->excludes(text);
  sub->add_flag("--no-special", o->no_special, "Add no token; control tokens in the text are plain text");
  sub->add_flag("--json", o->json, "Print JSON: ids, pieces");
  on_parsed(sub, line, o, tokenize_command);
}

void add_detokenize(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("detokenize", "Token ids to text; takes what tokenize prints");
  auto o = std::make_shared<DetokenizeOptions>();
  add_examples(sub, {"andiron detokenize model.gguf -i \"1 15043 3186\"",
                     "andiron tokenize model.gguf -p \"Hello\" | andiron detokenize model.gguf"});
  add_model(sub, o->model);
  auto* ids = sub->add_option("-i,--tokens", o->ids, "Ids, divided by spaces or commas");
  sub->add_option("--file,-f", o->file, "File with the ids; - is standard input (the default)")->excludes(ids);
  sub->add_flag("--show-special", o->show_special, "Print control tokens too, such as <s>");
  sub->add_flag("--json", o->json, "Print JSON: text");
  on_parsed(sub, line, o, detokenize_command);
}

void add_template(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("template", "Print a chat exactly as the model will see it");
  add_examples(
      sub, {"andiron template model.gguf --messages messages.json",
            "echo '[{\"role\": \"user\", \"content\": \"Hello\"}]' | andiron template model.gguf --messages - --json"});
  auto o = std::make_shared<TemplateOptions>();
  add_model(sub, o->model);
  sub->add_option("--messages", o->messages, "JSON file: a list of {role, content}; - is standard input")->required();
  sub->add_option("--tools", o->tools, "JSON file: a list of tools");
  add_chat_template(sub, o->chat_template);
  sub->add_flag("--no-generation-prompt", o->no_generation_prompt, "Do not open the model's answer at the end");
  sub->add_flag("--json", o->json, "Print JSON: text, segments, ids");
  on_parsed(sub, line, o, template_command);
}

void add_logits(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("logits", "Write the logits of given tokens: float32, little-endian, [T, V]");
  add_examples(sub, {"andiron logits model.gguf --tokens \"1 15043 3186\" --out logits.f32"});
  auto o = std::make_shared<LogitsOptions>();
  add_model(sub, o->model);
  sub->add_option("--tokens", o->tokens, "Ids, divided by spaces or commas")->required();
  sub->add_option("--out", o->out, "File to write")->required();
  on_parsed(sub, line, o, logits_command);
}

void add_windows(App* sub, int64_t& window, int64_t& windows_max) {
  sub->add_option("--window", window, "Tokens per window")->transform(whole(4, 1 << 20))->capture_default_str();
  sub->add_option("--windows", windows_max, "Use only this many windows (default: the whole text)")
      ->transform(whole(1, kTokensLimit));
}

void add_ppl(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("ppl", "Perplexity of a text, and how far a model is from another");
  add_examples(sub, {"andiron ppl model.gguf --file text.txt",
                     "andiron ppl small.gguf --base large.gguf --file text.txt --windows 20 --json"});
  auto o = std::make_shared<PplOptions>();
  add_model(sub, o->model);
  sub->add_option("--file", o->file, "The text")->required();
  sub->add_option("--base", o->base, "Model to compare with: mean KL divergence and same-top rate");
  add_windows(sub, o->window, o->windows_max);
  sub->add_flag("--json", o->json, "Print one line of JSON: perplexity, kl_mean, same_top");
  on_parsed(sub, line, o, ppl_command);
}

void add_quantize(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("quantize", "Write a model as GGUF in another number format");
  add_examples(sub, {"andiron quantize hf-folder out.gguf --type Q4_K_M",
                     "andiron quantize f16.gguf out.gguf --type Q4_0 --imatrix imatrix.gguf --threads 4"});
  auto o = std::make_shared<QuantizeCommandOptions>();
  sub->add_option("SRC", o->source, ".gguf file or Hugging Face folder")->required();
  sub->add_option("OUT", o->out, "File to write")->required();
  sub->add_option("--type", o->type, "Q4_K_M, Q8_0, F16, ... (a wrong one lists them all)")
      ->type_name(kQuantType)
      ->required();
  sub->add_option("--imatrix", o->imatrix, "Importance of the columns, from andiron imatrix or llama.cpp (GGUF)");
  sub->add_flag("--pure", o->pure, "No recipe: every matrix in the format the type is named after");
  on_parsed(sub, line, o, quantize_command);
}

void add_imatrix(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("imatrix", "Measure which columns matter, for quantize --imatrix");
  add_examples(sub, {"andiron imatrix f16.gguf --file text.txt --out imatrix.gguf"});
  auto o = std::make_shared<ImatrixOptions>();
  add_model(sub, o->model);
  sub->add_option("--file", o->file, "Text like that the model will see")->required();
  sub->add_option("--out,-o", o->out, "File to write")->capture_default_str();
  add_windows(sub, o->window, o->windows_max);
  on_parsed(sub, line, o, imatrix_command);
}

void add_bench(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("bench", "Measure a model's speed, and what this machine allows");
  add_examples(sub, {"andiron bench model.gguf",
                     "andiron bench model.gguf --pp 2048 --tg 64 --depth 2048 --threads 4 --isa avx2 --json",
                     "andiron bench model.gguf --train --seq 512 --batch 4"});
  auto o = std::make_shared<BenchOptions>();
  add_model(sub, o->model);
  auto* train = sub->add_flag("--train", o->train, "Measure training an adapter instead of answering");
  const auto count = [&](const char* name, int64_t& value, int64_t least, const char* help) {
    return sub->add_option(name, value, help)->transform(whole(least, 1 << 20))->capture_default_str();
  };
  count("--pp", o->prefill, 1, "Tokens of the prompt")->excludes(train);
  count("--tg", o->decode, 1, "Tokens to generate")->excludes(train);
  count("--depth", o->depth, 0, "Tokens before those generated")->excludes(train);
  count("--seq", o->sequence, 2, "Training: tokens of a sequence")->needs(train);
  count("--batch", o->batch, 1, "Training: sequences of a step")->needs(train);
  count("--rank", o->rank, 1, "Training: rank of the adapter, which is on all layers")->needs(train);
  sub->add_option("--memory", o->memory_gib, "Training: GiB that may be used; 0: six tenths of what is free")
      ->needs(train)
      ->capture_default_str();
  sub->add_option("--reps", o->repeats, "Repeats; medians are reported")
      ->transform(whole(1, 1000))
      ->capture_default_str();
  sub->add_flag("--json", o->json, "Print one line of JSON");
  on_parsed(sub, line, o, [](const GlobalOptions& global, const BenchOptions& options) {
    return options.train ? bench_train_command(global, options) : bench_command(global, options);
  });
}

void add_cache(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("cache", "Packed weights kept on disk for quick starts");
  add_examples(sub, {"andiron cache", "andiron cache clear"});
  auto o = std::make_shared<CacheOptions>();
  sub->require_subcommand(0, 1);
  sub->add_subcommand("list", "Which, how large (the default)")->fallthrough();
  sub->add_subcommand("clear", "Remove them all")->fallthrough()->callback([o] { o->clear = true; });
  sub->add_flag("--json", o->json, "Print one line of JSON");
  on_parsed(sub, line, o, cache_command);
}

void add_doctor(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("doctor", "What this machine can do, and what size of model runs well on it");
  add_examples(sub, {"andiron doctor", "andiron doctor --isa avx2 --threads 1"});
  auto o = std::make_shared<DoctorOptions>();
  sub->add_flag("--json", o->json, "Print one line of JSON");
  on_parsed(sub, line, o, doctor_command);
}

void add_learn_method(App* sub, LearnCommandOptions& o) {
  add_choice(sub, "--method", o.method, choices(LearnMethod::kFull, learn_method_name),
             "How: full trains all weights of a float model, the others an adapter")
      ->capture_default_str();
  sub->add_option("--rank", o.learn.rank, "Rank of the adapter")->transform(whole(1, 4096))->capture_default_str();
  add_number(sub, "--alpha", o.learn.alpha, "Its scale: alpha / rank (rslora: alpha / root of rank)");
  sub->add_option("--targets", o.learn.targets, "all, or layers such as attn_q,attn_v or q_proj,v_proj")
      ->delimiter(',')
      ->capture_default_str();
  add_number(sub, "--dropout", o.learn.dropout, "Share of an adapter's inputs that is dropped");
  add_number(sub, "--lora-plus", o.learn.rate_ratio, "Rate of B over that of A (LoRA+)");
  add_choice(sub, "--loss", o.loss, choices(LossKind::kKto, loss_kind_name), "All but sft are of preferences")
      ->capture_default_str();
  add_number(sub, "--beta", o.learn.beta, "Strength of dpo, orpo and kto");
}

void add_learn_data(App* sub, LearnCommandOptions& o) {
  add_choice(sub, "--format", o.format, choices(DataFormat::kMarkdown, data_format_name),
             "Format of the data (default: seen by content)");
  sub->add_flag("--everything", o.everything, "Loss on all tokens of conversations, not on answers alone");
  sub->add_flag("--last-answer", o.last_answer, "Loss on the last answer alone");
  sub->add_flag("--split-long", o.split_long, "Split rows longer than a sequence instead of refusing them");
  add_number(sub, "--held-out", o.held_out, "Share of the documents that is held out");
  add_choice(sub, "--study", o.study, choices(StudyMode::kOff, study_mode_name),
             "Of documents: the model also writes questions and answers to learn (auto: a chat model does)")
      ->capture_default_str();
  sub->add_option("--replay", o.learn.replay, "More rows, against forgetting (may be repeated)")
      ->allow_extra_args(false);
  sub->add_option("--general", o.learn.general,
                  "A text to see what is forgotten (default: what the model brings, or a built-in one)")
      ->allow_extra_args(false);
  add_number(sub, "--kl", o.learn.kl_weight,
             "Weight of the pull to the base on the general text (6 with what the model brings)");
  sub->add_flag("--no-pack", o.no_pack, "One row to a sequence");
}

void add_learn_run(App* sub, LearnCommandOptions& o) {
  const auto count = [&](const char* name, auto& value, const char* help) {
    sub->add_option(name, value, help)->transform(whole(1, int64_t{1} << 40));
  };
  count("--steps", o.learn.steps, "Optimiser steps (default: from the epochs)");
  sub->add_option("--epochs", o.learn.epochs, "Passes over the data");
  count("--seq-len", o.learn.seq_len, "Tokens of a sequence");
  count("--batch", o.learn.batch, "Sequences of a batch");
  count("--grad-accum", o.learn.grad_accum, "Batches of a step");
  sub->add_option("--lr", o.learn.rate,
                  "Learning rate (default 2e-4, of small models 1e-3; full 2e-5; preferences a tenth)");
  add_choice(sub, "--schedule", o.schedule, choices(Schedule::Kind::kWsd, schedule_kind_name),
             "Course of the learning rate")
      ->capture_default_str();
  add_number(sub, "--warmup", o.learn.warmup, "Share of the steps in which the rate rises");
  add_number(sub, "--weight-decay", o.learn.optimizer.weight_decay, "Weight decay");
  add_number(sub, "--clip", o.learn.optimizer.clip_norm, "Largest norm of the gradient; 0: any");
  sub->add_flag("--adam8", o.learn.optimizer.state_8bit, "Optimiser state in 8 bits");
  add_number(sub, "--neftune", o.learn.neftune_alpha, "Noise on embeddings (NEFTune's alpha)");
  sub->add_option("--patience", o.learn.patience,
                  "Measurements without a better held-out loss before it ends; 0: no end")
      ->transform(whole(0, 1 << 30))
      ->capture_default_str();
  count("--save-every", o.learn.save_every, "Steps between checkpoints");
  count("--eval-every", o.learn.measure_every, "Steps between measurements of the held-out loss");
  auto* until = sub->add_option("--until", o.until, "Be done at this time: 22:30");
  sub->add_option("--budget", o.budget, "Be done in this time: 45m, 2h")->excludes(until);
  add_number(sub, "--memory", o.memory_gib, "GiB that may be used; 0: six tenths of what is free");
  add_choice(sub, "--checkpointing", o.checkpointing, choices(Checkpointing::kOff, checkpointing_name),
             "Run layers again instead of remembering")
      ->capture_default_str();
  sub->add_option("--seed", o.learn.seed, "Seed of everything random")
      ->transform(whole(0, INT64_MAX))
      ->capture_default_str();
}

// As learn_options_json names them.
std::vector<std::string> given_options(const App& app) {
  std::vector<std::string> out;
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0) continue;
    std::string name = option->get_single_name();
    std::replace(name.begin(), name.end(), '-', '_');
    out.push_back(name == "everything" || name == "last_answer" ? "loss_on"
                  : name == "split_long"                        ? "long_rows"
                  : name == "no_pack"                           ? "pack"
                                                                : name);
  }
  return out;
}

void add_learn(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("learn", "Train an adapter on your own words");
  add_examples(sub, {"andiron learn about-me.md", "andiron learn model.gguf notes/ --as me",
                     "andiron learn model.gguf chats.jsonl --as me --budget 45m",
                     "andiron run model.gguf --adapter me -p \"Who am I?\" --chat"});
  auto o = std::make_shared<LearnCommandOptions>();
  sub->add_option("MODEL", o->model, ".gguf file or Hugging Face folder (default: ember; --resume knows it)");
  sub->add_option("DATA", o->learn.data,
                  "Files and folders: conversations, instructions, preferences, texts; likewise");
  auto* out = sub->add_option("--out", o->learn.out, "Folder of the run and its adapter");
  sub->add_option("--as", o->learn.name, "Name, under which run and chat find it (default: that of the first DATA)")
      ->excludes(out);
  add_chat_template(sub, o->chat_template);
  add_learn_method(sub, *o);
  add_learn_data(sub, *o);
  add_learn_run(sub, *o);
  sub->add_flag("--resume", o->learn.resume, "Go on with the run of --as or --out, MODEL and DATA being its own");
  sub->add_flag("--json", o->json, "Print one line of JSON");
  sub->parse_complete_callback([sub, o] {
    o->learn.given = given_options(*sub);
    fill_in_learn_options(*o);
  });
  on_parsed(sub, line, o, learn_command);
}

void add_plot(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("plot", "The course of a training run");
  add_examples(sub, {"andiron plot me", "andiron plot runs/me --out loss.svg"});
  auto o = std::make_shared<PlotOptions>();
  sub->add_option("RUN", o->run, "Name or folder of a run")->type_name(kAdapterType)->required();
  sub->add_option("--out", o->out, "Write an SVG instead");
  on_parsed(sub, line, o, plot_command);
}

void add_synth(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("synth", "Write a model of random weights in the shape of a real one, for measuring");
  add_examples(sub, {"andiron synth tinyllama-1.1b random.gguf --type q4_k_m"});
  auto o = std::make_shared<SynthOptions>();
  sub->add_option("SHAPE", o->shape, "smollm2-135m, tinyllama-1.1b, llama-2-7b, ... (a wrong one lists them)")
      ->required();
  sub->add_option("OUT", o->out, "File to write")->required();
  sub->add_option("--type", o->type, "Number format, such as q4_0 or q4_k_m")
      ->type_name(kQuantType)
      ->capture_default_str();
  sub->add_option("--seed", o->seed, "Seed of the weights")->transform(whole(0, INT64_MAX))->capture_default_str();
  sub->add_flag("--recite", o->recite, "Words that follow one another in a fixed order (for bench/lookup.py)");
  on_parsed(sub, line, o, synth_command);
}

std::vector<std::string> command_names(const App& app) {
  std::vector<std::string> names;
  for (const App* sub : app.get_subcommands([](const App* one) { return !one->get_name().empty(); })) {
    names.push_back(sub->get_name());
  }
  return names;
}

std::string no_such_command(const App& app, const std::string& path, const std::string& word) {
  const std::vector<std::string> names = command_names(app);
  const std::string_view nearest = nearest_name(word, names);  // one of them
  return format("{}: there is no command \"{}\"{} andiron help{} lists them all", path, andiron::in_quotes(word),
                nearest.empty() ? ";" : format("; did you mean \"{}\"?", nearest),
                std::string_view(path).substr(app.get_name() == path ? path.size() : path.find(' ')));
}

// What is wrong where a command should stand; "" where that is not what is wrong.
std::string command_mistake(const App& app) {
  const App* topic = &app;
  std::string path = app.get_name();
  for (auto chosen = topic->get_subcommands(); !chosen.empty(); chosen = topic->get_subcommands()) {
    topic = chosen.front();
    path += " " + topic->get_name();
  }
  const auto left = app.remaining(/*recurse=*/true);
  if (left.empty()) return topic == &app ? kNoCommand : "";
  const auto word =
      std::find_if(left.begin(), left.end(), [](const std::string& one) { return !one.starts_with('-'); });
  if (word == left.end() && topic == &app) {
    return format("andiron: there is no option \"{}\", and no command; andiron help lists both",
                  andiron::in_quotes(left.front()));
  }
  if (word == left.end() || command_names(*topic).empty()) return "";
  return no_such_command(*topic, path, *word);
}

void add_help(App& app, CommandLine&) {
  auto* sub = app.add_subcommand("help", "This help, or that of a command");
  add_examples(sub, {"andiron help", "andiron help run", "andiron help adapters merge"});
  auto names = std::make_shared<std::vector<std::string>>();
  sub->add_option("COMMAND", *names, "The command, and one of its own; none: all of them");
  sub->callback([&app, names] {
    const App* topic = &app;
    std::string path = "andiron";
    for (const std::string& name : *names) {
      const auto known = topic->get_subcommands([&](const App* one) { return one->get_name() == name; });
      if (known.empty()) throw CLI::ValidationError(no_such_command(*topic, path, name));
      topic = known.front();
      path += " " + name;
    }
    std::fputs(app.get_formatter()->make_help(topic, path, CLI::AppFormatMode::Normal).c_str(), stdout);
  });
}

}  // namespace

CommandLine parse_command_line(int argc, char** argv) {
  // The callbacks refer to it, so it stays where it is until the action has run.
  static CommandLine line;
  line = {};
  App app("andiron: open language models on your own computer", "andiron");
  app.formatter(std::make_shared<HelpFormatter>());
  app.get_formatter()->label("SUBCOMMAND", "COMMAND");
  app.footer(kExamples);
  app.set_version_flag("--version", std::string("andiron ") + kVersion);
  app.require_subcommand(1);
  app.fallthrough();
  add_global(app, line.global);
  for (auto* add :
       {add_run,  add_chat,     add_serve,     add_inspect, add_tokenize, add_detokenize, add_template, add_logits,
        add_ppl,  add_quantize, add_imatrix,   add_bench,   add_cache,    add_doctor,     add_learn,    add_pretrain,
        add_eval, add_adapters, add_tokenizer, add_plot,    add_synth,    add_help}) {
    add(app, line);
  }
  for (auto* sub : app.get_subcommands({})) sub->fallthrough();
  // Asked by the shell, of a line that is not finished: no parsing, no usage.
  if (argc > 1 && std::string_view(argv[1]) == "complete") {
    print_completions(app, {argv + 2, argv + argc});
    return line;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    line.action = nullptr;
    const bool may_be_command = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr ||
                                dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
    const std::string mistake = may_be_command ? command_mistake(app) : "";
    line.exit_status = mistake.empty() && app.exit(error) == 0 ? 0 : kExitUsage;
    if (!mistake.empty()) std::fprintf(stderr, "%s\n", mistake.c_str());
  }
  return line;
}

}  // namespace andiron
