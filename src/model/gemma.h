// What the Gemma families share.
#pragma once

#include <cmath>

#include "model/config_reader.h"
#include "model/family.h"

namespace andiron {

// Embeddings are multiplied by sqrt(D). The 27B models, told by their number of layers, scale scores by the width over
// the heads instead of the head's own size (llama.cpp, src/models/gemma2.cpp and gemma3.cpp), unless the file says.
inline void gemma_scales(const ConfigReader& in, int64_t blocks_of_27b, ModelConfig& config) {
  config.embedding_scale = std::sqrt(static_cast<float>(config.width));
  if (config.blocks != blocks_of_27b || in.has("attention.scale")) return;
  const int64_t width_per_head = config.width / config.heads;
  config.attention_scale = 1 / std::sqrt(static_cast<float>(width_per_head));
}

// After attention's own tensors: the feed-forward, and the norms behind both.
inline Status gemma_load_rest(LayerLoader& in, LayerWeights& out) {
  TRY(in.vector("post_attention_norm", in.config().width, out.post_attention_norm));
  TRY(in.feed_forward(out));
  return in.vector("post_ffw_norm", in.config().width, out.post_ffw_norm);
}

// After the heads are rotated: attention and feed-forward, each with a norm behind it.
inline void gemma_rest(const Block& b, const Heads& heads, Rows x) {
  const LayerWeights& w = b.weights;
  const Rows attended = b.linear(b.attend(heads), w.attn_output);
  b.add(b.norm(attended, w.post_attention_norm), x);

  const Rows hidden = b.gelu_gate(b.norm(x, w.ffn_norm));
  b.add(b.norm(b.linear(hidden, w.ffn_down), w.post_ffw_norm), x);
}

}  // namespace andiron
