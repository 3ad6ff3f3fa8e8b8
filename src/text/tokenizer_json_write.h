// Writes a tokenizer as Hugging Face's files, for tokenizer_json.h and other programs to read.
#pragma once

#include <string>

#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace andiron {

struct TokenizerFiles {
  std::string tokenizer_json;
  std::string config_json;  // tokenizer_config.json
};

// Byte-level BPE without normalization and without rules for single tokens, which is what BpeTrainer makes; anything
// else is an Error. spec_from_tokenizer_json gives the spec again, but for `source`, and for a `pre` of which several
// names stand for the same stages.
Result<TokenizerFiles> tokenizer_files_from_spec(const TokenizerSpec& spec);

}  // namespace andiron
