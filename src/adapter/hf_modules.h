// Modules of Hugging Face models and layers of adapters: names and row orders.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "adapter/adapter.h"
#include "base/result.h"
#include "format/hf_config.h"

namespace andiron {

// A linear layer under both names.
struct HfModule {
  std::string layer;               // "blk.0.attn_q"
  std::string module;              // "model.layers.0.self_attn.q_proj"
  uint32_t interleaved_heads = 0;  // not 0: the rows of b and magnitude are in another order within each of so many
};

// The Errors also say which names adapters may change, and ask for the base model where its heads are needed.
Result<HfModule> module_to_layer(const Adapter& adapter, std::string_view module, std::string_view source);
Result<HfModule> layer_to_module(const Adapter& adapter, std::string_view layer, std::string_view source);

enum class RowOrder { kHuggingFace, kGguf };
// Turns `values` [n, width] into that order from the other one. An Error unless the rows can be split into the heads.
Result<std::vector<float>> turn_rows(const HfModule& module, std::vector<float> values, int64_t n, RowOrder wanted,
                                     std::string_view source);

}  // namespace andiron
