// The commands around learning: pretrain, eval, adapters, tokenizer.
#include <memory>

#include "adapter/merge.h"
#include "cli/adapter_store.h"
#include "cli/command_line_parts.h"
#include "cli/commands.h"
#include "train/evaluate.h"

namespace andiron {

namespace {

using App = CLI::App;

constexpr const char* kAdapterHelp = "A name, a PEFT folder or a GGUF adapter";

// For adapters that do not say what they are for.
void add_base(App* app, std::string& model) {
  app->add_option("--model", model, "The model it is for, where the adapter does not say enough itself");
}

template <typename Options>
void unchecked(const Options&) {}

void add_list(App* app, CommandLine& line) {
  auto* sub = app->add_subcommand("list", "Which there are (the default)")->fallthrough();
  add_examples(sub, {"andiron adapters", "andiron adapters list --json"});
  auto o = std::make_shared<AdapterListOptions>();
  sub->add_flag("--json", o->json, "Print one line of JSON");
  on_parsed(sub, line, o, list_adapters_command, unchecked<AdapterListOptions>);
}

void add_show(App* app, CommandLine& line) {
  auto* sub = app->add_subcommand("show", "All that is known of one")->fallthrough();
  add_examples(sub, {"andiron adapters show me", "andiron adapters show ./peft-folder --model model.gguf --json"});
  auto o = std::make_shared<AdapterShowOptions>();
  sub->add_option("ADAPTER", o->adapter, kAdapterHelp)->type_name(kAdapterType)->required();
  add_base(sub, o->model);
  sub->add_flag("--json", o->json, "Print one line of JSON");
  on_parsed(sub, line, o, show_adapter_command, unchecked<AdapterShowOptions>);
}

void add_diff(App* app, CommandLine& line) {
  auto* sub = app->add_subcommand("diff", "Answer one prompt with two stacks, side by side")->fallthrough();
  add_examples(sub, {"andiron adapters diff model.gguf none me -p \"Once upon a time\"",
                     "andiron adapters diff model.gguf me me+work:0.5 --chat -p \"Who am I?\" --json"});
  auto o = std::make_shared<AdapterDiffOptions>();
  RunOptions& run = o->run;
  run.answer.tokens_max = 256;
  run.answer.sampling.temperature = 0;
  add_model(sub, run.model);
  sub->add_option("A", o->a, "Adapters such as me or me+work:0.5; none: the model alone")
      ->type_name(kAdapterType)
      ->required();
  sub->add_option("B", o->b, "Likewise")->type_name(kAdapterType)->required();
  auto* prompt = sub->add_option("-p,--prompt", run.prompt, "The prompt (default: empty)");
  sub->add_option("-f,--file", run.prompt_file, "File with the prompt; - is standard input")->excludes(prompt);
  auto* chat = sub->add_flag("--chat", run.chat, "The prompt is a user's message: use the model's chat template");
  sub->add_option("--system", run.system, "System message, with --chat")->needs(chat);
  add_chat_template(sub, run.chat_template)->needs(chat);
  sub->add_option("-n,--tokens", run.answer.tokens_max, "Most tokens of an answer")
      ->transform(whole(1, kTokensLimit))
      ->capture_default_str();
  add_number(sub, "--temp", run.answer.sampling.temperature, "Temperature; 0 takes the most likely token");
  sub->add_option("--seed", run.answer.seed, "Seed of both answers (default: drawn)")->transform(whole(0, INT64_MAX));
  sub->add_flag("--json", run.json, "Print one line of JSON: answers, same");
  on_parsed(sub, line, o, diff_adapters_command,
            [](const AdapterDiffOptions& d) { require(validate(d.run.answer.sampling, INT32_MAX)); });
}

void add_merge(App* app, CommandLine& line) {
  auto* sub = app->add_subcommand("merge", "Several into one, or into a model")->fallthrough();
  add_examples(sub, {"andiron adapters merge me work:0.5 --method ties --as both",
                     "andiron adapters merge me --into model.gguf --out mine.gguf",
                     "andiron adapters merge me:0.8 --into model.gguf --out mine.gguf --type Q4_K_M"});
  auto o = std::make_shared<AdapterMergeOptions>();
  sub->add_option("ADAPTER", o->adapters, "Adapters, each with :WEIGHT behind it (default 1)")
      ->type_name(kAdapterType)
      ->required();
  auto* into = sub->add_option("--into", o->into, "Fold them into this model instead, and write it as GGUF");
  sub->add_option("--as", o->name, "Name of the result");
  sub->add_option("--out", o->out, "Folder of the result; with --into the file");
  sub->add_option("--type", o->type, "With --into: number format (default: each tensor keeps its own)")
      ->type_name(kQuantType);
  add_base(sub, o->model);
  add_choice(sub, "--method", o->method, choices(MergeMethod::kSvd, merge_method_name), "How they are put together")
      ->capture_default_str()
      ->excludes(into);
  add_number(sub, "--density", o->density, "ties and dare: share of the numbers that is kept");
  sub->add_option("--rank", o->rank, "svd: rank of the result (default: the largest of them)")
      ->transform(whole(1, 4096));
  sub->add_option("--seed", o->seed, "dare: seed")->transform(whole(0, INT64_MAX))->capture_default_str();
  on_parsed(sub, line, o, merge_adapters_command,
            [](const AdapterMergeOptions& m) { require(check_merge_options(m)); });
}

void add_export(App* app, CommandLine& line) {
  auto* sub = app->add_subcommand("export", "Write one as a PEFT folder or a GGUF adapter")->fallthrough();
  add_examples(sub, {"andiron adapters export me --out peft-folder", "andiron adapters export me --out me.gguf"});
  auto o = std::make_shared<AdapterExportOptions>();
  sub->add_option("ADAPTER", o->adapter, kAdapterHelp)->type_name(kAdapterType)->required();
  sub->add_option("--out", o->out, "Folder or file to write")->required();
  add_choice(sub, "--format", o->format, "peft|gguf", "What to write (default: gguf where --out ends so)")
      ->check(CLI::IsMember({"peft", "gguf"}).description(""));
  add_base(sub, o->model);
  on_parsed(sub, line, o, export_adapter_command, [](const AdapterExportOptions& e) {
    if (e.out.empty()) throw CLI::ValidationError("--out: expected a folder or a file to write, got an empty name");
  });
}

void add_import(App* app, CommandLine& line) {
  auto* sub = app->add_subcommand("import", "Give an adapter from elsewhere a name")->fallthrough();
  add_examples(sub, {"andiron adapters import peft-folder --as poet --model model.gguf",
                     "andiron adapters import lora.gguf --as poet"});
  auto o = std::make_shared<AdapterImportOptions>();
  sub->add_option("PATH", o->path, "PEFT folder or GGUF adapter")->required();
  sub->add_option("--as", o->name, "Its name")->required();
  add_base(sub, o->model);
  on_parsed(sub, line, o, import_adapter_command,
            [](const AdapterImportOptions& i) { require(check_adapter_name(i.name)); });
}

void add_remove(App* app, CommandLine& line) {
  auto* sub = app->add_subcommand("remove", "Delete one")->fallthrough();
  add_examples(sub, {"andiron adapters remove me", "andiron adapters remove me --yes"});
  auto o = std::make_shared<AdapterRemoveOptions>();
  sub->add_option("NAME", o->name, "Which")->type_name(kAdapterType)->required();
  sub->add_flag("--yes,-y", o->yes, "Do not ask");
  on_parsed(sub, line, o, remove_adapter_command,
            [](const AdapterRemoveOptions& r) { require(check_adapter_name(r.name)); });
}

void add_tokenizer_train(CLI::App* app, CommandLine& line) {
  auto* sub = app->add_subcommand("train", "Learn a byte-level BPE vocabulary from texts")->fallthrough();
  add_examples(sub,
               {"andiron tokenizer train books/ --out tokenizer.json",
                "andiron tokenizer train texts/ chats.jsonl --out my-model/ --vocab 8192 --special \"<s>\" --special "
                "\"</s>\" --bos \"<s>\" --eos \"</s>\" --chat-template template.jinja",
                "andiron tokenize tokenizer.json -p \"Hello world\""});
  auto o = std::make_shared<TokenizerTrainOptions>();
  sub->add_option("DATA", o->data, "Files and folders: all that learn reads")->required();
  sub->add_option("--out", o->out, "File to write (or its folder); tokenizer_config.json goes beside it")->required();
  sub->add_option("--vocab", o->vocab, "Tokens, the 256 bytes and the special ones included")
      ->transform(whole(1, kTokensLimit))
      ->capture_default_str();
  sub->add_option("--pre", o->pre, "How texts are split first, by GGUF's name: qwen2, gpt-2, llama-bpe, ...")
      ->capture_default_str();
  sub->add_option("--special", o->special,
                  "A special token; the first has id 0 (may be repeated; default <|endoftext|>)")
      ->allow_extra_args(false);
  sub->add_option("--bos", o->bos, "The special token that begins every text (default: none)");
  sub->add_option("--eos", o->eos, "The one that ends texts and answers (default: <|endoftext|> where it is one)");
  sub->add_option("--pad", o->pad, "The one that fills up (default: none)");
  sub->add_option("--chat-template", o->chat_template, "Jinja file with the chat template to write");
  sub->add_option("--format", o->format, "Format of the data (default: seen by content)");
  sub->add_flag("--force", o->force, "Replace files that are there");
  sub->add_flag("--json", o->json, "Print one line of JSON: vocab, merges, bytes_per_token");
  on_parsed(sub, line, o, train_tokenizer_command,
            [](const TokenizerTrainOptions& t) { require(check_tokenizer_options(t)); });
}

void add_tokenizer_show(CLI::App* app, CommandLine& line) {
  auto* sub = app->add_subcommand("show", "What a tokenizer is")->fallthrough();
  add_examples(sub, {"andiron tokenizer show tokenizer.json", "andiron tokenizer show model.gguf --json"});
  auto o = std::make_shared<TokenizerShowOptions>();
  sub->add_option("FILE", o->path, "tokenizer.json, or a model")->required();
  sub->add_flag("--json", o->json, "Print one line of JSON");
  on_parsed(sub, line, o, show_tokenizer_command, unchecked<TokenizerShowOptions>);
}

}  // namespace

void add_tokenizer(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("tokenizer", "Vocabularies: learn one from texts, show one");
  add_examples(sub, {"andiron tokenizer train books/ --out tokenizer.json --vocab 4096",
                     "andiron tokenizer show tokenizer.json", "andiron help tokenizer train"});
  sub->require_subcommand(1);
  for (auto* add : {add_tokenizer_train, add_tokenizer_show}) add(sub, line);
}

void add_adapters(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("adapters", "Adapters: list, show, compare, merge, export, import, remove");
  add_examples(sub, {"andiron adapters", "andiron adapters diff model.gguf none me -p \"Once upon a time\"",
                     "andiron adapters merge me work:0.5 --as both", "andiron help adapters merge"});
  sub->require_subcommand(0, 1);
  for (auto* add : {add_list, add_show, add_diff, add_merge, add_export, add_import, add_remove}) add(sub, line);
  auto o = std::make_shared<AdapterListOptions>();
  sub->add_flag("--json", o->json, "As of list");
  sub->callback([&line, o] {  // after that of the chosen one
    if (!line.action) line.action = [&line, o] { return list_adapters_command(line.global, *o); };
  });
}

void add_pretrain(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("pretrain", "Train a model from random weights");
  add_examples(sub, {"andiron pretrain small.toml texts/ chats.jsonl --out runs/small",
                     "andiron pretrain small.toml texts/ --out runs/trial --steps 200",
                     "andiron pretrain small.toml texts/ chats.jsonl --out runs/small --resume"});
  auto o = std::make_shared<PretrainCommandOptions>();
  sub->add_option("CONFIG", o->config, "TOML file: the model, its tokenizer, how it is trained")->required();
  sub->add_option("DATA", o->pretrain.data, "Files and folders: texts, conversations, completions")->required();
  sub->add_option("--out", o->pretrain.out, "Folder of the run and the model")->required();
  sub->add_option("--steps", o->pretrain.steps, "Optimiser steps, instead of the configuration's tokens or epochs")
      ->transform(whole(1, kPretrainStepsMax));
  auto* until = sub->add_option("--until", o->until, "Be done at this time: 22:30");
  sub->add_option("--budget", o->budget, "Be done in this time: 45m, 2h")->excludes(until);
  add_number(sub, "--memory", o->memory_gib, "GiB that may be used; 0: six tenths of what is free");
  add_choice(sub, "--checkpointing", o->checkpointing, choices(Checkpointing::kOff, checkpointing_name),
             "Run layers again instead of remembering")
      ->capture_default_str();
  sub->add_flag("--resume", o->pretrain.resume, "Go on with the run in this folder");
  sub->add_flag("--json", o->json, "Print one line of JSON");
  on_parsed(sub, line, o, pretrain_command,
            [](const PretrainCommandOptions& p) { require(check_pretrain_options(p)); });
}

void add_eval(App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("eval", "Measure a model on rows of data, with adapters and without");
  add_examples(sub, {"andiron eval model.gguf --data rows.jsonl",
                     "andiron eval model.gguf --adapter me --data notes/ --held-out 0.05 --json",
                     "andiron eval model.gguf --adapter me:0.5 --data quiz.jsonl --metric choice"});
  auto o = std::make_shared<EvalCommandOptions>();
  add_model_or_ember(sub, o->model);
  sub->add_option("--data", o->data, "Files and folders with the rows")->required();
  sub->add_option("--adapter", o->adapters, "With :STRENGTH behind it (may be repeated)")
      ->type_name(kAdapterType)
      ->allow_extra_args(false);
  add_choice(sub, "--metric", o->metric, choices(EvalMetric::kChoice, eval_metric_name),
             "What is right: an answer that is exact, one that contains it, the choice")
      ->capture_default_str();
  sub->add_option("--max-rows", o->rows_max, "Use only the first so many rows")->transform(whole(1, kTokensLimit));
  sub->add_option("--seq-len", o->seq_len, "Most tokens of a row (default: as learn)")
      ->transform(whole(2, kTokensLimit));
  sub->add_option("-n,--tokens", o->tokens_max, "Most tokens of an answer")
      ->transform(whole(1, kTokensLimit))
      ->capture_default_str();
  sub->add_option("--held-out", o->held_out, "Only the rows that learn holds out with this share and seed");
  sub->add_option("--seed", o->seed, "The seed of that")->transform(whole(0, INT64_MAX))->capture_default_str();
  add_choice(sub, "--format", o->format, choices(DataFormat::kMarkdown, data_format_name),
             "Format of the data (default: seen by content)");
  auto* everything = sub->add_flag("--everything", o->everything, "Loss on all tokens of conversations");
  sub->add_flag("--last-answer", o->last_answer, "Loss on the last answer alone")->excludes(everything);
  sub->add_flag("--split-long", o->split_long, "Split rows that are too long instead of refusing them");
  add_chat_template(sub, o->chat_template);
  sub->add_option("--answers", o->answers, "Write the answers of exact and contains to this file, as JSON lines");
  sub->add_flag("--no-base", o->no_base, "With adapters: do not measure without them too");
  sub->add_flag("--json", o->json, "Print one line of JSON: loss, perplexity, accuracy, rows");
  on_parsed(sub, line, o, eval_command, [](const EvalCommandOptions& e) { require(check_eval_options(e)); });
}

}  // namespace andiron
