// The metadata of a GGUF that is made from a model: the model's own, with the tokenizer in GGUF's words where it came
// from tokenizer.json, and what says how its numbers are stored.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "format/model_source.h"
#include "text/tokenizer_metadata.h"

namespace andiron {

// One of the tokenizer's values as an entry, which views its texts.
MetaEntry meta_entry(const std::string& key, const MetadataValue& value);

class OutputMetadata {
 public:
  // `file_type`: GGUF's general.file_type (llama.h, enum llama_ftype); 0: all F32; none:
  // the source's own stays, if it has one.
  static Result<OutputMetadata> create(const ModelSource& source, std::optional<uint32_t> file_type);
  OutputMetadata(OutputMetadata&&) = default;

  // They point into this and into the source, which both must outlive them.
  std::span<const MetaEntry> entries() const { return entries_; }

 private:
  OutputMetadata() = default;

  std::vector<MetaEntry> entries_;
  std::vector<std::pair<std::string, MetadataValue>> spec_values_;
};

}  // namespace andiron
