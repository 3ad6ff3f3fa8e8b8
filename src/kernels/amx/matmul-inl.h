/* Matrix products on AMX tiles. int8: the panels of the AVX-512 kernels (signed bytes, quads of 64) are B tiles as they
 * lie; each block of 32 columns is one tile product into cleared sums, which are scaled and added in f32 exactly as the
 * other tiers do, so the bits are theirs. bf16: BF16 weights lie in pairs, which again are B tiles; the sums stay in
 * the tile over all of K. */
#pragma once

#include "kernels/amx/matmul_transposed-inl.h"
#include "kernels/amx/peak-inl.h"
#include "kernels/amx/tiles.h"
#include "kernels/generic/lanes-inl.h"
#include "kernels/generic/matmul_quant-inl.h"

namespace andiron {
namespace {

constexpr int kTileTokens = 32; /* two A tiles */

/* Integer sums of 32 tokens x 2 groups, as the four C tiles are stored: [token half][group][token][16]. */
struct __attribute__((aligned(64))) TileSums {
  int32_t c[2][2][16][16];
};

/* The products of one sub-block: 32 tokens x 32 rows x (32 / Subs) columns. */
inline void tile_products(const int8_t* x, int64_t ldx, const uint8_t* quads0, const uint8_t* quads1, TileSums* out) {
  TILE_ZERO(0);
  TILE_ZERO(1);
  TILE_ZERO(2);
  TILE_ZERO(3);
  TILE_LOAD(4, x, ldx);
  TILE_LOAD(6, quads0, 64);
  TILE_LOAD(7, quads1, 64);
  TILE_DOT_S8(0, 4, 6);
  TILE_DOT_S8(1, 4, 7);
  TILE_LOAD(5, x + 16 * ldx, ldx);
  TILE_DOT_S8(2, 5, 6);
  TILE_DOT_S8(3, 5, 7);
  TILE_STORE(0, out->c[0][0], 64);
  TILE_STORE(1, out->c[0][1], 64);
  TILE_STORE(2, out->c[1][0], 64);
  TILE_STORE(3, out->c[1][1], 64);
}

/* acc += d_w d_x sums [+ m_w d_x sum(x)], the step that every tier takes per block. dx, dsum: of token 0, `ld` floats
 * between tokens. */
template <bool HasMin>
inline void add_scaled(const TileSums* sums, const Panel* panels, int sub, const float* dx, int64_t ld_dx,
                       const float* dsum, int64_t ld_dsum, float (*acc)[2][16]) {
  V::F scale[2], min[2];
  for (int g = 0; g < 2; ++g) {
    scale[g] = V::f_load(panels[g].scale[sub]);
    min[g] = HasMin ? V::f_load(panels[g].min[sub]) : V::f_zero();
  }
  for (int t = 0; t < kTileTokens; ++t) {
    const V::F d = V::f_set1(dx[t * ld_dx]);
    for (int g = 0; g < 2; ++g) {
      V::F v = V::f_load(acc[t][g]);
      v = V::f_fma(V::f_from_i(V::i_load(sums->c[t / 16][g][t % 16])), V::f_mul(scale[g], d), v);
      if (HasMin) v = V::f_fma(min[g], V::f_set1(dsum[t * ld_dsum]), v);
      V::f_store(acc[t][g], v);
    }
  }
}

/* 32 tokens from `token` against two panels. The products of the next block are begun before this one's sums are
 * scaled, so that tile and vector units work side by side. */
template <int Subs, bool HasMin>
void tile_chunk(const PanelPass& w, int64_t token) {
  constexpr int kQuads = 8 / Subs;
  const Activations& x = w.args->x;
  const int64_t blocks = x.k / 32;
  const int8_t* q8 = x.q8 + token * x.k + w.block * 32;
  const float* dx = x.scale + token * blocks + w.block;
  const float* dsum = Subs == 1 ? x.dsum32 + token * blocks + w.block : x.dsum16 + token * blocks * 2 + w.block * 2;
  const Panel* panels = w.scratch->panels;
  float(*acc)[2][16] = &w.scratch->carry[token - w.token_base];
  if (w.block == 0) __builtin_memset(acc, 0, kTileTokens * sizeof *acc);
  TileSums sums[2];
  const int steps = w.count * Subs;
  for (int s = 0; s <= steps; ++s) {
    if (s < steps) {
      const int at = 64 * kQuads * s;
      tile_products(q8 + 4 * kQuads * s, x.k, panels[0].quads + at, panels[1].quads + at, &sums[s % 2]);
    }
    if (s > 0) {
      const int sub = s - 1;
      add_scaled<HasMin>(&sums[sub % 2], panels, sub, dx + sub / Subs, blocks, dsum + sub, blocks * Subs, acc);
    }
  }
  if (!w.last) return;
  for (int t = 0; t < kTileTokens; ++t)
    for (int g = 0; g < 2; ++g) V::f_store(panel_result(w, token + t, g), V::f_load(acc[t][g]));
}

template <class Fmt>
void matmul_tiles(const MatmulArgs* a) {
  if (a->x.tokens < kTileTokens) {
    matmul_quant<Fmt>(a);
    return;
  }
  constexpr int kBits = P::template kPanelBits<Fmt::kBits>;
  static const TileConfig config = make_config(32 / Fmt::kSubs);
  tiles_configure(&config);
  each_panel<Fmt>(a, [](const PanelPass& w, int64_t token, int64_t end, int pair) {
    if (pair == 1) {
      panel_tokens<kBits, Fmt::kSubs, Fmt::kHasMin, 1>(w, token, end);
      return;
    }
    for (; token + kTileTokens <= end; token += kTileTokens) tile_chunk<Fmt::kSubs, Fmt::kHasMin>(w, token);
    panel_tokens<kBits, Fmt::kSubs, Fmt::kHasMin, 2>(w, token, end);
  });
  tiles_release();
}

/* ---- bf16 ---- */

/* Activations are converted 1,024 columns at a time, and every conversion serves 64 groups: 1,024 x 64 multiply-adds of
 * tiles for each number converted. */
constexpr int kBf16Columns = 1024, kBf16Pairs = 32;

struct __attribute__((aligned(64))) Bf16Scratch {
  uint16_t x[kTileTokens][kBf16Columns];
  uint8_t tail[2][16][64];           /* the last columns of a group, padded with zeros */
  float c[kBf16Pairs][2][2][16][16]; /* [pair of groups][token half][group][token][16] */
};
static_assert(sizeof(Bf16Scratch) <= kMatmulScratchBytes, "the bf16 scratch must fit");

/* Rows token .. token + 31 (missing ones zero), columns k .. k + 1023 (beyond K zero), as bf16. */
inline void convert_tokens(const Activations& x, int64_t token, int64_t k, Bf16Scratch* s) {
  const int64_t columns = x.k - k < kBf16Columns ? x.k - k : kBf16Columns;
  for (int t = 0; t < kTileTokens; ++t) {
    const int64_t inside = token + t < x.tokens ? columns : 0;
    const float* from = x.f32 + (token + t) * x.k + k;
    to_halves(from, inside, s->x[t], V::f_to_bf16);
    __builtin_memset(s->x[t] + inside, 0, (size_t)(kBf16Columns - inside) * sizeof(uint16_t));
  }
}

/* 32 columns of a group as a B tile; a tail is copied so that no row beyond the group is read. */
inline const uint8_t* bf16_tile(const uint8_t* group, int64_t k, int64_t k_end, uint8_t (*tail)[64]) {
  const int64_t pairs = (k_end - k + 1) / 2;
  if (pairs >= 16) return group + k / 2 * 64;
  for (int64_t r = 0; r < 16; ++r) {
    for (int i = 0; i < 64; ++i) tail[r][i] = r < pairs ? group[(k / 2 + r) * 64 + i] : 0;
  }
  return tail[0];
}

/* 32 tokens against one or two groups over columns k .. k + 1023; sums begin from and return to c. */
inline void bf16_chunk(const Activations& x, const uint8_t* group0, const uint8_t* group1, int64_t k, Bf16Scratch* s,
                       float (*c)[2][16][16]) {
  const int64_t end = x.k - k < kBf16Columns ? x.k : k + kBf16Columns;
  TILE_LOAD(0, c[0][0], 64);
  TILE_LOAD(1, c[0][1], 64);
  TILE_LOAD(2, c[1][0], 64);
  TILE_LOAD(3, c[1][1], 64);
  for (int64_t i = k; i < end; i += 32) {
    TILE_LOAD(4, &s->x[0][i - k], sizeof s->x[0]);
    TILE_LOAD(5, &s->x[16][i - k], sizeof s->x[0]);
    TILE_LOAD(6, bf16_tile(group0, i, x.k, s->tail[0]), 64);
    TILE_LOAD(7, bf16_tile(group1, i, x.k, s->tail[1]), 64);
    TILE_DOT_BF16(0, 4, 6);
    TILE_DOT_BF16(1, 4, 7);
    TILE_DOT_BF16(2, 5, 6);
    TILE_DOT_BF16(3, 5, 7);
  }
  TILE_STORE(0, c[0][0], 64);
  TILE_STORE(1, c[0][1], 64);
  TILE_STORE(2, c[1][0], 64);
  TILE_STORE(3, c[1][1], 64);
}

/* 32 tokens against the groups [begin, end), at most 2 * kBf16Pairs. */
inline void bf16_block(const MatmulArgs* a, int64_t token, int64_t begin, int64_t end, Bf16Scratch* s) {
  const int64_t group_bytes = (a->x.k + 1) / 2 * 64;
  __builtin_memset(s->c, 0, sizeof s->c);
  for (int64_t k = 0; k < a->x.k; k += kBf16Columns) {
    if (a->x.k > kBf16Columns || begin == a->group_begin) convert_tokens(a->x, token, k, s);
    for (int64_t g = begin; g < end; g += 2) {
      const uint8_t* group = a->weight + g * group_bytes;
      bf16_chunk(a->x, group, group + (g + 1 < end ? group_bytes : 0), k, s, s->c[(g - begin) / 2]);
    }
  }
  const int64_t tokens = a->x.tokens - token < kTileTokens ? a->x.tokens - token : kTileTokens;
  for (int64_t g = begin; g < end; ++g) {
    const float(*c)[2][16][16] = s->c[(g - begin) / 2];
    for (int64_t t = 0; t < tokens; ++t) {
      V::f_store(a->y + (token + t) * a->ldy + g * 16, V::f_load(c[t / 16][(g - begin) % 2][t % 16]));
    }
  }
}

void matmul_bf16_tiles(const MatmulArgs* a) {
  static const TileConfig config = make_config(64);
  tiles_configure(&config);
  constexpr int64_t kGroups = 2 * kBf16Pairs;
  for (int64_t token = 0; token < a->x.tokens; token += kTileTokens) {
    for (int64_t g = a->group_begin; g < a->group_end; g += kGroups) {
      const int64_t end = a->group_end - g < kGroups ? a->group_end : g + kGroups;
      bf16_block(a, token, g, end, (Bf16Scratch*)a->scratch);
    }
  }
  tiles_release();
}

template <class Fmt>
void install_quant_tiles(KernelTable* table, PackedFormat format) {
  table->matmul[format] = matmul_tiles<Fmt>;
  table->matmul_transposed[format] = matmul_transposed_tiles<UnpackQuant<Fmt>>;
}

void install_tiles(KernelTable* table) {
  table->name = "amx";
  table->rounds_gradients = false;
  table->peak = peak_tiles;
  table->matmul[kPackedBF16] = matmul_bf16_tiles;
  table->matmul_transposed[kPackedF32] = matmul_transposed_tiles<UnpackFloat<FloatF32>>;
  table->matmul_transposed[kPackedF16] = matmul_transposed_tiles<UnpackFloat<FloatF16>>;
  table->matmul_transposed[kPackedBF16] = matmul_transposed_tiles<UnpackFloat<FloatBF16>>;
  install_quant_tiles<FormatQ4_0>(table, kPackedQ4_0);
  install_quant_tiles<FormatQ4_1>(table, kPackedQ4_1);
  install_quant_tiles<FormatQ5_0>(table, kPackedQ5_0);
  install_quant_tiles<FormatQ5_1>(table, kPackedQ5_1);
  install_quant_tiles<FormatQ8_0>(table, kPackedQ8_0);
  install_quant_tiles<FormatQ2_K>(table, kPackedQ2_K);
  install_quant_tiles<FormatQ3_K>(table, kPackedQ3_K);
  install_quant_tiles<FormatQ4_K>(table, kPackedQ4_K);
  install_quant_tiles<FormatQ5_K>(table, kPackedQ5_K);
  install_quant_tiles<FormatQ6_K>(table, kPackedQ6_K);
  install_quant_tiles<FormatIQ4_NL>(table, kPackedIQ4_NL);
  install_quant_tiles<FormatIQ4_XS>(table, kPackedIQ4_XS);
}

}  // namespace
}  // namespace andiron
