/* AdamW with its state in f32, or in 8 bits by blocks; formulas and codes: kernel_table.h. */
#pragma once

#include "kernels/generic/elementwise-inl.h"

namespace andiron {
namespace {

/* The step of 16 numbers: m and v go forward, the new value comes back. */
inline V::F adamw_lanes(const AdamWArgs& a, V::F value, V::F gradient, V::F* m, V::F* v) {
  const V::F g = V::f_mul(gradient, V::f_set1(a.gradient_scale));
  *m = V::f_fma(V::f_set1(1 - a.beta1), g, V::f_mul(V::f_set1(a.beta1), *m));
  *v = V::f_fma(V::f_set1(1 - a.beta2), V::f_mul(g, g), V::f_mul(V::f_set1(a.beta2), *v));
  const V::F root = V::f_sqrt(V::f_div(*v, V::f_set1(a.correction2)));
  const V::F step = V::f_div(V::f_div(*m, V::f_set1(a.correction1)), V::f_add(root, V::f_set1(a.eps)));
  return V::f_fma(V::f_set1(-a.rate), V::f_fma(V::f_set1(a.weight_decay), value, step), value);
}

void adamw(float* value, const float* gradient, float* m, float* v, int64_t n, const AdamWArgs* args) {
  for (int64_t i = 0; i < n; i += 16) {
    const int64_t left = n - i;
    V::F first = load_some(m + i, left), second = load_some(v + i, left);
    const V::F y = adamw_lanes(*args, load_some(value + i, left), load_some(gradient + i, left), &first, &second);
    store_some(value + i, y, left);
    store_some(m + i, first, left);
    store_some(v + i, second, left);
  }
}

/* sign(x) * |y|, |y| given. */
inline V::F with_sign(V::F x, V::F y) { return V::f_select_ge(x, V::f_zero(), y, V::f_sub(V::f_zero(), y)); }

inline V::F decode_m(const int8_t* q, float scale) {
  const V::F x = V::f_mul(V::f_from_s8((const uint8_t*)q), V::f_set1(1.0f / 127));
  return V::f_mul(with_sign(x, V::f_mul(x, x)), V::f_set1(scale));
}
inline V::F decode_v(const uint8_t* q, float scale) {
  const V::F x = V::f_mul(V::f_from_u8(q), V::f_set1(1.0f / 255));
  const V::F square = V::f_mul(x, x);
  return V::f_mul(V::f_mul(square, square), V::f_set1(scale));
}

/* `inverse`: 1 / scale. */
inline void encode_m(V::F m, V::F inverse, int8_t* q) {
  const V::F root = V::f_sqrt(V::f_mul(V::f_abs(m), inverse));
  V::i_store_bytes(q, V::i_round(V::f_mul(with_sign(m, root), V::f_set1(127))));
}
inline void encode_v(V::F v, V::F inverse, uint8_t* q) {
  const V::F root = V::f_mul(V::f_sqrt(V::f_sqrt(V::f_mul(v, inverse))), V::f_set1(255));
  const V::F some = V::f_max(root, V::f_set1(1)); /* code 0 is for zeros alone */
  const V::F tiny = V::f_set1(1e-45f);
  V::i_store_bytes(q, V::i_round(V::f_select_ge(v, tiny, some, V::f_zero())));
}

/* The largest of 256 magnitudes; 0 where its inverse would overflow, NaN where a number is not finite. */
inline float block_scale(const float* x) {
  V::F top = V::f_zero(), finite = V::f_zero();
  for (int i = 0; i < kAdamW8Block; i += 16) {
    const V::F v = V::f_load(x + i);
    top = V::f_max(top, V::f_abs(v));
    finite = V::f_add(finite, V::f_sub(v, v));
  }
  const float largest = V::f_hmax(top);
  if (!(V::f_sum(finite) == 0.0f)) return __builtin_nanf("");
  return largest >= 1.2e-38f ? largest : 0.0f;
}

/* `count` numbers of one block. */
inline void adamw8_block(float* value, const float* gradient, int8_t* m8, uint8_t* v8, float* m_scale, float* v_scale,
                         int64_t count, const AdamWArgs& args) {
  int8_t first[kAdamW8Block] = {0};
  uint8_t second[kAdamW8Block] = {0};
  float m[kAdamW8Block] = {0}, v[kAdamW8Block] = {0};
  __builtin_memcpy(first, m8, (size_t)count);
  __builtin_memcpy(second, v8, (size_t)count);
  for (int64_t i = 0; i < count; i += 16) {
    const int64_t left = count - i;
    V::F a = decode_m(first + i, *m_scale), b = decode_v(second + i, *v_scale);
    const V::F y = adamw_lanes(args, load_some(value + i, left), load_some(gradient + i, left), &a, &b);
    store_some(value + i, y, left);
    store_some(m + i, a, left);
    store_some(v + i, b, left);
  }
  *m_scale = block_scale(m);
  *v_scale = block_scale(v);
  const V::F m_inverse = V::f_set1(*m_scale > 0 ? 1 / *m_scale : 0);
  const V::F v_inverse = V::f_set1(*v_scale > 0 ? 1 / *v_scale : 0);
  for (int i = 0; i < kAdamW8Block; i += 16) {
    encode_m(V::f_load(m + i), m_inverse, first + i);
    encode_v(V::f_load(v + i), v_inverse, second + i);
  }
  __builtin_memcpy(m8, first, (size_t)count);
  __builtin_memcpy(v8, second, (size_t)count);
}

void adamw8(float* value, const float* gradient, const AdamW8State* state, int64_t n, const AdamWArgs* args) {
  for (int64_t i = 0; i < n; i += kAdamW8Block) {
    const int64_t block = i / kAdamW8Block;
    const int64_t count = n - i < kAdamW8Block ? n - i : kAdamW8Block;
    adamw8_block(value + i, gradient + i, state->m + i, state->v + i, state->m_scale + block, state->v_scale + block,
                 count, *args);
  }
}

}  // namespace
}  // namespace andiron
