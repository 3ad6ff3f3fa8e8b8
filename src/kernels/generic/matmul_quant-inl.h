/* Quantised weights times int8 activations. Two walks over the same packed groups that give the same bits:
 *   stream: few tokens; each block of weights is read once from memory, unpacked in registers and used at once;
 *   panel:  many tokens; K is cut into chunks, the chunk of one or two groups is unpacked into the L1 cache, and all
 * tokens pass over it. Sums are carried in y between chunks, so the order of addition is that of the stream. */
#pragma once

#include "kernels/generic/formats-inl.h"

namespace andiron {
namespace {

/* ---- stream ---- */

/* The rows of NT tokens. Beyond the last token the last one is repeated: its sums are computed and dropped. */
template <int NT>
struct StreamTokens {
  const int8_t* q8[NT];
  const uint8_t* u8[NT];
  const float* scale[NT];
  const int32_t* sum16[NT];
  const float* dsum[NT]; /* dsum32 or dsum16, as the format wants */
};

template <class Fmt, int NT>
inline StreamTokens<NT> stream_tokens(const Activations& x) {
  StreamTokens<NT> s;
  for (int64_t t = 0; t < NT; ++t) {
    const int64_t row = t < x.tokens ? t : x.tokens - 1;
    s.q8[t] = x.q8 + row * x.k;
    s.u8[t] = x.u8 + row * x.k;
    s.scale[t] = x.scale + row * (x.k / 32);
    s.sum16[t] = x.sum16 + row * (x.k / 16);
    s.dsum[t] = Fmt::kSubs == 1 ? x.dsum32 + row * (x.k / 32) : x.dsum16 + row * (x.k / 16);
  }
  return s;
}

/* One block for all tokens: acc += d_w d_x (q . x) [+ m_w d_x sum(x)]. */
template <class Fmt, int NT>
KERNEL_INLINE void accumulate_block(const V::B (&q)[8], const BlockScales& s, const StreamTokens<NT>& x, int64_t block,
                                    V::F (&acc)[NT]) {
#pragma GCC unroll 2
  for (int i = 0; i < Fmt::kSubs; ++i) {
    V::I dot[NT];
    V::template dot_stream<Fmt::kBits, Fmt::kQuads, NT>(q + i * Fmt::kQuads, x.q8, x.u8, x.sum16, 32 * block + 16 * i,
                                                        Fmt::kOffset, dot);
#pragma GCC unroll 8
    for (int t = 0; t < NT; ++t) {
      acc[t] = V::f_fma(V::f_from_i(dot[t]), V::f_mul(s.scale[i], V::f_set1(x.scale[t][block])), acc[t]);
      if constexpr (Fmt::kHasMin) {
        acc[t] = V::f_fma(s.min[i], V::f_set1(x.dsum[t][block * Fmt::kSubs + i]), acc[t]);
      }
    }
  }
}

/* G groups, `stride` groups apart, against up to NT tokens. Several distant groups keep several streams of memory open.
 */
template <class Fmt, int G, int NT>
void stream_groups(const MatmulArgs* a, int64_t group, int64_t stride) {
  const int64_t supers = a->x.k / 32 / Fmt::kBlocksPerSuper;
  const int64_t group_bytes = supers * Fmt::kSuperBytes;
  const StreamTokens<NT> x = stream_tokens<Fmt, NT>(a->x);
  const uint8_t* p[G];
  V::F acc[G][NT];
  for (int g = 0; g < G; ++g) {
    p[g] = a->weight + (group + g * stride) * group_bytes;
    for (int t = 0; t < NT; ++t) acc[g][t] = V::f_zero();
  }
  for (int64_t super = 0; super < supers; ++super) {
    SuperScales header[G];
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      header[g] = load_header<Fmt>(p[g]);
      p[g] += Fmt::kHeaderBytes;
    }
    for (int b = 0; b < Fmt::kBlocksPerSuper; ++b) {
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
        prefetch_block<Fmt>(p[g]);
        V::B q[8];
        unpack_quads<Fmt>(p[g] + Fmt::kScaleBytes, q);
        const BlockScales s = load_scales<Fmt>(header[g], p[g]);
        accumulate_block<Fmt, NT>(q, s, x, super * Fmt::kBlocksPerSuper + b, acc[g]);
        p[g] += Fmt::kBlockBytes;
      }
    }
  }
  const int64_t tokens = a->x.tokens < NT ? a->x.tokens : NT;
  for (int g = 0; g < G; ++g)
    for (int64_t t = 0; t < tokens; ++t) V::f_store(a->y + t * a->ldy + (group + g * stride) * 16, acc[g][t]);
}

