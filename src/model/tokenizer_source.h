// The tokenizer that belongs to a model.
#pragma once

#include "base/result.h"
#include "format/model_source.h"
#include "text/tokenizer_spec.h"

namespace andiron {

// From the tokenizer.ggml.* metadata of a GGUF file, or from tokenizer.json and its companions beside safetensors.
Result<TokenizerSpec> tokenizer_spec(const ModelSource& source);

}  // namespace andiron
