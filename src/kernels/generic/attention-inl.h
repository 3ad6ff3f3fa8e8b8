/* Flash attention over a cache of keys and values (Dao et al. 2022, arXiv 2205.14135; online softmax: Milakov and
 * Gimelshein 2018). Positions are taken in tiles of 64 that lie at absolute multiples of 64, so a row's sums are added
 * in the same order whichever rows share the call. A masked position has weight exactly 0.
 *
 * A tile is a page of the cache. In it keys lie in blocks of 16 positions, so a score is a lane; values lie in rows of
 * D, so an output is a lane.
 *   f16   keys [pos/16][D][16] f16;                        values [pos][D] f16
 *   q8_0  keys [pos/16][D/32]{f16 d[16], int8 [32][16]};   values [pos]{f16 d[D/32], int8 [D]} */
#pragma once

#include "kernels/generic/elementwise-inl.h"

namespace andiron {
namespace {

struct KvSizes {
  int64_t key_block, value_row; /* bytes */
};
inline KvSizes kv_sizes(KvFormat format, int64_t d) {
  if (format == kKvF16) return {32 * d, 2 * d};
  return {d / 32 * (32 + 512), d + d / 16};
}

const float kMasked = -__builtin_inff();

/* scores[r][16 * NB] = q_r . k for NB blocks of keys. */
template <int R, int NB>
inline void scores_f16(const AttentionArgs* a, const uint8_t* keys, int64_t block_bytes, const float* const* q,
                       float* scores) {
  V::F acc[NB][R];
#pragma GCC unroll 4
  for (int b = 0; b < NB; ++b)
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) acc[b][r] = V::f_zero();
  for (int64_t d = 0; d < a->head_dim; ++d) {
#pragma GCC unroll 4
    for (int b = 0; b < NB; ++b) {
      const V::F k = V::f_from_f16((const uint16_t*)(keys + b * block_bytes) + 16 * d);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) acc[b][r] = V::f_fma(k, V::f_set1(q[r][d]), acc[b][r]);
    }
  }
#pragma GCC unroll 4
  for (int b = 0; b < NB; ++b)
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) V::f_store(scores + r * kAttentionTile + 16 * b, acc[b][r]);
}

template <int R, int NB>
inline void scores_q8(const AttentionArgs* a, const uint8_t* keys, int64_t block_bytes, const float* const* q,
                      float* scores) {
  V::F acc[NB][R];
#pragma GCC unroll 4
  for (int b = 0; b < NB; ++b)
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) acc[b][r] = V::f_zero();
  for (int64_t chunk = 0; chunk < a->head_dim / 32; ++chunk) {
#pragma GCC unroll 4
    for (int b = 0; b < NB; ++b) {
      const uint8_t* p = keys + b * block_bytes + chunk * (32 + 512);
      V::F part[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) part[r] = V::f_zero();
      for (int i = 0; i < 32; ++i) {
        const V::F k = V::f_from_s8(p + 32 + 16 * i);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) part[r] = V::f_fma(k, V::f_set1(q[r][32 * chunk + i]), part[r]);
      }
      const V::F d = V::f_from_f16((const uint16_t*)p);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) acc[b][r] = V::f_fma(part[r], d, acc[b][r]);
    }
  }
#pragma GCC unroll 4
  for (int b = 0; b < NB; ++b)
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) V::f_store(scores + r * kAttentionTile + 16 * b, acc[b][r]);
}

/* Scores of R rows against the tile's 4 blocks. */
template <int R>
void tile_scores(const AttentionArgs* a, int64_t tile, int row, float* scores) {
  const KvSizes size = kv_sizes(a->format, a->head_dim);
  const uint8_t* keys = a->pages[tile] + a->keys;
  const float* const* q = a->q + row;
  for (int b = 0; b < 4; b += V::kAttentionBlocks) {
    if (a->format == kKvF16) {
      scores_f16<R, V::kAttentionBlocks>(a, keys + b * size.key_block, size.key_block, q, scores + 16 * b);
    } else {
      scores_q8<R, V::kAttentionBlocks>(a, keys + b * size.key_block, size.key_block, q, scores + 16 * b);
    }
  }
}

