// ByteReader: the one door through which untrusted bytes enter.
//
// A cursor over bytes it does not own. Every read is checked against what remains, by subtraction,
// so no length can wrap; a read past the end is an Error naming `source`, the offset and the need.
// Little-endian, as every format here is.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"
#include "base/strings.h"

namespace andiron {

class ByteReader {
 public:
  // `source` names the file in error messages; it and `bytes` must outlive the reader.
  ByteReader(std::span<const uint8_t> bytes, std::string_view source) : bytes_(bytes), source_(source) {}

  uint64_t offset() const { return at_; }
  uint64_t remaining() const { return bytes_.size() - at_; }
  std::string_view source() const { return source_; }

  // A number of type T, stored little-endian.
  template <typename T>
  Result<T> read(std::string_view what) {
    static_assert(std::is_arithmetic_v<T> && std::endian::native == std::endian::little);
    TRY_ASSIGN(auto raw, take(sizeof(T), what));
    T value;
    std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }

  // The next `count` bytes, as a view.
  Result<std::span<const uint8_t>> take(uint64_t count, std::string_view what) {
    if (count > remaining()) {
      return make_error("{}: {} needs {} bytes at offset {}, but only {} remain; the file is damaged or cut short",
                        source_, what, count, at_, remaining());
    }
    const auto view = bytes_.subspan(at_, count);
    at_ += count;
    return view;
  }

  // The next `count` bytes as text (no copy, not checked for UTF-8).
  Result<std::string_view> take_text(uint64_t count, std::string_view what) {
    TRY_ASSIGN(auto raw, take(count, what));
    return std::string_view(reinterpret_cast<const char*>(raw.data()), raw.size());
  }

 private:
  std::span<const uint8_t> bytes_;
  std::string_view source_;
  size_t at_ = 0;
};

// a * b and a + b, or an Error naming `what`: for sizes that come from a file.
inline Result<uint64_t> checked_mul(uint64_t a, uint64_t b, std::string_view what) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return make_error("{}: {} x {} is too large", what, a, b);
  return product;
}
inline Result<uint64_t> checked_add(uint64_t a, uint64_t b, std::string_view what) {
  uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return make_error("{}: {} + {} is too large", what, a, b);
  return sum;
}

}  // namespace andiron
