// Decode: one function per block format, written straight from the formulas in quant_blocks.h.

#include <cstring>

#include "base/check.h"
#include "tensor/half.h"
#include "tensor/quant_blocks.h"
#include "tensor/quantize.h"

namespace andiron {

namespace {

int low_nibble(uint8_t byte) { return byte & 15; }
int high_nibble(uint8_t byte) { return byte >> 4; }

// The 4-bit code of element i of 32, as Q4_0 lays them out.
int nibble_of_32(const uint8_t* qs, int i) { return i < 16 ? low_nibble(qs[i]) : high_nibble(qs[i - 16]); }

// Bit i of a little-endian bit string.
int bit_of(const uint8_t* bits, int i) { return (bits[i / 8] >> (i % 8)) & 1; }

// The 2-bit code of element i of 256, as Q2_K and Q3_K lay them out.
int two_bits_of_256(const uint8_t* qs, int i) { return (qs[32 * (i / 128) + i % 32] >> (2 * ((i % 128) / 32))) & 3; }

// The 4-bit code of element i of 256, as Q4_K and Q5_K lay them out.
int nibble_of_256(const uint8_t* qs, int i) {
  const uint8_t byte = qs[32 * (i / 64) + i % 32];
  return i % 64 < 32 ? low_nibble(byte) : high_nibble(byte);
}

void decode_block(const BlockQ4_0& b, float* out) {
  const float d = f16_to_f32(b.d);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(nibble_of_32(b.qs, i) - 8) * d;
}

void decode_block(const BlockQ4_1& b, float* out) {
  const float d = f16_to_f32(b.d);
  const float m = f16_to_f32(b.m);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(nibble_of_32(b.qs, i)) * d + m;
}

void decode_block(const BlockQ5_0& b, float* out) {
  const float d = f16_to_f32(b.d);
  for (int i = 0; i < 32; ++i) {
    const int q = nibble_of_32(b.qs, i) | bit_of(b.qh, i) << 4;
    out[i] = static_cast<float>(q - 16) * d;
  }
}

void decode_block(const BlockQ5_1& b, float* out) {
  const float d = f16_to_f32(b.d);
  const float m = f16_to_f32(b.m);
  for (int i = 0; i < 32; ++i) {
    const int q = nibble_of_32(b.qs, i) | bit_of(b.qh, i) << 4;
    out[i] = static_cast<float>(q) * d + m;
  }
}

void decode_block(const BlockQ8_0& b, float* out) {
  const float d = f16_to_f32(b.d);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(b.qs[i]) * d;
}

void decode_block(const BlockQ2_K& b, float* out) {
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  for (int i = 0; i < 256; ++i) {
    const uint8_t pair = b.scales[i / 16];
    const float scale = d * static_cast<float>(low_nibble(pair));
    const float min = dmin * static_cast<float>(high_nibble(pair));
    out[i] = scale * static_cast<float>(two_bits_of_256(b.qs, i)) - min;
  }
}

void decode_block(const BlockQ3_K& b, float* out) {
  const float d = f16_to_f32(b.d);
  for (int i = 0; i < 256; ++i) {
    const int high = (b.hmask[i % 32] >> (i / 32)) & 1;
    const int q = two_bits_of_256(b.qs, i) | high << 2;
    const float scale = d * static_cast<float>(q3_k_scale(b.scales, i / 16) - 32);
    out[i] = scale * static_cast<float>(q - 4);
  }
}

void decode_block(const BlockQ4_K& b, float* out) {
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  for (int i = 0; i < 256; ++i) {
    const ScaleAndMin pair = q4_k_pair(b.scales, i / 32);
    const float scale = d * static_cast<float>(pair.scale);
    const float min = dmin * static_cast<float>(pair.min);
    out[i] = scale * static_cast<float>(nibble_of_256(b.qs, i)) - min;
  }
}

void decode_block(const BlockQ5_K& b, float* out) {
  const float d = f16_to_f32(b.d);
  const float dmin = f16_to_f32(b.dmin);
  for (int i = 0; i < 256; ++i) {
    const ScaleAndMin pair = q4_k_pair(b.scales, i / 32);
    const float scale = d * static_cast<float>(pair.scale);
    const float min = dmin * static_cast<float>(pair.min);
    const int high = (b.qh[i % 32] >> (i / 32)) & 1;
    const int q = nibble_of_256(b.qs, i) | high << 4;
    out[i] = scale * static_cast<float>(q) - min;
  }
}

void decode_block(const BlockQ6_K& b, float* out) {
  const float d = f16_to_f32(b.d);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int quarter = (i % 128) / 32;
    const uint8_t byte = b.ql[64 * half + 32 * (quarter & 1) + i % 32];
    const int low = quarter < 2 ? low_nibble(byte) : high_nibble(byte);
    const int high = (b.qh[32 * half + i % 32] >> (2 * quarter)) & 3;
    const int8_t scale_steps = b.scales[i / 16];
    const float scale = d * static_cast<float>(scale_steps);
    out[i] = scale * static_cast<float>((low | high << 4) - 32);
  }
}

void decode_block(const BlockIQ4_NL& b, float* out) {
  const float d = f16_to_f32(b.d);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(kIq4Values[nibble_of_32(b.qs, i)]);
}

void decode_block(const BlockIQ4_XS& b, float* out) {
  const float d = f16_to_f32(b.d);
  for (int i = 0; i < 256; ++i) {
    const int group = i / 32;
    const uint8_t byte = b.scales_l[group / 2];
    const int low = group % 2 == 0 ? low_nibble(byte) : high_nibble(byte);
    const int high = (b.scales_h >> (2 * group)) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    out[i] = scale * static_cast<float>(kIq4Values[nibble_of_32(b.qs + 16 * group, i % 32)]);
  }
}

template <typename Block, uint64_t kElements>
void decode_blocks(const uint8_t* blocks, float* out, uint64_t elements) {
  for (uint64_t i = 0; i < elements / kElements; ++i) {
    Block block;
    std::memcpy(&block, blocks + i * sizeof(Block), sizeof(Block));
    decode_block(block, out + i * kElements);
  }
}

template <float (*kWiden)(uint16_t)>
void widen(const uint8_t* halves, float* out, uint64_t elements) {
  for (uint64_t i = 0; i < elements; ++i) {
    uint16_t half;
    std::memcpy(&half, halves + 2 * i, sizeof(half));
    out[i] = kWiden(half);
  }
}

}  // namespace

