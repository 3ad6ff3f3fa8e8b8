// Forward: runs a model over tokens. The one forward pass, whatever the family, the batch or the machine.
//
// A Forward owns every activation, sized when it is created; run() allocates nothing but the caches' pages. The logits
// of a token are the same bits whatever else is in the batch, however the prompt was cut into runs, and however many
// threads the team has. One thread at a time; the team's other threads work inside run() only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "base/thread_team.h"
#include "kernels/kernel_table.h"
#include "model/kv_cache.h"
#include "model/model.h"
#include "ops/ops.h"

namespace andiron {

// Whose logits a run computes: of no token, of the last one of the sequence's tokens, or of all. kHidden: of none, but
// the hidden states of all, which need no room among the rows of logits.
enum class LogitRows : uint8_t { kNone, kLast, kAll, kHidden };

// The next tokens of one sequence. They take the positions from cache->length() on.
struct Sequence {
  KvCache* cache = nullptr;
  std::span<const int32_t> tokens;
  LogitRows logits = LogitRows::kLast;
  // The adapters this sequence wears (model/adapter_weights.h); null: none. Sequences of a batch may wear different
  // ones; those that wear the same are faster side by side. What the cache holds must have been computed with the same.
  const DeltaTable* deltas = nullptr;
};

struct ForwardLimits {
  // Tokens in one run, all sequences together: what a prompt is cut into. More is faster up to some hundred and costs
  // memory: about 4 * (4 D + 3 F) bytes each.
  int64_t rows = 512;
  // Rows of logits in one run; 4 V bytes each. At least the number of sequences in a batch.
  int64_t logit_rows = 64;
  int64_t sequences = 64;
};

class Forward {
 public:
  // What create() allocates, about.
  static uint64_t bytes_needed(const ModelConfig& config, const ForwardLimits& limits, int threads);
  // `model`, `kernels` and `team` must outlive it. Fails when a limit is below 1, when the buffers would take more than
  // 8 GiB, or when memory is out.
  static Result<std::unique_ptr<Forward>> create(const Model& model, const KernelTable& kernels, ThreadTeam& team,
                                                 const ForwardLimits& limits = {});
  ~Forward();
  Forward(const Forward&) = delete;
  Forward& operator=(const Forward&) = delete;

  const ForwardLimits& limits() const;
  // From now on `observer` sees the input of every linear layer (ops/ops.h).
  void observe(LinearObserver observer);

  // Computes the logits asked for, appends keys and values, and moves every cache's length on. On an Error (a token
  // outside the vocabulary, a full cache, no memory for its pages, too many rows, a model file that was cut short or
  // changed) no length has moved. A cache may occur only once in a batch and must have been created for this model.
  Status run(std::span<const Sequence> batch);

  // Of the last run, valid until the next: rows [R, V], those of the first sequence first. The caller may change them.
  Rows logits() const;
  // Those of one sequence of the batch.
  Rows logits(size_t sequence) const;
  // Of a sequence of the last run that asked for kHidden: its hidden states [R, D] behind the final norm, from which
  // logits would be made. Valid until the next run. No rows for other sequences.
  Rows hidden(size_t sequence) const;

 private:
  struct State;
  explicit Forward(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace andiron
