/* The backward passes of the row functions of elementwise-inl.h, and the loss. */
#pragma once

#include "kernels/generic/elementwise-inl.h"

namespace andiron {
namespace {

/* y_i += v for the first n lanes. */
inline void add_some(float* y, V::F v, int64_t n) { store_some(y, V::f_add(load_some(y, n), v), n); }

/* y = x r w with r = 1 / sqrt(mean(x^2) + eps):  dx = r w dy - x r^3 mean(x w dy);  dw = x r dy. */
void rms_norm_backward(const float* x, const float* w, float eps, int64_t n, const float* dy, float* dx, float* dw) {
  V::F squares = V::f_zero();
  V::D product = V::d_zero();
  for (int64_t i = 0; i < n; i += 16) {
    const V::F v = load_some(x + i, n - i);
    squares = V::f_fma(v, v, squares);
    product = V::d_dot(v, V::f_mul(load_some(w + i, n - i), load_some(dy + i, n - i)), product);
  }
  const float r = 1.0f / __builtin_sqrtf(V::f_sum(squares) / (float)n + eps);
  const V::F inverse = V::f_set1(r);
  const V::F pull = V::f_set1((float)(-(double)r * r * r * (fold(product) / (double)n)));
  for (int64_t i = 0; i < n; i += 16) {
    const int64_t left = n - i;
    const V::F v = load_some(x + i, left), g = V::f_mul(load_some(dy + i, left), inverse);
    add_some(dx + i, V::f_fma(v, pull, V::f_mul(g, load_some(w + i, left))), left);
    if (dw != nullptr) add_some(dw + i, V::f_mul(v, g), left);
  }
}

/* y = g s(u(g)) up with s the logistic function:  dup = g s dy;  dgate = (s + g s (1 - s) u'(g)) up dy.
 * `inner` gives u, `slope` u'. */
template <class Inner, class Slope>
inline void gated_backward(const float* gate, const float* up, int64_t n, const float* dy, float* dgate, float* dup,
                           Inner inner, Slope slope) {
  const V::F one = V::f_set1(1);
  for (int64_t i = 0; i < n; i += 16) {
    const int64_t left = n - i;
    const V::F g = load_some(gate + i, left), d = load_some(dy + i, left);
    const V::F e = exp_lanes(V::f_sub(V::f_zero(), inner(g)));
    const V::F s = V::f_div(one, V::f_add(one, e));
    const V::F rest = V::f_mul(e, s); /* 1 - s, without its cancellation */
    const V::F gs = V::f_mul(g, s);
    const V::F derivative = V::f_fma(V::f_mul(gs, rest), slope(g), s);
    add_some(dup + i, V::f_mul(gs, d), left);
    add_some(dgate + i, V::f_mul(derivative, V::f_mul(load_some(up + i, left), d)), left);
  }
}

void silu_mul_backward(const float* gate, const float* up, int64_t n, const float* dy, float* dgate, float* dup) {
  gated_backward(
      gate, up, n, dy, dgate, dup, [](V::F g) { return g; }, [](V::F) { return V::f_set1(1); });
}

/* u = c (g + 0.044715 g^3), u' = c (1 + 0.134145 g^2), c = 2 sqrt(2 / pi). Where s is 0 or 1 in f32, u' no longer
 * matters; |g| is held below 64 there, so that it stays finite. */
void gelu_mul_backward(const float* gate, const float* up, int64_t n, const float* dy, float* dgate, float* dup) {
  gated_backward(gate, up, n, dy, dgate, dup, gelu_inner, [](V::F g) {
    const V::F limit = V::f_set1(64);
    const V::F a = V::f_abs(g);
    const V::F near = V::f_select_ge(a, limit, limit, a);
    return V::f_mul(V::f_fma(V::f_mul(near, near), V::f_set1(0.134145f), V::f_set1(1)), V::f_set1(kGeluScale));
  });
}

/* y = cap tanh(x / cap):  dx = (1 - (y / cap)^2) dy. */
void softcap_backward(const float* y, float cap, int64_t n, const float* dy, float* dx) {
  for (int64_t i = 0; i < n; i += 16) {
    const int64_t left = n - i;
    const V::F t = V::f_div(load_some(y + i, left), V::f_set1(cap));
    const V::F slope = V::f_sub(V::f_set1(1), V::f_mul(t, t));
    add_some(dx + i, V::f_mul(slope, load_some(dy + i, left)), left);
  }
}

void attention_scores_backward(float* s, float* dp, int64_t n, const ScoresBackwardArgs* args) {
  const V::F one = V::f_set1(1), scale = V::f_set1(args->scale), lse = V::f_set1(args->lse);
  const V::F sum = V::f_set1(args->sum), cap = V::f_set1(args->softcap);
  for (int64_t i = 0; i < n; i += 16) {
    const int64_t left = n - i;
    V::F z = V::f_mul(load_some(s + i, left), scale), slope = scale;
    if (args->softcap > 0) {
      z = softcap_lanes(z, args->softcap);
      const V::F t = V::f_div(z, cap);
      slope = V::f_mul(scale, V::f_sub(one, V::f_mul(t, t)));
    }
    const V::F p = exp_lanes(V::f_sub(z, lse));
    store_some(s + i, p, left);
    store_some(dp + i, V::f_mul(V::f_mul(p, V::f_sub(load_some(dp + i, left), sum)), slope), left);
  }
  for (int64_t i = 0; i < args->first && i < n; ++i) s[i] = dp[i] = 0;
  for (int64_t i = args->end > 0 ? args->end : 0; i < n; ++i) s[i] = dp[i] = 0;
}

float cross_entropy(const float* logits, int64_t n, int64_t target, float weight, float* gradient) {
  V::F tops = V::f_set1(logits[0]);
  V::F finite = V::f_zero(); /* x - x is 0, or NaN for what is not finite */
  for (int64_t i = 0; i < n; i += 16) {
    const V::F v = load_some(logits + i, n - i);
    finite = V::f_add(finite, V::f_sub(v, v));
    if (n - i >= 16) tops = V::f_max(tops, v);
  }
  float top = V::f_hmax(tops);
  for (int64_t i = n / 16 * 16; i < n; ++i) top = logits[i] > top ? logits[i] : top;
  if (!(V::f_sum(finite) == 0.0f)) top = __builtin_nanf("");

  const V::F one = V::f_set1(1);
  V::D sums = V::d_zero();
  for (int64_t i = 0; i < n; i += 16) {
    float e[16];
    V::f_store(e, exp_lanes(V::f_sub(load_some(logits + i, n - i), V::f_set1(top))));
    sums = V::d_dot(load_some(e, n - i), one, sums); /* lanes beyond n count as 0 */
  }
  const double total = fold(sums);
  const float loss = (float)(__builtin_log(total) + ((double)top - (double)logits[target]));
  if (gradient == nullptr) return loss;
  const V::F share = V::f_set1((float)((double)weight / total));
  for (int64_t i = 0; i < n; i += 16) {
    const V::F e = exp_lanes(V::f_sub(load_some(logits + i, n - i), V::f_set1(top)));
    store_some(gradient + i, V::f_mul(e, share), n - i);
  }
  gradient[target] -= weight;
  return loss;
}

}  // namespace
}  // namespace andiron
