// GGUF, the one-file model format: reading (versions 2 and 3, little-endian) and writing (version 3).
// The format: ggml's docs/gguf.md. What is refused, and why, is in gguf.cpp beside each check.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/model_source.h"

namespace andiron {

// What one GGUF file holds, checked against the bytes: every tensor lies wholly inside the file, aligned, and no two
// overlap; names and keys are unique. Texts in `metadata` are views into the bytes it was read from.
struct GgufContents {
  uint32_t version = 3;
  uint64_t alignment = 32;
  std::vector<MetaEntry> metadata;
  std::vector<TensorInfo> tensors;
  std::vector<uint64_t> offsets;  // of each tensor, from the start of the file
};

// `source` names the file in messages. Allocates at most 64 MiB and twice the size of `bytes`.
Result<GgufContents> read_gguf(std::span<const uint8_t> bytes, std::string_view source);

// Opens one file, or the first of a set of shards (the others must lie beside it).
Result<std::unique_ptr<ModelSource>> open_gguf(const std::string& path);

}  // namespace andiron
