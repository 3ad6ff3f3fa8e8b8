/* dx += dy W from quantised weights, in whole numbers, which are four times as fast as f32 ones on VNNI and have the
 * same bits everywhere. Pieces of 128 rows x 96 columns are unpacked to f32, turned so that columns are lanes, and
 * rounded to 8 bits against the largest of their column, some rows side by side.
 *
 * dW += dY^T X is the same product: there the rows of W are tokens of X. */
#pragma once

#include "kernels/generic/matmul_transposed-inl.h"

namespace andiron {
namespace {

static_assert(kPieceRows == kGradientBlock, "a piece has one scale for each column");

/* Columns of a piece, of which 512 tokens have less than 200 KiB of sums: with the rounded gradients that is in L2. */
constexpr int kIntegerColumns = 96, kIntegerTokens = 512;
static_assert(kIntegerColumns % kGemmWidth == 0 && kIntegerColumns <= kPieceColumns, "whole panels");

/* Sums stand end to end while the rows of W pass: in dx they would be a row apart, often a power of two, and fight for
 * one cache set. */
struct __attribute__((aligned(64))) IntegerScratch {
  TransposedScratch piece;
  V::GradientWeight steps[kIntegerColumns / kGemmWidth][kPieceRows / V::kGradientStep][kGemmWidth][V::kGradientStep];
  float scale[kIntegerColumns];
  int32_t start[kIntegerColumns];
  float carry[kIntegerColumns / kGemmWidth][kIntegerTokens][kGemmWidth];
};
static_assert(sizeof(IntegerScratch) <= kMatmulScratchBytes, "the piece must fit the scratch");

/* 1 / d for numbers up to `top`, so that they reach `most`; 0 for what is hardly there. */
inline V::F inverse_scale(V::F top, float most) {
  return V::f_select_ge(top, V::f_set1(1e-30f), V::f_div(V::f_set1(most), top), V::f_zero());
}

/* 16 columns of a piece from f32, rows `ld` floats apart, to steps of rows, their scales, and what their sums start
 * from. */
inline void round_columns(const float* from, int64_t ld, int64_t rows, V::GradientWeight* steps, float* scale,
                          int32_t* start) {
  V::F top = V::f_zero(), finite = V::f_zero();
  for (int64_t i = 0; i < rows; ++i) {
    const V::F v = V::f_load(from + i * ld);
    top = V::f_max(top, V::f_abs(v));
    finite = V::f_add(finite, V::f_sub(v, v)); /* 0, or NaN */
  }
  /* 0 also in lanes that are not finite: what NaN becomes has zeros in its lower half. */
  const V::F inverse = V::f_select_ge(finite, V::f_zero(), inverse_scale(top, kGradientWeightMax), V::f_zero());
  const V::F d = V::f_select_ge(top, V::f_set1(1e-30f), V::f_div(top, V::f_set1(kGradientWeightMax)), V::f_zero());
  V::f_store(scale, V::f_add(d, finite));
  V::I sum = V::i_set1(0);
  for (int64_t i = 0; i < rows; i += V::kGradientStep) {
    V::I step[V::kGradientStep];
#pragma GCC unroll 4
    for (int64_t j = 0; j < V::kGradientStep; ++j) {
      const V::F v = i + j < rows ? V::f_load(from + (i + j) * ld) : V::f_zero();
      step[j] = V::i_round(V::f_mul(v, inverse));
      sum = V::i_add(sum, step[j]);
    }
    V::i_store_step(steps + i * kGemmWidth, step);
  }
  V::i_store(start, V::i_start(sum));
}

/* Numbers for dithering, a generator in each lane (Marsaglia 2003, "Xorshift RNGs"), begun from a row's own bits. */
struct Dither {
  V::I state;
};

/* All bits of a row, folded: rotated by 5 and added without carries, numbers 16 apart, then the 16 sums likewise. */
inline uint32_t fold_bits(const float* dy, int64_t n) {
  V::I sum = V::i_set1(0);
  for (int64_t i = 0; i < n; i += 16) {
    uint32_t bits[16] = {0};
    __builtin_memcpy(bits, dy + i, sizeof(float) * (size_t)(n - i < 16 ? n - i : 16));
    sum = V::i_xor(V::i_xor(V::i_shl<5>(sum), V::i_shr<27>(sum)), V::i_load(bits));
  }
  uint32_t lanes[16], h = 0;
  V::i_store(lanes, sum);
  for (uint32_t i = 0; i < 16; ++i) h = (h << 5 ^ h >> 27) ^ lanes[i];
  return h;
}

inline Dither start_dither(const float* dy, int64_t n) {
  const uint32_t seed = fold_bits(dy, n);
  uint32_t lanes[16];
  for (uint32_t i = 0; i < 16; ++i) { /* mixed as in MurmurHash3 */
    uint32_t h = seed + (i + 1) * 0x9e3779b9u;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    lanes[i] = (h ^ h >> 16) | 1;
  }
  return {V::i_load(lanes)};
}

/* Evenly from [-1/2, 1/2). */
inline V::F next_dither(Dither* d) {
  V::I x = d->state;
  x = V::i_xor(x, V::i_shl<13>(x));
  x = V::i_xor(x, V::i_shr<17>(x));
  x = V::i_xor(x, V::i_shl<5>(x));
  d->state = x;
  const V::F from_one = V::f_bits(V::i_xor(V::i_shr<9>(x), V::i_set1(0x3f800000)));
  return V::f_sub(from_one, V::f_set1(1.5f));
}

void quantize_gradient(const float* dy, int64_t n, void* out, float* scale, bool dithers) {
  V::Gradient* q = (V::Gradient*)out;
  const float most = dithers ? kGradientMax - 1 : kGradientMax; /* a step more may be added */
  Dither dither = {V::i_set1(0)};
  if (dithers) dither = start_dither(dy, n);
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
      for (int64_t i = block; i < block + kGradientBlock; i += 16) V::i_store_gradient(q + i, V::i_set1(0));
      continue;
    }
    const V::F inverse = inverse_scale(V::f_set1(largest), most);
    *scale++ = largest >= 1e-30f ? largest / most : 0.0f;
    for (int64_t i = block; i < block + kGradientBlock; i += 16) {
      const V::F v = V::f_mul(i < end ? load_some(dy + i, end - i) : V::f_zero(), inverse);
      V::i_store_gradient(q + i, V::i_round(dithers && i < end ? V::f_add(v, next_dither(&dither)) : v));
    }
  }
}

