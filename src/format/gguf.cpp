// Reading one GGUF file from memory. Every length is checked against the bytes that remain before anything is
// allocated for it; sizes are multiplied and added with checks.
#include "format/gguf.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "base/byte_reader.h"
#include "base/name_index.h"
#include "base/strings.h"

namespace andiron {

namespace {

// The largest models known have some thousand tensors and two hundred keys; with these caps the parsed form of a
// hostile file stays within the memory that gguf.h promises.
constexpr uint64_t kTensorsMax = uint64_t{1} << 18;
constexpr uint64_t kKeysMax = uint64_t{1} << 16;
// Array items in the whole file: more than six times the tokens, scores, types and merges of a 262,144-token
// vocabulary. A one-byte item becomes eight bytes in memory.
constexpr uint64_t kItemsMax = uint64_t{1} << 23;
constexpr uint64_t kKeyBytesMax = 65535;  // gguf.md
constexpr uint64_t kNameBytesMax = 64;    // gguf.md
// The smallest entry: an 8-byte length, one byte of key, a 4-byte type, a one-byte value.
constexpr uint64_t kEntryBytesMin = 14;
// The smallest tensor: length, one byte of name, one dimension and its count, type, offset.
constexpr uint64_t kTensorBytesMin = 8 + 1 + 4 + 8 + 4 + 8;

uint64_t item_bytes_min(MetaType type) {
  switch (type) {
    case MetaType::kUint8:
    case MetaType::kInt8:
    case MetaType::kBool: return 1;
    case MetaType::kUint16:
    case MetaType::kInt16: return 2;
    case MetaType::kUint32:
    case MetaType::kInt32:
    case MetaType::kFloat32: return 4;
    default: return 8;  // a text starts with its 8-byte length
  }
}

class GgufReader {
 public:
  GgufReader(std::span<const uint8_t> bytes, std::string_view source)
      : in_(bytes, source), file_bytes_(bytes.size()), source_(source) {}

  Result<GgufContents> read() {
    TRY(read_header());
    TRY(read_metadata());
    TRY(read_alignment());
    TRY(read_tensors());
    TRY(place_tensors());
    return std::move(out_);
  }

 private:
  Status read_header() {
    TRY_ASSIGN(const std::string_view magic, in_.take_text(4, "the magic number"));
    if (magic != "GGUF") {
      return make_error("{}: not a GGUF file: it starts with \"{}\" where \"GGUF\" is expected", source_,
                        in_quotes(magic));
    }
    TRY_ASSIGN(out_.version, in_.read<uint32_t>("the version"));
    if ((out_.version & 0xffff) == 0 && out_.version != 0) {
      return make_error("{}: the file is big-endian; convert it to little-endian first", source_);
    }
    if (out_.version != 2 && out_.version != 3) {
      return make_error(
          "{}: GGUF version {} is not supported (2 and 3 are); convert the model again with current tools", source_,
          out_.version);
    }
    TRY_ASSIGN(tensors_count_, in_.read<uint64_t>("the number of tensors"));
    TRY_ASSIGN(keys_count_, in_.read<uint64_t>("the number of keys"));
    TRY(check_count(keys_count_, kKeysMax, kEntryBytesMin, "keys"));
    return check_count(tensors_count_, kTensorsMax, kTensorBytesMin, "tensors");
  }

  Status check_count(uint64_t count, uint64_t max, uint64_t bytes_min, std::string_view what) const {
    if (count > max) return make_error("{}: {} {} are announced; at most {} are allowed", source_, count, what, max);
    if (count > in_.remaining() / bytes_min) {
      return make_error("{}: {} {} are announced, but only {} bytes remain; the file is damaged or cut short", source_,
                        count, what, in_.remaining());
    }
    return {};
  }

  Result<std::string_view> read_text(std::string_view what) {
    TRY_ASSIGN(const uint64_t length, in_.read<uint64_t>(what));
    return in_.take_text(length, what);
  }

