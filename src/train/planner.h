// Plans a run before it begins: how many steps of which size, how long they take and how much memory, so that a budget
// of time holds; and says so in plain lines. The length of sequences and the layout of a pass are chosen before it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/memory_estimate.h"

namespace andiron {

// Time of a token's forward, of its whole training.
inline constexpr double kForwardShare = 0.3;

struct PlanInput {
  int64_t rows = 0;            // to train on
  int64_t tokens = 0;          // the positions that they take
  int64_t trained_tokens = 0;  // of them with a loss, one pass
  int64_t sequences = 0;       // that they make, as the trainer plans an epoch
  int64_t held_out_tokens = 0;
  double tokens_per_s = 0;    // measured; 0: unknown
  double budget_seconds = 0;  // left for training; 0: none. Needs tokens_per_s.
  MemoryInput memory;
  int64_t sequence_length = 0;
  // What the person has asked for is kept, or the plan is an Error.
  std::optional<int64_t> steps, batch, grad_accum;
  std::optional<double> epochs;
  // What a model has written to know by heart, few short rows: more passes than other data is worth.
  bool by_heart = false;
};

struct Plan {
  int64_t batch = 0;       // sequences of a micro-batch
  int64_t grad_accum = 0;  // micro-batches of a step
  int64_t steps = 0;
  double epochs = 0;           // may be a part of one
  int64_t held_out_every = 0;  // steps between measurements of the held-out loss
  double seconds = 0;          // expected; 0: unknown
  MemoryEstimate memory;
  std::vector<std::string> lines;  // for people
};

// An Error when the budget has not room for one step, or not for what was asked for.
Result<Plan> plan_run(const PlanInput& input);

}  // namespace andiron