/* What the tiles of one panel need to know. A row of q is a token's gradients; of dW, a row's from 128 tokens. */
struct IntegerPass {
  const V::Gradient* q; /* [tokens][steps * kGradientStep] */
  int64_t ld_q;
  const float* q_scale; /* [tokens], `ld_scale` apart */
  int64_t ld_scale;
  const V::GradientWeight* weights; /* of the panel */
  const float* scale;               /* of its columns */
  const int32_t* start;             /* likewise */
  float* carry;                     /* [tokens][kGemmWidth] */
  int64_t steps, tokens;
};

/* R tokens x N vectors of columns. */
template <int R, int N>
void integer_tile(const IntegerPass& w, int64_t token) {
  const V::Gradient* q = w.q + token * w.ld_q;
  const V::GradientWeight* b = w.weights;
  P::I acc[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < N; ++v) acc[r][v] = P::i_load(w.start + v * P::kLanes);
  for (int64_t l = 0; l < w.steps; ++l) {
    P::I x[N];
#pragma GCC unroll 3
    for (int v = 0; v < N; ++v) x[v] = P::i_load_panel(b + V::kGradientStep * v * P::kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const P::I y = P::i_step(q + r * w.ld_q);
#pragma GCC unroll 3
      for (int v = 0; v < N; ++v) acc[r][v] = P::i_dot_step(acc[r][v], y, x[v]);
    }
    q += V::kGradientStep;
    b += V::kGradientStep * kGemmWidth;
  }
  const float* scale = w.q_scale + token * w.ld_scale;
  float* carry = w.carry + token * kGemmWidth;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const P::F d = P::f_set1(scale[r * w.ld_scale]);
#pragma GCC unroll 3
    for (int v = 0; v < N; ++v) {
      float* to = carry + r * kGemmWidth + v * P::kLanes;
      const P::F both = P::f_mul(d, P::f_load(w.scale + v * P::kLanes));
      P::f_store(to, P::f_fma(P::f_from_i(acc[r][v]), both, P::f_load(to)));
    }
  }
}

/* The gradients of the next tile: far apart, and so what the hardware does not foresee. */
inline void prefetch_gradients(const IntegerPass& w, int64_t token) {
  const V::Gradient* q = w.q + token * w.ld_q;
  for (int64_t t = 0; t < P::kGemmRows; ++t) {
    for (int64_t i = 0; i < kPieceRows; i += 64 / (int64_t)sizeof *q) __builtin_prefetch(q + t * w.ld_q + i, 0, 3);
  }
}

template <int N>
void integer_panel(const IntegerPass& w) {
  int64_t t = 0;
  for (; t + P::kGemmRows <= w.tokens; t += P::kGemmRows) {
    prefetch_gradients(w, t + P::kGemmRows);
    integer_tile<P::kGemmRows, N>(w, t);
  }
  for (; t + 2 <= w.tokens; t += 2) integer_tile<2, N>(w, t);
  for (; t < w.tokens; ++t) integer_tile<1, N>(w, t);
}

/* 128 rows of W from `row`, some columns of K, unpacked and rounded. */
template <class Unpack>
void fill_steps(const MatmulTransposedArgs* a, int64_t row, int64_t rows, int64_t column, int64_t columns,
                IntegerScratch* s) {
  const int64_t group_bytes = Unpack::group_bytes(a->k);
  for (int64_t i = 0; i < rows; i += 16) {
    fill_panels<Unpack>(a->weight + (row + i) / 16 * group_bytes, column, columns, i, &s->piece);
  }
  for (int64_t c = 0; c < columns; c += 16) { /* K is whole blocks of 32 */
    const int64_t panel = c / kGemmWidth, at = c % kGemmWidth;
    round_columns(&s->piece.panels[panel][0][at], kGemmWidth, rows, s->steps[panel][0][at], s->scale + c, s->start + c);
  }
}

