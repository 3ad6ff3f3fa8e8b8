// GGUF, the one-file model format: reading (versions 2 and 3, little-endian) and writing (version 3).
// The format: ggml's docs/gguf.md. What is refused, and why, is in gguf.cpp beside each check.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
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

// Writes one GGUF file of version 3: create(), then append() every tensor's bytes in the order they were announced,
// then finish(). Without finish() no file appears. One thread.
class GgufWriter {
 public:
  // Writes everything but the tensors' bytes. "general.alignment" and the "split." keys are the writer's own: those in
  // `metadata` are left out. Texts in `metadata` are needed only until create() returns. `alignment`: a power of two.
  static Result<GgufWriter> create(const std::string& path, std::span<const MetaEntry> metadata,
                                   std::span<const TensorInfo> tensors, uint64_t alignment = 32);

  // The next bytes of the current tensor: all of it or any part. More than it still lacks is an Error. A tensor that
  // is complete makes way for the next.
  Status append(std::span<const uint8_t> bytes);
  // An Error when a tensor lacks bytes; the target is then as it was.
  Status finish(Existing existing = Existing::kReplaced);

 private:
  GgufWriter(std::string path, AtomicFile file, uint64_t alignment)
      : path_(std::move(path)), file_(std::move(file)), alignment_(alignment) {}

  std::string path_;
  AtomicFile file_;
  uint64_t alignment_;
  std::vector<TensorInfo> tensors_;
  size_t current_ = 0;
  uint64_t written_ = 0;  // of the current tensor
};

}  // namespace andiron
