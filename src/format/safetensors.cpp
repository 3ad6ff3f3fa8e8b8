#include "format/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_set>

#include "base/atomic_file.h"
#include "base/byte_reader.h"
#include "base/json.h"
#include "base/strings.h"
#include "format/elements.h"

namespace andiron {

namespace {

// The limit of the reference library (safetensors/src/tensor.rs, MAX_HEADER_SIZE).
constexpr uint64_t kHeaderBytesMax = 100'000'000;
// About ten JSON values a tensor: fifty thousand tensors in one file, and at most 64 MiB of parsed values.
constexpr uint64_t kHeaderValuesMax = 500'000;
constexpr int kHeaderDepthMax = 3;  // header, tensor, shape
constexpr size_t kDimensionsMax = 16;

// Bits, because some types are smaller than a byte (safetensors/src/tensor.rs, Dtype).
struct ElementType {
  std::string_view name;
  uint32_t bits;
};
constexpr std::array<ElementType, 22> kElementTypes = {{
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
    {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64},
}};

// What a tensor of this type and shape takes. `what` names it in messages.
Result<uint64_t> expected_bytes(std::string_view dtype_name, std::span<const uint64_t> shape, const std::string& what) {
  const auto type = std::find_if(kElementTypes.begin(), kElementTypes.end(),
                                 [&](const ElementType& t) { return t.name == dtype_name; });
  if (type == kElementTypes.end()) {
    return make_error("{}: its element type \"{}\" is not known", what, in_quotes(dtype_name));
  }
  uint64_t elements = 1;
  for (const uint64_t dimension : shape) {
    TRY_ASSIGN(elements, checked_mul(elements, dimension, what));
  }
  TRY_ASSIGN(const uint64_t bits, checked_mul(elements, type->bits, what));
  if (bits % 8 != 0) return make_error("{}: its elements do not fill whole bytes", what);
  return bits / 8;
}

class HeaderReader {
 public:
  HeaderReader(std::span<const uint8_t> bytes, std::string_view source) : in_(bytes, source), source_(source) {}

  Result<SafetensorsContents> read() {
    TRY_ASSIGN(const uint64_t length, in_.read<uint64_t>("the header's length"));
    if (length < 2 || length > kHeaderBytesMax) {
      return make_error("{}: not a safetensors file: its header should be 2 to {} bytes, it says {}", source_,
                        kHeaderBytesMax, length);
    }
    TRY_ASSIGN(const std::string_view text, in_.take_text(length, "the header"));
    if (text.front() != '{') return make_error("{}: not a safetensors file: its header is not a JSON object", source_);
    TRY_ASSIGN(const Json header, parse_json(text, source_, {.depth = kHeaderDepthMax, .values = kHeaderValuesMax}));
    data_start_ = in_.offset();
    for (const auto& [name, value] : header.members()) {
      if (name == "__metadata__") {
        TRY(read_metadata(value));
      } else {
        TRY(read_tensor(name, value));
      }
    }
    TRY(check_coverage());
    return std::move(out_);
  }

 private:
  Status read_metadata(const Json& value) {
    if (!value.is_object()) return make_error("{}: \"__metadata__\" is not an object", source_);
    for (const auto& [key, text] : value.members()) {
      if (!text.is_string()) {
        return make_error("{}: \"__metadata__\" holds \"{}\", which is not a text", source_, in_quotes(key));
      }
      out_.metadata.emplace_back(key, text.as_string());
    }
    return {};
  }

  Status read_tensor(const std::string& name, const Json& value) {
    const auto fail = [&](std::string_view what) {
      return make_error("{}: tensor \"{}\": {}", source_, in_quotes(name), what);
    };
    const Json& dtype = value.member("dtype");
    const Json& shape = value.member("shape");
    const Json& offsets = value.member("data_offsets");
    if (!value.is_object() || value.members().size() != 3 || !dtype.is_string() || !shape.is_array() ||
        !offsets.is_array()) {
      return fail("expected exactly dtype, shape and data_offsets");
    }
    SafeTensor tensor;
    tensor.name = name;
    tensor.dtype_name = dtype.as_string();
    if (shape.items().size() > kDimensionsMax) return fail("too many dimensions");
    for (const Json& dimension : shape.items()) {
      if (!is_size(dimension)) return fail("its shape is not a list of whole numbers");
      tensor.shape.push_back(static_cast<uint64_t>(dimension.as_int()));
    }
    if (offsets.items().size() != 2 || !is_size(offsets.items()[0]) || !is_size(offsets.items()[1])) {
      return fail("its data_offsets are not two whole numbers");
    }
    const auto begin = static_cast<uint64_t>(offsets.items()[0].as_int());
    const auto end = static_cast<uint64_t>(offsets.items()[1].as_int());
    const uint64_t data_bytes = in_.remaining();
    if (begin > end || end > data_bytes) {
      return fail(
          format("it lies at {} to {} of {} bytes of data; the file is damaged or cut short", begin, end, data_bytes));
    }
    TRY_ASSIGN(const uint64_t expected,
               expected_bytes(tensor.dtype_name, tensor.shape, format("{}: tensor \"{}\"", source_, in_quotes(name))));
    if (end - begin != expected) {
      return fail(format("its shape and type need {} bytes, but {} are given to it", expected, end - begin));
    }
    tensor.offset = data_start_ + begin;
    tensor.bytes = expected;
    out_.tensors.push_back(std::move(tensor));
    return {};
  }

