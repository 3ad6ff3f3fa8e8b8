// A mixture of experts: each token's feed-forward is a weighted sum over a few of many small ones.
#pragma once

#include <cstdint>

#include "base/buffer.h"
#include "model/config.h"
#include "model/weights.h"
#include "ops/ops.h"

namespace andiron {

struct MixtureBuffers {
  MixtureBuffers() = default;
  MixtureBuffers(const ModelConfig& config, int64_t rows);

  Buffer<float> scores;    // [T, E]
  Buffer<int32_t> chosen;  // [T, used] experts, best first
  Buffer<float> share;     // [T, used] their weights
  Buffer<int32_t> begin;   // [E + 1] where each expert's rows begin
  Buffer<float> gathered;  // [T * used, D] inputs, by expert
  Buffer<float> hidden;    // [T * used, 2 F]
  Buffer<float> outputs;   // [T * used, D] by expert
  Buffer<int32_t> place;   // [T * used] where the row of a slot (token * used + rank) stands
};

// y [T, D]. Scores are softmax(router x) over all experts; the best `used` take part (ties: the lower number), their
// weights divided by their sum where config says so (Shazeer et al. 2017, arXiv 1701.06538; Qwen 3's order of softmax,
// choice and division). A token's outputs are added in the order of rank, whatever else is in the batch.
void mixture_of_experts(Ops& ops, const ModelConfig& config, const LayerWeights& weights, MixtureBuffers& buffers,
                        Rows x, Rows y);

}  // namespace andiron
