// What the Gemma families share.
#pragma once

#include <cmath>

#include "model/config_reader.h"

namespace andiron {

// Embeddings are multiplied by sqrt(D). The 27B models, told by their number of layers, scale scores by the width over
// the heads instead of the head's own size (llama.cpp, src/models/gemma2.cpp and gemma3.cpp), unless the file says.
inline void gemma_scales(const ConfigReader& in, int64_t blocks_of_27b, ModelConfig& config) {
  config.embedding_scale = std::sqrt(static_cast<float>(config.width));
  if (config.blocks != blocks_of_27b || in.has("attention.scale")) return;
  config.attention_scale = 1 / std::sqrt(static_cast<float>(config.width / config.heads));
}

}  // namespace andiron
