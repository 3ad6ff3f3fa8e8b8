// The number formats a tensor may be stored in, with the facts every reader needs.
//
// The values are GGUF's type numbers (gguf.md, "ggml_type"); they are written to files and never reused.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace andiron {

enum class DType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
};

struct DTypeInfo {
  DType dtype;
  std::string_view name;    // "Q4_K": what people call it
  uint32_t block_elements;  // elements per block; a row is a whole number of blocks
  uint32_t block_bytes;
  bool is_float;  // F32, F16, BF16
};

// All supported formats, in the order above.
std::span<const DTypeInfo> all_dtypes();

const DTypeInfo& dtype_info(DType dtype);
std::optional<DType> dtype_from_number(uint32_t gguf_number);
// "q4_k", "Q4_K": case does not matter.
std::optional<DType> dtype_from_name(std::string_view name);

// Bytes of one row of `elements`; requires a whole number of blocks.
uint64_t row_bytes(DType dtype, uint64_t elements);

// "32000 x 2048", outermost first; "a single number".
std::string shape_text(std::span<const uint64_t> shape);

}  // namespace andiron
