// Parameter: numbers that are trained. A view: the adapter or the model owns values and gradients.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace andiron {

struct Parameter {
  // GGUF's of a tensor of the model, "blk.0.attn_q.weight", or with the role in an adapter, "blk.0.attn_q.lora_A".
  std::string name;
  std::vector<int64_t> shape;  // rows first, as in safetensors
  float* value = nullptr;      // [product of shape]
  float* gradient = nullptr;   // the same; backward passes add to it
  float rate_scale = 1;        // multiplies the learning rate (LoRA+: of B matrices)
  bool decay = true;           // weight decay applies: to matrices yes, to norms and biases no
  bool hidden = false;         // a matrix between layers, not embeddings or output: what Muon is made for

  int64_t size() const {
    int64_t product = 1;
    for (const int64_t dimension : shape) product *= dimension;
    return product;
  }
};

}  // namespace andiron