  Status read_metadata() {
    out_.metadata.reserve(keys_count_);
    std::vector<std::string_view> keys;
    for (uint64_t i = 0; i < keys_count_; ++i) {
      TRY_ASSIGN(const std::string_view key, read_text("a key"));
      // gguf.md: ASCII, at most 65,535 bytes. Control characters have no place in a name either.
      const bool printable = std::all_of(key.begin(), key.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
      if (key.empty() || key.size() > kKeyBytesMax || !printable) {
        return make_error("{}: key {} is \"{}\"; a name of 1 to {} printable ASCII characters is expected", source_, i,
                          in_quotes(key), kKeyBytesMax);
      }
      keys.push_back(key);
      MetaEntry entry;
      entry.key = key;
      TRY(read_value(entry));
      out_.metadata.push_back(std::move(entry));
    }
    const auto twice = NameIndex(std::move(keys)).duplicate();
    if (twice) return make_error("{}: the key \"{}\" appears twice", source_, *twice);
    return {};
  }

  Result<MetaType> read_type(std::string_view key) {
    TRY_ASSIGN(const uint32_t number, in_.read<uint32_t>(key));
    if (number > static_cast<uint32_t>(MetaType::kFloat64)) {
      return make_error("{}: the value of \"{}\" has type {}, which GGUF does not define (0 to 12)", source_,
                        in_quotes(key), number);
    }
    return static_cast<MetaType>(number);
  }

  Status read_value(MetaEntry& entry) {
    TRY_ASSIGN(entry.type, read_type(entry.key));
    if (entry.type == MetaType::kArray) return read_array(entry);
    switch (entry.type) {
      case MetaType::kBool: return read_one<bool>(entry);
      case MetaType::kText: return read_one<std::string_view>(entry);
      case MetaType::kFloat32:
      case MetaType::kFloat64: return read_one<double>(entry);
      default: return read_one<int64_t>(entry);
    }
  }

  template <typename T>
  Status read_one(MetaEntry& entry) {
    TRY_ASSIGN(entry.value.value, read_item<T>(entry.type, entry.key));
    return {};
  }

  Status read_array(MetaEntry& entry) {
    TRY_ASSIGN(entry.type, read_type(entry.key));
    if (entry.type == MetaType::kArray) {
      return make_error("{}: \"{}\" is a list of lists, which no model needs and is not supported", source_,
                        in_quotes(entry.key));
    }
    TRY_ASSIGN(const uint64_t count, in_.read<uint64_t>(entry.key));
    const std::string what = format("items in \"{}\"", in_quotes(entry.key));
    TRY(check_count(count, kItemsMax - items_count_, item_bytes_min(entry.type), what));
    items_count_ += count;
    switch (entry.type) {
      case MetaType::kBool: return read_items<bool>(entry, count);
      case MetaType::kText: return read_items<std::string_view>(entry, count);
      case MetaType::kFloat32:
      case MetaType::kFloat64: return read_items<double>(entry, count);
      default: return read_items<int64_t>(entry, count);
    }
  }

  template <typename T>
  Status read_items(MetaEntry& entry, uint64_t count) {
    std::vector<T> items;
    items.reserve(count);  // checked above: the file has at least a byte for each
    for (uint64_t i = 0; i < count; ++i) {
      TRY_ASSIGN(T item, read_item<T>(entry.type, entry.key));
      items.push_back(item);
    }
    entry.value.value = std::move(items);
    return {};
  }

  template <typename T>
  Result<T> read_item(MetaType type, std::string_view key) {
    if constexpr (std::is_same_v<T, std::string_view>) {
      return read_text(key);
    } else if constexpr (std::is_same_v<T, bool>) {
      TRY_ASSIGN(const uint8_t flag, in_.read<uint8_t>(key));
      // gguf.md: anything but 0 and 1 is invalid.
      if (flag > 1) return make_error("{}: \"{}\" holds {} where 0 or 1 is expected", source_, in_quotes(key), flag);
      return flag == 1;
    } else if constexpr (std::is_same_v<T, double>) {
      return type == MetaType::kFloat32 ? read_as<T, float>(key) : read_as<T, double>(key);
    } else {
      return read_whole(type, key);
    }
  }

  Result<int64_t> read_whole(MetaType type, std::string_view key) {
    switch (type) {
      case MetaType::kUint8: return read_as<int64_t, uint8_t>(key);
      case MetaType::kInt8: return read_as<int64_t, int8_t>(key);
      case MetaType::kUint16: return read_as<int64_t, uint16_t>(key);
      case MetaType::kInt16: return read_as<int64_t, int16_t>(key);
      case MetaType::kUint32: return read_as<int64_t, uint32_t>(key);
      case MetaType::kInt32: return read_as<int64_t, int32_t>(key);
      case MetaType::kInt64: return read_as<int64_t, int64_t>(key);
      default: break;
    }
    TRY_ASSIGN(const uint64_t value, in_.read<uint64_t>(key));
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return make_error("{}: \"{}\" is {}, larger than any number here may be", source_, in_quotes(key), value);
    }
    return static_cast<int64_t>(value);
  }

  template <typename To, typename From>
  Result<To> read_as(std::string_view key) {
    TRY_ASSIGN(const From value, in_.read<From>(key));
    return static_cast<To>(value);
  }

  Status read_alignment() {
    for (const MetaEntry& entry : out_.metadata) {
      if (entry.key != "general.alignment") continue;
      const auto* value = std::get_if<int64_t>(&entry.value.value);
      // gguf.md: a uint32; other readers abort on any other type, so it is refused here too.
      if (value == nullptr || entry.type != MetaType::kUint32 || !std::has_single_bit(static_cast<uint64_t>(*value))) {
        return make_error("{}: general.alignment must be a power of two, stored as uint32", source_);
      }
      out_.alignment = static_cast<uint64_t>(*value);
    }
    return {};
  }

