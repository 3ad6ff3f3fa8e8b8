/* The 16-lane vectors of the generic kernels in plain C: the specification the other tiers are tested against. */
#pragma once

#include <math.h>
#include <stdint.h>

#include "tensor/half.h"

/* Clarity before speed here: the compiler decides. */
#define KERNEL_INLINE inline

namespace andiron {
namespace {

struct V {
  struct F {
    float v[16];
  };
  struct I {
    int32_t v[16];
  };
  struct B {
    uint8_t v[64];
  };
  struct D {
    double v[16];
  };

  static constexpr int kAttentionBlocks = 1;
  static constexpr int kLanes = 16, kGroups = 1, kTokens = 4;
  static constexpr int kGemmRows = 4, kGemmVectors = 1;
  template <int Bits>
  static constexpr int kPanelBits = 8;

  template <typename Out, typename Op>
  static Out lanes(Op op) {
    Out r;
    for (int i = 0; i < 16; ++i) r.v[i] = op(i);
    return r;
  }
  template <typename Op>
  static B bytes(Op op) {
    B r;
    for (int i = 0; i < 64; ++i) r.v[i] = (uint8_t)op(i);
    return r;
  }

  static F f_zero() { return f_set1(0); }
  static F f_set1(float x) {
    return lanes<F>([&](int) { return x; });
  }
  static F f_load(const float* p) {
    return lanes<F>([&](int i) { return p[i]; });
  }
  static void f_store(float* p, F v) {
    for (int i = 0; i < 16; ++i) p[i] = v.v[i];
  }
  static F f_add(F a, F b) {
    return lanes<F>([&](int i) { return a.v[i] + b.v[i]; });
  }
  static F f_sub(F a, F b) {
    return lanes<F>([&](int i) { return a.v[i] - b.v[i]; });
  }
  static F f_mul(F a, F b) {
    return lanes<F>([&](int i) { return a.v[i] * b.v[i]; });
  }
  static F f_div(F a, F b) {
    return lanes<F>([&](int i) { return a.v[i] / b.v[i]; });
  }
  static F f_fma(F a, F b, F c) {
    return lanes<F>([&](int i) { return fmaf(a.v[i], b.v[i], c.v[i]); });
  }
  static F f_max(F a, F b) {
    return lanes<F>([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }
  static F f_abs(F a) {
    return lanes<F>([&](int i) { return fabsf(a.v[i]); });
  }
  static F f_sqrt(F a) {
    return lanes<F>([&](int i) { return sqrtf(a.v[i]); });
  }
  static F f_select_ge(F x, F limit, F yes, F no) {
    return lanes<F>([&](int i) { return x.v[i] >= limit.v[i] ? yes.v[i] : no.v[i]; });
  }
  static float f_sum(F v) {
    for (int half = 8; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) v.v[i] += v.v[i + half];
    return v.v[0];
  }
  static float f_hmax(F v) {
    float m = v.v[0];
    for (int i = 1; i < 16; ++i) m = v.v[i] > m ? v.v[i] : m;
    return m;
  }

  /* to[j][i] = from[i][j], 16 by 16; the two do not overlap. */
  static void f_transpose(const float* from, int64_t ld_from, float* to, int64_t ld_to) {
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 16; ++j) to[j * ld_to + i] = from[i * ld_from + j];
  }

  static F f_from_f16(const uint16_t* p) {
    return lanes<F>([&](int i) { return f16_to_f32(p[i]); });
  }
  static void f_to_f16(uint16_t* p, F v) {
    for (int i = 0; i < 16; ++i) p[i] = f32_to_f16(v.v[i]);
  }
  static F f_from_bf16(const uint16_t* p) {
    return lanes<F>([&](int i) { return bf16_to_f32(p[i]); });
  }
  static void f_to_bf16(uint16_t* p, F v) {
    for (int i = 0; i < 16; ++i) p[i] = f32_to_bf16(v.v[i]);
  }
  static F f_from_u8(const uint8_t* p) {
    return lanes<F>([&](int i) { return (float)p[i]; });
  }
  static F f_from_s8(const uint8_t* p) {
    return lanes<F>([&](int i) { return (float)(int8_t)p[i]; });
  }
  static F f_from_i(I v) {
    return lanes<F>([&](int i) { return (float)v.v[i]; });
  }
  static F f_bits(I v) {
    F r;
    __builtin_memcpy(&r, &v, 64);
    return r;
  }

  /* Sums in double: a product of two floats is exact there. */
  static D d_zero() {
    return lanes<D>([](int) { return 0.0; });
  }
  static D d_dot(F x, F y, D sum) {
    return lanes<D>([&](int i) { return sum.v[i] + (double)x.v[i] * (double)y.v[i]; });
  }
  static void d_store(double* p, D v) {
    for (int i = 0; i < 16; ++i) p[i] = v.v[i];
  }

  static I i_set1(int32_t x) {
    return lanes<I>([&](int) { return x; });
  }
  static I i_load(const void* p) {
    I r;
    __builtin_memcpy(&r, p, 64);
    return r;
  }
  static void i_store(void* p, I v) { __builtin_memcpy(p, &v, 64); }
  static I i_add(I a, I b) {
    return lanes<I>([&](int i) { return a.v[i] + b.v[i]; });
  }
  static I i_and(I a, I b) {
    return lanes<I>([&](int i) { return a.v[i] & b.v[i]; });
  }
  static I i_xor(I a, I b) {
    return lanes<I>([&](int i) { return a.v[i] ^ b.v[i]; });
  }
  /* Zeros come in. */
  template <int N>
  static I i_shr(I a) {
    return lanes<I>([&](int i) { return (int32_t)((uint32_t)a.v[i] >> N); });
  }
  template <int N>
  static I i_shl(I a) {
    return lanes<I>([&](int i) { return (int32_t)((uint32_t)a.v[i] << N); });
  }
  static int32_t i_sum(I v) {
    int32_t sum = 0;
    for (int i = 0; i < 16; ++i) sum += v.v[i];
    return sum;
  }
  static I i_round(F v) {
    return lanes<I>([&](int i) {
      /* As cvtps2dq: what does not fit becomes INT32_MIN. */
      const float r = rintf(v.v[i]);
      return r >= -2147483648.0f && r < 2147483648.0f ? (int32_t)r : INT32_MIN;
    });
  }
  static I i_zero() { return i_set1(0); }
  /* Of rounded gradients and weights a lane takes kGradientStep rows at a time, in a form that suits the processor:
   * weights of 16 columns; a step of gradients for all; sum + gradient . weight of each lane; what a sum starts from,
   * given the sum of all its weights. */
  typedef int16_t Gradient;
  typedef int16_t GradientWeight;
  static constexpr int kGradientStep = 2;
  static I i_load_panel(const GradientWeight* p) { return i_load(p); }
  static I i_step(const Gradient* p) {
    int32_t v;
    __builtin_memcpy(&v, p, 4);
    return i_set1(v);
  }
  static I i_dot_step(I sum, I gradient, I weight) {
    return lanes<I>([&](int i) {
      const int32_t low = (int16_t)(gradient.v[i] & 0xffff) * (int16_t)(weight.v[i] & 0xffff);
      return sum.v[i] + low + (gradient.v[i] >> 16) * (weight.v[i] >> 16);
    });
  }
  static void i_store_gradient(Gradient* p, I v) {
    for (int i = 0; i < 16; ++i) p[i] = (int16_t)v.v[i];
  }
  static void i_store_step(GradientWeight* p, const I (&row)[kGradientStep]) {
    i_store(p, i_add(i_and(row[0], i_set1(0xffff)), i_shl<16>(row[1])));
  }
  static I i_start(I) { return i_zero(); }
  static void i_store_bytes(void* p, I v) {
    for (int i = 0; i < 16; ++i) ((uint8_t*)p)[i] = (uint8_t)(v.v[i] & 0xff);
  }

  static B b_load(const uint8_t* p) {
    B r;
    __builtin_memcpy(&r, p, 64);
    return r;
  }
  static void b_store(uint8_t* p, B v) { __builtin_memcpy(p, &v, 64); }
  static B b_and(B a, uint8_t mask) {
    return bytes([&](int i) { return a.v[i] & mask; });
  }
  static B b_or(B a, B b) {
    return bytes([&](int i) { return a.v[i] | b.v[i]; });
  }
  static B b_sub(B a, uint8_t x) {
    return bytes([&](int i) { return a.v[i] - x; });
  }
  /* Within a byte: what a 16-bit shift would bring in from the neighbour is masked off by every caller. */
  template <int N>
  static B b_shr(B a) {
    return bytes([&](int i) { return a.v[i] >> N; });
  }
  template <int N>
  static B b_shl(B a) {
    return bytes([&](int i) { return a.v[i] << N; });
  }
  static B b_lookup(B index, const int8_t* table) {
    return bytes([&](int i) { return table[index.v[i]]; });
  }

  /* Byte J of each lane. */
  template <int J, bool Signed>
  static I b_byte(B v) {
    return lanes<I>([&](int i) { return Signed ? (int8_t)v.v[4 * i + J] : v.v[4 * i + J]; });
  }

  /* For the peak measurement. */
  static constexpr int kPeakSums = 4;
  static F peak_fma(F sum, F a, F b) { return f_fma(a, b, sum); }
  static I peak_dot(I sum, B a, B b) {
    return lanes<I>([&](int i) {
      int32_t acc = sum.v[i];
      for (int k = 0; k < 4; ++k) acc += a.v[4 * i + k] * (int8_t)b.v[4 * i + k];
      return acc & 0xffff; /* keeps the sum from overflowing, however many rounds */
    });
  }

  /* (w - offset) . x over Quads quads, lane by lane. */
  template <int Bits, int Quads>
  static I dot_one(const B* w, const int8_t* x, int offset) {
    return lanes<I>([&](int i) {
      int32_t acc = 0;
      for (int k = 0; k < 4 * Quads; ++k) {
        const uint8_t byte = w[k / 4].v[4 * i + k % 4];
        acc += ((Bits == 8 ? (int8_t)byte : byte) - offset) * x[k];
      }
      return acc;
    });
  }
  template <int Bits, int Quads, int NT>
  static void dot_stream(const B* w, const int8_t* const* q8, const uint8_t* const*, const int32_t* const*, int64_t at,
                         int offset, I (&out)[NT]) {
    for (int t = 0; t < NT; ++t) out[t] = dot_one<Bits, Quads>(w, q8[t] + at, offset);
  }

  template <int Bits>
  static B panel_quad(B w, int offset) {
    return Bits == 8 ? w : b_sub(w, (uint8_t)offset);
  }
  template <int Quads>
  static I panel_init(const B*) {
    return i_set1(0);
  }

  template <int Bits, int Quads, int G, int NT>
  static void dot_panel(const uint8_t* const* panel, const int32_t* const*, const int8_t* q8, const uint8_t*,
                        int64_t ldx, const int32_t*, int64_t, int, I (&out)[G][NT]) {
    for (int g = 0; g < G; ++g) {
      for (int t = 0; t < NT; ++t) {
        B w[Quads];
        for (int j = 0; j < Quads; ++j) w[j] = b_load(panel[g] + 64 * j);
        out[g][t] = dot_one<8, Quads>(w, q8 + t * ldx, 0);
      }
    }
  }
};

typedef V P; /* what the panel kernel computes in */

}  // namespace
}  // namespace andiron
