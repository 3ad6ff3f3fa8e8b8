// Transformer: what every pass over a model is made of, whether it answers or learns: embedding, layers, head.
//
// Owns the activations of a batch of up to `rows` tokens; calls allocate nothing. One thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "model/block.h"
#include "model/model.h"
#include "model/weights.h"
#include "ops/ops.h"

namespace andiron {

struct Transformer {
  // All must outlive it. `weights`: model.weights(), or trained ones.
  Transformer(const Model& model, const Weights& weights, const KernelTable& kernels, ThreadTeam& team, int64_t rows);

  // The rows of the embedding, scaled, from the first of x on. A token outside the vocabulary is an Error.
  Status embed(std::span<const int32_t> tokens, Rows x);
  // Rows [first_row, first_row + count) stand at `position` and after it, in a context of `capacity`.
  void place(int64_t first_row, int64_t count, int64_t position, int64_t capacity);
  // One layer, in place; `segments` with that layer's caches.
  void layer(size_t i, std::span<const BatchSegment> segments, Rows x);
  // The final norm, in place.
  void norm(Rows hidden);
  // hidden [R, D], before that norm, which is overwritten, to logits [R, V]; logits.stride >= padded_columns(V).
  void head(Rows hidden, Rows logits);

  // The most inputs that any product has.
  static int64_t inputs_max(const ModelConfig& config);
  static uint64_t bytes_needed(const ModelConfig& config, int64_t rows, int threads);

  const Model& model;
  const ModelConfig& config;
  const Weights& weights;
  Ops ops;
  RunBuffers buffers;
  Buffer<float> rope_full;           // [T, half, 2]
  Buffer<float> rope_local;          // likewise; empty where layers share one table
  std::vector<uint8_t> row_scratch;  // for a source that has to build embedding rows
};

}  // namespace andiron
