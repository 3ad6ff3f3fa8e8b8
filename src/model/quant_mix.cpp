#include "model/quant_mix.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>

#include "base/strings.h"

namespace andiron {

namespace {

// file_type numbers: llama.h, enum llama_ftype.
constexpr std::array kTypes = {
    QuantType{"F32", DType::kF32, QuantRecipe::kPlain, 0},
    QuantType{"F16", DType::kF16, QuantRecipe::kPlain, 1},
    QuantType{"BF16", DType::kBF16, QuantRecipe::kPlain, 32},
    QuantType{"Q8_0", DType::kQ8_0, QuantRecipe::kPlain, 7},
    QuantType{"Q6_K", DType::kQ6_K, QuantRecipe::kPlain, 18},
    QuantType{"Q5_K_M", DType::kQ5_K, QuantRecipe::kQ5_K_M, 17},
    QuantType{"Q5_K_S", DType::kQ5_K, QuantRecipe::kQ5_K_S, 16},
    QuantType{"Q5_1", DType::kQ5_1, QuantRecipe::kPlain, 9},
    QuantType{"Q5_0", DType::kQ5_0, QuantRecipe::kPlain, 8},
    QuantType{"Q4_K_M", DType::kQ4_K, QuantRecipe::kQ4_K_M, 15},
    QuantType{"Q4_K_S", DType::kQ4_K, QuantRecipe::kQ4_K_S, 14},
    QuantType{"Q4_1", DType::kQ4_1, QuantRecipe::kPlain, 3},
    QuantType{"Q4_0", DType::kQ4_0, QuantRecipe::kPlain, 2},
    QuantType{"IQ4_NL", DType::kIQ4_NL, QuantRecipe::kPlain, 25},
    QuantType{"IQ4_XS", DType::kIQ4_XS, QuantRecipe::kPlain, 30},
    QuantType{"Q3_K_L", DType::kQ3_K, QuantRecipe::kQ3_K_L, 13},
    QuantType{"Q3_K_M", DType::kQ3_K, QuantRecipe::kQ3_K_M, 12},
    QuantType{"Q3_K_S", DType::kQ3_K, QuantRecipe::kQ3_K_S, 11},
    QuantType{"Q2_K", DType::kQ2_K, QuantRecipe::kQ2_K, 10},
    QuantType{"Q2_K_S", DType::kQ2_K, QuantRecipe::kQ2_K_S, 21},
};

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// The N of "blk.N.", or -1.
int64_t layer_of(std::string_view name) {
  if (!name.starts_with("blk.")) return -1;
  name.remove_prefix(4);
  const auto number = parse_int(name.substr(0, name.find('.')), "layer");
  return number.ok() ? *number : -1;
}

// Norms, biases, the router of the experts and everything one-dimensional keep their numbers.
bool is_matrix_to_quantise(const TensorInfo& tensor) {
  return tensor.shape.size() >= 2 && tensor.name.ends_with("weight") && !contains(tensor.name, "_norm.weight") &&
         !contains(tensor.name, "ffn_gate_inp.weight");
}

// The first and last eighth of the layers and every third between: the layers on which errors cost most.
bool deserves_more_bits(int64_t layer, int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

DType value_format(const QuantType& type, const QuantContext& c, int64_t layer) {
  if (c.experts == 8) return DType::kQ8_0;
  const bool shared = c.heads_per_kv_head >= 4;  // small tensors on which much depends
  switch (type.recipe) {
    case QuantRecipe::kQ2_K: return shared ? DType::kQ4_K : DType::kQ3_K;
    case QuantRecipe::kQ2_K_S: return shared ? DType::kQ4_K : type.base;
    case QuantRecipe::kQ3_K_M: return layer < 2 ? DType::kQ5_K : DType::kQ4_K;
    case QuantRecipe::kQ3_K_L: return DType::kQ5_K;
    case QuantRecipe::kQ4_K_S: return layer < 4 ? DType::kQ5_K : type.base;
    case QuantRecipe::kQ4_K_M:
    case QuantRecipe::kQ5_K_M: return deserves_more_bits(layer, c.layers) ? DType::kQ6_K : type.base;
    default: break;
  }
  const bool iq4 = type.base == DType::kIQ4_NL || type.base == DType::kIQ4_XS;
  return iq4 && shared ? DType::kQ5_K : type.base;
}

DType qkv_format(const QuantType& type, const QuantContext& c, int64_t layer) {
  switch (type.recipe) {
    case QuantRecipe::kQ3_K_L: return DType::kQ5_K;
    case QuantRecipe::kQ4_K_M:
    case QuantRecipe::kQ5_K_M: return deserves_more_bits(layer, c.layers) ? DType::kQ6_K : type.base;
    default: return value_format(type, c, layer);
  }
}

DType down_format(const QuantType& type, const QuantContext& c, int64_t layer) {
  const bool early = layer < c.layers / 8;
  switch (type.recipe) {
    case QuantRecipe::kQ2_K: return DType::kQ3_K;
    case QuantRecipe::kQ2_K_S: return early ? DType::kQ4_K : type.base;
    case QuantRecipe::kQ3_K_M: return layer < c.layers / 16 ? DType::kQ5_K : DType::kQ4_K;
    case QuantRecipe::kQ3_K_L: return DType::kQ5_K;
    case QuantRecipe::kQ4_K_S: return early ? DType::kQ5_K : type.base;
    case QuantRecipe::kQ4_K_M:
    case QuantRecipe::kQ5_K_M: return deserves_more_bits(layer, c.layers) ? DType::kQ6_K : type.base;
    default: break;
  }
  if (!early) return type.base;
  if (!c.has_importance && (type.base == DType::kIQ4_NL || type.base == DType::kIQ4_XS)) return DType::kQ5_K;
  if (c.has_importance && type.base == DType::kQ4_0) return DType::kQ4_1;
  if (c.has_importance && type.base == DType::kQ5_0) return DType::kQ5_1;
  return type.base;
}

DType attention_output_format(const QuantType& type, const QuantContext& c) {
  const bool small = type.base == DType::kQ2_K || type.base == DType::kQ3_K || type.base == DType::kQ4_K ||
                     type.base == DType::kIQ4_NL || type.base == DType::kIQ4_XS;
  if (c.experts == 8) return small ? DType::kQ5_K : type.base;
  switch (type.recipe) {
    case QuantRecipe::kQ2_K: return DType::kQ3_K;
    case QuantRecipe::kQ3_K_M: return DType::kQ4_K;
    case QuantRecipe::kQ3_K_L: return DType::kQ5_K;
    default: return type.base;
  }
}

DType wanted_format(const TensorInfo& tensor, const QuantType& type, const QuantContext& c) {
  const std::string& name = tensor.name;
  const int64_t layer = layer_of(name);
  if (name == "output.weight" || (c.tied_head && name == "token_embd.weight")) {
    if (tensor.columns() % dtype_info(type.base).block_elements != 0) return DType::kQ8_0;
    return type.base == DType::kQ8_0 ? DType::kQ8_0 : DType::kQ6_K;
  }
  if (contains(name, "attn_qkv.weight")) return qkv_format(type, c, layer);
  if (contains(name, "attn_v.weight")) return value_format(type, c, layer);
  if (contains(name, "attn_k.weight")) return c.experts == 8 ? DType::kQ8_0 : type.base;
  if (contains(name, "ffn_down")) return down_format(type, c, layer);
  if (contains(name, "attn_output.weight")) return attention_output_format(type, c);
  return type.base;
}

// The nearest format with blocks of 32, or F16 where even those do not fit.
DType fallback_format(DType wanted, uint64_t columns) {
  if (columns % 32 != 0) return DType::kF16;
  switch (wanted) {
    case DType::kQ2_K:
    case DType::kQ3_K:
    case DType::kIQ4_XS: return DType::kIQ4_NL;
    case DType::kQ4_K: return DType::kQ5_0;
    case DType::kQ5_K: return DType::kQ5_1;
    default: return DType::kQ8_0;
  }
}

}  // namespace

std::span<const QuantType> all_quant_types() { return kTypes; }

Result<QuantType> quant_type_from_name(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (upper == "Q3_K" || upper == "Q4_K" || upper == "Q5_K") upper += "_M";
  std::string names;
  for (const QuantType& type : kTypes) {
    if (type.name == upper) return type;
    names += (names.empty() ? "" : " ") + std::string(type.name);
  }
  return make_error("type \"{}\" is not known; expected one of: {}", in_quotes(name), names);
}

std::string_view file_type_name(const ModelSource& source) {
  const auto number = source.meta_int("general.file_type", -1);
  for (const QuantType& type : kTypes) {
    if (number.ok() && *number == static_cast<int64_t>(type.file_type)) return type.name;
  }
  std::map<DType, uint64_t> elements;
  for (const TensorInfo& tensor : source.tensors()) elements[tensor.dtype] += tensor.elements;
  const auto most = std::max_element(elements.begin(), elements.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == elements.end() ? "" : dtype_info(most->first).name;
}

QuantContext quant_context(const ModelSource& source) {
  QuantContext c;
  const auto architecture = source.meta_text("general.architecture", "");
  const std::string prefix = architecture.ok() ? std::string(*architecture) : "";
  const auto number = [&](std::string_view key, int64_t fallback) {
    const auto value = source.meta_int(prefix + std::string(key), fallback);
    return value.ok() ? *value : fallback;
  };
  c.layers = number(".block_count", 0);
  const int64_t heads = number(".attention.head_count", 1);
  const int64_t kv_heads = number(".attention.head_count_kv", heads);
  c.heads_per_kv_head = kv_heads > 0 ? heads / kv_heads : 1;
  c.experts = number(".expert_count", 0);
  c.tied_head = source.find_tensor("output.weight") == nullptr;
  return c;
}

TensorPlan plan_tensor(const TensorInfo& tensor, const QuantType& type, const QuantContext& context, bool pure) {
  TensorPlan plan;
  if (!is_matrix_to_quantise(tensor)) {
    // Small: kept exactly, and one-dimensional ones are always F32 in GGUF files.
    plan.dtype = tensor.shape.size() == 1 || !dtype_info(tensor.dtype).is_float ? DType::kF32 : tensor.dtype;
    return plan;
  }
  plan.dtype = dtype_info(type.base).is_float || pure ? type.base : wanted_format(tensor, type, context);
  if (tensor.columns() % dtype_info(plan.dtype).block_elements != 0) {
    plan.fell_back_from = plan.dtype;
    plan.dtype = fallback_format(plan.dtype, tensor.columns());
  }
  return plan;
}

}  // namespace andiron
