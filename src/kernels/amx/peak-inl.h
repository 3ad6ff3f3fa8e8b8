/* What the tile unit can do: tiles loaded from the L1 cache and multiplied, nothing stored. */
#pragma once

#include "kernels/amx/tiles.h"
#include "kernels/generic/peak-inl.h"

namespace andiron {
namespace {

/* 2 x 2 tiles of sums, 16 tokens x 16 outputs x 64 bytes of K each, as the products use them. */
int64_t peak_tiles(PeakKind kind, int64_t rounds, void* scratch) {
  if (kind == kPeakF32) return peak(kind, rounds, scratch);
  static const TileConfig config = make_config(64);
  uint8_t* s = (uint8_t*)scratch;
  tiles_configure(&config);
  TILE_ZERO(0);
  TILE_ZERO(1);
  TILE_ZERO(2);
  TILE_ZERO(3);
  for (int64_t i = 0; i < rounds; ++i) {
    TILE_LOAD(4, s, 64);
    TILE_LOAD(5, s + 1024, 64);
    TILE_LOAD(6, s + 2048, 64);
    TILE_LOAD(7, s + 3072, 64);
    if (kind == kPeakInt8) {
      TILE_DOT_S8(0, 4, 6);
      TILE_DOT_S8(1, 4, 7);
      TILE_DOT_S8(2, 5, 6);
      TILE_DOT_S8(3, 5, 7);
    } else {
      TILE_DOT_BF16(0, 4, 6);
      TILE_DOT_BF16(1, 4, 7);
      TILE_DOT_BF16(2, 5, 6);
      TILE_DOT_BF16(3, 5, 7);
    }
  }
  TILE_STORE(0, s, 64);
  tiles_release();
  return rounds * 4 * 16 * 16 * (kind == kPeakInt8 ? 64 : 32);
}

}  // namespace
}  // namespace andiron