/* All panels of what fill_steps or a caller made of `columns` columns; `w` of the first. */
inline void integer_panels(IntegerPass w, int64_t columns, IntegerScratch* s) {
  for (int64_t c = 0; c < columns; c += kGemmWidth) {
    const int64_t panel = c / kGemmWidth;
    w.weights = s->steps[panel][0][0];
    w.scale = s->scale + c;
    w.start = s->start + c;
    w.carry = s->carry[panel][0];
    const int64_t vectors = (columns - c < kGemmWidth ? columns - c : kGemmWidth) / P::kLanes;
    if (vectors == 1) integer_panel<1>(w);
    if (vectors == 2) integer_panel<2>(w);
    if (vectors == 3) integer_panel<3>(w);
  }
}

/* Between `out` [tokens, columns] and the carry: from one to the other. */
inline void copy_carry(float* out, int64_t ld, int64_t tokens, int64_t columns, IntegerScratch* s, bool back) {
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t c = 0; c < columns; c += 16) {
      float* carry = s->carry[c / kGemmWidth][t] + c % kGemmWidth;
      V::f_store(back ? out + c : carry, V::f_load(back ? carry : out + c));
    }
    out += ld;
  }
}

inline int64_t steps_of(int64_t rows) { return (rows + V::kGradientStep - 1) / V::kGradientStep; }

/* Tokens [token, token + tokens) against columns [column, column + columns) of all rows. */
template <class Unpack>
void integer_piece(const MatmulTransposedArgs* a, int64_t token, int64_t tokens, int64_t column, int64_t columns) {
  IntegerScratch* s = (IntegerScratch*)a->scratch;
  float* dx = a->dx + token * a->ld_dx + column;
  const V::Gradient* q = (const V::Gradient*)a->q + token * a->ld_q;
  const int64_t blocks = (a->n + kGradientBlock - 1) / kGradientBlock;
  copy_carry(dx, a->ld_dx, tokens, columns, s, false);
  for (int64_t row = 0; row < a->n; row += kPieceRows) {
    const int64_t rows = a->n - row < kPieceRows ? a->n - row : kPieceRows;
    fill_steps<Unpack>(a, row, rows, column, columns, s);
    const float* scale = a->scale + token * blocks + row / kGradientBlock;
    integer_panels({q + row, a->ld_q, scale, blocks, nullptr, nullptr, nullptr, nullptr, steps_of(rows), tokens},
                   columns, s);
  }
  copy_carry(dx, a->ld_dx, tokens, columns, s, true);
}

template <class Unpack>
void matmul_transposed_integer(const MatmulTransposedArgs* a) {
  for (int64_t token = 0; token < a->tokens; token += kIntegerTokens) {
    const int64_t tokens = a->tokens - token < kIntegerTokens ? a->tokens - token : kIntegerTokens;
    for (int64_t column = a->k_begin; column < a->k_end; column += kIntegerColumns) {
      const int64_t columns = a->k_end - column < kIntegerColumns ? a->k_end - column : kIntegerColumns;
      integer_piece<Unpack>(a, token, tokens, column, columns);
    }
  }
}

/* Rows [first, first + count) of dW, columns [column, column + columns). */
inline void weight_gradient_piece(const WeightGradientArgs* a, int64_t first, int64_t count, int64_t column,
                                  int64_t columns) {
  IntegerScratch* s = (IntegerScratch*)a->scratch;
  float* dw = a->dw + first * a->ld_dw + column;
  const V::Gradient* q = (const V::Gradient*)a->q + first * kGradientBlock;
  const float* scale = a->scale + first;
  copy_carry(dw, a->ld_dw, count, columns, s, false);
  for (int64_t token = 0; token < a->tokens; token += kGradientBlock) {
    const int64_t tokens = a->tokens - token < kGradientBlock ? a->tokens - token : kGradientBlock;
    for (int64_t c = 0; c < columns; c += 16) {
      round_columns(a->x + token * a->ld_x + column + c, a->ld_x, tokens, s->steps[c / kGemmWidth][0][c % kGemmWidth],
                    s->scale + c, s->start + c);
    }
    integer_panels({q, kGradientBlock, scale, 1, nullptr, nullptr, nullptr, nullptr, steps_of(tokens), count}, columns,
                   s);
    q += a->n * kGradientBlock;
    scale += a->n;
  }
  copy_carry(dw, a->ld_dw, count, columns, s, true);
}

void weight_gradient(const WeightGradientArgs* a) {
  for (int64_t first = a->n_begin; first < a->n_end; first += kIntegerTokens) {
    const int64_t count = a->n_end - first < kIntegerTokens ? a->n_end - first : kIntegerTokens;
    for (int64_t column = a->k_begin; column < a->k_end; column += kIntegerColumns) {
      const int64_t columns = a->k_end - column < kIntegerColumns ? a->k_end - column : kIntegerColumns;
      weight_gradient_piece(a, first, count, column, columns);
    }
  }
}

}  // namespace
}  // namespace andiron
