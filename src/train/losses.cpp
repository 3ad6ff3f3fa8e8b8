#include "train/losses.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr std::array<std::pair<std::string_view, LossKind>, 4> kNames = {
    {{"sft", LossKind::kNextToken}, {"dpo", LossKind::kDpo}, {"orpo", LossKind::kOrpo}, {"kto", LossKind::kKto}}};

double sigmoid(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
// -log sigmoid(x), without overflow.
double minus_log_sigmoid(double x) { return x >= 0 ? std::log1p(std::exp(-x)) : -x + std::log1p(std::exp(x)); }

std::vector<int32_t> rows_with_loss(const PackedBatch& batch) {
  std::vector<int32_t> rows;
  for (size_t i = 0; i < batch.weights.size(); ++i) {
    if (batch.weights[i] != 0) rows.push_back(static_cast<int32_t>(i));
  }
  return rows;
}

}  // namespace

Result<LossKind> loss_kind_from_name(std::string_view name) {
  for (const auto& [known, kind] : kNames) {
    if (known == name) return kind;
  }
  return make_error("\"{}\" is not a loss; sft, dpo, orpo and kto are", in_quotes(name));
}

std::string_view loss_kind_name(LossKind kind) { return kNames[static_cast<size_t>(kind)].first; }

std::vector<int64_t> segment_lengths(const PackedBatch& batch) {
  std::vector<int64_t> lengths;
  for (const PackedSegment& segment : batch.segments) lengths.push_back(segment.count);
  return lengths;
}

Status run_layers(TrainPass& pass, const PackedBatch& batch, Recording recording) {
  const auto lengths = segment_lengths(batch);
  return pass.forward({batch.tokens, lengths}, recording);
}

Result<std::vector<float>> target_logps(TrainPass& pass, const PackedBatch& batch, std::span<const float> weights,
                                        std::vector<uint8_t>* likeliest) {
  const auto rows = rows_with_loss(batch);
  std::vector<float> logps(rows.size());
  if (likeliest != nullptr) likeliest->assign(rows.size(), 0);
  size_t done = 0;
  const Recording recording = weights.empty() ? Recording::kOff : Recording::kOn;
  TRY(pass.head(rows, recording, [&](const HeadChunk& chunk) {
    Ops& ops = pass.ops();
    const int64_t vocabulary = chunk.logits.cols;
    const auto count = static_cast<int64_t>(chunk.rows.size());
    ops.team().parallel_for(count, count * vocabulary, [&](int64_t i, int) {
      const size_t at = done + static_cast<size_t>(i);
      const int32_t target = batch.targets[static_cast<size_t>(chunk.rows[static_cast<size_t>(i)])];
      float* gradient = recording == Recording::kOn ? chunk.gradients.row(i) : nullptr;
      const float* logits = chunk.logits.row(i);
      if (likeliest != nullptr) (*likeliest)[at] = *std::max_element(logits, logits + vocabulary) <= logits[target];
      const float weight = recording == Recording::kOn ? weights[at] : 0.0f;
      logps[at] = -ops.kernels().cross_entropy(logits, vocabulary, target, weight, gradient);
    });
    done += chunk.rows.size();
  }));
  return logps;
}

std::vector<AnswerScore> segment_scores(const PackedBatch& batch, std::span<const float> logps) {
  std::vector<AnswerScore> scores(batch.segments.size());
  size_t at = 0;
  for (size_t s = 0; s < batch.segments.size(); ++s) {
    const PackedSegment& segment = batch.segments[s];
    for (int32_t i = segment.first; i < segment.first + segment.count; ++i) {
      if (batch.weights[static_cast<size_t>(i)] == 0) continue;
      scores[s].logp += static_cast<double>(logps[at++]);
      ++scores[s].tokens;
    }
  }
  return scores;
}

PairLoss dpo_loss(const AnswerScore& chosen, const AnswerScore& rejected, double beta) {
  PairLoss out;
  out.margin = beta * ((chosen.logp - chosen.reference) - (rejected.logp - rejected.reference));
  out.loss = minus_log_sigmoid(out.margin);
  out.chosen = -beta * sigmoid(-out.margin);
  out.rejected = -out.chosen;
  return out;
}

// With l the mean log p of an answer: log odds = l - log(1 - e^l), whose derivative by l is 1 / (1 - e^l).
PairLoss orpo_loss(const AnswerScore& chosen, const AnswerScore& rejected, double beta) {
  const auto mean = [](const AnswerScore& answer) {
    // A sure answer has infinite odds: keep a little doubt, as the published code's log1p does by rounding.
    return std::min(answer.logp / static_cast<double>(std::max<int64_t>(1, answer.tokens)), -1e-9);
  };
  const double c = mean(chosen), r = mean(rejected);
  PairLoss out;
  out.margin = (c - std::log(-std::expm1(c))) - (r - std::log(-std::expm1(r)));
  const double push = -beta * sigmoid(-out.margin);  // d loss / d margin
  const auto tokens = [](const AnswerScore& answer) {
    return static_cast<double>(std::max<int64_t>(1, answer.tokens));
  };
  out.loss = -c + beta * minus_log_sigmoid(out.margin);
  out.chosen = (-1 + push / -std::expm1(c)) / tokens(chosen);
  out.rejected = -push / -std::expm1(r) / tokens(rejected);
  return out;
}

LabelLoss kto_loss(const AnswerScore& answer, bool desirable, double z, double beta, double weight) {
  const double sign = desirable ? 1 : -1;
  const double value = sigmoid(sign * (beta * (answer.logp - answer.reference) - z));
  return {weight * (1 - value), -weight * value * (1 - value) * sign * beta};
}

}  // namespace andiron
