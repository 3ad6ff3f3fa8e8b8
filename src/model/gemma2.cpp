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
  TRY(in.vector("post_attention_norm", in.config().width, out.post_attention_norm));
  TRY(in.feed_forward(out));
  return in.vector("post_ffw_norm", in.config().width, out.post_ffw_norm);
}

void layer(const Block& b, Rows x) {
  const LayerWeights& w = b.weights;
  const Heads heads = b.project(b.norm(x, w.attn_norm));
  b.rotate(heads);
  const Rows attended = b.linear(b.attend(heads), w.attn_output);
  b.add(b.norm(attended, w.post_attention_norm), x);

  const Rows hidden = b.gelu_gate(b.norm(x, w.ffn_norm));
  b.add(b.norm(b.linear(hidden, w.ffn_down), w.post_ffw_norm), x);
}

}  // namespace

extern const Family kGemma2;
const Family kGemma2 = {"gemma2", read_config, load_layer, layer};

}  // namespace andiron