/* G streams at once, as many as leave the sums in registers. */
template <class Fmt, int G, int NT>
void stream(const MatmulArgs* a) {
  const int64_t each = (a->group_end - a->group_begin) / G;
  for (int64_t g = 0; g < each; ++g) stream_groups<Fmt, G, NT>(a, a->group_begin + g, each);
  for (int64_t g = a->group_begin + G * each; g < a->group_end; ++g) stream_groups<Fmt, 1, NT>(a, g, 1);
}

/* ---- panel ---- */

/* Columns per chunk: 2 groups x 512 columns as bytes are 16 KiB, which with scales and a tile of x stays in a 32 KiB
 * L1. A row that is little longer is one chunk: carrying its sums would cost more. */
constexpr int kPanelChunk = 512, kPanelBlocks = kPanelChunk / 32, kPanelBlocksMax = kPanelBlocks * 5 / 4;
/* Tokens whose sums are carried between chunks at a time. */
constexpr int kPanelTokensMax = 512;

/* One group's chunk, unpacked. `scale`, `min` and `init` hold one vector per sub-block. */
struct __attribute__((aligned(64))) Panel {
  uint8_t quads[kPanelBlocksMax * 32 * 16];
  float scale[kPanelBlocksMax * 2][16];
  float min[kPanelBlocksMax * 2][16];
  int32_t init[kPanelBlocksMax * 2][16];
};

/* Sums between chunks stand end to end: in y they would be a row apart, often a power of two, and fight for one cache
 * set. */
struct PanelScratch {
  Panel panels[2];
  float carry[kPanelTokensMax][2][16];
};
static_assert(sizeof(PanelScratch) <= kMatmulScratchBytes, "the panels must fit the scratch");

/* Unpacks blocks [block, block + count) of a group; a chunk begins at the beginning of a super-block. */
template <class Fmt>
void fill_panel(const uint8_t* group, int64_t block, int count, Panel* panel) {
  const uint8_t* p = group + block / Fmt::kBlocksPerSuper * Fmt::kSuperBytes;
  SuperScales header = {V::f_zero(), V::f_zero()};
  for (int b = 0; b < count; ++b) {
    if (b % Fmt::kBlocksPerSuper == 0) {
      header = load_header<Fmt>(p);
      p += Fmt::kHeaderBytes;
    }
    prefetch_block<Fmt>(p);
    V::B q[8];
    unpack_quads<Fmt>(p + Fmt::kScaleBytes, q);
    const BlockScales s = load_scales<Fmt>(header, p);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      q[j] = V::panel_quad<Fmt::kBits>(q[j], Fmt::kOffset);
      V::b_store(panel->quads + 512 * b + 64 * j, q[j]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < Fmt::kSubs; ++i) {
      V::f_store(panel->scale[b * Fmt::kSubs + i], s.scale[i]);
      if (Fmt::kHasMin) V::f_store(panel->min[b * Fmt::kSubs + i], s.min[i]);
      V::i_store(panel->init[b * Fmt::kSubs + i], V::panel_init<Fmt::kQuads>(q + i * Fmt::kQuads));
    }
    p += Fmt::kBlockBytes;
  }
}

/* The chunk that will be unpacked next. Filling a panel wants all of it at once, and memory is idle while the tiles
 * compute; so the tiles ask for it, a little with each of their blocks. */
struct PanelAhead {
  const uint8_t* chunk[2]; /* of each group */
  int64_t bytes;           /* of each; 0: there is none */
  int64_t step;            /* bytes to ask for with each block of a tile: whole lines */
};

/* What a pass of tokens over the panels of one chunk needs to know. */
struct PanelPass {
  const MatmulArgs* args;
  PanelScratch* scratch;
  int64_t group, block; /* first group; first block of the chunk */
  int count;            /* blocks in the chunk */
  int64_t token_base;   /* token whose sums are carry[0] */
  bool last;            /* chunk: the sums go to y */
  PanelAhead ahead;
};

/* Asks for one step of what comes next, from byte `at` of it. Into L2: L1 is full of the panels and the tokens. */
template <int G>
KERNEL_INLINE void prefetch_ahead(const PanelAhead& next, int64_t at) {
  const int64_t end = at + next.step < next.bytes ? at + next.step : next.bytes;
  for (; at < end; at += 64) {
#pragma GCC unroll 2
    for (int g = 0; g < G; ++g) __builtin_prefetch(next.chunk[g] + at, 0, 2);
  }
}

