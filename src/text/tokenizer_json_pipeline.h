// The normalizer and pre-tokenizer of a tokenizer.json as fields of a TokenizerSpec; part of tokenizer_json.cpp.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace andiron {

// Sets stages, byte_level, normalizations, the space prefix and, for WordPiece, the BertNormalizer's options.
// spec.model must say already whether this is WordPiece.
Status read_pipeline(const Json& root, std::string_view source, TokenizerSpec& spec);

// Whether the normalizer or the pre-tokenizer writes U+2581 for the space.
bool replaces_spaces(const Json& root);

}  // namespace andiron
