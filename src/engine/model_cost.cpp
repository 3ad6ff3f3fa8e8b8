#include "engine/model_cost.h"

#include <algorithm>

#include "kernels/packing.h"
#include "model/kv_cache.h"

namespace andiron {

ModelCost model_cost(const ModelSource& source, const ModelConfig& config) {
  const ExpertConfig& experts = config.experts;
  const double used = experts.count > 0 ? static_cast<double>(experts.used) / static_cast<double>(experts.count) : 1;
  const bool tied = source.find_tensor("output.weight") == nullptr;
  ModelCost cost;
  double layer_bytes = 0, layer_products = 0;
  for (const TensorInfo& tensor : source.tensors()) {
    const bool embedding = tensor.name == "token_embd.weight";
    if (tensor.shape.size() < 2 || (embedding && !tied)) continue;  // of an embedding, a token reads one row
    const uint64_t bytes = andiron::packed_bytes(packed_format(tensor.dtype), static_cast<int64_t>(tensor.rows()),
                                                 static_cast<int64_t>(tensor.columns()));
    cost.packed_bytes += bytes;
    if (embedding || tensor.name == "output.weight") {
      cost.head_bytes = bytes;
      cost.head_products = tensor.elements;
    } else {
      const double share = tensor.shape.size() == 3 ? used : 1;
      layer_bytes += share * static_cast<double>(bytes);
      layer_products += share * static_cast<double>(tensor.elements);
    }
  }
  cost.layer_bytes = static_cast<uint64_t>(layer_bytes);
  cost.layer_products = static_cast<uint64_t>(layer_products);
  return cost;
}

uint64_t bytes_per_token(const ModelCost& cost, const ModelConfig& config, KvFormat format, int64_t position) {
  const uint64_t per_layer = kv_bytes_per_position(config, format) / static_cast<uint64_t>(config.blocks);
  uint64_t bytes = cost.weight_bytes();
  for (const int64_t window : config.windows) {
    bytes += per_layer * static_cast<uint64_t>(window > 0 ? std::min(window, position) : position);
  }
  return bytes;
}

}  // namespace andiron
