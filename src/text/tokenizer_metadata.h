// Tokenizers in GGUF metadata: the tokenizer.ggml.* keys, read into a TokenizerSpec and written from one.
//
// This folder knows nothing of files, so keys are read through MetadataReader, which whoever holds a file implements in
// a few lines, and written as a list.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace andiron {

class MetadataReader {
 public:
  virtual ~MetadataReader() = default;

  // Each gives nothing when the key is absent or holds another type. Pointers need last only until the next call.
  virtual std::optional<std::string_view> text(std::string_view key) const = 0;
  virtual std::optional<int64_t> integer(std::string_view key) const = 0;
  virtual std::optional<bool> boolean(std::string_view key) const = 0;
  virtual const std::vector<std::string_view>* texts(std::string_view key) const = 0;
  virtual const std::vector<int64_t>* integers(std::string_view key) const = 0;
  virtual const std::vector<double>* floats(std::string_view key) const = 0;
};

// Fails when there are no tokens, when the model or the pre-tokenizer is not known here, and on lists of different
// lengths; ids are checked by Tokenizer::create. Keys that are absent take the values llama.cpp gives them.
// `source` names the file.
Result<TokenizerSpec> spec_from_metadata(const MetadataReader& metadata, std::string_view source);

using MetadataValue =
    std::variant<bool, int64_t, std::string, std::vector<std::string>, std::vector<int32_t>, std::vector<float>>;

// What to write into a GGUF file so that spec_from_metadata gives `spec` again; llama.cpp reads the same keys. What
// GGUF has no key for (a pre-tokenizer without a name, normalization, white space rules of added tokens) goes under
// "andiron.tokenizer.", which other programs ignore. int64_t values are to be written as uint32.
std::vector<std::pair<std::string, MetadataValue>> metadata_from_spec(const TokenizerSpec& spec);

}  // namespace andiron
