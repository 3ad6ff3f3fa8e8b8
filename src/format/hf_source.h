// A Hugging Face folder as a ModelSource: config.json and safetensors, translated to GGUF's keys, names and
// conventions. Which families: hf_config.cpp.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "format/model_source.h"

namespace andiron {

// Metadata beside the model's own keys: general.architecture, .type, .name, .license (and its name and link) as far as
// the README's front matter states them, and tokenizer.chat_template (further named templates as
// tokenizer.chat_template.NAME). The rest of the tokenizer is in side_file("tokenizer.json") and its companions.
// Matrices keep the type they are stored in; one-dimensional tensors are given as F32. When the output matrix is
// the embedding ("tie_word_embeddings") there is no "output.weight".
Result<std::unique_ptr<ModelSource>> open_hf_folder(const std::string& folder);

}  // namespace andiron
