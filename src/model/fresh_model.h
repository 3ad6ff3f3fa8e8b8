// A model that has learned nothing yet: a ModelSource of random weights, with the tokenizer of a file.
//
// Matrices are normal with mean 0 and deviation 0.02, those that add to the residual stream (attn_output, ffn_down)
// with 0.02 / sqrt(2 layers) (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", 2.3); norms
// are 1, biases 0. A number depends on (seed, tensor's name, place) alone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "format/model_source.h"
#include "model/dense_tensors.h"

namespace andiron {

struct FreshModel {
  DenseShape shape;  // the vocabulary is the tokenizer's
  std::string name;
  std::string license;  // an SPDX expression, kept as "general.license"; "": none is said
  int64_t context = 0;
  double rope_base = 1e4;
  double norm_epsilon = 1e-5;
  std::string tokenizer;      // a path for read_tokenizer: a tokenizer.json, or a model with the one to take
  std::string chat_template;  // a Jinja file instead of the tokenizer's own template; "": that one
  uint64_t seed = 0;
};

// `path`: what the source is called in messages; nothing is written there.
Result<std::unique_ptr<ModelSource>> make_fresh_source(const FreshModel& model, const std::string& path);

}  // namespace andiron