  Status read_tensors() {
    out_.tensors.reserve(tensors_count_);
    out_.offsets.reserve(tensors_count_);
    std::vector<std::string_view> names;
    for (uint64_t i = 0; i < tensors_count_; ++i) {
      TRY_ASSIGN(const std::string_view name, read_text("a tensor's name"));
      if (name.empty() || name.size() > kNameBytesMax) {
        return make_error("{}: tensor {} has a name of {} bytes (\"{}\"); 1 to {} are expected", source_, i,
                          name.size(), in_quotes(name), kNameBytesMax);
      }
      names.push_back(name);
      TRY(read_tensor(name));
    }
    const auto twice = NameIndex(std::move(names)).duplicate();
    if (twice) return make_error("{}: the tensor \"{}\" appears twice", source_, in_quotes(*twice));
    return {};
  }

  Status read_tensor(std::string_view name) {
    TRY_ASSIGN(const uint32_t dimensions, in_.read<uint32_t>(name));
    if (dimensions == 0 || dimensions > 4) {
      return make_error("{}: tensor \"{}\" has {} dimensions; 1 to 4 are expected", source_, in_quotes(name),
                        dimensions);
    }
    std::vector<uint64_t> shape(dimensions);
    for (uint32_t d = 0; d < dimensions; ++d) {
      TRY_ASSIGN(shape[dimensions - 1 - d], in_.read<uint64_t>(name));
    }
    TRY_ASSIGN(const uint32_t type, in_.read<uint32_t>(name));
    const auto dtype = dtype_from_number(type);
    if (!dtype) return unsupported_type(name, type);
    TRY_ASSIGN(TensorInfo info, make_tensor_info(std::string(name), *dtype, std::move(shape), source_));
    TRY_ASSIGN(const uint64_t offset, in_.read<uint64_t>(name));
    out_.tensors.push_back(std::move(info));
    out_.offsets.push_back(offset);
    return {};
  }

  Error unsupported_type(std::string_view name, uint32_t type) const {
    std::string supported;
    for (const DTypeInfo& info : all_dtypes()) {
      if (!supported.empty()) supported += ", ";
      supported += info.name;
    }
    return make_error("{}: tensor \"{}\" is stored as type {}, which is not supported; use a model in one of {}",
                      source_, in_quotes(name), type, supported);
  }

  // Turns offsets within the data section into offsets within the file, and checks that they fit.
  Status place_tensors() {
    if (out_.tensors.empty()) return {};
    TRY_ASSIGN(const uint64_t padded, checked_add(in_.offset(), out_.alignment - 1, "the start of the tensor data"));
    const uint64_t data_start = padded & ~(out_.alignment - 1);
    if (data_start > file_bytes_) {
      return make_error("{}: the tensor data should start at byte {}, but the file ends at {}; it is cut short",
                        source_, data_start, file_bytes_);
    }
    const uint64_t data_bytes = file_bytes_ - data_start;
    for (size_t i = 0; i < out_.tensors.size(); ++i) {
      const TensorInfo& tensor = out_.tensors[i];
      uint64_t& offset = out_.offsets[i];
      if (offset % out_.alignment != 0) {
        return make_error("{}: tensor \"{}\" lies at offset {}, which is not a multiple of {}", source_,
                          in_quotes(tensor.name), offset, out_.alignment);
      }
      if (offset > data_bytes || tensor.bytes > data_bytes - offset) {
        return make_error(
            "{}: tensor \"{}\" needs {} bytes at offset {} of the tensor data, which has {}; the file is damaged or "
            "cut short",
            source_, in_quotes(tensor.name), tensor.bytes, offset, data_bytes);
      }
      offset += data_start;
    }
    return check_overlaps();
  }

  Status check_overlaps() const {
    std::vector<uint32_t> order(out_.tensors.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return out_.offsets[a] < out_.offsets[b]; });
    for (size_t i = 1; i < order.size(); ++i) {
      const TensorInfo& before = out_.tensors[order[i - 1]];
      const TensorInfo& after = out_.tensors[order[i]];
      if (out_.offsets[order[i]] - out_.offsets[order[i - 1]] < before.bytes) {
        return make_error("{}: the tensors \"{}\" and \"{}\" overlap", source_, in_quotes(before.name),
                          in_quotes(after.name));
      }
    }
    return {};
  }

  ByteReader in_;
  uint64_t file_bytes_;
  std::string_view source_;
  uint64_t tensors_count_ = 0;
  uint64_t keys_count_ = 0;
  uint64_t items_count_ = 0;
  GgufContents out_;
};

}  // namespace

Result<GgufContents> read_gguf(std::span<const uint8_t> bytes, std::string_view source) {
  return GgufReader(bytes, source).read();
}

}  // namespace andiron
