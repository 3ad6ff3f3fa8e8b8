// ModelSource: the one interface a model loads from, whatever file it came in.
//
// A source speaks GGUF's language: metadata keys ("llama.block_count"), tensor names
// ("blk.0.attn_q.weight") and GGUF's conventions for what the tensors hold (q and k rows of the llama
// architecture interleaved for rotary pairs, gemma norms stored with the 1 added, experts stacked, every
// one-dimensional tensor of a Hugging Face folder given as F32). A Hugging Face folder is translated on the way in, so
// nothing above this line knows of it.
// Everything is checked when the source is opened: whoever holds one may trust its numbers (lengths, shapes, offsets;
// what a value means to a model is for the model to judge). Read-only, any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/name_index.h"
#include "base/result.h"
#include "tensor/dtype.h"

namespace andiron {

// How GGUF stores a value (gguf.md, "gguf_metadata_value_type"); written to files, never reused.
enum class MetaType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kText = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// A metadata value. Every integer type of GGUF becomes int64 (uint64 above its maximum is refused), both floats
// double. Arrays hold one kind. Texts are not checked for UTF-8.
struct MetaValue {
  using Ints = std::vector<int64_t>;
  using Floats = std::vector<double>;
  using Bools = std::vector<bool>;
  using Texts = std::vector<std::string_view>;  // views into the source's memory
  std::variant<bool, int64_t, double, std::string_view, Ints, Floats, Bools, Texts> value;

  bool is_array() const { return value.index() >= 4; }
};

struct MetaEntry {
  std::string key;
  MetaType type = MetaType::kUint32;  // of the value, or of each item of an array; never kArray
  MetaValue value;

  // The types that models use. Texts are not copied: their bytes must outlive the entry.
  static MetaEntry u32(std::string key, uint32_t value);
  static MetaEntry f32(std::string key, double value);
  static MetaEntry boolean(std::string key, bool value);
  static MetaEntry text(std::string key, std::string_view value);
  static MetaEntry i32s(std::string key, MetaValue::Ints values);
  static MetaEntry f32s(std::string key, MetaValue::Floats values);
  static MetaEntry booleans(std::string key, MetaValue::Bools values);
  static MetaEntry texts(std::string key, MetaValue::Texts values);
};

// Shape as people write it, outermost first: a matrix is {rows, columns}, stored row by row.
// (GGUF lists dimensions the other way round; the reader turns them.)
struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<uint64_t> shape;  // 1 to 4 dimensions, none of them 0
  uint64_t elements = 0;        // product of shape
  uint64_t bytes = 0;           // in `dtype`

  uint64_t columns() const { return shape.back(); }       // of the tensor seen as a matrix
  uint64_t rows() const { return elements / columns(); }  // likewise
};

// A TensorInfo whose numbers are checked: dimensions, their product, whole blocks per row. `source` names the file
// in the error.
Result<TensorInfo> make_tensor_info(std::string name, DType dtype, std::vector<uint64_t> shape,
                                    std::string_view source);

class ModelSource {
 public:
  virtual ~ModelSource() = default;
  ModelSource(const ModelSource&) = delete;
  ModelSource& operator=(const ModelSource&) = delete;

  const std::string& path() const { return path_; }
  // What the source is made of: files, for cache keys and for reports.
  std::span<const std::string> files() const { return files_; }
  // In file order. Lookups are a binary search.
  std::span<const MetaEntry> metadata() const { return metadata_; }
  const MetaValue* find_meta(std::string_view key) const;
  std::span<const TensorInfo> tensors() const { return tensors_; }
  const TensorInfo* find_tensor(std::string_view name) const;

  // Rows [first, first + count) of the tensor seen as a matrix {rows(), columns()}, in the tensor's own dtype. Without
  // a copy where the file already holds them so (the span then points into the mapped file), else built in `scratch`.
  // The span lives as long as both; it starts at a multiple of 4 bytes for F32 and of 2 for the others.
  // `tensor` is one of this source's (or a copy of one); other names and rows out of range are an Error.
  virtual Result<std::span<const uint8_t>> rows(const TensorInfo& tensor, uint64_t first, uint64_t count,
                                                std::vector<uint8_t>& scratch) const = 0;
  // All rows of it.
  Result<std::span<const uint8_t>> whole(const TensorInfo& tensor, std::vector<uint8_t>& scratch) const {
    return rows(tensor, 0, tensor.rows(), scratch);
  }

  // A hint: the pages behind this tensor are no longer wanted.
  virtual void drop(const TensorInfo& tensor) const = 0;
  // An error once a file has been cut short since it was opened (see base/mapped_file.h).
  virtual Status check_intact() const = 0;
  // The text of a file that comes beside the weights: "tokenizer.json", "tokenizer_config.json",
  // "special_tokens_map.json", "generation_config.json", "config.json". An Error when there is none (a GGUF file
  // never has any).
  virtual Result<std::string> side_file(std::string_view name) const;

  // Typed lookups. A missing key gives the default, or an Error without one; a value of another type is an Error, and
  // so is a number that is not finite.
  Result<int64_t> meta_int(std::string_view key) const;
  Result<int64_t> meta_int(std::string_view key, int64_t fallback) const;
  Result<double> meta_float(std::string_view key) const;  // takes whole numbers too
  Result<double> meta_float(std::string_view key, double fallback) const;
  Result<bool> meta_bool(std::string_view key, bool fallback) const;
  Result<std::string_view> meta_text(std::string_view key) const;
  Result<std::string_view> meta_text(std::string_view key, std::string_view fallback) const;
  // Arrays: nullptr when the key is missing, an Error when the items are of another type. An empty array of any
  // type passes.
  Result<const MetaValue::Ints*> meta_ints(std::string_view key) const;
  Result<const MetaValue::Floats*> meta_floats(std::string_view key) const;
  Result<const MetaValue::Bools*> meta_bools(std::string_view key) const;
  Result<const MetaValue::Texts*> meta_texts(std::string_view key) const;

 protected:
  explicit ModelSource(std::string path) : path_(std::move(path)) {}

  // Takes what the source holds; a key or a name that appears twice is an Error. Called once, while opening.
  Status set_contents(std::vector<MetaEntry> metadata, std::vector<TensorInfo> tensors);
  // The position of `tensor` in tensors(), after the checks that rows() promises.
  Result<size_t> check_rows(const TensorInfo& tensor, uint64_t first, uint64_t count) const;

  std::vector<std::string> files_;

 private:
  std::string path_;
  std::vector<MetaEntry> metadata_;
  std::vector<TensorInfo> tensors_;
  NameIndex metadata_index_;  // of views of the entries' own strings
  NameIndex tensors_index_;
};

// Opens a .gguf (one file, or the first of "-00001-of-0000N" shards), or a folder with config.json and safetensors.
Result<std::unique_ptr<ModelSource>> open_model_source(const std::string& path);

}  // namespace andiron
