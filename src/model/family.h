// Family: one architecture. Each is one short file that says how its weights are found and what a layer computes.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "model/block.h"
#include "model/config_reader.h"
#include "model/weights.h"

namespace andiron {

struct Family {
  std::string_view name;  // GGUF's "general.architecture"
  // What this family sets beyond the keys that all share.
  Status (*read_config)(const ConfigReader& in, ModelConfig& config);
  Status (*load_layer)(LayerLoader& in, LayerWeights& out);
  // One layer, in place: x [T, D].
  void (*layer)(const Block& block, Rows x);
};

// Llama's layer, which others compute too, from weights found elsewhere (llama.cpp).
void llama_layer(const Block& block, Rows x);

std::span<const Family* const> all_families();
// Null when there is none of this name.
const Family* find_family(std::string_view name);

}  // namespace andiron
