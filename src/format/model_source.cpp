#include "format/model_source.h"

#include <cmath>

#include "base/byte_reader.h"
#include "base/strings.h"

namespace andiron {

MetaEntry MetaEntry::u32(std::string key, uint32_t value) {
  return {std::move(key), MetaType::kUint32, {int64_t{value}}};
}
MetaEntry MetaEntry::f32(std::string key, double value) { return {std::move(key), MetaType::kFloat32, {value}}; }
MetaEntry MetaEntry::boolean(std::string key, bool value) { return {std::move(key), MetaType::kBool, {value}}; }
MetaEntry MetaEntry::text(std::string key, std::string_view value) {
  return {std::move(key), MetaType::kText, {value}};
}
MetaEntry MetaEntry::i32s(std::string key, MetaValue::Ints values) {
  return {std::move(key), MetaType::kInt32, {std::move(values)}};
}
MetaEntry MetaEntry::f32s(std::string key, MetaValue::Floats values) {
  return {std::move(key), MetaType::kFloat32, {std::move(values)}};
}
MetaEntry MetaEntry::booleans(std::string key, MetaValue::Bools values) {
  return {std::move(key), MetaType::kBool, {std::move(values)}};
}
MetaEntry MetaEntry::texts(std::string key, MetaValue::Texts values) {
  return {std::move(key), MetaType::kText, {std::move(values)}};
}

Result<TensorInfo> make_tensor_info(std::string name, DType dtype, std::vector<uint64_t> shape,
                                    std::string_view source) {
  const std::string what = format("{}: tensor \"{}\"", source, in_quotes(name));
  if (shape.empty() || shape.size() > 4) {
    return make_error("{}: expected 1 to 4 dimensions, got {}", what, shape.size());
  }
  uint64_t elements = 1;
  for (const uint64_t dimension : shape) {
    if (dimension == 0) return make_error("{}: a dimension is 0", what);
    TRY_ASSIGN(elements, checked_mul(elements, dimension, what));
  }
  const DTypeInfo& info = dtype_info(dtype);
  if (shape.back() % info.block_elements != 0) {
    return make_error("{}: rows of {} elements are not whole blocks of {}, as {} needs", what, shape.back(),
                      info.block_elements, info.name);
  }
  TRY_ASSIGN(const uint64_t bytes, checked_mul(elements / info.block_elements, info.block_bytes, what));
  return TensorInfo{std::move(name), dtype, std::move(shape), elements, bytes};
}

Status ModelSource::set_contents(std::vector<MetaEntry> metadata, std::vector<TensorInfo> tensors) {
  metadata_ = std::move(metadata);
  tensors_ = std::move(tensors);
  std::vector<std::string_view> keys, names;
  for (const MetaEntry& entry : metadata_) keys.push_back(entry.key);
  for (const TensorInfo& tensor : tensors_) names.push_back(tensor.name);
  metadata_index_ = NameIndex(std::move(keys));
  tensors_index_ = NameIndex(std::move(names));
  if (const auto key = metadata_index_.duplicate()) {
    return make_error("{}: the key \"{}\" appears twice", path_, in_quotes(*key));
  }
  if (const auto name = tensors_index_.duplicate()) {
    return make_error("{}: the tensor \"{}\" appears twice", path_, in_quotes(*name));
  }
  return {};
}

Result<size_t> ModelSource::check_rows(const TensorInfo& tensor, uint64_t first, uint64_t count) const {
  const auto found = tensors_index_.find(tensor.name);
  if (!found) return make_error("{}: has no tensor \"{}\"", path_, in_quotes(tensor.name));
  const uint64_t rows = tensors_[*found].rows();
  if (first > rows || count > rows - first) {
    return make_error("{}: tensor \"{}\" has {} rows; {} from row {} on were asked for", path_, in_quotes(tensor.name),
                      rows, count, first);
  }
  return *found;
}

Result<std::string> ModelSource::side_file(std::string_view name) const {
  return make_error("{}: has no file \"{}\" beside it", path_, in_quotes(name));
}

const MetaValue* ModelSource::find_meta(std::string_view key) const {
  const auto found = metadata_index_.find(key);
  return found ? &metadata_[*found].value : nullptr;
}

const TensorInfo* ModelSource::find_tensor(std::string_view name) const {
  const auto found = tensors_index_.find(name);
  return found ? &tensors_[*found] : nullptr;
}

namespace {

Error missing(const ModelSource& source, std::string_view key) {
  return make_error("{}: metadata has no \"{}\", which this model needs", source.path(), key);
}

Error wrong_kind(const ModelSource& source, std::string_view key, std::string_view expected) {
  return make_error("{}: metadata \"{}\" is of the wrong type; {} is expected", source.path(), key, expected);
}

template <typename T>
Result<const T*> find_array(const ModelSource& source, std::string_view key, std::string_view expected) {
  static const T kEmpty;
  const MetaValue* value = source.find_meta(key);
  if (value == nullptr) return static_cast<const T*>(nullptr);
  if (const T* items = std::get_if<T>(&value->value)) return items;
  const bool empty = std::visit(
      [](const auto& v) {
        if constexpr (requires { v.empty(); }) return v.empty();
        return false;
      },
      value->value);
  if (value->is_array() && empty) return &kEmpty;
  return wrong_kind(source, key, expected);
}

}  // namespace

Result<int64_t> ModelSource::meta_int(std::string_view key) const {
  const MetaValue* value = find_meta(key);
  if (value == nullptr) return missing(*this, key);
  if (const auto* number = std::get_if<int64_t>(&value->value)) return *number;
  return wrong_kind(*this, key, "a whole number");
}

Result<int64_t> ModelSource::meta_int(std::string_view key, int64_t fallback) const {
  return find_meta(key) == nullptr ? Result<int64_t>(fallback) : meta_int(key);
}

Result<double> ModelSource::meta_float(std::string_view key) const {
  const MetaValue* value = find_meta(key);
  if (value == nullptr) return missing(*this, key);
  if (const auto* whole = std::get_if<int64_t>(&value->value)) return static_cast<double>(*whole);
  const auto* number = std::get_if<double>(&value->value);
  if (number == nullptr) return wrong_kind(*this, key, "a number");
  if (!std::isfinite(*number)) {
    return make_error("{}: metadata \"{}\" is {}; a finite number is expected", path_, key, *number);
  }
  return *number;
}

Result<double> ModelSource::meta_float(std::string_view key, double fallback) const {
  return find_meta(key) == nullptr ? Result<double>(fallback) : meta_float(key);
}

Result<bool> ModelSource::meta_bool(std::string_view key, bool fallback) const {
  const MetaValue* value = find_meta(key);
  if (value == nullptr) return fallback;
  if (const auto* flag = std::get_if<bool>(&value->value)) return *flag;
  return wrong_kind(*this, key, "true or false");
}

Result<std::string_view> ModelSource::meta_text(std::string_view key) const {
  const MetaValue* value = find_meta(key);
  if (value == nullptr) return missing(*this, key);
  if (const auto* text = std::get_if<std::string_view>(&value->value)) return *text;
  return wrong_kind(*this, key, "text");
}

Result<std::string_view> ModelSource::meta_text(std::string_view key, std::string_view fallback) const {
  return find_meta(key) == nullptr ? Result<std::string_view>(fallback) : meta_text(key);
}

Result<const MetaValue::Ints*> ModelSource::meta_ints(std::string_view key) const {
  return find_array<MetaValue::Ints>(*this, key, "a list of whole numbers");
}

Result<const MetaValue::Floats*> ModelSource::meta_floats(std::string_view key) const {
  return find_array<MetaValue::Floats>(*this, key, "a list of decimal numbers");
}

Result<const MetaValue::Bools*> ModelSource::meta_bools(std::string_view key) const {
  return find_array<MetaValue::Bools>(*this, key, "a list of true and false");
}

Result<const MetaValue::Texts*> ModelSource::meta_texts(std::string_view key) const {
  return find_array<MetaValue::Texts>(*this, key, "a list of texts");
}

}  // namespace andiron
