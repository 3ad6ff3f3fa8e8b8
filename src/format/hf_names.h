// Tensor names of Hugging Face models, in GGUF's words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "format/hf_config.h"

namespace andiron {

enum class HfRole {
  kPlain,
  kQuery,   // q rows, and
  kKey,     // k rows: interleaved where the family asks for it
  kNorm,    // 1 is added where the family asks for it
  kExpert,  // one of `experts` that are stacked into a tensor of three dimensions
  kIgnored  // not a weight of the language model
};

struct HfName {
  std::string gguf;  // empty when ignored
  HfRole role = HfRole::kPlain;
  uint32_t expert = 0;
};

// An Error for a name that this family does not have: a weight left out in silence would give wrong answers.
Result<HfName> translate_hf_name(const HfConfig& config, std::string_view name, std::string_view source);

}  // namespace andiron
