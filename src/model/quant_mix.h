// Which number format each tensor of a model gets when the model is quantised.
//
// A "type" is what people ask for: "Q8_0" gives nearly every matrix that format, "Q4_K_M" is a recipe that spends more
// bits on the tensors that suffer most. The recipes are those of llama.cpp (src/llama-quant.cpp), so that a
// file made here has the size and the quality people expect from its name.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/model_source.h"
#include "tensor/dtype.h"

namespace andiron {

enum class QuantRecipe : uint8_t {
  kPlain,
  kQ2_K,
  kQ2_K_S,
  kQ3_K_S,
  kQ3_K_M,
  kQ3_K_L,
  kQ4_K_S,
  kQ4_K_M,
  kQ5_K_S,
  kQ5_K_M
};

struct QuantType {
  std::string_view name;  // "Q4_K_M"
  DType base;             // what most matrices get
  QuantRecipe recipe;
  uint32_t file_type;  // GGUF's general.file_type (llama.h, enum llama_ftype)
};

std::span<const QuantType> all_quant_types();
// Case does not matter; "Q3_K", "Q4_K" and "Q5_K" mean the _M recipe. An Error lists the names.
Result<QuantType> quant_type_from_name(std::string_view name);

// The name of the type that a model's general.file_type says it is; where it says none, the number format of most of
// its weights.
std::string_view file_type_name(const ModelSource& source);

// What the recipes need to know of the model.
struct QuantContext {
  int64_t layers = 0;
  int64_t heads_per_kv_head = 1;
  int64_t experts = 0;
  bool tied_head = false;       // no output.weight: the embedding is also the head
  bool has_importance = false;  // an importance matrix is at hand
};
// Read from the metadata of the source; missing keys count as the plain case.
QuantContext quant_context(const ModelSource& source);

struct TensorPlan {
  DType dtype = DType::kF32;
  // Set when the wanted format needs rows of a multiple of 256 (or 32) columns and this tensor has others.
  std::optional<DType> fell_back_from;
};

// `pure`: every matrix in type.base, whatever the recipe says (fallbacks still happen).
TensorPlan plan_tensor(const TensorInfo& tensor, const QuantType& type, const QuantContext& context, bool pure = false);

}  // namespace andiron
