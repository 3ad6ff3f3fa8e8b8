// Losses: what a packed batch costs under a model, and its gradient.
//
// Next-token cross-entropy is the mean of -log p over the tokens of an optimiser step, where those that are trained
// weigh 1 and the others of their rows the prompt loss weight, often 0 (Huerta-Enochian & Ko 2024, arXiv 2401.13586).
// Preferences, with p the model with its adapter, p0 the model without (one set of weights serves as both), and
// l = log p - log p0:
//
//   DPO   -log sigmoid(beta (l(chosen) - l(rejected)))                    Rafailov et al. 2023, arXiv 2305.18290
//   ORPO  -m(chosen) - beta log sigmoid(log odds(chosen) - log odds(rejected)), the odds those of m, the mean log p of
//         an answer's tokens                                              Hong et al. 2024, arXiv 2403.07691
//   KTO   w (1 - sigmoid(+-(beta l - z))), z the mean of beta l over answers to other prompts, not below 0
//                                                                         Ethayarajh et al. 2024, arXiv 2402.01306
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/packing.h"
#include "model/train_pass.h"

namespace andiron {

enum class LossKind : uint8_t { kNextToken, kDpo, kOrpo, kKto };
// "sft", "dpo", "orpo", "kto".
Result<LossKind> loss_kind_from_name(std::string_view name);
std::string_view loss_kind_name(LossKind kind);

// The lengths of a batch's segments, as TrainPass takes them.
std::vector<int64_t> segment_lengths(const PackedBatch& batch);
// Runs the layers over the batch.
Status run_layers(TrainPass& pass, const PackedBatch& batch, Recording recording);

// After run_layers: log p of every target that weighs something, in order of position. With weights (one for each of
// them), adds the gradient of the sum of -weights[i] * log p[i]; run_layers must then have recorded. `likeliest`, if
// given, gets by target 1 where no token is likelier.
Result<std::vector<float>> target_logps(TrainPass& pass, const PackedBatch& batch, std::span<const float> weights,
                                        std::vector<uint8_t>* likeliest = nullptr);

// What one answer of a preference has: the sum of its log p and how many tokens that is, under p and p0.
struct AnswerScore {
  double logp = 0, reference = 0;
  int64_t tokens = 0;
};
// Loss and what d loss / d log p (of the sum) is, for each answer.
struct PairLoss {
  double loss = 0, chosen = 0, rejected = 0;
  double margin = 0;  // DPO: beta times the difference; ORPO: the log odds ratio. Above 0 the chosen one is preferred.
};
PairLoss dpo_loss(const AnswerScore& chosen, const AnswerScore& rejected, double beta);
PairLoss orpo_loss(const AnswerScore& chosen, const AnswerScore& rejected, double beta);
struct LabelLoss {
  double loss = 0, answer = 0;
};
LabelLoss kto_loss(const AnswerScore& answer, bool desirable, double z, double beta, double weight);

// The sums of log p by segment: `logps` as target_logps gives them.
std::vector<AnswerScore> segment_scores(const PackedBatch& batch, std::span<const float> logps);

}  // namespace andiron
