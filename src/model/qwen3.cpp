// Qwen 3 (Yang et al. 2025, arXiv 2505.09388), dense: queries and keys are normalised head by head before they are
// rotated.
#include "model/family.h"

namespace andiron {

namespace {

Status read_config(const ConfigReader&, ModelConfig&) { return {}; }

Status load_layer(LayerLoader& in, LayerWeights& out) {
  TRY(in.attention(out));
  TRY(in.head_norms(out));
  return in.feed_forward(out);
}

void layer(const Block& b, Rows x) {
  const LayerWeights& w = b.weights;
  const Heads heads = b.project(b.norm(x, w.attn_norm));
  b.normalise(heads);
  b.rotate(heads);
  b.add(b.linear(b.attend(heads), w.attn_output), x);

  const Rows hidden = b.silu_gate(b.norm(x, w.ffn_norm));
  b.add(b.linear(hidden, w.ffn_down), x);
}

}  // namespace

extern const Family kQwen3;
const Family kQwen3 = {"qwen3", read_config, load_layer, layer};

}  // namespace andiron