void decode_row(DType dtype, const uint8_t* blocks, float* out, uint64_t elements) {
  ANDIRON_CHECK(elements % dtype_info(dtype).block_elements == 0);
  if (elements == 0) return;
  switch (dtype) {
    case DType::kF32: std::memcpy(out, blocks, elements * sizeof(float)); return;
    case DType::kF16: return widen<f16_to_f32>(blocks, out, elements);
    case DType::kBF16: return widen<bf16_to_f32>(blocks, out, elements);
    case DType::kQ4_0: return decode_blocks<BlockQ4_0, 32>(blocks, out, elements);
    case DType::kQ4_1: return decode_blocks<BlockQ4_1, 32>(blocks, out, elements);
    case DType::kQ5_0: return decode_blocks<BlockQ5_0, 32>(blocks, out, elements);
    case DType::kQ5_1: return decode_blocks<BlockQ5_1, 32>(blocks, out, elements);
    case DType::kQ8_0: return decode_blocks<BlockQ8_0, 32>(blocks, out, elements);
    case DType::kQ2_K: return decode_blocks<BlockQ2_K, 256>(blocks, out, elements);
    case DType::kQ3_K: return decode_blocks<BlockQ3_K, 256>(blocks, out, elements);
    case DType::kQ4_K: return decode_blocks<BlockQ4_K, 256>(blocks, out, elements);
    case DType::kQ5_K: return decode_blocks<BlockQ5_K, 256>(blocks, out, elements);
    case DType::kQ6_K: return decode_blocks<BlockQ6_K, 256>(blocks, out, elements);
    case DType::kIQ4_NL: return decode_blocks<BlockIQ4_NL, 32>(blocks, out, elements);
    case DType::kIQ4_XS: return decode_blocks<BlockIQ4_XS, 256>(blocks, out, elements);
  }
  check_failed(__FILE__, __LINE__, "decode_row: not a DType");
}

}  // namespace andiron
