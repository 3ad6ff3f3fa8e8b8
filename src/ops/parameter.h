// Parameter: numbers that are trained. A view: the adapter or the model owns values and gradients.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace andiron {

struct Parameter {
  // Of an adapter, PEFT's: "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight". Of a model, GGUF's:
  // "blk.0.attn_q.weight".
  std::string name;
  std::vector<int64_t> shape;  // rows first, as in safetensors
  float* value = nullptr;      // [product of shape]
  float* gradient = nullptr;   // the same; backward passes add to it
  float rate_scale = 1;        // multiplies the learning rate (LoRA+: of B matrices)
  bool decay = true;           // weight decay applies: to matrices yes, to norms and biases no

  int64_t size() const {
    int64_t product = 1;
    for (const int64_t dimension : shape) product *= dimension;
    return product;
  }
};

}  // namespace andiron
