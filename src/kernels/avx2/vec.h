/* The 16-lane vectors of the generic kernels as pairs of AVX2 registers (AVX2, FMA, F16C). */
#pragma once

#include <immintrin.h>
#include <stdint.h>

/* Register tiles live only if the whole tile is one function. */
#define KERNEL_INLINE inline __attribute__((always_inline))

namespace andiron {
namespace {

/* vpmaddubsw gives 2 * (2^Bits - 1) * 127 at most: so many of them add up within a signed 16-bit lane. */
template <int Bits>
constexpr int kProducts = Bits <= 4   ? 8
                          : Bits == 5 ? 4
                          : Bits == 6 ? 2
                                      : 1;

struct V {
  struct F {
    __m256 a, b;
  };
  struct I {
    __m256i a, b;
  };
  struct B {
    __m256i a, b;
  };
  struct D {
    __m256d v[4];
  };

  static constexpr int kAttentionBlocks = 1;
  /* Float products: 1 group x 4 tokens are 8 accumulators. */
  static constexpr int kLanes = 16, kGroups = 1, kTokens = 4;

  static F f_zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static F f_set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static F f_load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static void f_store(float* p, F v) {
    _mm256_storeu_ps(p, v.a);
    _mm256_storeu_ps(p + 8, v.b);
  }
  static F f_add(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
  static F f_sub(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
  static F f_mul(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
  static F f_div(F x, F y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
  static F f_fma(F x, F y, F z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
  static F f_max(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
  static F f_abs(F x) {
    const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    return {_mm256_and_ps(x.a, mask), _mm256_and_ps(x.b, mask)};
  }
  static F f_sqrt(F x) { return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)}; }
  static F f_select_ge(F x, F limit, F yes, F no) {
    return {_mm256_blendv_ps(no.a, yes.a, _mm256_cmp_ps(x.a, limit.a, _CMP_GE_OQ)),
            _mm256_blendv_ps(no.b, yes.b, _mm256_cmp_ps(x.b, limit.b, _CMP_GE_OQ))};
  }
  static float f_sum(F v) {
    const __m256 h8 = _mm256_add_ps(v.a, v.b);
    const __m128 h4 = _mm_add_ps(_mm256_castps256_ps128(h8), _mm256_extractf128_ps(h8, 1));
    const __m128 h2 = _mm_add_ps(h4, _mm_movehl_ps(h4, h4));
    return _mm_cvtss_f32(_mm_add_ss(h2, _mm_movehdup_ps(h2)));
  }
  static float f_hmax(F v) {
    const __m256 h8 = _mm256_max_ps(v.a, v.b);
    const __m128 h4 = _mm_max_ps(_mm256_castps256_ps128(h8), _mm256_extractf128_ps(h8, 1));
    const __m128 h2 = _mm_max_ps(h4, _mm_movehl_ps(h4, h4));
    return _mm_cvtss_f32(_mm_max_ss(h2, _mm_movehdup_ps(h2)));
  }

  /* In squares of 8. */
  static void f_transpose(const float* from, int64_t ld_from, float* to, int64_t ld_to) {
    for (int i = 0; i < 16; i += 8)
      for (int j = 0; j < 16; j += 8) transpose_square(from + i * ld_from + j, ld_from, to + j * ld_to + i, ld_to);
  }

  static F f_from_f16(const uint16_t* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)),
            _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(p + 8)))};
  }
  static void f_to_f16(uint16_t* p, F v) {
    _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    _mm_storeu_si128((__m128i*)(p + 8), _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static F f_from_bf16(const uint16_t* p) { return {half_from_bf16(p), half_from_bf16(p + 8)}; }
  static void f_to_bf16(uint16_t* p, F v) {
    /* packus works within 128 bits: its middle quarters change places. */
    const __m256i halves = _mm256_packus_epi32(half_to_bf16(v.a), half_to_bf16(v.b));
    _mm256_storeu_si256((__m256i*)p, _mm256_permute4x64_epi64(halves, 0xd8));
  }
  static F f_from_u8(const uint8_t* p) {
    return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p))),
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)(p + 8))))};
  }
  static F f_from_s8(const uint8_t* p) {
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p))),
            _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)(p + 8))))};
  }
  static F f_from_i(I v) { return {_mm256_cvtepi32_ps(v.a), _mm256_cvtepi32_ps(v.b)}; }
  static F f_bits(I v) { return {_mm256_castsi256_ps(v.a), _mm256_castsi256_ps(v.b)}; }

  static D d_zero() {
    const __m256d z = _mm256_setzero_pd();
    return {{z, z, z, z}};
  }
  static D d_dot(F x, F y, D sum) {
    const __m128 xs[4] = {_mm256_castps256_ps128(x.a), _mm256_extractf128_ps(x.a, 1), _mm256_castps256_ps128(x.b),
                          _mm256_extractf128_ps(x.b, 1)};
    const __m128 ys[4] = {_mm256_castps256_ps128(y.a), _mm256_extractf128_ps(y.a, 1), _mm256_castps256_ps128(y.b),
                          _mm256_extractf128_ps(y.b, 1)};
    for (int i = 0; i < 4; ++i) sum.v[i] = _mm256_fmadd_pd(_mm256_cvtps_pd(xs[i]), _mm256_cvtps_pd(ys[i]), sum.v[i]);
    return sum;
  }
  static void d_store(double* p, D v) {
    for (int i = 0; i < 4; ++i) _mm256_storeu_pd(p + 4 * i, v.v[i]);
  }

  static I i_set1(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
  static I i_load(const void* p) {
    return {_mm256_loadu_si256((const __m256i*)p), _mm256_loadu_si256((const __m256i*)p + 1)};
  }
  static void i_store(void* p, I v) {
    _mm256_storeu_si256((__m256i*)p, v.a);
    _mm256_storeu_si256((__m256i*)p + 1, v.b);
  }
  static I i_add(I x, I y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
  static I i_and(I x, I y) { return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)}; }
  static I i_xor(I x, I y) { return {_mm256_xor_si256(x.a, y.a), _mm256_xor_si256(x.b, y.b)}; }
  template <int N>
  static I i_shr(I x) {
    return {_mm256_srli_epi32(x.a, N), _mm256_srli_epi32(x.b, N)};
  }
  template <int N>
  static I i_shl(I x) {
    return {_mm256_slli_epi32(x.a, N), _mm256_slli_epi32(x.b, N)};
  }
  static int32_t i_sum(I v) {
    const __m256i h8 = _mm256_add_epi32(v.a, v.b);
    __m128i h4 = _mm_add_epi32(_mm256_castsi256_si128(h8), _mm256_extracti128_si256(h8, 1));
    h4 = _mm_add_epi32(h4, _mm_shuffle_epi32(h4, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(h4, _mm_shuffle_epi32(h4, 0xb1)));
  }
  static I i_round(F v) { return {_mm256_cvtps_epi32(v.a), _mm256_cvtps_epi32(v.b)}; }
  /* Rounded gradients and weights in pairs of 16 bits: vpmaddubsw would saturate on bytes. */
  typedef int16_t Gradient;
  typedef int16_t GradientWeight;
  static constexpr int kGradientStep = 2;
  static void i_store_gradient(Gradient* p, I v) {
    _mm256_storeu_si256((__m256i*)p, _mm256_permute4x64_epi64(_mm256_packs_epi32(v.a, v.b), 0xd8));
  }
  static void i_store_step(GradientWeight* p, const I (&row)[kGradientStep]) {
    i_store(p, i_add(i_and(row[0], i_set1(0xffff)), i_shl<16>(row[1])));
  }
  static I i_start(I) { return i_set1(0); }
  static void i_store_bytes(void* p, I v) {
    const __m256i low = _mm256_set1_epi32(0xff);
    const __m256i words =
        _mm256_permute4x64_epi64(_mm256_packus_epi32(_mm256_and_si256(v.a, low), _mm256_and_si256(v.b, low)), 0xd8);
    _mm_storeu_si128((__m128i*)p, _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
  }

  static B b_load(const uint8_t* p) { return i_load_bytes(p); }
  static void b_store(uint8_t* p, B v) {
    _mm256_storeu_si256((__m256i*)p, v.a);
    _mm256_storeu_si256((__m256i*)p + 1, v.b);
  }
  static B b_and(B x, uint8_t mask) {
    const __m256i m = _mm256_set1_epi8((char)mask);
    return {_mm256_and_si256(x.a, m), _mm256_and_si256(x.b, m)};
  }
  static B b_or(B x, B y) { return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)}; }
  static B b_sub(B x, uint8_t y) {
    const __m256i v = _mm256_set1_epi8((char)y);
    return {_mm256_sub_epi8(x.a, v), _mm256_sub_epi8(x.b, v)};
  }
  template <int N>
  static B b_shr(B x) {
    return {_mm256_srli_epi16(x.a, N), _mm256_srli_epi16(x.b, N)};
  }
  template <int N>
  static B b_shl(B x) {
    return {_mm256_slli_epi16(x.a, N), _mm256_slli_epi16(x.b, N)};
  }
  static B b_lookup(B index, const int8_t* table) {
    const __m256i t = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)table));
    return {_mm256_shuffle_epi8(t, index.a), _mm256_shuffle_epi8(t, index.b)};
  }

  /* Byte J of each lane. */
  template <int J, bool Signed>
  static I b_byte(B x) {
    return {half_byte<J, Signed>(x.a), half_byte<J, Signed>(x.b)};
  }

  /* For the peak measurement: so many independent sums keep the units busy. The asm keeps each sum in its register. */
  static constexpr int kPeakSums = 5;
  static I peak_dot(I sum, B a, B b) {
    __asm__("" : "+x"(a.a), "+x"(a.b)); /* the products are not to be computed once for all rounds */
    sum = {_mm256_add_epi16(sum.a, _mm256_maddubs_epi16(a.a, b.a)),
           _mm256_add_epi16(sum.b, _mm256_maddubs_epi16(a.b, b.b))};
    __asm__("" : "+x"(sum.a), "+x"(sum.b));
    return sum;
  }
  static F peak_fma(F sum, F a, F b) {
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum.a) : "x"(a.a), "x"(b.a));
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum.b) : "x"(a.b), "x"(b.b));
    return sum;
  }

  static __m256i quad_at(const void* x, int quad) {
    int32_t v;
    __builtin_memcpy(&v, (const char*)x + 4 * quad, 4);
    return _mm256_set1_epi32(v);
  }

  /* out[t] = sum over Quads quads of (w - offset) * x[t] from element `at`; the offset comes off by the sum of x. */
  template <int Bits, int Quads, int NT>
  static KERNEL_INLINE void dot_stream(const B* w, const int8_t* const* q8, const uint8_t* const*,
                                       const int32_t* const* sum16, int64_t at, int offset, I (&out)[NT]) {
    for (int t = 0; t < NT; ++t) {
      __m256i a = _mm256_setzero_si256(), b = a;
      dot_half<Bits, Quads>(w, q8[t] + at, a, b);
      const int32_t* sums = sum16[t] + at / 16;
      const int32_t sum = Quads == 8 ? sums[0] + sums[1] : sums[0];
      const __m256i bias = _mm256_set1_epi32(Bits == 8 ? 0 : -offset * sum);
      out[t] = {_mm256_add_epi32(a, bias), _mm256_add_epi32(b, bias)};
    }
  }

  template <int Bits>
  static B panel_quad(B w, int) {
    return w;
  }
  template <int Quads>
  static I panel_init(const B*) {
    return i_set1(0);
  }

 private:
  template <int J, bool Signed>
  static __m256i half_byte(__m256i x) {
    return Signed ? _mm256_srai_epi32(_mm256_slli_epi32(x, 24 - 8 * J), 24)
                  : _mm256_and_si256(_mm256_srli_epi32(x, 8 * J), _mm256_set1_epi32(255));
  }
  static KERNEL_INLINE void transpose_square(const float* from, int64_t ld_from, float* to, int64_t ld_to) {
    __m256 r[8], t[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(from + i * ld_from);
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
      t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
      t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
      r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
      r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
      r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
      r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      _mm256_storeu_ps(to + i * ld_to, _mm256_permute2f128_ps(r[i], r[4 + i], 0x20));
      _mm256_storeu_ps(to + (4 + i) * ld_to, _mm256_permute2f128_ps(r[i], r[4 + i], 0x31));
    }
  }
  static __m256 half_from_bf16(const uint16_t* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16));
  }
  static __m256i half_to_bf16(__m256 v) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i high = _mm256_srli_epi32(bits, 16);
    const __m256i carry = _mm256_add_epi32(_mm256_and_si256(high, _mm256_set1_epi32(1)), _mm256_set1_epi32(0x7fff));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, carry), 16);
    const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40)); /* a NaN stays one */
    return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
  }
  static B i_load_bytes(const uint8_t* p) {
    return {_mm256_loadu_si256((const __m256i*)p), _mm256_loadu_si256((const __m256i*)p + 1)};
  }

  /* 8 lanes of (4 unsigned or signed weights) x (4 signed activations) as 16-bit
   * pairs. */
  template <int Bits>
  static __m256i products(__m256i w, __m256i x) {
    if (Bits == 8) return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_maddubs_epi16(w, x);
  }

  template <int Bits, int Quads>
  static void dot_half(const B* w, const int8_t* x, __m256i& a, __m256i& b) {
    const __m256i ones = _mm256_set1_epi16(1);
    constexpr int kRun = kProducts<Bits> < Quads ? kProducts<Bits> : Quads;
    for (int j = 0; j < Quads; j += kRun) {
      __m256i pa = products<Bits>(w[j].a, quad_at(x, j));
      __m256i pb = products<Bits>(w[j].b, quad_at(x, j));
      for (int i = j + 1; i < j + kRun; ++i) {
        pa = _mm256_add_epi16(pa, products<Bits>(w[i].a, quad_at(x, i)));
        pb = _mm256_add_epi16(pb, products<Bits>(w[i].b, quad_at(x, i)));
      }
      a = _mm256_add_epi32(a, _mm256_madd_epi16(pa, ones));
      b = _mm256_add_epi32(b, _mm256_madd_epi16(pb, ones));
    }
  }
};

