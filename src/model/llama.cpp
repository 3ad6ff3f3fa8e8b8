// Llama 1 to 3.2 (Touvron et al. 2023, arXiv 2302.13971) and what shares its shape: Mistral, SmolLM2, TinyLlama.
// GGUF stores q and k rows so that rotary pairs are neighbours. Llama 3.1's stretched frequencies come as the tensor
// "rope_freqs.weight" (rope.h); Mistral 7B v0.1 has a sliding window.
#include "base/strings.h"
#include "model/family.h"

namespace andiron {

namespace {

Status read_config(const ConfigReader& in, ModelConfig& config) {
  config.rope.pairs = true;
  if (config.experts.count == 0) return {};
  return make_error("{}: a llama with experts (Mixtral) is not supported", in.source().path());
}

Status load_layer(LayerLoader& in, LayerWeights& out) {
  TRY(in.attention(out));
  return in.feed_forward(out);
}

}  // namespace

void llama_layer(const Block& b, Rows x) {
  const LayerWeights& w = b.weights;
  const Heads heads = b.project(b.norm(x, w.attn_norm));
  b.rotate(heads);
  b.add(b.linear(b.attend(heads), w.attn_output), x);

  const Rows hidden = b.silu_gate(b.norm(x, w.ffn_norm));
  b.add(b.linear(hidden, w.ffn_down), x);
}

extern const Family kLlama;
const Family kLlama = {"llama", read_config, load_layer, llama_layer};

}  // namespace andiron
