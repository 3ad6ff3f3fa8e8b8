/* A plain-C model of the AMX instructions in tiles.h, after the operation sections of Intel SDM vol. 2. For tests. */
#pragma once

#define ANDIRON_EMULATED_TILES 1
#include <math.h>
#include <stdint.h>
#include <string.h>

namespace andiron {
namespace {

struct TileConfig;
void tiles_configure(const TileConfig* config);
void tiles_release();

struct EmulatedTiles {
  uint8_t data[8][16][64];
  int rows[8], bytes_per_row[8];
  bool configured;

  void zero(int t) { memset(data[t], 0, sizeof data[t]); }
  void load(int t, const void* p, int64_t stride) {
    zero(t);
    for (int r = 0; r < rows[t]; ++r) memcpy(data[t][r], (const char*)p + r * stride, (size_t)bytes_per_row[t]);
  }
  void store(int t, void* p, int64_t stride) const {
    for (int r = 0; r < rows[t]; ++r) memcpy((char*)p + r * stride, data[t][r], (size_t)bytes_per_row[t]);
  }
  void dot_s8(int c, int a, int b) {
    for (int m = 0; m < rows[c]; ++m) {
      for (int n = 0; n < 16; ++n) {
        int32_t sum;
        memcpy(&sum, data[c][m] + 4 * n, 4);
        for (int k = 0; k < bytes_per_row[a]; ++k) {
          sum += (int8_t)data[a][m][k] * (int8_t)data[b][k / 4][4 * n + k % 4];
        }
        memcpy(data[c][m] + 4 * n, &sum, 4);
      }
    }
  }
  static float bf16(const uint8_t* p) {
    uint16_t half;
    memcpy(&half, p, 2);
    const uint32_t bits = (uint32_t)half << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
  }
  void dot_bf16(int c, int a, int b) {
    for (int m = 0; m < rows[c]; ++m) {
      for (int n = 0; n < 16; ++n) {
        float sum;
        memcpy(&sum, data[c][m] + 4 * n, 4);
        for (int k = 0; k < bytes_per_row[a] / 2; ++k) {
          sum = fmaf(bf16(data[a][m] + 2 * k), bf16(data[b][k / 2] + 4 * n + 2 * (k % 2)), sum);
        }
        memcpy(data[c][m] + 4 * n, &sum, 4);
      }
    }
  }
};

EmulatedTiles g_tiles;

#define TILE_ZERO(c) g_tiles.zero(c)
#define TILE_LOAD(t, p, stride) g_tiles.load(t, p, stride)
#define TILE_STORE(t, p, stride) g_tiles.store(t, p, stride)
#define TILE_DOT_S8(c, a, b) g_tiles.dot_s8(c, a, b)
#define TILE_DOT_BF16(c, a, b) g_tiles.dot_bf16(c, a, b)

}  // namespace
}  // namespace andiron
