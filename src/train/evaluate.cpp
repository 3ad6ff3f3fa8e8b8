#include "train/evaluate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/strings.h"
#include "train/learn_data.h"
#include "train/score.h"

namespace andiron {

namespace {

constexpr std::array<std::pair<std::string_view, EvalMetric>, 4> kMetrics = {{{"loss", EvalMetric::kLoss},
                                                                              {"exact", EvalMetric::kExact},
                                                                              {"contains", EvalMetric::kContains},
                                                                              {"choice", EvalMetric::kChoice}}};

bool is_answered(EvalMetric metric) { return metric == EvalMetric::kExact || metric == EvalMetric::kContains; }

// Texts have no question.
Status check_answerable(const DataReport& report, std::string_view metric) {
  for (const DataFile& file : report.files) {
    const bool text = file.format == DataFormat::kText || file.format == DataFormat::kMarkdown ||
                      file.format == DataFormat::kTextRows;
    if (!text) continue;
    return make_error("{}: the metric {} needs rows with a question and an answer; this is {} data", file.path, metric,
                      data_format_name(file.format));
  }
  return {};
}

}  // namespace

Result<EvalMetric> eval_metric_from_name(std::string_view name) {
  for (const auto& [known, metric] : kMetrics) {
    if (known == name) return metric;
  }
  return make_error("\"{}\" is not a metric; loss, exact, contains and choice are", in_quotes(name));
}

std::string_view eval_metric_name(EvalMetric metric) { return kMetrics[static_cast<size_t>(metric)].first; }

std::string normal_answer(std::string_view text) {
  std::string out;
  bool space = false;
  for (const char c : text) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f') {
      space = !out.empty();
      continue;
    }
    if (space) out += ' ';
    space = false;
    out += c;
  }
  return out;
}

double EvalReport::perplexity() const { return std::exp(loss); }

Result<EvalData> load_eval_data(const std::vector<std::string>& paths, const Tokenizer& tokenizer,
                                std::string_view model_name, const EvalOptions& options, ThreadTeam& team) {
  EvalData out;
  const DataOptions& asked = options.reading;
  const RowLengths lengths = {asked.seq_len, asked.window > 0 ? asked.window : asked.seq_len};
  if (options.metric == EvalMetric::kChoice) {
    TRY_ASSIGN(ChoiceSet set, load_choices(paths, tokenizer, model_name, options.reading.seq_len));
    out.rows = std::move(set.rows);
    out.questions = std::move(set.questions);
    out.report = std::move(set.report);
    out.seq_len = sequence_length(lengths, {&out.rows});
  } else {
    DataOptions reading = options.reading;
    reading.use = DataUse::kRows;
    if (is_answered(options.metric)) reading.loss_on = LossOn::kLastAnswer;
    TRY_ASSIGN(DataSet set, load_data(paths, tokenizer, model_name, reading, team));
    out.report = std::move(set.report);
    out.seq_len = sequence_length(lengths, {&set.train, &set.held_out});
    if (is_answered(options.metric)) TRY(check_answerable(out.report, eval_metric_name(options.metric)));
    out.rows = reading.held_out > 0 ? std::move(set.held_out) : std::move(set.train);
    if (out.rows.rows.empty()) return nothing_left("nothing is held out of this data", describe_report(out.report));
  }
  if (options.rows_max > 0 && out.size(options.metric) > options.rows_max) {
    const auto count = static_cast<size_t>(options.rows_max);
    if (options.metric == EvalMetric::kChoice) {
      out.rows.rows.resize(out.questions[count].first);
      out.questions.resize(count);
    } else {
      out.rows.rows.resize(count);
    }
  }
  return out;
}

Result<std::unique_ptr<TrainPass>> make_eval_pass(const Model& model, const KernelTable& kernels, ThreadTeam& team,
                                                  int64_t seq_len) {
  return TrainPass::create(model, model.weights(), kernels, team, {rows_per_pass(seq_len), 0});
}

namespace {

// One evaluation of one stack.
class Evaluation {
 public:
  Evaluation(TrainPass& pass, const Tokenizer& tokenizer, const EvalData& data, const EvalOptions& options,
             const EvalEvents& events)
      : pass_(pass), tokenizer_(tokenizer), data_(data), options_(options), events_(events) {}

