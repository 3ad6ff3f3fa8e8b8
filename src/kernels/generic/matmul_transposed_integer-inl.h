/* dx += dy W from quantised weights, in whole numbers: 16-bit products are twice as fast as f32 ones and have the same
 * bits everywhere. Pieces of 128 rows x 192 columns are unpacked to f32, turned so that columns are lanes, and rounded
 * to 12 bits against the largest of their column, in pairs of rows. */
#pragma once

#include "kernels/generic/matmul_transposed-inl.h"

namespace andiron {
namespace {

static_assert(kPieceRows == kGradientBlock, "a piece has one scale for each column");

struct __attribute__((aligned(64))) IntegerScratch {
  TransposedScratch piece;
  int16_t pairs[kPieceColumns / kGemmWidth][kPieceRows / 2][kGemmWidth][2];
  float scale[kPieceColumns];
};
static_assert(sizeof(IntegerScratch) <= kMatmulScratchBytes, "the piece must fit the scratch");

/* 1 / d for numbers up to `top`, so that they reach `most`; 0 for what is hardly there. */
inline V::F inverse_scale(V::F top, float most) {
  return V::f_select_ge(top, V::f_set1(1e-30f), V::f_div(V::f_set1(most), top), V::f_zero());
}

/* 16 columns of a piece from f32 to pairs of rows, and their scales. */
inline void round_columns(const float* from, int64_t rows, int16_t* pairs, float* scale) {
  V::F top = V::f_zero(), finite = V::f_zero();
  for (int64_t i = 0; i < rows; ++i) {
    const V::F v = V::f_load(from + i * kGemmWidth);
    top = V::f_max(top, V::f_abs(v));
    finite = V::f_add(finite, V::f_sub(v, v)); /* 0, or NaN */
  }
  /* 0 also in lanes that are not finite: what NaN becomes has zeros in its lower half. */
  const V::F inverse = V::f_select_ge(finite, V::f_zero(), inverse_scale(top, kGradientWeightMax), V::f_zero());
  const V::F d = V::f_select_ge(top, V::f_set1(1e-30f), V::f_div(top, V::f_set1(kGradientWeightMax)), V::f_zero());
  V::f_store(scale, V::f_add(d, finite));
  for (int64_t i = 0; i < rows; i += 2) {
    const V::I even = V::i_round(V::f_mul(V::f_load(from + i * kGemmWidth), inverse));
    const V::F next = i + 1 < rows ? V::f_load(from + (i + 1) * kGemmWidth) : V::f_zero();
    const V::I odd = V::i_round(V::f_mul(next, inverse));
    V::i_store(pairs + i * kGemmWidth, V::i_add(V::i_and(even, V::i_set1(0xffff)), V::i_shl<16>(odd)));
  }
}

void quantize_gradient(const float* dy, int64_t n, int16_t* q, float* scale) {
  for (int64_t block = 0; block < n; block += kGradientBlock) {
    const int64_t end = n - block < kGradientBlock ? n : block + kGradientBlock;
    V::F top = V::f_zero(), finite = V::f_zero();
    for (int64_t i = block; i < end; i += 16) {
      const V::F v = load_some(dy + i, end - i);
      top = V::f_max(top, V::f_abs(v));
      finite = V::f_add(finite, V::f_sub(v, v));
    }
    const float largest = V::f_hmax(top);
    if (!(V::f_sum(finite) == 0.0f)) {
      *scale++ = __builtin_nanf("");
      __builtin_memset(q + block, 0, kGradientBlock * sizeof *q);
      continue;
    }
    const V::F inverse = inverse_scale(V::f_set1(largest), kGradientMax);
    *scale++ = largest >= 1e-30f ? largest / kGradientMax : 0.0f;
    for (int64_t i = block; i < block + kGradientBlock; i += 16) {
      const V::F v = i < end ? load_some(dy + i, end - i) : V::f_zero();
      V::i_store_shorts(q + i, V::i_round(V::f_mul(v, inverse)));
    }
  }
}

/* What the tiles of one panel need to know. */
struct IntegerPass {
  const MatmulTransposedArgs* args;
  const int16_t* pairs; /* of the panel */
  const float* scale;   /* of its columns */
  int64_t row, steps;   /* first row of the piece; pairs in it */
  int64_t column;       /* first of the panel, of K */
};

/* R tokens x N vectors of columns. */
template <int R, int N>
void integer_tile(const IntegerPass& w, int64_t token) {
  const MatmulTransposedArgs& a = *w.args;
  const int16_t* q = a.q16 + token * a.ld_q16 + w.row;
  const int16_t* b = w.pairs;
  P::I acc[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < N; ++v) acc[r][v] = P::i_zero();
  for (int64_t l = 0; l < w.steps; ++l) {
    P::I x[N];
#pragma GCC unroll 3
    for (int v = 0; v < N; ++v) x[v] = P::i_load_panel(b + 2 * v * P::kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const P::I y = P::i_pair(q + r * a.ld_q16);
#pragma GCC unroll 3
      for (int v = 0; v < N; ++v) acc[r][v] = P::i_dot_pairs(acc[r][v], y, x[v]);
    }
    q += 2;
    b += 2 * kGemmWidth;
  }
  const int64_t blocks = (a.n + kGradientBlock - 1) / kGradientBlock;
  const float* scale = a.scale + token * blocks + w.row / kGradientBlock;
  float* dx = a.dx + token * a.ld_dx + w.column;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const P::F d = P::f_set1(scale[r * blocks]);
#pragma GCC unroll 3
    for (int v = 0; v < N; ++v) {
      float* to = dx + r * a.ld_dx + v * P::kLanes;
      const P::F both = P::f_mul(d, P::f_load(w.scale + v * P::kLanes));
      P::f_store(to, P::f_fma(P::f_from_i(acc[r][v]), both, P::f_load(to)));
    }
  }
}

template <int N>
void integer_panel(const IntegerPass& w) {
  int64_t t = 0;
  for (; t + P::kGemmRows <= w.args->tokens; t += P::kGemmRows) integer_tile<P::kGemmRows, N>(w, t);
  for (; t + 2 <= w.args->tokens; t += 2) integer_tile<2, N>(w, t);
  for (; t < w.args->tokens; ++t) integer_tile<1, N>(w, t);
}

template <class Unpack>
void matmul_transposed_integer(const MatmulTransposedArgs* a) {
  IntegerScratch* s = (IntegerScratch*)a->scratch;
  const int64_t group_bytes = Unpack::group_bytes(a->k);
  for (int64_t column = a->k_begin; column < a->k_end; column += kPieceColumns) {
    const int64_t columns = a->k_end - column < kPieceColumns ? a->k_end - column : kPieceColumns;
    for (int64_t row = 0; row < a->n; row += kPieceRows) {
      const int64_t rows = a->n - row < kPieceRows ? a->n - row : kPieceRows;
      for (int64_t i = 0; i < rows; i += 16) {
        fill_panels<Unpack>(a->weight + (row + i) / 16 * group_bytes, column, columns, i, &s->piece);
      }
      for (int64_t c = 0; c < columns; c += 16) { /* K is whole blocks of 32 */
        const int64_t panel = c / kGemmWidth, at = c % kGemmWidth;
        round_columns(&s->piece.panels[panel][0][at], rows, s->pairs[panel][0][at], s->scale + c);
      }
      for (int64_t c = 0; c < columns; c += kGemmWidth) {
        const IntegerPass w = {a, s->pairs[c / kGemmWidth][0][0], s->scale + c, row, (rows + 1) / 2, column + c};
        const int64_t vectors = (columns - c < kGemmWidth ? columns - c : kGemmWidth) / P::kLanes;
        if (vectors == 1) integer_panel<1>(w);
        if (vectors == 2) integer_panel<2>(w);
        if (vectors == 3) integer_panel<3>(w);
      }
    }
  }
}

}  // namespace
}  // namespace andiron
