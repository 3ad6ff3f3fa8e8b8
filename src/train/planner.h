// Plans a run before it begins: how many steps of which size, how long they take and how much memory, so that a budget
// of time holds; and says so in plain lines.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace andiron {

// What the memory of training depends on. D width, F feed-forward width, V vocabulary: letters of ops/ops.h.
struct MemoryShape {
  uint64_t weight_bytes = 0;  // packed base
  int64_t layers = 0, width = 0, query_width = 0, kv_width = 0, feed_forward = 0, vocabulary = 0;
  int64_t parameters = 0;     // trained numbers
  int64_t adapter_rank = 0;   // 0: full training
  bool state_8bit = false;    // of the optimiser
  bool checkpointing = true;  // only the input of each block is kept, and one block at a time is done again
  int64_t logits_rows = 128;  // rows of logits that exist at a time
  int64_t threads = 1;
};

struct MemoryEstimate {
  uint64_t weights = 0;
  uint64_t parameters = 0;  // master values
  uint64_t gradients = 0;
  uint64_t optimizer = 0;
  uint64_t activations = 0;
  uint64_t logits = 0;
  uint64_t scratch = 0;  // of threads, and what any process takes
  uint64_t total() const { return weights + parameters + gradients + optimizer + activations + logits + scratch; }
};
// `tokens`: rows of one micro-batch (batch times sequence length).
MemoryEstimate estimate_memory(const MemoryShape& shape, int64_t tokens);
// Bytes of activations that each token of a micro-batch takes.
uint64_t activation_bytes_per_token(const MemoryShape& shape);

struct PlanInput {
  std::span<const int32_t> row_tokens;  // the length of each training row
  int64_t trained_tokens = 0;           // of them with a loss, one pass
  int64_t held_out_tokens = 0;
  int64_t context = 0;        // of the model
  double tokens_per_s = 0;    // measured; 0: unknown
  double budget_seconds = 0;  // left for training; 0: none
  uint64_t memory_bytes = 0;  // that may be used; 0: no limit
  MemoryShape memory;
  // What the person has asked for is not changed.
  std::optional<int64_t> steps, sequence_length, batch, grad_accum;
  std::optional<double> epochs;
};

struct Plan {
  int64_t sequence_length = 0;
  int64_t batch = 0;       // sequences of a micro-batch
  int64_t grad_accum = 0;  // micro-batches of a step
  int64_t steps = 0;
  double epochs = 0;           // may be a part of one
  int64_t sequences = 0;       // packed, one pass (an estimate)
  int64_t rows_too_long = 0;   // longer than sequence_length
  int64_t held_out_every = 0;  // steps between measurements of the held-out loss
  double seconds = 0;          // expected; 0: unknown
  MemoryEstimate memory;
  std::vector<std::string> lines;  // for people
};
// An Error when no plan fits the memory, the budget has not room for one step, or what was asked for cannot be had.
Result<Plan> plan_run(const PlanInput& input);

// "45m", "2h", "90s", "1h30m", "1.5h": seconds, more than 0.
Result<double> parse_duration(std::string_view text, std::string_view what);
// "22:30": seconds from `now` (since 1970) until the local clock next shows that, 1 second to a day and an hour.
Result<double> seconds_until(std::string_view text, int64_t now, std::string_view what);

}  // namespace andiron
