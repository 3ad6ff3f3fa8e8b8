// The pre-tokenizers by the names that GGUF files give them (tokenizer.ggml.pre).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_spec.h"

namespace andiron {

// What llama.cpp makes of a name besides the stages.
struct PreFacts {
  std::vector<PreStage> stages;
  bool ignore_merges = false;
  bool add_bos = false;      // unless the file says otherwise
  bool code_points = false;  // not byte-level: UTF-8, U+2581 for a space
};

// The facts of `name` ("" means "default"), or nullptr when no pre-tokenizer has that name.
const PreFacts* find_pre_tokenizer(std::string_view name);

// A name with exactly these stages and this flag, or "" when there is none: what to write into a GGUF file.
std::string_view name_pre_tokenizer(std::span<const PreStage> stages, bool ignore_merges);

// GPT-2's pattern, which Hugging Face's ByteLevel applies of itself.
extern const std::string_view kGpt2Pattern;

}  // namespace andiron
