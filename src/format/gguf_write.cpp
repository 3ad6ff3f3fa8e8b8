// Writing GGUF version 3. The layout: ggml's docs/gguf.md.
#include <bit>
#include <cstring>
#include <limits>
#include <unordered_set>

#include "base/byte_reader.h"
#include "base/keyed_hash.h"
#include "base/strings.h"
#include "format/gguf.h"

namespace andiron {

namespace {

class Bytes {
 public:
  template <typename T>
  void put(T value) {
    const auto* raw = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), raw, raw + sizeof value);
  }
  void put_text(std::string_view text) {
    put<uint64_t>(text.size());
    bytes_.insert(bytes_.end(), text.begin(), text.end());
  }
  std::span<const uint8_t> view() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

template <typename T>
bool put_whole(Bytes& out, int64_t value) {
  const bool fits = value >= 0 ? static_cast<uint64_t>(value) <= static_cast<uint64_t>(std::numeric_limits<T>::max())
                               : std::is_signed_v<T> && value >= static_cast<int64_t>(std::numeric_limits<T>::min());
  if (fits) out.put(static_cast<T>(value));
  return fits;
}

// Each writes one value as `type`; false when that type cannot hold it.
bool put_item(Bytes& out, MetaType type, int64_t value) {
  switch (type) {
    case MetaType::kUint8: return put_whole<uint8_t>(out, value);
    case MetaType::kInt8: return put_whole<int8_t>(out, value);
    case MetaType::kUint16: return put_whole<uint16_t>(out, value);
    case MetaType::kInt16: return put_whole<int16_t>(out, value);
    case MetaType::kUint32: return put_whole<uint32_t>(out, value);
    case MetaType::kInt32: return put_whole<int32_t>(out, value);
    case MetaType::kUint64: return put_whole<uint64_t>(out, value);
    case MetaType::kInt64: return put_whole<int64_t>(out, value);
    default: return false;
  }
}

bool put_item(Bytes& out, MetaType type, double value) {
  if (type == MetaType::kFloat32) out.put(static_cast<float>(value));
  if (type == MetaType::kFloat64) out.put(value);
  return type == MetaType::kFloat32 || type == MetaType::kFloat64;
}

bool put_item(Bytes& out, MetaType type, bool value) {
  out.put<uint8_t>(value ? 1 : 0);
  return type == MetaType::kBool;
}

bool put_item(Bytes& out, MetaType type, std::string_view value) {
  out.put_text(value);
  return type == MetaType::kText;
}

template <typename T>
bool put_value(Bytes& out, MetaType type, const T& value) {
  out.put(static_cast<uint32_t>(type));
  return put_item(out, type, value);
}

template <typename T>
bool put_value(Bytes& out, MetaType type, const std::vector<T>& items) {
  out.put(static_cast<uint32_t>(MetaType::kArray));
  out.put(static_cast<uint32_t>(type));
  out.put<uint64_t>(items.size());
  for (const T item : items) {
    if (!put_item(out, type, item)) return false;
  }
  return true;
}

bool is_writers_own(std::string_view key) { return key == "general.alignment" || key.starts_with("split."); }

Status put_metadata(Bytes& out, std::span<const MetaEntry> metadata, const std::string& path) {
  std::unordered_set<std::string_view, KeyedHash> seen;
  for (const MetaEntry& entry : metadata) {
    if (is_writers_own(entry.key)) continue;
    if (entry.key.empty() || !seen.insert(entry.key).second) {
      return make_error("{}: cannot write the key \"{}\": it is empty or appears twice", path, in_quotes(entry.key));
    }
    out.put_text(entry.key);
    if (!std::visit([&](const auto& value) { return put_value(out, entry.type, value); }, entry.value.value)) {
      return make_error("{}: cannot write \"{}\": its value does not fit GGUF type {}", path, in_quotes(entry.key),
                        static_cast<uint32_t>(entry.type));
    }
  }
  return {};
}

// Fills `checked` with the same tensors, their numbers made sure of.
Status put_tensors(Bytes& out, std::span<const TensorInfo> tensors, uint64_t alignment, const std::string& path,
                   std::vector<TensorInfo>& checked) {
  std::unordered_set<std::string_view, KeyedHash> seen;
  uint64_t offset = 0;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.name.empty() || tensor.name.size() > 64 || !seen.insert(tensor.name).second) {
      return make_error("{}: cannot write the tensor \"{}\": names are 1 to 64 bytes and unique", path,
                        in_quotes(tensor.name));
    }
    TRY_ASSIGN(TensorInfo info, make_tensor_info(tensor.name, tensor.dtype, tensor.shape, path));
    out.put_text(info.name);
    out.put(static_cast<uint32_t>(info.shape.size()));
    for (size_t d = info.shape.size(); d > 0; --d) out.put(info.shape[d - 1]);
    out.put(static_cast<uint32_t>(info.dtype));
    out.put(offset);
    TRY_ASSIGN(offset, checked_add(offset, info.bytes, path));
    TRY_ASSIGN(offset, checked_add(offset, (alignment - offset % alignment) % alignment, path));
    checked.push_back(std::move(info));
  }
  return {};
}

}  // namespace

Result<GgufWriter> GgufWriter::create(const std::string& path, std::span<const MetaEntry> metadata,
                                      std::span<const TensorInfo> tensors, uint64_t alignment) {
  constexpr uint64_t kDefaultAlignment = 32;  // gguf.md: what a file without "general.alignment" means
  if (!std::has_single_bit(alignment) || alignment > std::numeric_limits<uint32_t>::max()) {
    return make_error("{}: an alignment of {} is not a power of two below 2^32", path, alignment);
  }
  uint64_t keys = alignment == kDefaultAlignment ? 0 : 1;
  for (const MetaEntry& entry : metadata) keys += is_writers_own(entry.key) ? 0 : 1;

  Bytes out;
  for (const char c : {'G', 'G', 'U', 'F'}) out.put(c);
  out.put<uint32_t>(3);
  out.put<uint64_t>(tensors.size());
  out.put<uint64_t>(keys);
  if (alignment != kDefaultAlignment) {
    out.put_text("general.alignment");
    put_value(out, MetaType::kUint32, static_cast<int64_t>(alignment));
  }
  TRY(put_metadata(out, metadata, path));
  std::vector<TensorInfo> checked;
  TRY(put_tensors(out, tensors, alignment, path, checked));

  TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  TRY(file.write(out.view()));
  TRY(file.pad_to(alignment));
  GgufWriter writer(path, std::move(file), alignment);
  writer.tensors_ = std::move(checked);
  return writer;
}

Status GgufWriter::append(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return {};
  const uint64_t lacking = current_ < tensors_.size() ? tensors_[current_].bytes - written_ : 0;
  if (bytes.size() > lacking) {
    return make_error("{}: {} bytes more were given for tensor {} of {}, which lacks {}", path_, bytes.size(),
                      current_ + 1, tensors_.size(), lacking);
  }
  TRY(file_.write(bytes));
  written_ += bytes.size();
  if (written_ < tensors_[current_].bytes) return {};
  ++current_;
  written_ = 0;
  return file_.pad_to(alignment_);
}

Status GgufWriter::finish(Existing existing) {
  if (current_ < tensors_.size()) {
    return make_error("{}: tensor \"{}\" got {} of its {} bytes; the file is not written", path_,
                      in_quotes(tensors_[current_].name), written_, tensors_[current_].bytes);
  }
  return file_.commit(existing);
}

}  // namespace andiron
