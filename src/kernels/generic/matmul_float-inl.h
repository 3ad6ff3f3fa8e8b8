/* Float weights times float activations: acc = fma(w[k], x[k], acc) in the order of k, one lane per output. */
#pragma once

namespace andiron {
namespace {

/* Each gives the two vectors of columns k and k + 1 of a group at p = group + step * (k / 2). */
struct FloatF32 {
  static constexpr int kStep = 128;
  static V::F even(const uint8_t* p) { return V::f_load((const float*)p); }
  static V::F odd(const uint8_t* p) { return V::f_load((const float*)p + 16); }
};
struct FloatF16 {
  static constexpr int kStep = 64;
  static V::F even(const uint8_t* p) { return V::f_from_f16((const uint16_t*)p); }
  static V::F odd(const uint8_t* p) { return V::f_from_f16((const uint16_t*)p + 16); }
};
struct FloatBF16 { /* pairs: the even column in the low half of each lane */
  static constexpr int kStep = 64;
  static V::F even(const uint8_t* p) { return V::f_bits(V::i_shl<16>(V::i_load(p))); }
  static V::F odd(const uint8_t* p) { return V::f_bits(V::i_and(V::i_load(p), V::i_set1((int32_t)0xffff0000))); }
};

/* G groups `stride` apart, NT tokens, all of K. Small tiles and one pass: float weights are bound by memory, or small.
 */
template <class Fmt, int G, int NT>
void float_tile(const MatmulArgs* a, int64_t group_bytes, int64_t group, int64_t stride, int64_t token) {
  const int64_t k = a->x.k;
  const float* x = a->x.f32 + token * k;
  const uint8_t* p[G];
  V::F acc[G][NT];
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g) {
    p[g] = a->weight + (group + g * stride) * group_bytes;
#pragma GCC unroll 6
    for (int t = 0; t < NT; ++t) {
      const float* y = a->y + (token + t) * a->ldy + (group + g * stride) * 16;
      acc[g][t] = a->accumulate ? V::f_load(y) : V::f_zero();
    }
  }
  for (int64_t i = 0; i < k; i += 2) {
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      const V::F w = Fmt::even(p[g]);
#pragma GCC unroll 6
      for (int t = 0; t < NT; ++t) acc[g][t] = V::f_fma(w, V::f_set1(x[t * k + i]), acc[g][t]);
    }
    if (i + 1 < k) {
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
        const V::F w = Fmt::odd(p[g]);
#pragma GCC unroll 6
        for (int t = 0; t < NT; ++t) acc[g][t] = V::f_fma(w, V::f_set1(x[t * k + i + 1]), acc[g][t]);
      }
    }
    for (int g = 0; g < G; ++g) p[g] += Fmt::kStep;
  }
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g)
#pragma GCC unroll 6
    for (int t = 0; t < NT; ++t) V::f_store(a->y + (token + t) * a->ldy + (group + g * stride) * 16, acc[g][t]);
}

/* The tile of `tokens` tokens, from 1 to NT. */
template <class Fmt, int G, int NT>
void float_tile_of(const MatmulArgs* a, int64_t group_bytes, int64_t group, int64_t stride, int64_t token,
                   int64_t tokens) {
  if constexpr (NT > 1) {
    if (tokens < NT) {
      float_tile_of<Fmt, G, NT - 1>(a, group_bytes, group, stride, token, tokens);
      return;
    }
  }
  float_tile<Fmt, G, NT>(a, group_bytes, group, stride, token);
}

/* Cut evenly into as few tiles as can be: a tile of one token and one group is a single chain of multiply-adds, each of
 * which waits for the one before, and it reads all of the weight for them. */
template <class Fmt, int G>
void float_tokens(const MatmulArgs* a, int64_t group_bytes, int64_t group, int64_t stride) {
  int64_t t = 0;
  for (int64_t tiles = (a->x.tokens + V::kTokens - 1) / V::kTokens; tiles > 0; --tiles) {
    const int64_t tokens = (a->x.tokens - t + tiles - 1) / tiles;
    float_tile_of<Fmt, G, V::kTokens>(a, group_bytes, group, stride, t, tokens);
    t += tokens;
  }
}

template <class Fmt>
void matmul_float(const MatmulArgs* a) {
  const int64_t group_bytes = (a->x.k + 1) / 2 * Fmt::kStep;
  int64_t g = a->group_begin;
  if (a->x.tokens == 1) { /* four distant streams, as for quantised weights */
    const int64_t quarter = (a->group_end - g) / 4;
    for (int64_t i = 0; i < quarter; ++i) float_tile<Fmt, 4, 1>(a, group_bytes, g + i, quarter, 0);
    g += 4 * quarter;
  }
  for (; g + V::kGroups <= a->group_end; g += V::kGroups) {
    float_tokens<Fmt, V::kGroups>(a, group_bytes, g, 1);
  }
  for (; g < a->group_end; ++g) float_tokens<Fmt, 1>(a, group_bytes, g, 1);
}

}  // namespace
}  // namespace andiron
