// andiron eval: how well a model does on rows of data, with adapters and without.
#include <cmath>
#include <cstdio>
#include <optional>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "cli/adapter_store.h"
#include "cli/answering.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "train/evaluate.h"
#include "train/learn_data.h"

namespace andiron {

namespace {

Result<EvalOptions> eval_options(const EvalCommandOptions& o) {
  EvalOptions out;
  TRY_ASSIGN(out.metric, eval_metric_from_name(o.metric));
  if (!o.format.empty()) {
    TRY_ASSIGN(out.reading.format, parse_data_format(o.format));
  }
  if (o.everything) out.reading.loss_on = LossOn::kEverything;
  if (o.last_answer) out.reading.loss_on = LossOn::kLastAnswer;
  if (o.split_long) out.reading.long_rows = LongRows::kSplit;
  out.reading.held_out = o.held_out;
  out.reading.seed = o.seed;
  out.rows_max = o.rows_max;
  return out;
}

// What is as learn does it, where nothing else is asked for.
Status set_seq_len(const EvalCommandOptions& o, const ModelConfig& config, EvalOptions& out) {
  const auto asked = o.seq_len > 0 ? std::optional<int64_t>(o.seq_len) : std::nullopt;
  const RowLengths lengths = row_lengths(asked, config.context);
  out.reading.seq_len = lengths.most;
  out.reading.window = lengths.window;
  if (out.reading.seq_len >= 2 && out.reading.seq_len <= config.context) return {};
  return make_error("--seq-len {}: sequences of so many tokens are not possible; this model's context allows 2 to {}",
                    out.reading.seq_len, config.context);
}

// Measures stacks one after the other.
class Examiner {
 public:
  Examiner(const GlobalOptions& global, const EvalCommandOptions& options, const Machine& machine,
           std::shared_ptr<const Model> model, const Tokenizer& tokenizer, const EvalOptions& eval,
           const EvalData& data)
      : global_(global),
        options_(options),
        machine_(machine),
        model_(std::move(model)),
        tokenizer_(tokenizer),
        eval_(eval),
        data_(data) {}

  Status begin() {
    TRY_ASSIGN(pass_, make_eval_pass(*model_, *machine_.kernels, *machine_.team, data_.seq_len));
    if (eval_.metric != EvalMetric::kExact && eval_.metric != EvalMetric::kContains) return {};
    TRY_ASSIGN(session_, Session::create(model_, tokenizer_, *machine_.kernels, *machine_.team,
                                         session_options(global_, machine_, 512)));
    return {};
  }

