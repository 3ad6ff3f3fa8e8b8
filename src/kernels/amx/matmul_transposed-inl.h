/* dx = dy W on AMX tiles: pieces of 256 rows x 256 columns of the weight are unpacked to bf16, a row of an A tile being
 * 32 rows of the weight in one column; the gradient is turned into pairs of rows, which are B tiles. Sums are f32,
 * carried in dx_t from piece to piece. */
#pragma once

#include "kernels/amx/tiles.h"
#include "kernels/generic/unpack-inl.h"

namespace andiron {
namespace {

constexpr int kTilePieceRows = 256, kTilePieceColumns = 256;

struct __attribute__((aligned(64))) TransposedTiles {
  uint16_t piece[kTilePieceColumns][kTilePieceRows + 32]; /* a line more, for the sets of the cache */
  uint16_t pairs[2][kTilePieceRows / 2][16][2];           /* [token half][pair of rows][token][row of the pair] */
  float unpacked[32 * kUnpackStride];
  float edge[32][32];
};
static_assert(sizeof(TransposedTiles) <= kMatmulScratchBytes, "the pieces must fit the scratch");

/* `groups` groups from `group`, columns [column, column + columns); zeros up to whole tiles. */
template <class Unpack>
void fill_tile_piece(const MatmulTransposedArgs* a, int64_t group, int64_t groups, int64_t column, int64_t columns,
                     TransposedTiles* s) {
  const int64_t group_bytes = Unpack::group_bytes(a->k);
  if (groups % 2 != 0 || columns % 32 != 0) __builtin_memset(s->piece, 0, sizeof s->piece);
  for (int64_t c = 0; c < columns; c += 32) {
    const int64_t count = columns - c < 32 ? columns - c : 32;
    for (int64_t g = 0; g < groups; ++g) {
      Unpack::unpack(a->weight + (group + g) * group_bytes, column + c, count, s->unpacked);
      for (int64_t i = 0; i < count; ++i)
        V::f_to_bf16(s->piece[c + i] + 16 * g, V::f_load(s->unpacked + i * kUnpackStride));
    }
  }
}

/* 32 tokens (missing ones zero) of `rows` rows of the gradient, rows up to a whole tile zero. */
inline void fill_pairs(const float* dy, int64_t ld, int64_t rows, int64_t tokens, TransposedTiles* s) {
  for (int half = 0; half < 2; ++half) {
    for (int64_t pair = 0; pair < (rows + 31) / 32 * 16; ++pair) {
      const bool inside = 2 * pair < rows && 16 * half < tokens;
      const float* p = dy + 2 * pair * ld + 16 * half;
      const V::I even = inside ? V::f_bf16_bits(V::f_load(p)) : V::i_set1(0);
      const V::I odd = inside ? V::f_bf16_bits(V::f_load(p + ld)) : V::i_set1(0);
      V::i_store(s->pairs[half][pair], V::i_add(even, V::i_shl<16>(odd)));
    }
  }
}

/* 32 columns of the piece against 32 tokens: c [32, 32] += , `ldc` floats between rows. */
inline void transposed_tile(const TransposedTiles* s, int64_t column, int64_t rows, bool accumulate, float* c,
                            int64_t ldc) {
  const int64_t stride = ldc * 4;
  if (accumulate) {
    TILE_LOAD(0, c, stride);
    TILE_LOAD(1, c + 16, stride);
    TILE_LOAD(2, c + 16 * ldc, stride);
    TILE_LOAD(3, c + 16 * ldc + 16, stride);
  } else {
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
  }
  for (int64_t n = 0; n < rows; n += 32) {
    TILE_LOAD(4, s->piece[column] + n, sizeof s->piece[0]);
    TILE_LOAD(5, s->piece[column + 16] + n, sizeof s->piece[0]);
    TILE_LOAD(6, s->pairs[0][n / 2], 64);
    TILE_LOAD(7, s->pairs[1][n / 2], 64);
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

/* The same where fewer than 32 columns or tokens are left, by way of a copy. */
inline void transposed_edge(TransposedTiles* s, int64_t column, int64_t columns, int64_t rows, int64_t tokens,
                            bool accumulate, float* c, int64_t ldc) {
  __builtin_memset(s->edge, 0, sizeof s->edge);
  for (int64_t i = 0; i < columns && accumulate; ++i) __builtin_memcpy(s->edge[i], c + i * ldc, 4 * (size_t)tokens);
  transposed_tile(s, column, rows, accumulate, s->edge[0], 32);
  for (int64_t i = 0; i < columns; ++i) __builtin_memcpy(c + i * ldc, s->edge[i], 4 * (size_t)tokens);
}

template <class Unpack>
void matmul_transposed_tiles(const MatmulTransposedArgs* a) {
  static const TileConfig config = make_config(64);
  TransposedTiles* s = (TransposedTiles*)a->scratch;
  tiles_configure(&config);
  for (int64_t column = a->k_begin; column < a->k_end; column += kTilePieceColumns) {
    const int64_t columns = a->k_end - column < kTilePieceColumns ? a->k_end - column : kTilePieceColumns;
    for (int64_t n = 0; n < 16 * a->groups; n += kTilePieceRows) {
      const int64_t rows = 16 * a->groups - n < kTilePieceRows ? 16 * a->groups - n : kTilePieceRows;
      fill_tile_piece<Unpack>(a, n / 16, rows / 16, column, columns, s);
      for (int64_t t = 0; t < a->tokens; t += 32) {
        const int64_t tokens = a->tokens - t < 32 ? a->tokens - t : 32;
        fill_pairs(a->dy_t + n * a->ld + t, a->ld, rows, tokens, s);
        for (int64_t i = 0; i < columns; i += 32) {
          const int64_t count = columns - i < 32 ? columns - i : 32;
          float* c = a->dx_t + (column - a->k_begin + i) * a->ld_dx + t;
          if (count == 32 && tokens == 32) {
            transposed_tile(s, i, rows, n > 0, c, a->ld_dx);
          } else {
            transposed_edge(s, i, count, rows, tokens, n > 0, c, a->ld_dx);
          }
        }
      }
    }
  }
  tiles_release();
}

}  // namespace
}  // namespace andiron
