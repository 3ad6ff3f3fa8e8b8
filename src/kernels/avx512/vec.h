/* The 16-lane vectors of the generic kernels, in AVX-512 (F, BW, DQ, VL, VNNI). Every tier computes the same bits;
 * scalar/vec.h says what each operation means. */
#pragma once

#include <immintrin.h>
#include <stdint.h>

/* Register tiles live only if the whole tile is one function. */
#define KERNEL_INLINE inline __attribute__((always_inline))

namespace andiron {
namespace {

struct V {
  typedef __m512 F;  /* 16 floats */
  typedef __m512i I; /* 16 int32 */
  typedef __m512i B; /* 64 bytes: 4 for each lane */
  struct D {
    __m512d a, b;
  }; /* 16 doubles */

  /* Blocks of 16 lanes that attention holds at once for 4 rows: 16 independent sums hide the latency of the
   * multiply-add. */
  static constexpr int kAttentionBlocks = 4;
  /* The panel kernel: 2 groups x 6 tokens leave room for 12 + 12 accumulators. */
  static constexpr int kLanes = 16, kGroups = 2, kTokens = 6;
  /* 24 sums, 3 vectors of B and a number of A in 32 registers. */
  static constexpr int kGemmRows = 8, kGemmVectors = 3;
  /* The panel holds signed bytes whatever the format, so one kernel serves all. */
  template <int Bits>
  static constexpr int kPanelBits = 8;

  static F f_zero() { return _mm512_setzero_ps(); }
  static F f_set1(float x) { return _mm512_set1_ps(x); }
  static F f_load(const float* p) { return _mm512_loadu_ps(p); }
  static void f_store(float* p, F v) { _mm512_storeu_ps(p, v); }
  static F f_add(F a, F b) { return _mm512_add_ps(a, b); }
  static F f_sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F f_mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F f_div(F a, F b) { return _mm512_div_ps(a, b); }
  static F f_fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F f_max(F a, F b) { return _mm512_max_ps(a, b); }
  static F f_abs(F a) { return _mm512_abs_ps(a); }
  static F f_sqrt(F a) { return _mm512_sqrt_ps(a); }
  static F f_select_ge(F x, F limit, F yes, F no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, limit, _CMP_GE_OQ), no, yes);
  }
  static float f_sum(F v) {
    const __m256 h8 = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 h4 = _mm_add_ps(_mm256_castps256_ps128(h8), _mm256_extractf128_ps(h8, 1));
    const __m128 h2 = _mm_add_ps(h4, _mm_movehl_ps(h4, h4));
    return _mm_cvtss_f32(_mm_add_ss(h2, _mm_movehdup_ps(h2)));
  }
  static float f_hmax(F v) { return _mm512_reduce_max_ps(v); }

