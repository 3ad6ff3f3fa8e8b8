/* dx = dy W from packed weights: pieces of 128 rows x 256 columns are unpacked to f32 and multiplied as the A of a
 * gemm, whose lanes are tokens. A piece serves all tokens; the sums are carried in dx_t from piece to piece, so each
 * element adds its terms in the order of the rows. */
#pragma once

#include "kernels/generic/gemm-inl.h"
#include "kernels/generic/unpack-inl.h"

namespace andiron {
namespace {

constexpr int kPieceGroups = 8, kPieceColumns = 256;

struct __attribute__((aligned(64))) TransposedScratch {
  GemmScratch gemm;
  float piece[kPieceColumns * kUnpackStride]; /* [column][row] */
};
static_assert(16 * kPieceGroups <= kUnpackStride, "the rows of a piece must fit its stride");
static_assert(sizeof(TransposedScratch) <= kMatmulScratchBytes, "the piece must fit the scratch");

template <class Unpack>
void matmul_transposed(const MatmulTransposedArgs* a) {
  TransposedScratch* s = (TransposedScratch*)a->scratch;
  const int64_t group_bytes = Unpack::group_bytes(a->k);
  for (int64_t column = a->k_begin; column < a->k_end; column += kPieceColumns) {
    const int64_t columns = a->k_end - column < kPieceColumns ? a->k_end - column : kPieceColumns;
    float* dx = a->dx_t + (column - a->k_begin) * a->ld_dx;
    for (int64_t group = 0; group < a->groups; group += kPieceGroups) {
      const int64_t count = a->groups - group < kPieceGroups ? a->groups - group : kPieceGroups;
      for (int64_t i = 0; i < count; ++i) {
        Unpack::unpack(a->weight + (group + i) * group_bytes, column, columns, s->piece + 16 * i);
      }
      const float* dy = a->dy_t + 16 * group * a->ld;
      const GemmArgs g = {columns, a->tokens, 16 * count, s->piece, kUnpackStride, 1,
                          dy,      a->ld,     dx,         a->ld_dx, group > 0,     &s->gemm};
      gemm(&g);
    }
  }
}

}  // namespace
}  // namespace andiron
