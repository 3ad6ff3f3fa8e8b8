#include "tensor/dtype.h"

#include <array>
#include <cctype>

#include "base/check.h"
#include "base/strings.h"

namespace andiron {

namespace {
// Sizes: ggml's block structs; quant_blocks.h states each as a struct with a static_assert.
constexpr std::array<DTypeInfo, 15> kDTypes = {{
    {DType::kF32, "F32", 1, 4, true},
    {DType::kF16, "F16", 1, 2, true},
    {DType::kQ4_0, "Q4_0", 32, 18, false},
    {DType::kQ4_1, "Q4_1", 32, 20, false},
    {DType::kQ5_0, "Q5_0", 32, 22, false},
    {DType::kQ5_1, "Q5_1", 32, 24, false},
    {DType::kQ8_0, "Q8_0", 32, 34, false},
    {DType::kQ2_K, "Q2_K", 256, 84, false},
    {DType::kQ3_K, "Q3_K", 256, 110, false},
    {DType::kQ4_K, "Q4_K", 256, 144, false},
    {DType::kQ5_K, "Q5_K", 256, 176, false},
    {DType::kQ6_K, "Q6_K", 256, 210, false},
    {DType::kIQ4_NL, "IQ4_NL", 32, 18, false},
    {DType::kIQ4_XS, "IQ4_XS", 256, 136, false},
    {DType::kBF16, "BF16", 1, 2, true},
}};
}  // namespace

std::span<const DTypeInfo> all_dtypes() { return kDTypes; }

const DTypeInfo& dtype_info(DType dtype) {
  for (const auto& info : kDTypes) {
    if (info.dtype == dtype) return info;
  }
  check_failed(__FILE__, __LINE__, "dtype_info: not a DType");
}

std::optional<DType> dtype_from_number(uint32_t number) {
  for (const auto& info : kDTypes) {
    if (static_cast<uint32_t>(info.dtype) == number) return info.dtype;
  }
  return std::nullopt;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const auto& info : kDTypes) {
    if (name.size() != info.name.size()) continue;
    bool same = true;
    for (size_t i = 0; i < name.size(); ++i) {
      same = same && std::toupper(static_cast<unsigned char>(name[i])) == info.name[i];
    }
    if (same) return info.dtype;
  }
  return std::nullopt;
}

uint64_t row_bytes(DType dtype, uint64_t elements) {
  const DTypeInfo& info = dtype_info(dtype);
  ANDIRON_CHECK(elements % info.block_elements == 0);
  return elements / info.block_elements * info.block_bytes;
}

std::string shape_text(std::span<const uint64_t> shape) {
  std::string text;
  for (const uint64_t n : shape) text += format("{}{}", text.empty() ? "" : " x ", n);
  return text.empty() ? "a single number" : text;
}

}  // namespace andiron
