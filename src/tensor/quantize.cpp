#include "tensor/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/strings.h"
#include "tensor/half.h"
#include "tensor/quant_encode.h"

namespace andiron {

namespace {

constexpr float kLargest = 1e9f;       // 65504 * 128 * 113 is the largest magnitude any format expresses
constexpr double kWeightFloor = 1e-6;  // of the mean weight: an element of no importance still gets its nearest code

// Weights scaled to a mean of 1; all 1 when there is nothing to tell them apart.
void prepare_weights(const float* importance, int elements, float* w) {
  double sum = 0.0;
  for (int i = 0; i < elements; ++i) {
    const bool counts = std::isfinite(importance[i]) && importance[i] > 0.0f;
    w[i] = counts ? importance[i] : 0.0f;
    sum += static_cast<double>(w[i]);
  }
  const double to_mean_1 = sum > 0.0 ? elements / sum : 0.0;
  for (int i = 0; i < elements; ++i) {
    w[i] = sum > 0.0 ? static_cast<float>(std::max(static_cast<double>(w[i]) * to_mean_1, kWeightFloor)) : 1.0f;
  }
}

template <int kElements>
void prepare(const float* in, const float* importance, PreparedBlock<kElements>* block) {
  for (int i = 0; i < kElements; ++i) {
    block->x[i] = std::isfinite(in[i]) ? std::clamp(in[i], -kLargest, kLargest) : 0.0f;
  }
  if (importance != nullptr) {
    prepare_weights(importance, kElements, block->w);
  } else {
    std::fill_n(block->w, kElements, 1.0f);
  }
}

template <typename Block, int kElements>
void encode_blocks(const float* in, uint8_t* blocks, uint64_t elements, const float* importance) {
  for (uint64_t i = 0; i < elements / kElements; ++i) {
    PreparedBlock<kElements> prepared;
    prepare(in + i * kElements, importance == nullptr ? nullptr : importance + i * kElements, &prepared);
    Block block{};
    encode_block(prepared, &block);
    std::memcpy(blocks + i * sizeof(Block), &block, sizeof(Block));
  }
}

template <uint16_t (*kNarrow)(float)>
void narrow(const float* in, uint8_t* halves, uint64_t elements) {
  for (uint64_t i = 0; i < elements; ++i) {
    const uint16_t half = kNarrow(in[i]);
    std::memcpy(halves + 2 * i, &half, sizeof(half));
  }
}

}  // namespace

void encode_row(DType dtype, const float* in, uint8_t* blocks, uint64_t elements, const float* importance) {
  ANDIRON_CHECK(elements % dtype_info(dtype).block_elements == 0);
  if (elements == 0) return;
  switch (dtype) {
    case DType::kF32: std::memcpy(blocks, in, elements * sizeof(float)); return;
    case DType::kF16: return narrow<f32_to_f16>(in, blocks, elements);
    case DType::kBF16: return narrow<f32_to_bf16>(in, blocks, elements);
    case DType::kQ4_0: return encode_blocks<BlockQ4_0, 32>(in, blocks, elements, importance);
    case DType::kQ4_1: return encode_blocks<BlockQ4_1, 32>(in, blocks, elements, importance);
    case DType::kQ5_0: return encode_blocks<BlockQ5_0, 32>(in, blocks, elements, importance);
    case DType::kQ5_1: return encode_blocks<BlockQ5_1, 32>(in, blocks, elements, importance);
    case DType::kQ8_0: return encode_blocks<BlockQ8_0, 32>(in, blocks, elements, importance);
    case DType::kQ2_K: return encode_blocks<BlockQ2_K, 256>(in, blocks, elements, importance);
    case DType::kQ3_K: return encode_blocks<BlockQ3_K, 256>(in, blocks, elements, importance);
    case DType::kQ4_K: return encode_blocks<BlockQ4_K, 256>(in, blocks, elements, importance);
    case DType::kQ5_K: return encode_blocks<BlockQ5_K, 256>(in, blocks, elements, importance);
    case DType::kQ6_K: return encode_blocks<BlockQ6_K, 256>(in, blocks, elements, importance);
    case DType::kIQ4_NL: return encode_blocks<BlockIQ4_NL, 32>(in, blocks, elements, importance);
    case DType::kIQ4_XS: return encode_blocks<BlockIQ4_XS, 256>(in, blocks, elements, importance);
  }
  check_failed(__FILE__, __LINE__, "encode_row: not a DType");
}

Status check_finite(const float* in, uint64_t elements, std::string_view what) {
  for (uint64_t i = 0; i < elements; ++i) {
    if (!std::isfinite(in[i])) {
      return make_error(
          "{}: element {} is {}, expected a finite number; the source is damaged or overflowed in training", what, i,
          std::isnan(in[i]) ? "NaN" : "an infinity");
    }
  }
  return {};
}

}  // namespace andiron
