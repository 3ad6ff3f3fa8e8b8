/* dx += dy W on AMX tiles: pieces of 256 rows x 192 columns of the weight are unpacked to bf16 in pairs of rows, which
 * are B tiles of 16 columns; the rows of the gradient, rounded to bf16, are the A tiles. Sums are f32, carried in dx
 * from piece to piece. */
#pragma once

#include "kernels/amx/tiles.h"
#include "kernels/generic/lanes-inl.h"
#include "kernels/generic/unpack-inl.h"

namespace andiron {
namespace {

constexpr int kTilePieceRows = 256, kTilePieceColumns = 192;

struct __attribute__((aligned(64))) TransposedTiles {
  uint16_t pairs[kTilePieceColumns / 16][kTilePieceRows / 2][16][2]; /* [][pair of rows][column][row of the pair] */
  uint16_t gradient[32][kTilePieceRows + 32];                        /* a line more, for the sets of the cache */
  float block[32 * kUnpackStride];
  float turned[16][16];
  float edge[32][32];
};
static_assert(sizeof(TransposedTiles) <= kMatmulScratchBytes, "the pieces must fit the scratch");

/* `rows` rows of the weight from `row`, columns [column, column + columns); zeros up to whole tiles. */
template <class Unpack>
void fill_weight_pairs(const MatmulTransposedArgs* a, int64_t row, int64_t rows, int64_t column, int64_t columns,
                       TransposedTiles* s) {
  const int64_t group_bytes = Unpack::group_bytes(a->k);
  if (rows % 32 != 0 || columns % 32 != 0) __builtin_memset(s->pairs, 0, sizeof s->pairs);
  for (int64_t i = 0; i < rows; i += 16) {
    const uint8_t* group = a->weight + (row + i) / 16 * group_bytes;
    for (int64_t c = 0; c < columns; c += 32) {
      const int64_t count = columns - c < 32 ? columns - c : 32;
      if (count < 32) __builtin_memset(s->block, 0, sizeof s->block);
      Unpack::unpack(group, column + c, count, s->block);
      for (int64_t half = 0; half < count; half += 16) {
        V::f_transpose(s->block + half * kUnpackStride, kUnpackStride, s->turned[0], 16);
        for (int64_t r = 0; r < 16 && i + r < rows; r += 2) {
          const V::I even = V::f_bf16_bits(V::f_load(s->turned[r]));
          const V::I odd = i + r + 1 < rows ? V::f_bf16_bits(V::f_load(s->turned[r + 1])) : V::i_set1(0);
          V::i_store(s->pairs[(c + half) / 16][(i + r) / 2], V::i_add(even, V::i_shl<16>(odd)));
        }
      }
    }
  }
}

/* `tokens` rows of the gradient, at most 32, `rows` numbers each; zeros up to whole tiles. */
inline void fill_gradient(const float* dy, int64_t ld, int64_t rows, int64_t tokens, TransposedTiles* s) {
  if (tokens < 32 || rows % 32 != 0) __builtin_memset(s->gradient, 0, sizeof s->gradient);
  for (int64_t t = 0; t < tokens; ++t) to_halves(dy + t * ld, rows, s->gradient[t], V::f_to_bf16);
}

/* 32 tokens against 32 columns: c [32, 32] += , `ldc` floats between rows. */
inline void transposed_tile(const TransposedTiles* s, int64_t column, int64_t rows, float* c, int64_t ldc) {
  const int64_t stride = ldc * 4;
  TILE_LOAD(0, c, stride);
  TILE_LOAD(1, c + 16, stride);
  TILE_LOAD(2, c + 16 * ldc, stride);
  TILE_LOAD(3, c + 16 * ldc + 16, stride);
  for (int64_t n = 0; n < rows; n += 32) {
    TILE_LOAD(4, s->gradient[0] + n, sizeof s->gradient[0]);
    TILE_LOAD(5, s->gradient[16] + n, sizeof s->gradient[0]);
    TILE_LOAD(6, s->pairs[column / 16][n / 2], 64);
    TILE_LOAD(7, s->pairs[column / 16 + 1][n / 2], 64);
    TILE_DOT_BF16(0, 4, 6);
    TILE_DOT_BF16(1, 4, 7);
    TILE_DOT_BF16(2, 5, 6);
    TILE_DOT_BF16(3, 5, 7);
  }
  TILE_STORE(0, c, stride);
  TILE_STORE(1, c + 16, stride);
  TILE_STORE(2, c + 16 * ldc, stride);
  TILE_STORE(3, c + 16 * ldc + 16, stride);
}

/* The same where fewer than 32 tokens or columns are left, by way of a copy. */
inline void transposed_edge(TransposedTiles* s, int64_t tokens, int64_t column, int64_t columns, int64_t rows, float* c,
                            int64_t ldc) {
  __builtin_memset(s->edge, 0, sizeof s->edge);
  for (int64_t t = 0; t < tokens; ++t) __builtin_memcpy(s->edge[t], c + t * ldc, 4 * (size_t)columns);
  transposed_tile(s, column, rows, s->edge[0], 32);
  for (int64_t t = 0; t < tokens; ++t) __builtin_memcpy(c + t * ldc, s->edge[t], 4 * (size_t)columns);
}

template <class Unpack>
void matmul_transposed_tiles(const MatmulTransposedArgs* a) {
  static const TileConfig config = make_config(64);
  TransposedTiles* s = (TransposedTiles*)a->scratch;
  tiles_configure(&config);
  for (int64_t column = a->k_begin; column < a->k_end; column += kTilePieceColumns) {
    const int64_t columns = a->k_end - column < kTilePieceColumns ? a->k_end - column : kTilePieceColumns;
    for (int64_t row = 0; row < a->n; row += kTilePieceRows) {
      const int64_t rows = a->n - row < kTilePieceRows ? a->n - row : kTilePieceRows;
      fill_weight_pairs<Unpack>(a, row, rows, column, columns, s);
      for (int64_t t = 0; t < a->tokens; t += 32) {
        const int64_t tokens = a->tokens - t < 32 ? a->tokens - t : 32;
        fill_gradient(a->dy + t * a->ld_dy + row, a->ld_dy, rows, tokens, s);
        for (int64_t i = 0; i < columns; i += 32) {
          const int64_t count = columns - i < 32 ? columns - i : 32;
          float* c = a->dx + t * a->ld_dx + column + i;
          if (count == 32 && tokens == 32) {
            transposed_tile(s, i, rows, c, a->ld_dx);
          } else {
            transposed_edge(s, tokens, i, count, rows, c, a->ld_dx);
          }
        }
      }
    }
  }
  tiles_release();
}

}  // namespace
}  // namespace andiron
