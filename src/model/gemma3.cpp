// Gemma 3 (Gemma Team 2025, arXiv 2503.19786), text: Gemma 2 with normalised queries and keys instead of soft caps.
// Every sixth layer sees everything; the others have a window and rotary frequencies of their own.
#include <algorithm>

#include "model/family.h"
#include "model/gemma.h"

namespace andiron {

namespace {

Status read_config(const ConfigReader& in, ModelConfig& config) {
  TRY_ASSIGN(const double logits, in.number("final_logit_softcapping", 0, 1e6, 0));
  config.logit_softcap = static_cast<float>(logits);
  gemma_scales(in, 62, config);
  TRY(in.windows(6, 0, config));
  // Windowed layers are not stretched: scaling is for the long context.
  config.rope_local.dimensions = config.rope.dimensions;
  TRY_ASSIGN(config.rope_local.base, in.number("rope.freq_base_swa", 1.5, 1e15, 1e4));
  config.has_rope_local = std::any_of(config.windows.begin(), config.windows.end(), [](int64_t w) { return w > 0; });
  return {};
}

Status load_layer(LayerLoader& in, LayerWeights& out) {
  TRY(in.attention(out));
  TRY(in.head_norms(out));
  return gemma_load_rest(in, out);
}

void layer(const Block& b, Rows x) {
  const Heads heads = b.project(b.norm(x, b.weights.attn_norm));
  b.normalise(heads);
  b.rotate(heads);
  gemma_rest(b, heads, x);
}

}  // namespace

extern const Family kGemma3;
const Family kGemma3 = {"gemma3", read_config, load_layer, layer};

}  // namespace andiron
