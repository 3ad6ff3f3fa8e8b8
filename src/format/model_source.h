// ModelSource: the one interface a model loads from, whatever file it came in.
//
// A source speaks GGUF's language: metadata keys ("llama.block_count"), tensor names
// ("blk.0.attn_q.weight") and GGUF's conventions for what the tensors hold (q and k rows of the llama
// architecture interleaved for rotary pairs, gemma norms stored with the 1 added, experts stacked). A Hugging
// Face folder is translated on the way in, so nothing above this line knows of it.
// Everything is checked when the source is opened: whoever holds one may trust its numbers. Read-only,
// any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace andiron {

// A metadata value. Every integer type of GGUF becomes int64 (uint64 above its maximum is refused), both floats
// double. Arrays hold one kind.
struct MetaValue {
  using Ints = std::vector<int64_t>;
  using Floats = std::vector<double>;
  using Bools = std::vector<bool>;
  using Texts = std::vector<std::string_view>;  // views into the source's memory
  std::variant<bool, int64_t, double, std::string_view, Ints, Floats, Bools, Texts> value;
};

struct MetaEntry {
  std::string key;
  MetaValue value;
};

// Shape as people write it, outermost first: a matrix is {rows, columns}, stored row by row.
// (GGUF lists dimensions the other way round; the reader turns them.)
struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<uint64_t> shape;  // 1 to 4 dimensions, none of them 0
  uint64_t elements = 0;        // product of shape
  uint64_t bytes = 0;           // in `dtype`
};

class ModelSource {
 public:
  virtual ~ModelSource() = default;

  virtual const std::string& path() const = 0;
  // In file order. Lookups are fast (hashed).
  virtual std::span<const MetaEntry> metadata() const = 0;
  virtual const MetaValue* find_meta(std::string_view key) const = 0;
  virtual std::span<const TensorInfo> tensors() const = 0;
  virtual const TensorInfo* find_tensor(std::string_view name) const = 0;

  // Rows [first, first + count) of the tensor seen as a matrix {elements / columns, columns}, columns being the
  // innermost dimension, in the tensor's own dtype. Without a copy where the file already holds them so (the span
  // then points into the mapped file), else built in `scratch`. The span lives as long as both.
  virtual Result<std::span<const uint8_t>> rows(const TensorInfo& tensor, uint64_t first, uint64_t count,
                                                std::vector<uint8_t>& scratch) const = 0;

  // A hint: the pages behind this tensor are no longer wanted.
  virtual void drop(const TensorInfo& tensor) const = 0;
  // An error once a file has been cut short since it was opened (see base/mapped_file.h).
  virtual Status check_intact() const = 0;
  // What the source is made of: files, for cache keys and for reports.
  virtual std::span<const std::string> files() const = 0;

  // Typed lookups. A missing key gives the default, or an Error without one; a value of another type is an Error.
  Result<int64_t> meta_int(std::string_view key) const;
  Result<int64_t> meta_int(std::string_view key, int64_t fallback) const;
  Result<double> meta_float(std::string_view key) const;  // takes whole numbers too
  Result<double> meta_float(std::string_view key, double fallback) const;
  Result<bool> meta_bool(std::string_view key, bool fallback) const;
  Result<std::string_view> meta_text(std::string_view key) const;
  Result<std::string_view> meta_text(std::string_view key, std::string_view fallback) const;
};

// Opens a .gguf (one file, or the first of "-00001-of-0000N" shards), or a folder with config.json and safetensors.
Result<std::unique_ptr<ModelSource>> open_model_source(const std::string& path);

}  // namespace andiron
