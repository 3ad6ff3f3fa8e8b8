// The tokenizer that belongs to a model.
#pragma once

#include <string>

#include "base/result.h"
#include "format/model_source.h"
#include "text/tokenizer_spec.h"

namespace andiron {

// From the tokenizer.ggml.* metadata of a GGUF file, or from tokenizer.json and its companions beside safetensors.
Result<TokenizerSpec> tokenizer_spec(const ModelSource& source);

// The same of a path: a model's, or a tokenizer.json (or a folder with one and no model). Its companions beside it
// count, tokenizer_config.json, special_tokens_map.json and chat_template.jinja, with the same letters in front of
// their names ("ember.tokenizer.json", "ember.tokenizer_config.json"); no model is needed.
Result<TokenizerSpec> read_tokenizer(const std::string& path);

}  // namespace andiron