  Result<EvalReport> run(const Answerer& answerer) {
    ScoreOptions scoring;
    scoring.packing.seq_len = data_.seq_len;
    scoring.rows_per_pass = rows_per_pass(data_.seq_len);
    scoring.progress = [&](int64_t done, int64_t total) { return progress("scoring", done, total); };
    TRY_ASSIGN(const auto scores, score_rows(pass_, data_.rows.rows, scoring));
    if (options_.metric == EvalMetric::kChoice) return choose(scores);
    EvalReport out = summary(sum_scores(scores));
    if (is_answered(options_.metric)) TRY(answer_all(answerer, out));
    return checked(out);
  }

 private:
  bool progress(std::string_view what, int64_t done, int64_t total) const {
    return !events_.progress || events_.progress(what, done, total);
  }

  static EvalReport summary(const Measure& measure) {
    EvalReport out;
    out.loss = measure.loss;
    out.accuracy = measure.accuracy;
    out.rows = measure.rows;
    out.tokens = measure.tokens;
    return out;
  }

  static Result<EvalReport> checked(const EvalReport& report) {
    if (std::isfinite(report.loss)) return report;
    return make_error("the loss is not a finite number: the model or an adapter gives numbers that are none");
  }

  void count_right(EvalReport& out, int64_t right) const {
    out.right = right;
    out.rows = data_.size(options_.metric);
    out.accuracy = static_cast<double>(right) / static_cast<double>(std::max<int64_t>(1, out.rows));
  }

  Result<EvalReport> choose(std::span<const RowScore> scores) const {
    std::vector<RowScore> right_scores;
    int64_t right = 0;
    for (const ChoiceQuestion& question : data_.questions) {
      const auto mean = [&](size_t i) {
        const RowScore& score = scores[question.first + i];
        return score.logp / static_cast<double>(score.tokens);
      };
      size_t best = 0;
      for (size_t i = 1; i < question.count; ++i) best = mean(i) > mean(best) ? i : best;
      right += best == question.right ? 1 : 0;
      right_scores.push_back(scores[question.first + question.right]);
    }
    EvalReport out = summary(sum_scores(right_scores));
    count_right(out, right);
    return checked(out);
  }

  // The prompt is what stands before the last answer.
  Result<GivenAnswer> answer_row(const Answerer& answerer, const TokenRow& row) const {
    GivenAnswer out;
    const size_t cut = row.prompt_size();
    const std::span<const int32_t> prompt(row.tokens.data(), cut);
    out.expected = trimmed(tokenizer_.decode(std::span(row.tokens).subspan(cut)));
    const std::string expected = normal_answer(out.expected);
    const bool exact = options_.metric == EvalMetric::kExact;
    // Once it is decided, no more of an answer is needed but by who wants to see it.
    const auto is_open = [&](std::string_view so_far) {
      if (events_.answered) return true;
      const std::string text = normal_answer(so_far);
      return exact ? expected.starts_with(text) : text.find(expected) == std::string::npos;
    };
    TRY_ASSIGN(out.given, answerer(prompt, is_open));
    const std::string text = normal_answer(out.given);
    out.right = exact ? text == expected : text.find(expected) != std::string::npos;
    return out;
  }

  Status answer_all(const Answerer& answerer, EvalReport& out) const {
    int64_t right = 0, done = 0;
    for (const TokenRow& row : data_.rows.rows) {
      if (!progress("answering", done++, data_.size(options_.metric))) return make_error("measuring was interrupted");
      TRY_ASSIGN(GivenAnswer given, answer_row(answerer, row));
      given.row = done;
      right += given.right ? 1 : 0;
      if (events_.answered) TRY(events_.answered(given));
    }
    count_right(out, right);
    return {};
  }

  TrainPass& pass_;
  const Tokenizer& tokenizer_;
  const EvalData& data_;
  const EvalOptions& options_;
  const EvalEvents& events_;
};

}  // namespace

Result<EvalReport> evaluate(TrainPass& pass, const Tokenizer& tokenizer, const EvalData& data,
                            const EvalOptions& options, const DeltaTable* deltas, const Answerer& answerer,
                            const EvalEvents& events) {
  pass.wear(deltas);
  auto report = Evaluation(pass, tokenizer, data, options, events).run(answerer);
  pass.wear(nullptr);
  return report;
}

}  // namespace andiron
