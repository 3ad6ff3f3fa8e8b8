/* Packed weights to f32: column by column, 16 rows of the weight side by side. */
#pragma once

#include "kernels/generic/formats-inl.h"
#include "kernels/generic/matmul_float-inl.h"

namespace andiron {
namespace {

/* Floats between columns. */
constexpr int kUnpackStride = 16;

/* Columns 4 j .. 4 j + 3 of a block, 16 rows each. A product of a whole number with a scale is exact in f32 for every
 * format, so adding the minimum is the only rounding, as in decode_row. */
template <class Fmt, int Byte>
inline void unpack_column(V::B quad, V::F scale, V::F min, float* out) {
  V::I q = V::template b_byte<Byte, Fmt::kBits == 8>(quad);
  if constexpr (Fmt::kOffset != 0) q = V::i_add(q, V::i_set1(-Fmt::kOffset));
  const V::F value = V::f_from_i(q);
  V::f_store(out + Byte * kUnpackStride, Fmt::kHasMin ? V::f_fma(value, scale, min) : V::f_mul(value, scale));
}

/* Quantised weights: 32 columns of one group. */
template <class Fmt>
struct UnpackQuant {
  static int64_t group_bytes(int64_t k) { return k / 32 / Fmt::kBlocksPerSuper * Fmt::kSuperBytes; }

  static void unpack_block(const uint8_t* group, int64_t column, float* out) {
    const int64_t block = column / 32;
    const uint8_t* super = group + block / Fmt::kBlocksPerSuper * Fmt::kSuperBytes;
    const uint8_t* p = super + Fmt::kHeaderBytes + block % Fmt::kBlocksPerSuper * Fmt::kBlockBytes;
    prefetch_block<Fmt>(p);
    V::B q[8];
    unpack_quads<Fmt>(p + Fmt::kScaleBytes, q);
    BlockScales s = load_scales<Fmt>(load_header<Fmt>(super), p);
    for (int j = 0; j < 8; ++j) {
      const int sub = j / Fmt::kQuads;
      const V::F min = Fmt::kHasMin ? s.min[sub] : V::f_zero();
      unpack_column<Fmt, 0>(q[j], s.scale[sub], min, out + 4 * j * kUnpackStride);
      unpack_column<Fmt, 1>(q[j], s.scale[sub], min, out + 4 * j * kUnpackStride);
      unpack_column<Fmt, 2>(q[j], s.scale[sub], min, out + 4 * j * kUnpackStride);
      unpack_column<Fmt, 3>(q[j], s.scale[sub], min, out + 4 * j * kUnpackStride);
    }
  }

  static void unpack(const uint8_t* group, int64_t column, int64_t count, float* out) {
    for (int64_t i = 0; i < count; i += 32) unpack_block(group, column + i, out + i * kUnpackStride);
  }
};

template <class Fmt>
struct UnpackFloat {
  static int64_t group_bytes(int64_t k) { return (k + 1) / 2 * Fmt::kStep; }

  static void unpack(const uint8_t* group, int64_t column, int64_t count, float* out) {
    for (int64_t i = 0; i < count; ++i) {
      const uint8_t* p = group + (column + i) / 2 * Fmt::kStep;
      __builtin_prefetch(p + 4096, 0, 3); /* as prefetch_block */
      V::f_store(out + i * kUnpackStride, (column + i) % 2 == 0 ? Fmt::even(p) : Fmt::odd(p));
    }
  }
};

}  // namespace
}  // namespace andiron