struct RowState {
  float top, total; /* largest score so far; sum of e^(score - top) */
};

/* Scores to weights e^(s - top); returns what the sums so far must be multiplied by. */
inline float tile_weights(const AttentionArgs* a, int64_t tile, int row, float* scores, RowState* state) {
  const int64_t first = tile * kAttentionTile;
  V::F s[4];
  V::F top = V::f_set1(kMasked);
  for (int b = 0; b < 4; ++b) {
    s[b] = V::f_mul(V::f_load(scores + 16 * b), V::f_set1(a->scale));
    if (a->softcap > 0) s[b] = softcap_lanes(s[b], a->softcap);
  }
  if (first < a->begin[row] || first + kAttentionTile > a->end[row]) {
    for (int b = 0; b < 4; ++b) V::f_store(scores + 16 * b, s[b]);
    for (int i = 0; i < kAttentionTile; ++i) {
      if (first + i < a->begin[row] || first + i >= a->end[row]) scores[i] = kMasked;
    }
    for (int b = 0; b < 4; ++b) s[b] = V::f_load(scores + 16 * b);
  }
  for (int b = 0; b < 4; ++b) top = V::f_max(top, s[b]);
  const float tile_top = V::f_hmax(top);
  if (!(tile_top > kMasked)) { /* nothing visible here */
    for (int i = 0; i < kAttentionTile; ++i) scores[i] = 0;
    return 1;
  }
  const float new_top = tile_top > state->top ? tile_top : state->top;
  for (int b = 0; b < 4; ++b) {
    s[b] = exp_lanes(V::f_sub(s[b], V::f_set1(new_top)));
    V::f_store(scores + 16 * b, s[b]);
  }
  float rescale = 1;
  if (state->top > kMasked && state->top < new_top) {
    float lanes[16];
    V::f_store(lanes, exp_lanes(V::f_set1(state->top - new_top)));
    rescale = lanes[0];
  }
  state->total = state->total * rescale + V::f_sum(V::f_add(V::f_add(s[0], s[1]), V::f_add(s[2], s[3])));
  state->top = new_top;
  return rescale;
}

/* out[r][16 * NC lanes at `lane`] = out * rescale + sum over `count` positions of weight * value. */
template <int R, int NC>
inline void values_f16(const AttentionArgs* a, const uint8_t* values, int count, int64_t lane, const float* weights,
                       const float* rescale, float* const* out) {
  V::F acc[NC][R];
#pragma GCC unroll 4
  for (int c = 0; c < NC; ++c)
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) acc[c][r] = V::f_mul(V::f_load(out[r] + lane + 16 * c), V::f_set1(rescale[r]));
  for (int i = 0; i < count; ++i) {
    const uint16_t* v = (const uint16_t*)values + i * a->head_dim + lane;
#pragma GCC unroll 4
    for (int c = 0; c < NC; ++c) {
      const V::F value = V::f_from_f16(v + 16 * c);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        acc[c][r] = V::f_fma(value, V::f_set1(weights[r * kAttentionTile + i]), acc[c][r]);
      }
    }
  }
#pragma GCC unroll 4
  for (int c = 0; c < NC; ++c)
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) V::f_store(out[r] + lane + 16 * c, acc[c][r]);
}

