// TrainPass: a model's forward over whole sequences, and its backward. The layers are the ones that answer: the
// family's functions over the same ops, with a tape.
//
//   TRY(pass->forward(batch, Recording::kOn));                 // layers
//   TRY(pass->head(rows, [&](const HeadChunk& chunk) {...}));  // logits and their gradients, some rows at a time
//   pass->backward();                                          // gradients of all that tape() tracks
//
// Between recomputing and remembering (Chen et al. 2016, arXiv 1604.06174): the first `checkpointed` layers keep only
// their input and are run again in backward(); the others keep what their backward reads. The numbers are the same.
// Sequences of a batch stand behind one another, each from position 0, and do not see each other.
// One thread at a time; the team's other threads work inside the calls.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/result.h"
#include "base/thread_team.h"
#include "kernels/kernel_table.h"
#include "model/model.h"
#include "model/weights.h"
#include "ops/ops.h"
#include "ops/parameter.h"
#include "ops/tape.h"

namespace andiron {

struct TrainLimits {
  int64_t rows = 512;        // tokens of a batch, all sequences together
  int64_t checkpointed = 0;  // layers, from the first, that are run again; more than there are means all
};

struct TrainBatch {
  std::span<const int32_t> tokens;    // [T]
  std::span<const int64_t> segments;  // lengths of the sequences; their sum is T
};

enum class Recording : uint8_t { kOff, kOn };

// Logits [R, V] of some rows. With recording on, `gradients` [R, V] lie in the same memory: they take the place of the
// logits, all of them, and go backward.
struct HeadChunk {
  std::span<const int32_t> rows;  // of the batch
  Rows logits;
  Rows gradients;  // data == nullptr with recording off
};

class TrainPass {
 public:
  // All must outlive it. `weights`: model.weights(), or trained ones (model/float_weights.h).
  static Result<std::unique_ptr<TrainPass>> create(const Model& model, const Weights& weights,
                                                   const KernelTable& kernels, ThreadTeam& team,
                                                   const TrainLimits& limits);
  // What it will take at most: buffers and their gradients, what the tape keeps, a chunk of logits. Not counted: the
  // numbers that are trained and their gradients.
  static uint64_t bytes_needed(const Model& model, const TrainLimits& limits, int threads);
  // The fewest layers that must be checkpointed for that to fit `memory`; all where it never does.
  static int64_t checkpointed_within(uint64_t memory, const Model& model, int64_t rows, int threads);
  // What the tape keeps of one token in one layer that is not checkpointed, and in one that is.
  static uint64_t bytes_kept(const ModelConfig& config);
  static uint64_t bytes_checkpointed(const ModelConfig& config);

  ~TrainPass();
  TrainPass(const TrainPass&) = delete;
  TrainPass& operator=(const TrainPass&) = delete;

  // Parameters join by track(): whose gradients backward() adds to.
  void track(std::span<const Parameter> parameters);
  // All that have joined leave.
  void forget();
  Ops& ops();
  const ModelConfig& config() const;
  // What the rows of the next passes wear; null: nothing. Not owned.
  void wear(const DeltaTable* deltas);

  // The layers. A token outside the vocabulary, or too many: an Error.
  Status forward(const TrainBatch& batch, Recording recording);
  // The logits of `rows` of the last forward(), ascending, some at a time, each chunk handed to f. May be called more
  // than once; with recording on, all gradients add up.
  Status head(std::span<const int32_t> rows, Recording recording, const std::function<void(const HeadChunk&)>& f);
  // After forward() with recording on.
  void backward();

  // Numbers added to the embeddings of the next forward() that records (NEFTune: Jain et al. 2023, arXiv 2310.05914):
  // uniform in +- alpha / sqrt(T D), T the length of the row's sequence; from `seed`. 0: none.
  void add_noise(double alpha, uint64_t seed);

  uint64_t bytes() const;  // held now

 private:
  struct State;
  explicit TrainPass(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace andiron
