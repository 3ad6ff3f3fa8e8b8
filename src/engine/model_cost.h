// What one token costs: the numbers that, with a machine's limits, say how fast a model can be. Found from a model's
// tensors and configuration, so that a model need not be loaded to be judged.
#pragma once

#include <cstdint>

#include "format/model_source.h"
#include "kernels/kernel_table.h"
#include "model/config.h"

namespace andiron {

struct ModelCost {
  uint64_t packed_bytes = 0;    // of all matrices as they are kept in memory
  uint64_t layer_bytes = 0;     // of the layers' matrices, what a token reads; of experts, those it uses
  uint64_t head_bytes = 0;      // of the output matrix
  uint64_t layer_products = 0;  // multiply-adds of a token in the layers' matrices
  uint64_t head_products = 0;

  uint64_t weight_bytes() const { return layer_bytes + head_bytes; }
};

ModelCost model_cost(const ModelSource& source, const ModelConfig& config);

// Bytes that the token after `position` others reads from memory: weights, and the keys and values of all positions
// (of a layer with a window, those in it).
uint64_t bytes_per_token(const ModelCost& cost, const ModelConfig& config, KvFormat format, int64_t position);

}  // namespace andiron
