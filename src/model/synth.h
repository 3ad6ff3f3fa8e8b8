// Synthetic models: random weights in the shapes of real ones, for measuring speed and memory without downloads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace andiron {

// "smollm2-135m", "tinyllama-1.1b", "llama-2-7b", and small ones for tests.
std::vector<std::string_view> synthetic_shapes();

struct SyntheticOptions {
  std::string shape;
  // A number format ("q4_0", "f16", "q4_k"), or a recipe of model/quant_mix.h ("q4_k_m"). Norms are F32.
  std::string mix;
  uint64_t seed = 1;
  // Words of two syllables follow one another in a fixed order, whatever came before: greedy decoding recites, and
  // given its own recital with mistakes in it, corrects them. For measuring what guessing tokens gains on text that
  // repeats its prompt. Only shapes with a head of their own, and at least 512 words.
  bool recite = false;
};

// An Error when there is no such shape or mix.
Status check_synthetic(const SyntheticOptions& options);

// Writes a GGUF file that andiron and llama.cpp load: weights with plausible sizes, a vocabulary of made-up tokens.
// The same options give the same bytes on every machine. `progress` may be empty.
Status write_synthetic_model(const SyntheticOptions& options, const std::string& path,
                             const std::function<void(uint64_t done, uint64_t total)>& progress = {});

}  // namespace andiron