  static bool is_size(const Json& value) { return value.is_int() && value.as_int() >= 0; }

  // The tensors, sorted, must follow one another from the first byte of the data to the last.
  Status check_coverage() {
    std::vector<const SafeTensor*> order;
    order.reserve(out_.tensors.size());
    for (const SafeTensor& tensor : out_.tensors) order.push_back(&tensor);
    std::sort(order.begin(), order.end(), [](const SafeTensor* a, const SafeTensor* b) {
      return a->offset != b->offset ? a->offset < b->offset : a->bytes < b->bytes;
    });
    uint64_t at = data_start_;
    for (const SafeTensor* tensor : order) {
      if (tensor->offset != at) {
        return make_error("{}: tensor \"{}\" begins at byte {} of the file where {} is expected; tensors {}", source_,
                          in_quotes(tensor->name), tensor->offset, at,
                          tensor->offset < at ? "overlap" : "leave a gap between them");
      }
      at += tensor->bytes;
    }
    const uint64_t file_bytes = in_.offset() + in_.remaining();
    if (at != file_bytes) {
      return make_error("{}: the tensors end at byte {}, but the file has {}; the rest belongs to nothing", source_, at,
                        file_bytes);
    }
    return {};
  }

  ByteReader in_;
  std::string_view source_;
  uint64_t data_start_ = 0;
  SafetensorsContents out_;
};

}  // namespace

std::optional<DType> SafeTensor::dtype() const {
  const auto found = dtype_from_name(dtype_name);
  return found && dtype_info(*found).is_float ? found : std::nullopt;
}

Result<SafetensorsContents> read_safetensors(std::span<const uint8_t> bytes, std::string_view source) {
  return HeaderReader(bytes, source).read();
}

Result<std::shared_ptr<const SafetensorsFile>> SafetensorsFile::open(const std::string& path) {
  std::shared_ptr<SafetensorsFile> self(new SafetensorsFile());
  TRY_ASSIGN(self->file_, MappedFile::open(path));
  TRY_ASSIGN(self->contents_, read_safetensors(self->file_->bytes(), path));
  TRY(self->file_->check_intact());
  std::vector<std::string_view> names;
  for (const SafeTensor& tensor : self->contents_.tensors) names.push_back(tensor.name);
  self->index_ = NameIndex(std::move(names));
  return std::shared_ptr<const SafetensorsFile>(std::move(self));
}

const SafeTensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found ? &contents_.tensors[*found] : nullptr;
}

const std::string* SafetensorsFile::metadata(std::string_view key) const {
  for (const auto& [name, value] : contents_.metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

Result<std::vector<float>> SafetensorsFile::floats(const SafeTensor& tensor) const {
  return floats_of(tensor, bytes(tensor), path());
}

Result<std::vector<float>> floats_of(const SafeTensor& tensor, std::span<const uint8_t> bytes,
                                     std::string_view source) {
  const auto dtype = tensor.dtype();
  if (!dtype) {
    return make_error("{}: tensor \"{}\" is stored as {}; F32, F16 and BF16 are supported", source,
                      in_quotes(tensor.name), in_quotes(tensor.dtype_name));
  }
  std::vector<float> out(bytes.size() / dtype_info(*dtype).block_bytes);
  widen_elements(*dtype, bytes, out);
  return out;
}

Status write_safetensors(const std::string& path, std::span<const SafetensorsOut> tensors,
                         std::span<const std::pair<std::string, std::string>> metadata) {
  Json header = Json::object();
  std::unordered_set<std::string_view> seen = {"__metadata__"};
  if (!metadata.empty()) {
    Json entries = Json::object();
    for (const auto& [key, value] : metadata) entries.set(key, value);
    header.set("__metadata__", std::move(entries));
  }
  uint64_t offset = 0;
  for (const SafetensorsOut& tensor : tensors) {
    const std::string what = format("{}: tensor \"{}\"", path, in_quotes(tensor.name));
    if (!seen.insert(tensor.name).second) return make_error("{}: the name is taken", what);
    const DTypeInfo& info = dtype_info(tensor.dtype);
    if (tensor.dtype_name.empty() && !info.is_float)
      return make_error("{}: safetensors has no type {}", what, info.name);
    const std::string_view type = tensor.dtype_name.empty() ? info.name : tensor.dtype_name;
    TRY_ASSIGN(const uint64_t expected, expected_bytes(type, tensor.shape, what));
    Json shape = Json::array();
    for (const uint64_t dimension : tensor.shape) shape.push(dimension);
    if (tensor.data.size() != expected) {
      return make_error("{}: its shape needs {} bytes, {} were given", what, expected, tensor.data.size());
    }
    Json offsets = Json::array();
    offsets.push(offset);
    offsets.push(offset + expected);
    Json entry = Json::object();
    entry.set("dtype", type).set("shape", std::move(shape)).set("data_offsets", std::move(offsets));
    header.set(tensor.name, std::move(entry));
    offset += expected;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data then begins at a multiple of 8, as the format advises

  TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  const uint64_t length = text.size();
  TRY(file.write(std::span(reinterpret_cast<const uint8_t*>(&length), sizeof length)));
  TRY(file.write(text));
  for (const SafetensorsOut& tensor : tensors) TRY(file.write(tensor.data));
  return file.commit();
}

}  // namespace andiron
