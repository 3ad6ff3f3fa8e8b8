// safetensors, the file format of Hugging Face folders and PEFT adapters: reading and writing.
// The format: github.com/huggingface/safetensors, README "Format". As that library does, the reader refuses files with
// gaps, overlaps or bytes after the end, so that no file can be two things at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "base/name_index.h"
#include "base/result.h"
#include "tensor/dtype.h"

namespace andiron {

// One tensor of a file. The element type is kept as the file names it: a file may hold types that nothing here reads.
struct SafeTensor {
  std::string name;
  std::string dtype_name;       // "F32", "BF16", "I64", ...
  std::vector<uint64_t> shape;  // outermost first; empty for a single number; a dimension may be 0
  uint64_t offset = 0;          // from the start of the file
  uint64_t bytes = 0;

  // F32, F16 and BF16; nothing for any other type.
  std::optional<DType> dtype() const;
};

struct SafetensorsContents {
  std::vector<std::pair<std::string, std::string>> metadata;  // "__metadata__"
  std::vector<SafeTensor> tensors;                            // in the header's order
};

// Checks the header against the bytes: every tensor's range follows from its type and shape, and together they cover
// the data exactly once. `source` names the file in messages.
Result<SafetensorsContents> read_safetensors(std::span<const uint8_t> bytes, std::string_view source);

// All elements of a tensor as float, from its `bytes`: an Error for a type that is none of the three.
Result<std::vector<float>> floats_of(const SafeTensor& tensor, std::span<const uint8_t> bytes, std::string_view source);

// One file, mapped. Read-only, any thread.
class SafetensorsFile {
 public:
  static Result<std::shared_ptr<const SafetensorsFile>> open(const std::string& path);

  const std::string& path() const { return file_->path(); }
  const MappedFile& file() const { return *file_; }
  std::span<const SafeTensor> tensors() const { return contents_.tensors; }
  const SafeTensor* find(std::string_view name) const;
  // "__metadata__" of that key; nullptr when there is none.
  const std::string* metadata(std::string_view key) const;
  // The bytes of one of tensors(): a view of the mapped file, with no alignment promised.
  std::span<const uint8_t> bytes(const SafeTensor& tensor) const {
    return file_->bytes().subspan(tensor.offset, tensor.bytes);
  }
  // floats_of() one of tensors().
  Result<std::vector<float>> floats(const SafeTensor& tensor) const;

 private:
  SafetensorsFile() = default;

  std::shared_ptr<MappedFile> file_;
  SafetensorsContents contents_;
  NameIndex index_;
};

// The weights of a Hugging Face folder: model.safetensors, or the files that model.safetensors.index.json names.
struct SafetensorsFolder {
  struct Entry {
    const SafetensorsFile* file;
    const SafeTensor* tensor;
  };
  std::vector<std::shared_ptr<const SafetensorsFile>> files;
  std::vector<Entry> tensors;      // every tensor once; with an index, only those it names
  std::vector<std::string> paths;  // the files read, the index among them
};
Result<SafetensorsFolder> open_safetensors_folder(const std::string& folder);

// The tensors of an index's text, each with the name of its file, in the order of "weight_map". Names that lead out of
// the folder are refused.
Result<std::vector<std::pair<std::string, std::string>>> read_safetensors_index(std::string_view text,
                                                                                std::string_view source);

struct SafetensorsOut {
  std::string name;
  DType dtype = DType::kF32;  // F32, F16 or BF16
  std::vector<uint64_t> shape;
  std::span<const uint8_t> data;     // as many bytes as type and shape ask for
  std::string_view dtype_name = {};  // where not empty, used instead of `dtype`: the format's name of a type, "U8"
};
// Writes one file, whole or not at all. The same input gives the same bytes.
Status write_safetensors(const std::string& path, std::span<const SafetensorsOut> tensors,
                         std::span<const std::pair<std::string, std::string>> metadata = {});

}  // namespace andiron