/* The panel kernel computes in 8 lanes, half a group at a time: 6 tokens are then 6 + 6 accumulators in 16 registers.
 */
struct P {
  typedef __m256 F;
  typedef __m256i I;

  static constexpr int kLanes = 8, kGroups = 1, kTokens = 6;
  /* 12 sums, 2 vectors of B and a number of A in 16 registers. */
  static constexpr int kGemmRows = 6, kGemmVectors = 2;
  /* Unsigned bytes; how many products fit 16 bits depends on the width. */
  template <int Bits>
  static constexpr int kPanelBits = Bits;

  static F f_zero() { return _mm256_setzero_ps(); }
  static F f_set1(float x) { return _mm256_set1_ps(x); }
  static F f_load(const float* p) { return _mm256_loadu_ps(p); }
  static void f_store(float* p, F v) { _mm256_storeu_ps(p, v); }
  static F f_mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F f_fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F f_from_i(I v) { return _mm256_cvtepi32_ps(v); }
  static I i_load(const int32_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
  static I i_load_panel(const V::GradientWeight* p) { return _mm256_loadu_si256((const __m256i*)p); }
  static I i_step(const V::Gradient* p) { return V::quad_at(p, 0); }
  static I i_dot_step(I sum, I gradient, I weight) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(gradient, weight));
    __asm__("" : "+x"(sum)); /* keeps all products from being computed before the first is added */
    return sum;
  }

  /* out[0][t] = sum over Quads quads of (w - offset) times the activations of token t. */
  template <int Bits, int Quads, int G, int NT>
  static KERNEL_INLINE void dot_panel(const uint8_t* const* panel, const int32_t* const*, const int8_t* q8,
                                      const uint8_t*, int64_t ldx, const int32_t* sums, int64_t ldsum, int offset,
                                      I (&out)[G][NT]) {
    static_assert(G == 1, "one group at a time");
    const __m256i ones = _mm256_set1_epi16(1);
    constexpr int kRun = kProducts<Bits> < Quads ? kProducts<Bits> : Quads;
#pragma GCC unroll 8
    for (int j = 0; j < Quads; j += kRun) {
      __m256i p[NT];
#pragma GCC unroll 8
      for (int i = j; i < j + kRun; ++i) {
        const __m256i w = _mm256_loadu_si256((const __m256i*)(panel[0] + 64 * i));
        const __m256i magnitude = Bits == 8 ? _mm256_abs_epi8(w) : w;
#pragma GCC unroll 6
        for (int t = 0; t < NT; ++t) {
          const __m256i x = V::quad_at(q8 + t * ldx, i);
          const __m256i product = _mm256_maddubs_epi16(magnitude, Bits == 8 ? _mm256_sign_epi8(x, w) : x);
          p[t] = i == j ? product : _mm256_add_epi16(p[t], product);
          /* Keeps the compiler from computing all products first and adding later: they would not fit the registers. */
          __asm__("" : "+x"(p[t]));
        }
      }
#pragma GCC unroll 6
      for (int t = 0; t < NT; ++t) {
        const __m256i s = _mm256_madd_epi16(p[t], ones);
        out[0][t] = j == 0 ? s : _mm256_add_epi32(out[0][t], s);
      }
    }
    if (Bits == 8 || offset == 0) return;
#pragma GCC unroll 6
    for (int t = 0; t < NT; ++t) {
      const int32_t sum = sums[t * ldsum] + (Quads == 8 ? sums[t * ldsum + 1] : 0);
      out[0][t] = _mm256_sub_epi32(out[0][t], _mm256_set1_epi32(offset * sum));
    }
  }
};

}  // namespace
}  // namespace andiron
