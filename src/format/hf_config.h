// config.json of a Hugging Face folder, in GGUF's words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "format/model_source.h"

namespace andiron {

// What differs between the supported families on the way from Hugging Face to GGUF.
struct HfFamily {
  std::string_view gguf;        // "general.architecture"
  std::string_view model_type;  // config.json's, for configs without "architectures"
  std::string_view classes;     // config.json's "architectures", each between spaces
  bool permutes_qk = false;     // GGUF keeps q and k rows interleaved for rotary pairs
  bool shifts_norms = false;    // norm weights are stored without the 1 that is added when they are used
  bool is_gemma = false;        // four norms a layer, tied embeddings and defaults for most numbers
  bool has_qk_norm = false;     // a norm on each head of q and k
  bool has_experts = false;
  bool is_fused = false;  // q, k, v in one matrix, gate and up in another
};

// The family of a "general.architecture"; nullptr for one that is not supported.
const HfFamily* find_hf_family(std::string_view gguf);

constexpr uint32_t kHfBlocksMax = 512;    // llama.cpp's LLAMA_MAX_LAYERS
constexpr uint32_t kHfExpertsMax = 1024;  // more than twice the largest model's

// A tensor that the config stands for, with its values.
struct HfComputedTensor {
  std::string name;
  std::vector<float> values;
};

struct HfConfig {
  const HfFamily* family = nullptr;  // static
  uint32_t blocks = 0;               // 1 to 512
  uint32_t heads = 0;                // at least 1
  uint32_t heads_kv = 0;             // at least 1
  uint32_t experts = 0;              // 0: dense
  uint32_t vocabulary = 0;           // 0: not stated
  bool tied = false;                 // the output matrix is the embedding
  std::vector<MetaEntry> metadata;   // all keys that begin with the architecture's name
  std::vector<HfComputedTensor> computed;
};

Result<HfConfig> read_hf_config(const Json& config, std::string_view source);

}  // namespace andiron
