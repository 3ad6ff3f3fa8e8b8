/* dx += dy W from packed weights: pieces of 128 rows x 192 columns are unpacked to f32, turned so that columns are
 * lanes, into the panels of a gemm whose A is dy. A piece serves all tokens; dx carries the sums from piece to piece,
 * so each element adds its terms in the order of the rows. */
#pragma once

#include "kernels/generic/gemm-inl.h"
#include "kernels/generic/unpack-inl.h"

namespace andiron {
namespace {

/* Whole blocks of 32 and whole panels. With what 512 tokens have of dx and dy a piece stays below a megabyte of L2. */
constexpr int kPieceRows = kGemmDepth, kPieceColumns = 192;
static_assert(kPieceColumns % kGemmWidth == 0 && kPieceColumns % 32 == 0, "pieces are whole blocks and panels");

struct __attribute__((aligned(64))) TransposedScratch {
  float panels[kPieceColumns / kGemmWidth][kPieceRows][kGemmWidth];
  float tile[P::kGemmRows * kGemmWidth];
  float block[32 * kUnpackStride]; /* [column][row] */
};
static_assert(sizeof(TransposedScratch) <= kMatmulScratchBytes, "the piece must fit the scratch");

/* 16 rows of the weight into the panels, from `row`; zeros up to 16 columns. */
template <class Unpack>
inline void fill_panels(const uint8_t* group, int64_t column, int64_t columns, int64_t row, TransposedScratch* s) {
  for (int64_t c = 0; c < columns; c += 32) {
    const int64_t count = columns - c < 32 ? columns - c : 32;
    if (count < 32) __builtin_memset(s->block, 0, sizeof s->block);
    Unpack::unpack(group, column + c, count, s->block);
    for (int64_t half = 0; half < count; half += 16) {
      const int64_t at = c + half;
      V::f_transpose(s->block + half * kUnpackStride, kUnpackStride, s->panels[at / kGemmWidth][row] + at % kGemmWidth,
                     kGemmWidth);
    }
  }
}

template <class Unpack>
void matmul_transposed(const MatmulTransposedArgs* a) {
  TransposedScratch* s = (TransposedScratch*)a->scratch;
  const int64_t group_bytes = Unpack::group_bytes(a->k);
  for (int64_t column = a->k_begin; column < a->k_end; column += kPieceColumns) {
    const int64_t columns = a->k_end - column < kPieceColumns ? a->k_end - column : kPieceColumns;
    for (int64_t row = 0; row < a->n; row += kPieceRows) {
      const int64_t rows = a->n - row < kPieceRows ? a->n - row : kPieceRows;
      for (int64_t i = 0; i < rows; i += 16) {
        fill_panels<Unpack>(a->weight + (row + i) / 16 * group_bytes, column, columns, i, s);
      }
      const GemmArgs g = {a->tokens, columns,    rows,           a->dy + row, a->ld_dy, 1,
                          nullptr,   kGemmWidth, a->dx + column, a->ld_dx,    true,     nullptr};
      for (int64_t c = 0; c < columns; c += kGemmWidth) {
        gemm_columns(g, s->panels[c / kGemmWidth][0], kGemmWidth, c, s->tile);
      }
    }
  }
}

}  // namespace
}  // namespace andiron
