// Qwen 3 with experts (Yang et al. 2025, arXiv 2505.09388): Qwen 3's attention, a mixture for the feed-forward.
#include "base/strings.h"
#include "model/family.h"

namespace andiron {

namespace {

Status read_config(const ConfigReader& in, ModelConfig& config) {
  if (config.experts.count > 0) return {};
  return make_error("{}: \"{}\" is 0; a qwen3moe has experts", in.source().path(), in.key("expert_count"));
}

Status load_layer(LayerLoader& in, LayerWeights& out) {
  const int64_t width = in.config().width, inner = in.config().experts.width;
  TRY(in.attention(out));
  TRY(in.head_norms(out));
  TRY(in.vector("ffn_norm", width, out.ffn_norm));
  TRY(in.matrix("ffn_gate_inp", in.config().experts.count, width, out.router));
  TRY(in.experts("ffn_gate_exps", inner, width, out.expert_gate));
  TRY(in.experts("ffn_up_exps", inner, width, out.expert_up));
  return in.experts("ffn_down_exps", width, inner, out.expert_down);
}

void layer(const Block& b, Rows x) {
  const LayerWeights& w = b.weights;
  const Heads heads = b.project(b.norm(x, w.attn_norm));
  b.normalise(heads);
  b.rotate(heads);
  b.add(b.linear(b.attend(heads), w.attn_output), x);

  b.add(b.mixture(b.norm(x, w.ffn_norm)), x);
}

}  // namespace

extern const Family kQwen3Moe;
const Family kQwen3Moe = {"qwen3moe", read_config, load_layer, layer};

}  // namespace andiron
