// Trainer: optimiser steps over rows of tokens.
//
//   TRY_ASSIGN(auto trainer, Trainer::create(pass, std::move(subject), data, options, team));
//   while (!trainer->done()) TRY_ASSIGN(const StepReport report, trainer->step());
//
// Everything that is random depends on (seed, step, position) alone, so a run is taken up again by restoring the
// parameters, the optimiser and go_on(). The numbers are the same for any number of threads. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"
#include "data/packing.h"
#include "data/row_source.h"
#include "data/token_row.h"
#include "model/train_pass.h"
#include "train/losses.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/score.h"

namespace andiron {

// What is trained: an adapter, or all of a model.
struct TrainSubject {
  std::vector<Parameter> parameters;
  std::function<void()> repack;        // after the parameters have changed
  const DeltaTable* deltas = nullptr;  // of an adapter, without which the pass is the base; null: all of a model
};

struct TrainerOptions {
  LossKind loss = LossKind::kNextToken;
  PromptLoss prompt_loss;       // of the next-token loss, in steps; what is measured has none
  double beta = 0.1;            // of DPO, ORPO and KTO
  int64_t sequences = 4;        // of one optimiser step, over all its passes
  PackOptions packing;          // seq_len, order, seed
  int64_t rows_per_pass = 512;  // positions that run together; at least one sequence does
  Schedule schedule;
  OptimizerOptions optimizer;
  double neftune_alpha = 0;  // noise on embeddings (TrainPass::add_noise); 0: none
  // Against forgetting: weight * KL(base || trained) on some general rows a step, at least one and, at that, no more
  // than run together or than an eighth of the step. Of a conversation its answers count, which are what is to stay as
  // it is; of a text every second token.
  double kl_weight = 0;
  uint64_t seed = 0;
};

struct TrainData {
  const TokenRows* train = nullptr;     // not empty; rows fit packing.seq_len, but for pairs
  const TokenRows* held_out = nullptr;  // may be empty
  const TokenRows* general = nullptr;   // plain rows; may be null: then there is no KL
  RowSource* source = nullptr;          // instead of `train`: plain rows for the next-token loss, packed already
};

struct StepReport {
  int64_t step = 0;   // 1 for the first
  double loss = 0;    // mean over the step's tokens by their weights, or over its pairs or answers
  double kl = 0;      // before its weight
  double margin = 0;  // of preferences, mean
  double rate = 0;
  double gradient_norm = 0;
  int64_t tokens = 0;  // positions of the step, KL's not counted
  double seconds = 0;
};

class Trainer {
 public:
  // `pass` must have room for rows_per_pass, for the longest sequence, and for the longest pair. All must outlive it.
  static Result<std::unique_ptr<Trainer>> create(TrainPass& pass, TrainSubject subject, const TrainData& data,
                                                 const TrainerOptions& options, ThreadTeam& team);

  // One optimiser step. An Error when the loss or the gradient is not finite: nothing has changed then; the message
  // names the step and the rows.
  Result<StepReport> step();
  bool done() const { return step_ >= options_.schedule.steps; }

  // The loss of rows under the model as it is, nothing recorded. `progress` gets the positions done so far, and
  // says whether to go on: if not, an Error.
  Result<Measure> measure(const TokenRows& rows, const std::function<bool(int64_t)>& progress = {});

  Optimizer& optimizer() { return optimizer_; }
  int64_t steps_done() const { return step_; }
  int64_t data_position() const { return position_; }  // sequences consumed, over all epochs
  // As if so much had been done; parameters and optimiser are restored by the caller.
  void go_on(int64_t step, int64_t data_position);

  // The most positions that must run together: what a pass has to have room for.
  static int64_t rows_needed(const TrainData& data, const TrainerOptions& options);

 private:
  struct PassLoss {
    double loss = 0, margin = 0;
    int64_t tokens = 0;
  };
  Trainer(TrainPass& pass, TrainSubject subject, const TrainData& data, const TrainerOptions& options,
          ThreadTeam& team);
  PackedBatch pack(const TokenRows& rows, std::span<const uint32_t> indexes, const PromptLoss& prompts = {}) const;
  Result<PassLoss> next_token_pass(const PackedBatch& batch, double share);
  Result<PassLoss> preference_pass(const TokenRows& rows, std::span<const uint32_t> indexes, double weight,
                                   Recording recording, int64_t* right);
  Result<std::vector<AnswerScore>> scores(const PackedBatch& batch, Recording recording);
  Result<double> mismatch(const TokenRows& rows, std::span<const uint32_t> indexes);
  struct Pulled;
  Pulled pulled(int64_t room) const;
  Result<double> forgetting(int64_t step_positions);
  Status not_finite(std::span<const uint64_t> rows) const;

  TrainPass& pass_;
  TrainSubject subject_;
  TrainData data_;
  TrainerOptions options_;
  int64_t rows_needed_;
  Optimizer optimizer_;
  int64_t step_ = 0, position_ = 0;
  std::unique_ptr<RowSource> own_source_;  // over data_.train
  RowSource* source_;
  std::vector<float> base_probabilities_;  // of the KL
};

}  // namespace andiron
