// Qwen 2 and 2.5 (Yang et al. 2024, arXiv 2407.10671): Llama's layer with biases on q, k and v, which come with the
// matrices.
#include "model/family.h"

namespace andiron {

namespace {

Status read_config(const ConfigReader&, ModelConfig&) { return {}; }

Status load_layer(LayerLoader& in, LayerWeights& out) {
  TRY(in.attention(out));
  return in.feed_forward(out);
}

}  // namespace

extern const Family kQwen2;
const Family kQwen2 = {"qwen2", read_config, load_layer, llama_layer};

}  // namespace andiron
