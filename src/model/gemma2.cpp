// Gemma 2 (Gemma Team 2024, arXiv 2408.00118): norms after attention and feed-forward too, soft caps on scores and
// logits, a sliding window in every second layer beginning with the first. GGUF stores norms with the 1 added.
#include "model/family.h"
#include "model/gemma.h"

namespace andiron {

namespace {

Status read_config(const ConfigReader& in, ModelConfig& config) {
  // The defaults of llama.cpp (src/models/gemma2.cpp) for files that leave them out.
  TRY_ASSIGN(const double scores, in.number("attn_logit_softcapping", 0, 1e6, 50));
  TRY_ASSIGN(const double logits, in.number("final_logit_softcapping", 0, 1e6, 30));
  config.attention_softcap = static_cast<float>(scores);
  config.logit_softcap = static_cast<float>(logits);
  gemma_scales(in, 46, config);
  return in.windows(2, 4096, config);
}

Status load_layer(LayerLoader& in, LayerWeights& out) {
  TRY(in.attention(out));
  return gemma_load_rest(in, out);
}

void layer(const Block& b, Rows x) {
  const Heads heads = b.project(b.norm(x, b.weights.attn_norm));
  b.rotate(heads);
  gemma_rest(b, heads, x);
}

}  // namespace

extern const Family kGemma2;
const Family kGemma2 = {"gemma2", read_config, load_layer, layer};

}  // namespace andiron
