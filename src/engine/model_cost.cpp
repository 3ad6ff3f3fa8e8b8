#include "engine/model_cost.h"

#include <algorithm>

#include "kernels/packing.h"
#include "model/weights.h"

namespace andiron {

namespace {

struct Sum {
  double bytes = 0, products = 0;

  void add(const Linear& linear, double share = 1) {
    if (!linear) return;
    bytes += share * static_cast<double>(packed_bytes(linear.format, linear.n, linear.k));
    products += share * static_cast<double>(linear.n) * static_cast<double>(linear.k);
  }
};

}  // namespace

ModelCost model_cost(const Model& model) {
  const ExpertConfig& experts = model.config().experts;
  const double used = experts.count > 0 ? static_cast<double>(experts.used) / static_cast<double>(experts.count) : 1;
  Sum layers, head;
  for (const LayerWeights& layer : model.weights().layers) {
    for (const Linear* linear : {&layer.attn_q, &layer.attn_k, &layer.attn_v, &layer.attn_qkv, &layer.attn_output,
                                 &layer.ffn_gate, &layer.ffn_up, &layer.ffn_gate_up, &layer.ffn_down, &layer.router}) {
      layers.add(*linear);
    }
    for (const auto* list : {&layer.expert_gate, &layer.expert_up, &layer.expert_down}) {
      for (const Linear& linear : *list) layers.add(linear, used);
    }
  }
  head.add(model.weights().head);
  return {static_cast<uint64_t>(layers.bytes), static_cast<uint64_t>(head.bytes),
          static_cast<uint64_t>(layers.products), static_cast<uint64_t>(head.products)};
}

uint64_t bytes_per_token(const Model& model, KvFormat format, int64_t position) {
  const ModelConfig& config = model.config();
  const uint64_t per_layer = model.kv_bytes_per_position(format) / static_cast<uint64_t>(config.blocks);
  uint64_t bytes = model_cost(model).weight_bytes();
  for (const int64_t window : config.windows) {
    bytes += per_layer * static_cast<uint64_t>(window > 0 ? std::min(window, position) : position);
  }
  return bytes;
}

uint64_t scratch_bytes(const Model& model, int64_t rows) {
  const ModelConfig& c = model.config();
  const int64_t widest = std::max({c.width, c.query_width(), c.feed_forward, c.experts.width});
  // Activations in model/block.h, the quantised copy of one product's input in ops/ops.h.
  const int64_t floats = 4 * c.width + 2 * c.query_width() + 2 * c.kv_width() + 2 * c.feed_forward;
  return static_cast<uint64_t>(rows) * static_cast<uint64_t>(4 * floats + 7 * widest);
}

}  // namespace andiron