/* Sums of one token of the tile before and after the chunk. */
inline float* panel_carry(const PanelPass& w, int64_t token, int g) {
  return w.scratch->carry[token - w.token_base][g];
}
inline float* panel_result(const PanelPass& w, int64_t token, int g) {
  return w.last ? w.args->y + token * w.args->ldy + (w.group + g) * 16 : panel_carry(w, token, g);
}

/* NT tokens against G panels, lanes [lane, lane + P::kLanes). Shared by all formats of one shape. `ahead`: bytes
 * of the next chunk that earlier tiles asked for. */
template <int Bits, int Subs, bool HasMin, int G, int NT>
void panel_tile(const PanelPass& w, int64_t token, int lane, int64_t ahead) {
  constexpr int kQuads = 8 / Subs;
  const Activations& x = w.args->x;
  const int64_t blocks = x.k / 32;
  const int8_t* q8 = x.q8 + token * x.k + w.block * 32;
  const uint8_t* u8 = x.u8 + token * x.k + w.block * 32;
  const float* dx = x.scale + token * blocks + w.block;
  const int32_t* sums = x.sum16 + token * blocks * 2 + w.block * 2;
  const float* dsum = Subs == 1 ? x.dsum32 + token * blocks + w.block : x.dsum16 + token * blocks * 2 + w.block * 2;
  const Panel* panels = w.scratch->panels;
  P::F acc[G][NT];
#pragma GCC unroll 2
  for (int g = 0; g < G; ++g)
#pragma GCC unroll 6
    for (int t = 0; t < NT; ++t)
      acc[g][t] = w.block == 0 ? P::f_zero() : P::f_load(panel_carry(w, token + t, g) + lane);
  for (int b = 0; b < w.count; ++b) {
    prefetch_ahead<G>(w.ahead, ahead);
    ahead += w.ahead.step;
#pragma GCC unroll 2
    for (int i = 0; i < Subs; ++i) {
      const int sub = b * Subs + i;
      const uint8_t* quads[G];
      const int32_t* init[G];
      P::I dot[G][NT];
      for (int g = 0; g < G; ++g) {
        quads[g] = panels[g].quads + 64 * kQuads * sub + 4 * lane;
        init[g] = panels[g].init[sub] + lane;
      }
      const int at = 4 * kQuads * sub;
      P::template dot_panel<Bits, kQuads, G, NT>(quads, init, q8 + at, u8 + at, x.k, sums + at / 16, blocks * 2,
                                                 HasMin ? 0 : 1 << (Bits - 1), dot);
#pragma GCC unroll 2
      for (int g = 0; g < G; ++g) {
        const P::F scale = P::f_load(panels[g].scale[sub] + lane);
#pragma GCC unroll 6
        for (int t = 0; t < NT; ++t) {
          acc[g][t] = P::f_fma(P::f_from_i(dot[g][t]), P::f_mul(scale, P::f_set1(dx[t * blocks + b])), acc[g][t]);
        }
        if constexpr (HasMin) {
          const P::F min = P::f_load(panels[g].min[sub] + lane);
#pragma GCC unroll 6
          for (int t = 0; t < NT; ++t) {
            acc[g][t] = P::f_fma(min, P::f_set1(dsum[t * blocks * Subs + sub]), acc[g][t]);
          }
        }
      }
    }
  }
#pragma GCC unroll 2
  for (int g = 0; g < G; ++g)
#pragma GCC unroll 6
    for (int t = 0; t < NT; ++t) P::f_store(panel_result(w, token + t, g) + lane, acc[g][t]);
}

/* The tile of `tokens` tokens, from 1 to NT. */
template <int Bits, int Subs, bool HasMin, int G, int NT>
void panel_tile_of(const PanelPass& w, int64_t token, int64_t tokens, int lane, int64_t ahead) {
  if constexpr (NT > 1) {
    if (tokens < NT) {
      panel_tile_of<Bits, Subs, HasMin, G, NT - 1>(w, token, tokens, lane, ahead);
      return;
    }
  }
  panel_tile<Bits, Subs, HasMin, G, NT>(w, token, lane, ahead);
}

inline int64_t panel_tiles(int64_t tokens) { return (tokens + P::kTokens - 1) / P::kTokens; }

/* Tokens [token, end), cut evenly into as few tiles as can be: one of a single token has few sums to work on side by
 * side, and loads all of the panel for them. */
