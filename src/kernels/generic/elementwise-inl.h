/* Everything that is not a matrix product: norms, activations, rotary positions, softmax, int8 blocks. Sums run in 16
 * lanes and are folded in one fixed tree (f_sum), so that every tier gives the same bits. */
#pragma once

#include "kernels/generic/lanes-inl.h"

namespace andiron {
namespace {

/* e^x: x = n ln 2 + r, |r| <= ln 2 / 2, then a polynomial in r (coefficients: Cephes expf, S. Moshier) times 2^n.
 * Relative error about 1e-7. Below -87.33 (the smallest normal result) the answer is 0; above 88 it stays at e^88. */
inline V::F exp_lanes(V::F x) {
  const V::F low = V::f_set1(-87.33f);
  const V::F high = V::f_set1(88.0f);
  const V::F in = V::f_select_ge(x, high, high, V::f_max(x, low));
  const V::I n = V::i_round(V::f_mul(in, V::f_set1(1.44269504088896341f)));
  const V::F fn = V::f_from_i(n);
  V::F r = V::f_fma(fn, V::f_set1(-0.693359375f), in);
  r = V::f_fma(fn, V::f_set1(2.12194440e-4f), r);
  V::F p = V::f_set1(1.9875691500e-4f);
  p = V::f_fma(p, r, V::f_set1(1.3981999507e-3f));
  p = V::f_fma(p, r, V::f_set1(8.3334519073e-3f));
  p = V::f_fma(p, r, V::f_set1(4.1665795894e-2f));
  p = V::f_fma(p, r, V::f_set1(1.6666665459e-1f));
  p = V::f_fma(p, r, V::f_set1(5.0000001201e-1f));
  p = V::f_fma(V::f_mul(p, r), r, V::f_add(r, V::f_set1(1.0f)));
  const V::F power = V::f_bits(V::i_shl<23>(V::i_add(n, V::i_set1(127))));
  return V::f_select_ge(x, low, V::f_mul(p, power), V::f_zero());
}

/* tanh x: an odd polynomial below 0.625 (Cephes tanhf), 1 - 2 / (e^2x + 1) above; sign restored at the end. */
inline V::F tanh_lanes(V::F x) {
  const V::F a = V::f_abs(x);
  const V::F z = V::f_mul(a, a);
  V::F p = V::f_set1(-5.70498872745e-3f);
  p = V::f_fma(p, z, V::f_set1(2.06390887954e-2f));
  p = V::f_fma(p, z, V::f_set1(-5.37397155531e-2f));
  p = V::f_fma(p, z, V::f_set1(1.33314422036e-1f));
  p = V::f_fma(p, z, V::f_set1(-3.33332819422e-1f));
  const V::F small = V::f_fma(V::f_mul(p, z), a, a);
  const V::F e = exp_lanes(V::f_add(a, a));
  const V::F large = V::f_sub(V::f_set1(1), V::f_div(V::f_set1(2), V::f_add(e, V::f_set1(1))));
  const V::F magnitude = V::f_select_ge(a, V::f_set1(0.625f), large, small);
  return V::f_select_ge(x, V::f_zero(), magnitude, V::f_sub(V::f_zero(), magnitude));
}

/* x / (1 + e^-u): with u = x it is silu, with u = 2 sqrt(2/pi) (x + 0.044715 x^3) it is gelu's tanh form. */
inline V::F gated(V::F x, V::F u) { return V::f_div(x, V::f_add(V::f_set1(1), exp_lanes(V::f_sub(V::f_zero(), u)))); }

/* y[i] = f(a[i], b[i]) over n numbers in lanes of 16. */
template <class F>
inline void map2(const float* a, const float* b, int64_t n, float* y, F f) {
  for (int64_t i = 0; i < n; i += 16) store_some(y + i, f(load_some(a + i, n - i), load_some(b + i, n - i)), n - i);
}

void add(const float* a, const float* b, int64_t n, float* y) { map2(a, b, n, y, V::f_add); }

void scale(const float* a, float s, int64_t n, float* y) {
  map2(a, a, n, y, [s](V::F v, V::F) { return V::f_mul(v, V::f_set1(s)); });
}

void scale_add(const float* a, float s, int64_t n, float* y) {
  map2(a, y, n, y, [s](V::F v, V::F w) { return V::f_fma(v, V::f_set1(s), w); });
}

void transpose(const float* from, int64_t ld_from, int64_t rows, int64_t cols, float* to, int64_t ld_to) {
  const int64_t whole_rows = rows / 16 * 16, whole_cols = cols / 16 * 16;
  for (int64_t i = 0; i < whole_rows; i += 16)
    for (int64_t j = 0; j < whole_cols; j += 16) {
      V::f_transpose(from + i * ld_from + j, ld_from, to + j * ld_to + i, ld_to);
    }
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = i < whole_rows ? whole_cols : 0; j < cols; ++j) to[j * ld_to + i] = from[i * ld_from + j];
}

void silu_mul(const float* gate, const float* up, int64_t n, float* y) {
  map2(gate, up, n, y, [](V::F g, V::F u) { return V::f_mul(gated(g, g), u); });
}

const float kGeluScale = 1.5957691216057308f; /* 2 sqrt(2 / pi) */
inline V::F gelu_inner(V::F g) {
  const V::F cubic = V::f_mul(V::f_mul(g, g), V::f_mul(g, V::f_set1(0.044715f)));
  return V::f_mul(V::f_add(g, cubic), V::f_set1(kGeluScale));
}

void gelu_mul(const float* gate, const float* up, int64_t n, float* y) {
  map2(gate, up, n, y, [](V::F g, V::F u) { return V::f_mul(gated(g, gelu_inner(g)), u); });
}

inline V::F softcap_lanes(V::F x, float cap) {
  return V::f_mul(V::f_set1(cap), tanh_lanes(V::f_div(x, V::f_set1(cap))));
}

void softcap(const float* x, float cap, int64_t n, float* y) {
  map2(x, x, n, y, [cap](V::F v, V::F) { return softcap_lanes(v, cap); });
}

void rms_norm(const float* x, const float* w, float eps, int64_t n, float* y) {
  V::F squares = V::f_zero();
  for (int64_t i = 0; i < n; i += 16) {
    const V::F v = load_some(x + i, n - i);
    squares = V::f_fma(v, v, squares);
  }
  const float mean = V::f_sum(squares) / (float)n;
  const V::F inverse = V::f_set1(1.0f / __builtin_sqrtf(mean + eps));
  map2(x, w, n, y, [inverse](V::F v, V::F weight) { return V::f_mul(V::f_mul(v, inverse), weight); });
}

void softmax(float* x, int64_t n) {
  float top = x[0];
  for (int64_t i = 1; i < n; ++i) top = x[i] > top ? x[i] : top;
  V::F sums = V::f_zero();
  for (int64_t i = 0; i < n; i += 16) {
    const V::F e = exp_lanes(V::f_sub(load_some(x + i, n - i), V::f_set1(top)));
    store_some(x + i, e, n - i);
    sums = V::f_add(sums, load_some(x + i, n - i)); /* read back: lanes beyond n count as 0 */
  }
  const float total = V::f_sum(sums);
  map2(x, x, n, x, [total](V::F v, V::F) { return V::f_div(v, V::f_set1(total)); });
}

void exp_sub(const float* x, float s, int64_t n, float* y) {
  map2(x, x, n, y, [s](V::F v, V::F) { return exp_lanes(V::f_sub(v, V::f_set1(s))); });
}

/* The 16 lanes in the tree of f_sum. */
inline double fold(V::D sums) {
  double lanes[16];
  V::d_store(lanes, sums);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

double dot(const float* a, const float* b, int64_t n) {
  V::D sums = V::d_zero();
  for (int64_t i = 0; i < n; i += 16) sums = V::d_dot(load_some(a + i, n - i), load_some(b + i, n - i), sums);
  return fold(sums);
}

void rope(float* head, const float* cos_sin, int64_t half, int pairs) {
  const int64_t step = pairs ? 2 : 1;
  const int64_t other = pairs ? 1 : half;
  for (int64_t i = 0; i < half; ++i) {
    const float c = cos_sin[2 * i];
    const float s = cos_sin[2 * i + 1];
    const float a = head[step * i];
    const float b = head[step * i + other];
    head[step * i] = a * c - b * s;
    head[step * i + other] = a * s + b * c;
  }
}

void to_f16(const float* x, int64_t n, uint16_t* y) { to_halves(x, n, y, V::f_to_f16); }
void from_f16(const uint16_t* x, int64_t n, float* y) { from_halves(x, n, y, V::f_from_f16); }
void to_bf16(const float* x, int64_t n, uint16_t* y) { to_halves(x, n, y, V::f_to_bf16); }
void from_bf16(const uint16_t* x, int64_t n, float* y) { from_halves(x, n, y, V::f_from_bf16); }

/* Blocks of 32: d = max |x| / 127, q = x / d to the nearest whole number (ties to even). A block with a NaN or an
 * infinity in it becomes zeros with the scale NaN, so that what a broken model computes is seen to be broken, and is
 * the same on every tier. */
void quantize_row(const float* x, int64_t k, const QuantizedRow* out) {
  const V::I bias = V::i_set1(128);
  for (int64_t block = 0; block < k / 32; ++block) {
    V::F v[2] = {V::f_load(x + 32 * block), V::f_load(x + 32 * block + 16)};
    /* x - x is 0, or NaN for what is not finite; a sum keeps a NaN, the maximum below might lose it. */
    const float finite = V::f_sum(V::f_add(V::f_sub(v[0], v[0]), V::f_sub(v[1], v[1])));
    float top = V::f_hmax(V::f_max(V::f_abs(v[0]), V::f_abs(v[1])));
    float dx = top / 127.0f;
    /* A top so small that its inverse overflows is no different from zero. */
    float inverse = 127.0f / top;
    if (!(finite == 0.0f) || !(top > 1e-30f)) {
      dx = finite == 0.0f ? 0.0f : __builtin_nanf("");
      inverse = 0;
      v[0] = v[1] = V::f_zero();
    }
    int32_t sum[2];
    for (int i = 0; i < 2; ++i) {
      const V::I q = V::i_round(V::f_mul(v[i], V::f_set1(inverse)));
      V::i_store_bytes(out->q8 + 32 * block + 16 * i, q);
      V::i_store_bytes(out->u8 + 32 * block + 16 * i, V::i_add(q, bias));
      sum[i] = V::i_sum(q);
    }
    out->scale[block] = dx;
    out->dsum32[block] = dx * (float)(sum[0] + sum[1]);
    for (int i = 0; i < 2; ++i) {
      out->sum16[2 * block + i] = sum[i];
      out->dsum16[2 * block + i] = dx * (float)sum[i];
    }
  }
}

}  // namespace
}  // namespace andiron
