/* The handful of AMX instructions the kernels use, under names that a test can put a plain-C model behind
 * (amx/emulated_tiles.h), so that the kernels' logic is checked on machines without AMX.
 * Tiles 0..3 are sums C, 4 and 5 activations A, 6 and 7 weights B. */
#pragma once

#include <immintrin.h>
#include <stdint.h>

namespace andiron {
namespace {

/* Intel SDM vol. 2, LDTILECFG: palette 1, bytes per row and rows of each of 8 tiles. */
struct __attribute__((aligned(64))) TileConfig {
  uint8_t palette, start_row;
  uint8_t reserved[14];
  uint16_t bytes_per_row[16];
  uint8_t rows[16];
};
static_assert(sizeof(TileConfig) == 64, "LDTILECFG reads 64 bytes");

/* C: 16 x 16 numbers of 4 bytes. A: 16 tokens x `k_bytes`. B: k_bytes / 4 rows of 16 x 4 bytes. */
inline TileConfig make_config(int k_bytes) {
  TileConfig c = {};
  c.palette = 1;
  for (int i = 0; i < 8; ++i) {
    c.bytes_per_row[i] = (uint16_t)(i == 4 || i == 5 ? k_bytes : 64);
    c.rows[i] = (uint8_t)(i >= 6 ? k_bytes / 4 : 16);
  }
  return c;
}

#ifndef ANDIRON_EMULATED_TILES
/* GCC 12 models this load as reading 8 bytes and would drop the stores before it: the clobber keeps them. */
inline void tiles_configure(const TileConfig* config) {
  __asm__ volatile("" : : "r"(config) : "memory");
  _tile_loadconfig(config);
}
inline void tiles_release() { _tile_release(); }
#define TILE_ZERO(c) _tile_zero(c)
/* Nor does its tile load say that it reads memory. */
#define TILE_LOAD(t, p, stride)          \
  do {                                   \
    __asm__ volatile("" : : : "memory"); \
    _tile_loadd(t, p, stride);           \
  } while (0)
#define TILE_STORE(t, p, stride)         \
  do {                                   \
    _tile_stored(t, p, stride);          \
    __asm__ volatile("" : : : "memory"); \
  } while (0)
#define TILE_DOT_S8(c, a, b) _tile_dpbssd(c, a, b)
#define TILE_DOT_BF16(c, a, b) _tile_dpbf16ps(c, a, b)
#endif

}  // namespace
}  // namespace andiron