/* The same for one chunk of 32 lanes of q8_0 values; the row's scale joins the weight. */
template <int R>
inline void values_q8(const AttentionArgs* a, const uint8_t* values, int64_t row_bytes, int count, int64_t chunk,
                      const float* weights, const float* rescale, float* const* out) {
  V::F acc[2][R];
#pragma GCC unroll 2
  for (int c = 0; c < 2; ++c)
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) acc[c][r] = V::f_mul(V::f_load(out[r] + 32 * chunk + 16 * c), V::f_set1(rescale[r]));
  uint16_t d16[kAttentionTile] = {0};
  float d[kAttentionTile];
  for (int i = 0; i < count; ++i) d16[i] = ((const uint16_t*)(values + i * row_bytes))[chunk];
  from_f16(d16, kAttentionTile, d);
  for (int i = 0; i < count; ++i) {
    const uint8_t* v = values + i * row_bytes + a->head_dim / 16 + 32 * chunk;
#pragma GCC unroll 2
    for (int c = 0; c < 2; ++c) {
      const V::F value = V::f_from_s8(v + 16 * c);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        acc[c][r] = V::f_fma(value, V::f_set1(weights[r * kAttentionTile + i] * d[i]), acc[c][r]);
      }
    }
  }
#pragma GCC unroll 2
  for (int c = 0; c < 2; ++c)
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) V::f_store(out[r] + 32 * chunk + 16 * c, acc[c][r]);
}

template <int R>
void tile_values(const AttentionArgs* a, int64_t tile, int count, const float* weights, const float* rescale,
                 float* const* out) {
  const KvSizes size = kv_sizes(a->format, a->head_dim);
  const uint8_t* values = a->pages[tile] + a->values;
  if (a->format == kKvQ8_0) {
    for (int64_t chunk = 0; chunk < a->head_dim / 32; ++chunk) {
      values_q8<R>(a, values, size.value_row, count, chunk, weights, rescale, out);
    }
    return;
  }
  int64_t lane = 0;
  for (; lane + 16 * V::kAttentionBlocks <= a->head_dim; lane += 16 * V::kAttentionBlocks)
    values_f16<R, V::kAttentionBlocks>(a, values, count, lane, weights, rescale, out);
  for (; lane < a->head_dim; lane += 16) values_f16<R, 1>(a, values, count, lane, weights, rescale, out);
}

template <int R>
void attend(const AttentionArgs* a, int row) {
  float* weights = a->scratch;
  float* const* out = a->out + row;
  RowState state[R];
  int64_t begin = a->begin[row], end = a->end[row];
  for (int r = 0; r < R; ++r) {
    state[r].top = kMasked;
    state[r].total = 0;
    if (a->begin[row + r] < begin) begin = a->begin[row + r];
    if (a->end[row + r] > end) end = a->end[row + r];
    for (int64_t d = 0; d < a->head_dim; ++d) out[r][d] = 0;
  }
  for (int64_t tile = begin / kAttentionTile; tile * kAttentionTile < end; ++tile) {
    float rescale[R];
    tile_scores<R>(a, tile, row, weights);
    for (int r = 0; r < R; ++r) rescale[r] = tile_weights(a, tile, row + r, weights + r * kAttentionTile, state + r);
    const int64_t left = end - tile * kAttentionTile;
    tile_values<R>(a, tile, (int)(left < kAttentionTile ? left : kAttentionTile), weights, rescale, out);
  }
  for (int r = 0; r < R; ++r) {
    scale(out[r], 1.0f / state[r].total, a->head_dim, out[r]);
    if (a->lse != nullptr) a->lse[row + r] = (float)((double)state[r].top + __builtin_log((double)state[r].total));
  }
}

/* Rows are cut evenly into passes over keys and values, of at most 4 rows each: 3 heads that share a kv head, which are
 * usual, read it once. */
void attention(const AttentionArgs* a) {
  int row = 0;
  for (int passes = (a->rows + 3) / 4; passes > 0; --passes) {
    const int rows = (a->rows - row + passes - 1) / passes;
    switch (rows) {
      case 1: attend<1>(a, row); break;
      case 2: attend<2>(a, row); break;
      case 3: attend<3>(a, row); break;
      default: attend<4>(a, row); break;
    }
    row += rows;
  }
}

}  // namespace
}  // namespace andiron