template <int Bits, int Subs, bool HasMin, int G>
void panel_tokens(const PanelPass& w, int64_t token, int64_t end) {
  int64_t ahead = 0;
  for (int lane = 0; lane < 16; lane += P::kLanes) {
    int64_t t = token;
    for (int64_t tiles = panel_tiles(end - token); tiles > 0; --tiles) {
      const int64_t tokens = (end - t + tiles - 1) / tiles;
      panel_tile_of<Bits, Subs, HasMin, G, P::kTokens>(w, t, tokens, lane, ahead);
      t += tokens;
      ahead += w.count * w.ahead.step;
    }
  }
}

/* Blocks of the chunk that begins `left` blocks before the end of the row. */
inline int64_t panel_chunk(int64_t left) { return left <= kPanelBlocksMax ? left : kPanelBlocks; }

/* What follows the chunk of `w`, of `pair` groups: the row's next chunk, or the next groups' first; nothing after the
 * last. The blocks of all tiles of `tokens` tokens share it, or, where they are many, the first of them. */
template <class Fmt>
PanelAhead panel_ahead(const PanelPass& w, int pair, int64_t tokens) {
  const MatmulArgs* a = w.args;
  const int64_t group = w.last ? w.group + pair : w.group, block = w.last ? 0 : w.block + w.count;
  if (group >= a->group_end) return {};
  const int64_t blocks = a->x.k / 32;
  const int64_t group_bytes = blocks / Fmt::kBlocksPerSuper * Fmt::kSuperBytes;
  const int64_t bytes = panel_chunk(blocks - block) / Fmt::kBlocksPerSuper * Fmt::kSuperBytes;
  const uint8_t* chunk = a->weight + group * group_bytes + block / Fmt::kBlocksPerSuper * Fmt::kSuperBytes;
  const uint8_t* second = group + 1 < a->group_end ? chunk + group_bytes : chunk;
  const int64_t steps = panel_tiles(tokens) * (16 / P::kLanes) * w.count;
  return {{chunk, second}, bytes, (bytes + 64 * steps - 1) / (64 * steps) * 64};
}

/* Calls pass(w, token, end, pair) for every chunk of every pair of groups (pair: 2 panels are filled, or 1), tokens in
 * stretches that the carry holds. */
template <class Fmt, class Pass>
void each_panel(const MatmulArgs* a, Pass pass) {
  PanelScratch* scratch = (PanelScratch*)a->scratch;
  const int64_t blocks = a->x.k / 32;
  const int64_t group_bytes = blocks / Fmt::kBlocksPerSuper * Fmt::kSuperBytes;
  for (int64_t token = 0; token < a->x.tokens; token += kPanelTokensMax) {
    const int64_t end = a->x.tokens - token < kPanelTokensMax ? a->x.tokens : token + kPanelTokensMax;
    for (int64_t g = a->group_begin; g < a->group_end;) {
      const int pair = P::kGroups == 2 && g + 2 <= a->group_end ? 2 : 1;
      for (int64_t block = 0, chunk; block < blocks; block += chunk) {
        chunk = panel_chunk(blocks - block);
        PanelPass w = {a, scratch, g, block, (int)chunk, token, block + chunk == blocks, {}};
        w.ahead = panel_ahead<Fmt>(w, pair, end - token);
        for (int i = 0; i < pair; ++i) {
          fill_panel<Fmt>(a->weight + (g + i) * group_bytes, block, w.count, scratch->panels + i);
        }
        pass(w, token, end, pair);
      }
      g += pair;
    }
  }
}

template <class Fmt>
void panel(const MatmulArgs* a) {
  constexpr int kBits = P::template kPanelBits<Fmt::kBits>;
  each_panel<Fmt>(a, [](const PanelPass& w, int64_t token, int64_t end, int pair) {
    if (pair == 2) {
      panel_tokens<kBits, Fmt::kSubs, Fmt::kHasMin, P::kGroups>(w, token, end);
    } else {
      panel_tokens<kBits, Fmt::kSubs, Fmt::kHasMin, 1>(w, token, end);
    }
  });
}

template <class Fmt>
void matmul_quant(const MatmulArgs* a) {
  static_assert(kStreamTokensMax == 8, "the cases below");
  switch (a->x.tokens) {
    case 1: stream<Fmt, 4, 1>(a); return;
    case 2: stream<Fmt, 4, 2>(a); return;
    case 3:
    case 4: stream<Fmt, 2, 4>(a); return;
    default: break;
  }
  if (a->x.tokens <= kStreamTokensMax) {
    stream<Fmt, 1, 8>(a);
  } else {
    panel<Fmt>(a);
  }
}

}  // namespace
}  // namespace andiron