  // `answers`: where they are written as JSON lines, or null.
  Result<EvalReport> measure(const std::shared_ptr<const AdapterStack>& stack, std::string_view what,
                             AtomicFile* answers = nullptr) {
    std::optional<Progress> line;
    std::string current;
    EvalEvents events;
    if (answers != nullptr) events.answered = [&](const GivenAnswer& given) { return write_answer(given, *answers); };
    events.progress = [&](std::string_view doing, int64_t done, int64_t total) {
      if (doing != current) {
        const bool rows = doing == "answering";
        line.emplace(format("{}{}", doing, what), rows ? Progress::Unit::kRows : Progress::Unit::kTokens,
                     global_.quiet);
        current = doing;
      }
      line->update(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
      return !interrupt_.interrupted();
    };
    if (session_ != nullptr) session_->wear(stack);
    const Answerer answerer = [&](std::span<const int32_t> prompt, const std::function<bool(std::string_view)>& go_on) {
      return answer(prompt, go_on);
    };
    return evaluate(*pass_, tokenizer_, data_, eval_, stack != nullptr ? &stack->deltas() : nullptr, answerer, events);
  }

  bool interrupted() const { return interrupt_.interrupted(); }

 private:
  Result<std::string> answer(std::span<const int32_t> prompt, const std::function<bool(std::string_view)>& go_on) {
    GenerateOptions generate;
    generate.sampling.temperature = 0;
    generate.tokens_max = options_.tokens_max;
    generate.strip_first_space = true;
    generate.cancel = interrupt_.flag();
    TRY_ASSIGN(WholeAnswer whole, answer_whole(*session_, prompt, generate, go_on));
    return std::move(whole.text);
  }

  static Status write_answer(const GivenAnswer& given, AtomicFile& file) {
    Json row = Json::object();
    row.set("row", given.row).set("expected", given.expected).set("given", given.given).set("right", given.right);
    return file.write(row.dump() + "\n");
  }

  const GlobalOptions& global_;
  const EvalCommandOptions& options_;
  const Machine& machine_;
  std::shared_ptr<const Model> model_;
  const Tokenizer& tokenizer_;
  const EvalOptions& eval_;
  const EvalData& data_;
  std::unique_ptr<TrainPass> pass_;
  std::unique_ptr<Session> session_;
  const InterruptGuard interrupt_{/*second_ends=*/true};
};

// On standard error: what of the data is not used is never silent.
void say_data(const GlobalOptions& global, const EvalOptions& eval, const EvalData& data) {
  if (global.quiet) return;
  auto lines = describe_report(data.report);
  if (!(eval.reading.held_out > 0)) lines.pop_back();  // nothing was to be held out
  for (const std::string& line : lines) std::fprintf(stderr, "%s\n", printable(line).c_str());
}

Json measures_json(const EvalReport& report) {
  Json json = Json::object();
  json.set("loss", report.loss).set("perplexity", report.perplexity()).set("accuracy", report.accuracy);
  return json;
}

Json result_json(const EvalCommandOptions& options, std::span<const StackEntry> entries, const EvalOptions& eval,
                 const EvalData& data, const EvalReport& report, const std::optional<EvalReport>& base) {
  Json json = measures_json(report);
  json.set("rows", report.rows).set("tokens", report.tokens);
  if (eval.metric != EvalMetric::kLoss) json.set("right", report.right);
  json.set("metric", eval_metric_name(eval.metric)).set("model", options.model);
  Json adapters = Json::array();
  for (const StackEntry& entry : entries) {
    Json one = Json::object();
    one.set("path", entry.path).set("strength", static_cast<double>(entry.strength));
    adapters.push(std::move(one));
  }
  json.set("adapters", std::move(adapters));
  if (base) json.set("base", measures_json(*base));
  json.set("seq_len", data.seq_len).set("data", report_to_json(data.report));
  return json;
}

void print_result(const EvalOptions& eval, const EvalReport& report, const std::optional<EvalReport>& base) {
  const auto row = [&](const char* label, const std::string& now, const std::string& before) {
    const std::string values = base ? format("{:>12} {:>12}", before, now) : format("{:>12}", now);
    std::fprintf(stdout, "%-12s %s\n", label, values.c_str());
  };
  if (base) row("", "adapted", "base");
  const auto lines = [&](const char* label, auto&& text) { row(label, text(report), base ? text(*base) : ""); };
  lines("loss", [](const EvalReport& r) { return format("{:.4f}", r.loss); });
  lines("perplexity", [](const EvalReport& r) { return format("{:.2f}", r.perplexity()); });
  lines("accuracy", [](const EvalReport& r) { return format("{:.2f}%", 100 * r.accuracy); });
  const bool questions = eval.metric == EvalMetric::kChoice;
  std::fprintf(stdout, "%s %s, %s tokens with loss; accuracy is the share of %s\n", human_count(report.rows).c_str(),
               questions ? "questions" : "rows", human_count(report.tokens).c_str(),
               eval.metric == EvalMetric::kLoss ? "tokens that no other is likelier than"
               : questions                      ? "questions whose right choice is the likeliest"
                                                : "rows that are answered right");
}

}  // namespace

Status check_eval_options(const EvalCommandOptions& o) {
  TRY_ASSIGN(const EvalOptions eval, eval_options(o));
  if (!(o.held_out >= 0 && o.held_out < 1)) return make_error("--held-out {}: expected from 0 to below 1", o.held_out);
  const bool answers = eval.metric == EvalMetric::kExact || eval.metric == EvalMetric::kContains;
  if (!o.answers.empty() && !answers) {
    return make_error("--answers: the metric {} has none; exact and contains do", eval_metric_name(eval.metric));
  }
  if (eval.metric != EvalMetric::kChoice) return {};
  if (o.held_out > 0)
    return make_error("--held-out: questions with choices are all used; a run holds out none of them");
  if (!o.format.empty() && o.format != "choice") return make_error("--format: the metric choice reads choice data");
  return {};
}

Result<int> eval_command(const GlobalOptions& global, const EvalCommandOptions& options) {
  TRY_ASSIGN(EvalOptions eval, eval_options(options));
  TRY_ASSIGN(const auto entries, parse_adapters(options.adapters));
  TRY_ASSIGN(const Machine machine, make_machine(global));
  TRY_ASSIGN(const LoadedModel loaded, load_model(global, machine, options.model));
  TRY_ASSIGN(const auto tokenizer, load_tokenizer(loaded.model->source(), options.chat_template));
  TRY(set_seq_len(options, loaded.model->config(), eval));
  // As trained: the loss is, bit for bit, the one that the run reports; answers too are those of f32.
  TRY_ASSIGN(const auto stack, load_stack(global, entries, machine, *loaded.model, AdapterForm::kExact));
  TRY_ASSIGN(const EvalData data, load_eval_data(options.data, *tokenizer, options.model, eval, *machine.team));
  say_data(global, eval, data);
  Examiner examiner(global, options, machine, loaded.model, *tokenizer, eval, data);
  TRY(examiner.begin());
  std::optional<EvalReport> base;
  if (stack != nullptr && !options.no_base) {
    auto measured = examiner.measure(nullptr, " without adapters");
    if (examiner.interrupted()) return kExitInterrupted;
    TRY_ASSIGN(base, std::move(measured));
  }
  std::optional<AtomicFile> answers;
  if (!options.answers.empty()) {
    TRY_ASSIGN(AtomicFile file, AtomicFile::create(options.answers));
    answers.emplace(std::move(file));
  }
  const auto report = examiner.measure(stack, stack != nullptr ? " with adapters" : "", answers ? &*answers : nullptr);
  if (examiner.interrupted()) return kExitInterrupted;
  if (!report.ok()) return report.error();
  if (answers) TRY(answers->commit());
  if (options.json) {
    print_json(result_json(options, entries, eval, data, *report, base));
  } else {
    print_result(eval, *report, base);
  }
  return 0;
}

}  // namespace andiron
