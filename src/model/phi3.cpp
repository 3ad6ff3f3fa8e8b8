// Phi 3 and 4 (Abdin et al. 2024, arXiv 2404.14219): Llama's layer with q, k, v in one matrix and gate, up in another.
// Long-context models have two sets of rotary divisors (Ding et al. 2024, arXiv 2402.13753; rope.h).
#include "model/family.h"

namespace andiron {

namespace {

Status read_config(const ConfigReader&, ModelConfig&) { return {}; }

Status load_layer(LayerLoader& in, LayerWeights& out) {
  const int64_t width = in.config().width, inner = in.config().feed_forward;
  TRY(in.attention(out));
  TRY(in.vector("ffn_norm", width, out.ffn_norm));
  TRY(in.matrix("ffn_up", 2 * inner, width, out.ffn_gate_up));  // gate's rows first
  return in.matrix("ffn_down", width, inner, out.ffn_down);
}

}  // namespace

extern const Family kPhi3;
const Family kPhi3 = {"phi3", read_config, load_layer, llama_layer};

}  // namespace andiron
