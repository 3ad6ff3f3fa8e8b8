/* C = A B in f32: B is cut into panels that stay in the L1 cache while all rows of A pass over them; a register tile of
 * P::kGemmRows x P::kGemmVectors sums covers a panel's width. A is read where it lies, one number at a time, spread to
 * all lanes. After Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication". */
#pragma once

#include "kernels/kernel_table.h"

namespace andiron {
namespace {

constexpr int64_t kGemmWidth = P::kGemmVectors * P::kLanes;
/* Rows of B in a panel: 24 KiB at the greatest width leave room for A and C in a 32 KiB L1. */
constexpr int64_t kGemmDepth = 128;

constexpr int64_t kGemmFewRows = 96;

struct __attribute__((aligned(64))) GemmScratch {
  float panel[kGemmDepth * kGemmWidth];
  float tile[P::kGemmRows * kGemmWidth]; /* where a tile at the right edge is computed */
};

/* R rows x N vectors, columns from `column` of the panel. */
template <int R, int N>
void gemm_tile(const GemmArgs& g, int64_t row, const float* b, int64_t ldb, float* c, int64_t ldc) {
  const float* a = g.k > 0 ? g.a + row * g.a_row : g.a; /* without terms A may be null */
  P::F acc[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < N; ++v) acc[r][v] = g.accumulate ? P::f_load(c + r * ldc + v * P::kLanes) : P::f_zero();
  for (int64_t l = 0; l < g.k; ++l) {
    P::F x[N];
#pragma GCC unroll 3
    for (int v = 0; v < N; ++v) x[v] = P::f_load(b + v * P::kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const P::F y = P::f_set1(a[r * g.a_row]);
#pragma GCC unroll 3
      for (int v = 0; v < N; ++v) acc[r][v] = P::f_fma(y, x[v], acc[r][v]);
    }
    a += g.a_col;
    b += ldb;
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < N; ++v) P::f_store(c + r * ldc + v * P::kLanes, acc[r][v]);
}

/* A tile whose last vector reaches beyond the row of C, by way of a copy. */
template <int R, int N>
void gemm_edge_tile(const GemmArgs& g, int64_t row, const float* b, int64_t ldb, float* c, int64_t width, float* tile) {
  for (int r = 0; r < R && g.accumulate; ++r)
    for (int64_t j = 0; j < width; ++j) tile[r * kGemmWidth + j] = c[r * g.ldc + j];
  gemm_tile<R, N>(g, row, b, ldb, tile, kGemmWidth);
  for (int r = 0; r < R; ++r)
    for (int64_t j = 0; j < width; ++j) c[r * g.ldc + j] = tile[r * kGemmWidth + j];
}

template <int R, int N>
int64_t gemm_rows(const GemmArgs& g, int64_t row, const float* b, int64_t ldb, int64_t column, int64_t width,
                  float* tile) {
  for (; row + R <= g.m; row += R) {
    float* c = g.c + row * g.ldc + column;
    /* Of the tile that follows: far apart, and so what the hardware does not foresee. */
    for (int r = 0; r < R; ++r)
      for (int64_t j = 0; j < width; j += 16) __builtin_prefetch(c + (R + r) * g.ldc + j, 1, 3);
    if (width == N * P::kLanes) {
      gemm_tile<R, N>(g, row, b, ldb, c, g.ldc);
    } else {
      gemm_edge_tile<R, N>(g, row, b, ldb, c, width, tile);
    }
  }
  return row;
}

/* All rows of A against N vectors of B, of which `width` columns are C's. */
template <int N>
void gemm_panel(const GemmArgs& g, const float* b, int64_t ldb, int64_t column, int64_t width, float* tile) {
  int64_t row = gemm_rows<P::kGemmRows, N>(g, 0, b, ldb, column, width, tile);
  row = gemm_rows<2, N>(g, row, b, ldb, column, width, tile);
  gemm_rows<1, N>(g, row, b, ldb, column, width, tile);
}

/* The panel of columns of C from `column`. */
inline void gemm_columns(const GemmArgs& g, const float* b, int64_t ldb, int64_t column, float* tile) {
  const int64_t width = g.n - column < kGemmWidth ? g.n - column : kGemmWidth;
  const int64_t vectors = (width + P::kLanes - 1) / P::kLanes;
  if (vectors == 1) gemm_panel<1>(g, b, ldb, column, width, tile);
  if (vectors == 2) gemm_panel<2>(g, b, ldb, column, width, tile);
  if (vectors == 3) gemm_panel<3>(g, b, ldb, column, width, tile);
}

/* Columns [column, column + width) of B, end to end, zeros beyond the row. */
inline void gemm_pack(const GemmArgs& g, int64_t column, int64_t width, float* panel) {
  const float* b = g.b + column;
  for (int64_t l = 0; l < g.k; ++l) {
    if (width == kGemmWidth) {
      for (int v = 0; v < P::kGemmVectors; ++v) P::f_store(panel + v * P::kLanes, P::f_load(b + v * P::kLanes));
    } else {
      for (int64_t j = 0; j < kGemmWidth; ++j) panel[j] = j < width ? b[j] : 0;
    }
    b += g.ldb;
    panel += kGemmWidth;
  }
}

/* k at most kGemmDepth. */
inline void gemm_slab(const GemmArgs& g, GemmScratch* scratch) {
  for (int64_t column = 0; column < g.n; column += kGemmWidth) {
    const int64_t width = g.n - column < kGemmWidth ? g.n - column : kGemmWidth;
    const float* b = scratch->panel;
    int64_t ldb = kGemmWidth;
    /* A copy that few rows would use is not worth making, nor one of what is a panel already. */
    if ((g.m <= kGemmFewRows || g.ldb <= kGemmWidth) && width % P::kLanes == 0) {
      b = g.b + column;
      ldb = g.ldb;
    } else {
      gemm_pack(g, column, width, scratch->panel);
    }
    gemm_columns(g, b, ldb, column, scratch->tile);
  }
}

void gemm(const GemmArgs* args) {
  GemmArgs g = *args;
  int64_t left = g.k;
  do { /* at least once: without terms C becomes zeros */
    g.k = left < kGemmDepth ? left : kGemmDepth;
    gemm_slab(g, (GemmScratch*)g.scratch);
    left -= g.k;
    g.a += g.k * g.a_col;
    g.b += g.k * g.ldb;
    g.accumulate = true;
  } while (left > 0);
}

}  // namespace
}  // namespace andiron
