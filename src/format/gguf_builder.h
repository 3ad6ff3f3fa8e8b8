// For tests only: builds GGUF bytes by hand, right or wrong, without any of the library's own reading or writing, so
// that both can be checked against it. The layout: ggml's docs/gguf.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace andiron {

class GgufBuilder {
 public:
  using Bytes = std::vector<uint8_t>;

  // What the header says; the counts are right unless set.
  std::string_view magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> tensors_count;
  std::optional<uint64_t> keys_count;
  uint64_t alignment = 32;  // to which the data section is padded; does not write the key

  template <typename T>
  static void put(Bytes& out, T value) {
    const auto* raw = reinterpret_cast<const uint8_t*>(&value);
    out.insert(out.end(), raw, raw + sizeof value);
  }
  static void put_text(Bytes& out, std::string_view text) {
    put<uint64_t>(out, text.size());
    out.insert(out.end(), text.begin(), text.end());
  }

  // A key with its value type; the caller appends the value.
  Bytes& key(std::string_view name, uint32_t type) {
    put_text(metadata_, name);
    put(metadata_, type);
    ++keys_;
    return metadata_;
  }
  template <typename T>
  GgufBuilder& scalar(std::string_view name, uint32_t type, T value) {
    put(key(name, type), value);
    return *this;
  }
  GgufBuilder& u32(std::string_view name, uint32_t value) { return scalar(name, 4, value); }
  GgufBuilder& f32(std::string_view name, float value) { return scalar(name, 6, value); }
  GgufBuilder& text(std::string_view name, std::string_view value) {
    put_text(key(name, 8), value);
    return *this;
  }
  template <typename T>
  GgufBuilder& array(std::string_view name, uint32_t type, const std::vector<T>& items) {
    Bytes& out = array_of(name, type, items.size());
    for (const T item : items) put(out, item);
    return *this;
  }
  GgufBuilder& texts(std::string_view name, const std::vector<std::string_view>& items) {
    Bytes& out = array_of(name, 8, items.size());
    for (const auto item : items) put_text(out, item);
    return *this;
  }
  // An array that says it has `count` items; the caller appends them.
  Bytes& array_of(std::string_view name, uint32_t type, uint64_t count) {
    Bytes& out = key(name, 9);
    put(out, type);
    put(out, count);
    return out;
  }

  // `dimensions` as in the file: the innermost first. `offset` within the data section.
  GgufBuilder& tensor(std::string_view name, const std::vector<uint64_t>& dimensions, uint32_t type, uint64_t offset) {
    put_text(infos_, name);
    put(infos_, static_cast<uint32_t>(dimensions.size()));
    for (const uint64_t d : dimensions) put(infos_, d);
    put(infos_, type);
    put(infos_, offset);
    ++tensors_;
    return *this;
  }

  // The whole file, `data` being its data section.
  Bytes build(const Bytes& data = {}) const {
    Bytes out(magic.begin(), magic.end());
    put(out, version);
    put(out, tensors_count.value_or(tensors_));
    put(out, keys_count.value_or(keys_));
    out.insert(out.end(), metadata_.begin(), metadata_.end());
    out.insert(out.end(), infos_.begin(), infos_.end());
    while (out.size() % alignment != 0) out.push_back(0);
    out.insert(out.end(), data.begin(), data.end());
    return out;
  }

 private:
  Bytes metadata_;
  Bytes infos_;
  uint64_t keys_ = 0;
  uint64_t tensors_ = 0;
};

}  // namespace andiron
