/* dx = dy W from packed weights: pieces of 128 rows x 256 columns are unpacked to f32 and multiplied as the A of a
 * gemm, whose lanes are tokens. A piece serves all tokens; the sums are carried in dx_t from piece to piece, so each
 * element adds its terms in the order of the rows. */
#pragma once

#include "kernels/generic/formats-inl.h"
#include "kernels/generic/gemm-inl.h"
#include "kernels/generic/matmul_float-inl.h"

namespace andiron {
namespace {

constexpr int kPieceGroups = 8, kPieceColumns = 256;
/* Rows of the weight in a piece, and a line more: rows a power of two apart would share few cache sets. */
constexpr int kPieceRows = 16 * kPieceGroups, kPieceStride = kPieceRows + 16;

struct __attribute__((aligned(64))) TransposedScratch {
  GemmScratch gemm;
  float piece[kPieceColumns * kPieceStride]; /* [column][row] */
};
static_assert(sizeof(TransposedScratch) <= kMatmulScratchBytes, "the piece must fit the scratch");

/* Columns 4 j .. 4 j + 3 of a block, 16 rows each. A product of a whole number with a scale is exact in f32 for every
 * format, so adding the minimum is the only rounding, as in decode_row. */
template <class Fmt, int Byte>
inline void unpack_column(V::B quad, V::F scale, V::F min, float* out) {
  V::I q = V::template b_byte<Byte, Fmt::kBits == 8>(quad);
  if constexpr (Fmt::kOffset != 0) q = V::i_add(q, V::i_set1(-Fmt::kOffset));
  const V::F value = V::f_from_i(q);
  V::f_store(out + Byte * kPieceStride, Fmt::kHasMin ? V::f_fma(value, scale, min) : V::f_mul(value, scale));
}

/* Quantised weights: 32 columns of one group. */
template <class Fmt>
struct QuantPiece {
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
      unpack_column<Fmt, 0>(q[j], s.scale[sub], min, out + 4 * j * kPieceStride);
      unpack_column<Fmt, 1>(q[j], s.scale[sub], min, out + 4 * j * kPieceStride);
      unpack_column<Fmt, 2>(q[j], s.scale[sub], min, out + 4 * j * kPieceStride);
      unpack_column<Fmt, 3>(q[j], s.scale[sub], min, out + 4 * j * kPieceStride);
    }
  }

  static void unpack(const uint8_t* group, int64_t column, int64_t count, float* out) {
    for (int64_t i = 0; i < count; i += 32) unpack_block(group, column + i, out + i * kPieceStride);
  }
};

template <class Fmt>
struct FloatPiece {
  static int64_t group_bytes(int64_t k) { return (k + 1) / 2 * Fmt::kStep; }

  static void unpack(const uint8_t* group, int64_t column, int64_t count, float* out) {
    for (int64_t i = 0; i < count; ++i) {
      const uint8_t* p = group + (column + i) / 2 * Fmt::kStep;
      V::f_store(out + i * kPieceStride, (column + i) % 2 == 0 ? Fmt::even(p) : Fmt::odd(p));
    }
  }
};

template <class Piece>
void matmul_transposed(const MatmulTransposedArgs* a) {
  TransposedScratch* s = (TransposedScratch*)a->scratch;
  const int64_t group_bytes = Piece::group_bytes(a->k);
  for (int64_t column = a->k_begin; column < a->k_end; column += kPieceColumns) {
    const int64_t columns = a->k_end - column < kPieceColumns ? a->k_end - column : kPieceColumns;
    float* dx = a->dx_t + (column - a->k_begin) * a->ld_dx;
    for (int64_t group = 0; group < a->groups; group += kPieceGroups) {
      const int64_t count = a->groups - group < kPieceGroups ? a->groups - group : kPieceGroups;
      for (int64_t i = 0; i < count; ++i) {
        Piece::unpack(a->weight + (group + i) * group_bytes, column, columns, s->piece + 16 * i);
      }
      const float* dy = a->dy_t + 16 * group * a->ld;
      const GemmArgs g = {columns, a->tokens, 16 * count, s->piece, kPieceStride, 1,
                          dy,      a->ld,     dx,         a->ld_dx, group > 0,    &s->gemm};
      gemm(&g);
    }
  }
}

}  // namespace
}  // namespace andiron