  /* In pairs, in fours, then the four quarters of the registers. */
  static KERNEL_INLINE void f_transpose(const float* from, int64_t ld_from, float* to, int64_t ld_to) {
    F r[16], t[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) r[i] = f_load(from + i * ld_from);
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
      t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
      t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
      r[i] = join_pairs<0>(t[i], t[i + 2]);
      r[i + 1] = join_pairs<1>(t[i], t[i + 2]);
      r[i + 2] = join_pairs<0>(t[i + 1], t[i + 3]);
      r[i + 3] = join_pairs<1>(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const F even_a = _mm512_shuffle_f32x4(r[i], r[4 + i], 0x88),
              even_b = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0x88);
      const F odd_a = _mm512_shuffle_f32x4(r[i], r[4 + i], 0xdd),
              odd_b = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0xdd);
      f_store(to + i * ld_to, _mm512_shuffle_f32x4(even_a, even_b, 0x88));
      f_store(to + (4 + i) * ld_to, _mm512_shuffle_f32x4(odd_a, odd_b, 0x88));
      f_store(to + (8 + i) * ld_to, _mm512_shuffle_f32x4(even_a, even_b, 0xdd));
      f_store(to + (12 + i) * ld_to, _mm512_shuffle_f32x4(odd_a, odd_b, 0xdd));
    }
  }

  static F f_from_f16(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
  static void f_to_f16(uint16_t* p, F v) {
    _mm256_storeu_si256((__m256i*)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static F f_from_bf16(const uint16_t* p) {
    return f_bits(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16));
  }
  /* As bf16, in the low half of each lane. */
  static I f_bf16_bits(F v) {
    const I bits = _mm512_castps_si512(v);
    const I high = _mm512_srli_epi32(bits, 16);
    const I carry = _mm512_add_epi32(_mm512_and_si512(high, i_set1(1)), i_set1(0x7fff));
    const I rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, carry), 16);
    const I quiet = _mm512_or_si512(high, i_set1(0x40)); /* a NaN stays one */
    return _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), quiet);
  }
  static void f_to_bf16(uint16_t* p, F v) { _mm256_storeu_si256((__m256i*)p, _mm512_cvtepi32_epi16(f_bf16_bits(v))); }
  static F f_from_u8(const uint8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)));
  }
  static F f_from_s8(const uint8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p)));
  }
  static F f_from_i(I v) { return _mm512_cvtepi32_ps(v); }
  static F f_bits(I v) { return _mm512_castsi512_ps(v); }

  static D d_zero() { return {_mm512_setzero_pd(), _mm512_setzero_pd()}; }
  static D d_dot(F x, F y, D sum) {
    const __m512d xa = _mm512_cvtps_pd(_mm512_castps512_ps256(x)), xb = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
    const __m512d ya = _mm512_cvtps_pd(_mm512_castps512_ps256(y)), yb = _mm512_cvtps_pd(_mm512_extractf32x8_ps(y, 1));
    return {_mm512_fmadd_pd(xa, ya, sum.a), _mm512_fmadd_pd(xb, yb, sum.b)};
  }
  static void d_store(double* p, D v) {
    _mm512_storeu_pd(p, v.a);
    _mm512_storeu_pd(p + 8, v.b);
  }

  static I i_set1(int32_t x) { return _mm512_set1_epi32(x); }
  static I i_load(const void* p) { return _mm512_loadu_si512(p); }
  static void i_store(void* p, I v) { _mm512_storeu_si512(p, v); }
  static I i_add(I a, I b) { return _mm512_add_epi32(a, b); }
  static I i_and(I a, I b) { return _mm512_and_si512(a, b); }
  static I i_xor(I a, I b) { return _mm512_xor_si512(a, b); }
  template <int N>
  static I i_shr(I a) {
    return _mm512_srli_epi32(a, N);
  }
  template <int N>
  static I i_shl(I a) {
    return _mm512_slli_epi32(a, N);
  }
  static int32_t i_sum(I v) { return _mm512_reduce_add_epi32(v); }
  static I i_round(F v) { return _mm512_cvtps_epi32(v); }
  static I i_zero() { return _mm512_setzero_si512(); }
  /* Rounded gradients as bytes + 128 and rounded weights as signed bytes, four rows at a time: one factor of vpdpbusd
   * is unsigned. */
  typedef uint8_t Gradient;
  typedef int8_t GradientWeight;
  static constexpr int kGradientStep = 4;
  static I i_load_panel(const GradientWeight* p) { return _mm512_loadu_si512(p); }
  static I i_step(const Gradient* p) { return i_set1(quad_at(p, 0)); }
  /* In asm: of the intrinsic GCC 12 keeps a second copy of every sum, and stores it. */
  static I i_dot_step(I sum, I gradient, I weight) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(gradient), "v"(weight));
    return sum;
  }
  static void i_store_gradient(Gradient* p, I v) {
    _mm_storeu_si128((__m128i*)p, _mm_xor_si128(_mm512_cvtepi32_epi8(v), _mm_set1_epi8((char)0x80)));
  }
  static void i_store_step(GradientWeight* p, const I (&row)[kGradientStep]) {
    const I low = _mm512_or_si512(_mm512_and_si512(row[0], i_set1(0xff)),
                                  _mm512_slli_epi32(_mm512_and_si512(row[1], i_set1(0xff)), 8));
    const I high =
        _mm512_or_si512(_mm512_slli_epi32(_mm512_and_si512(row[2], i_set1(0xff)), 16), _mm512_slli_epi32(row[3], 24));
    _mm512_storeu_si512(p, _mm512_or_si512(low, high));
  }
  /* What a sum starts from, of the sum of all weights: the 128 taken off. */
  static I i_start(I weights) { return _mm512_sub_epi32(i_zero(), _mm512_slli_epi32(weights, 7)); }
  /* The low bytes of 16 int32. */
  static void i_store_bytes(void* p, I v) { _mm_storeu_si128((__m128i*)p, _mm512_cvtepi32_epi8(v)); }

  static B b_load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static void b_store(uint8_t* p, B v) { _mm512_storeu_si512(p, v); }
  static B b_and(B a, uint8_t mask) { return _mm512_and_si512(a, _mm512_set1_epi8((char)mask)); }
  static B b_or(B a, B b) { return _mm512_or_si512(a, b); }
  static B b_sub(B a, uint8_t x) { return _mm512_sub_epi8(a, _mm512_set1_epi8((char)x)); }
  /* Bits moved within 16-bit units; callers mask what crosses a byte. */
  template <int N>
  static B b_shr(B a) {
    return _mm512_srli_epi16(a, N);
  }
  template <int N>
  static B b_shl(B a) {
    return _mm512_slli_epi16(a, N);
  }
  /* Bytes 0..15 to the entries of a 16-byte table. */
  static B b_lookup(B index, const int8_t* table) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)table)), index);
  }

  /* Byte J of each lane. */
  template <int J, bool Signed>
  static I b_byte(B v) {
    return Signed ? _mm512_srai_epi32(_mm512_slli_epi32(v, 24 - 8 * J), 24)
                  : _mm512_and_si512(_mm512_srli_epi32(v, 8 * J), i_set1(255));
  }

  static int32_t quad_at(const void* x, int quad) {
    int32_t v;
    __builtin_memcpy(&v, (const char*)x + 4 * quad, 4);
    return v;
  }

  /* For the peak measurement: so many independent sums keep the units busy. In asm, which adds no copies of registers.
   */
  static constexpr int kPeakSums = 12;
  static I peak_dot(I sum, B a, B b) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
  }
  static F peak_fma(F sum, F a, F b) {
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
  }

  /* out[t] = sum over Quads quads of (w - offset) * x[t] from element `at`. w: unsigned bytes below 2^Bits, or signed
   * when Bits is
   * 8. sum16: sums of x over 16 elements. vpdpbusd wants one unsigned factor: for few tokens that is the weight, and
   * the offset comes off by the sum of x; for many it is x + 128, and the 128 comes off once for all tokens by the sum
   * of w. */
  template <int Bits, int Quads, int NT>
  static KERNEL_INLINE void dot_stream(const B* w, const int8_t* const* q8, const uint8_t* const* u8,
                                       const int32_t* const* sum16, int64_t at, int offset, I (&out)[NT]) {
    if constexpr (NT <= 2) {
      const int bias = Bits == 8 ? 128 : offset;
      for (int t = 0; t < NT; ++t) {
        const int32_t* sums = sum16[t] + at / 16;
        out[t] = i_set1(-bias * (Quads == 8 ? sums[0] + sums[1] : sums[0]));
      }
#pragma GCC unroll 8
      for (int j = 0; j < Quads; ++j) {
        const B u = Bits == 8 ? _mm512_xor_si512(w[j], _mm512_set1_epi8((char)0x80)) : w[j];
        for (int t = 0; t < NT; ++t) out[t] = _mm512_dpbusd_epi32(out[t], u, i_set1(quad_at(q8[t] + at, j)));
      }
    } else {
      B s[Quads];
#pragma GCC unroll 8
      for (int j = 0; j < Quads; ++j) s[j] = panel_quad<Bits>(w[j], offset);
      const I init = panel_init<Quads>(s);
      for (int t = 0; t < NT; ++t) out[t] = init;
#pragma GCC unroll 8
      for (int j = 0; j < Quads; ++j) {
#pragma GCC unroll 8
        for (int t = 0; t < NT; ++t) out[t] = _mm512_dpbusd_epi32(out[t], i_set1(quad_at(u8[t] + at, j)), s[j]);
      }
    }
  }

  /* A quad of the panel: w - offset as signed bytes. */
  template <int Bits>
  static B panel_quad(B w, int offset) {
    return Bits == 8 ? w : b_sub(w, (uint8_t)offset);
  }
  /* What the accumulator of Quads panel quads starts from: the 128 that u8 adds to every x, taken off. */
  template <int Quads>
  static KERNEL_INLINE I panel_init(const B* w) {
    I acc = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int j = 0; j < Quads; ++j) acc = _mm512_dpbusd_epi32(acc, _mm512_set1_epi8((char)0x80), w[j]);
    return _mm512_sub_epi32(_mm512_setzero_si512(), acc);
  }

  /* out[g][t] = sum over Quads quads of panel (g) times the activations of token t. */
  template <int Bits, int Quads, int G, int NT>
  static KERNEL_INLINE void dot_panel(const uint8_t* const* panel, const int32_t* const* init, const int8_t*,
                                      const uint8_t* u8, int64_t ldx, const int32_t*, int64_t, int, I (&out)[G][NT]) {
    for (int g = 0; g < G; ++g)
      for (int t = 0; t < NT; ++t) out[g][t] = i_load(init[g]);
#pragma GCC unroll 8
    for (int j = 0; j < Quads; ++j) {
      B w[G];
#pragma GCC unroll 2
      for (int g = 0; g < G; ++g) w[g] = b_load(panel[g] + 64 * j);
#pragma GCC unroll 6
      for (int t = 0; t < NT; ++t) {
        const I x = i_set1(quad_at(u8 + t * ldx, j));
#pragma GCC unroll 2
        for (int g = 0; g < G; ++g) out[g][t] = _mm512_dpbusd_epi32(out[g][t], x, w[g]);
      }
    }
  }

 private:
  /* Of each quarter of two registers the first or the second pair of floats. */
  template <int Second>
  static F join_pairs(F a, F b) {
    const __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
    return _mm512_castpd_ps(Second ? _mm512_unpackhi_pd(x, y) : _mm512_unpacklo_pd(x, y));
  }
};

typedef V P; /* what the panel kernel computes in */

}  // namespace
}  // namespace andiron
