// Elements of the three float types, from bytes that may lie at any address, to float.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "base/check.h"
#include "tensor/dtype.h"
#include "tensor/half.h"

namespace andiron {

// `dtype` is F32, F16 or BF16 and `bytes` holds out.size() of them.
inline void widen_elements(DType dtype, std::span<const uint8_t> bytes, std::span<float> out) {
  ANDIRON_CHECK(dtype_info(dtype).is_float && bytes.size() == out.size() * dtype_info(dtype).block_bytes);
  if (dtype == DType::kF32) {
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t raw;
    std::memcpy(&raw, bytes.data() + 2 * i, 2);
    out[i] = dtype == DType::kF16 ? f16_to_f32(raw) : bf16_to_f32(raw);
  }
}

}  // namespace andiron
