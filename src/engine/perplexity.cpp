#include "engine/perplexity.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "base/strings.h"
#include "engine/text_windows.h"
#include "model/forward.h"
#include "model/kv_cache.h"

namespace andiron {

namespace {

// Rows of logits computed at a time: with a vocabulary of 256 K they take 64 MiB.
constexpr int64_t kLogitRows = 64;
// Rows run at a time where no logits are wanted.
constexpr int64_t kChunkRows = 512;

// One model with what it runs in.
struct Runner {
  const Model& model;
  KvCache cache;
  std::unique_ptr<Forward> forward;

  static Result<Runner> create(const Model& model, const KernelTable& kernels, ThreadTeam& team,
                               const PerplexityOptions& options) {
    TRY_ASSIGN(auto cache, KvCache::create(model, options.window, options.kv_format));
    const ForwardLimits limits = {
        .rows = std::clamp(options.window / 2, kLogitRows, kChunkRows), .logit_rows = kLogitRows, .sequences = 1};
    TRY_ASSIGN(auto forward, Forward::create(model, kernels, team, limits));
    return Runner{model, std::move(cache), std::move(forward)};
  }

  Status run(std::span<const int32_t> tokens, LogitRows logits) {
    const Sequence sequence = {&cache, tokens, logits};
    return forward->run({&sequence, 1});
  }
  std::span<const float> logits(int64_t row) const {
    return {forward->logits().row(row), static_cast<size_t>(model.config().vocabulary)};
  }
};

// log(sum(exp(x))), and the greatest x with the place where it stands.
struct LogSum {
  double log_sum = 0;
  size_t top = 0;
};

LogSum log_sum_exp(std::span<const float> x) {
  const auto top = std::max_element(x.begin(), x.end());
  const double greatest = *top;
  double sum = 0;
  for (const float v : x) sum += std::exp(static_cast<double>(v) - greatest);
  return {greatest + std::log(sum), static_cast<size_t>(top - x.begin())};
}

// What one position contributes.
struct Score {
  double nll = 0, base_nll = 0, kl = 0;
  bool same_top = false;
};

Score score_position(std::span<const float> logits, std::span<const float> base, int32_t next) {
  Score score;
  const LogSum own = log_sum_exp(logits);
  const auto token = static_cast<size_t>(next);
  score.nll = own.log_sum - static_cast<double>(logits[token]);
  if (base.empty()) return score;
  const LogSum other = log_sum_exp(base);
  score.base_nll = other.log_sum - static_cast<double>(base[token]);
  score.same_top = own.top == other.top;
  for (size_t i = 0; i < base.size(); ++i) {
    const double log_base = static_cast<double>(base[i]) - other.log_sum;
    const double p = std::exp(log_base);
    if (p > 0) score.kl += p * (log_base - (static_cast<double>(logits[i]) - own.log_sum));
  }
  return score;
}

struct Moments {
  double sum = 0, squares = 0;
  int64_t count = 0;

  void add(double x) {
    sum += x;
    squares += x * x;
    ++count;
  }
  double mean() const { return count > 0 ? sum / static_cast<double>(count) : 0; }
  double error() const {
    if (count < 2) return 0;
    const double n = static_cast<double>(count);
    return std::sqrt(std::max(0.0, squares / n - mean() * mean()) / (n - 1));
  }
};

struct Totals {
  Moments nll, base_nll, kl;
  int64_t same_top = 0;

  void add(const Score& score) {
    nll.add(score.nll);
    base_nll.add(score.base_nll);
    kl.add(score.kl);
    same_top += score.same_top ? 1 : 0;
  }
};

// Scores the second half of one window.
Status score_window(std::span<const int32_t> window, std::span<Runner*> runners, ThreadTeam& team, Totals& totals) {
  const auto size = static_cast<int64_t>(window.size());
  const int64_t half = size / 2;
  for (Runner* runner : runners) {
    runner->cache.truncate(0);
    for (int64_t at = 0; at < half; at += kChunkRows) {
      TRY(runner->run(window.subspan(at, std::min(kChunkRows, half - at)), LogitRows::kNone));
    }
  }
  std::vector<Score> scores(static_cast<size_t>(kLogitRows));
  // Row i predicts token i + 1; the last token predicts nothing that is known.
  for (int64_t at = half; at < size - 1; at += kLogitRows) {
    const int64_t rows = std::min(kLogitRows, size - 1 - at);
    for (Runner* runner : runners) TRY(runner->run(window.subspan(at, rows), LogitRows::kAll));
    team.parallel_for(rows, [&](int64_t row, int) {
      const auto base = runners.size() > 1 ? runners[1]->logits(row) : std::span<const float>();
      scores[row] = score_position(runners[0]->logits(row), base, window[at + row + 1]);
    });
    for (int64_t row = 0; row < rows; ++row) totals.add(scores[row]);
  }
  return {};
}

}  // namespace

Result<PerplexityReport> measure_perplexity(const Model& model, const Model* base, const Tokenizer& tokenizer,
                                            std::span<const int32_t> tokens, const KernelTable& kernels,
                                            ThreadTeam& team, const PerplexityOptions& options) {
  if (base != nullptr && base->config().vocabulary != model.config().vocabulary) {
    return make_error(
        "{}: has {} tokens in its vocabulary, but the base {} has {}; only models with the same "
        "vocabulary can be compared",
        model.source().path(), model.config().vocabulary, base->source().path(), base->config().vocabulary);
  }
  TRY_ASSIGN(auto windows,
             TextWindows::create(tokens, tokenizer, model.config().vocabulary, options.window, options.windows_max));
  TRY_ASSIGN(Runner runner, Runner::create(model, kernels, team, options));
  std::vector<Runner*> runners = {&runner};
  std::unique_ptr<Runner> base_runner;
  if (base != nullptr) {
    TRY_ASSIGN(Runner other, Runner::create(*base, kernels, team, options));
    base_runner = std::make_unique<Runner>(std::move(other));
    runners.push_back(base_runner.get());
  }
  PerplexityReport report;
  Totals totals;
  for (int64_t i = 0; i < windows.count(); ++i) {
    report.cancelled = options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed);
    if (report.cancelled) break;
    TRY(score_window(windows.at(i), runners, team, totals));
    ++report.windows;
    if (options.progress) options.progress(i + 1, windows.count(), std::exp(totals.nll.mean()));
  }
  report.tokens = totals.nll.count;
  report.perplexity = std::exp(totals.nll.mean());
  report.perplexity_error = report.perplexity * totals.nll.error();
  if (base != nullptr && report.tokens > 0) {
    report.base_perplexity = std::exp(totals.base_nll.mean());
    report.kl_mean = totals.kl.mean();
    report.kl_error = totals.kl.error();
    report.same_top = static_cast<double>(totals.same_top) / static_cast<double>(report.tokens);
  }
  return report;
}

}  // namespace andiron
