// For tests only: the mathematics of the ops once more, in the plainest loops, from the papers' formulas; nothing is
// shared with ops or kernels. Written over the scalar, so that it can be differentiated: with std::complex<double> and
// a step h too small to round anything, Im f(x + ih) / h is f'(x) to the last digits of a double (Squire and Trapp
// 1998, "Using complex variables to estimate derivatives of real functions").
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <type_traits>
#include <vector>

#include "tensor/half.h"

namespace andiron::reference {

using Complex = std::complex<double>;
inline constexpr double kStep = 0x1p-100;  // h, whose square is nothing beside 1

template <typename S>
using Vector = std::vector<S>;

inline double real(double x) { return x; }
inline double real(const Complex& x) { return x.real(); }
// The derivative that a result carries.
inline double slope(const Complex& x) { return x.imag() / kStep; }

// The number `value` with the derivative of x: rounding, passed straight through.
inline double passed_through(double, double value) { return value; }
inline Complex passed_through(const Complex& x, double value) { return {value, x.imag()}; }

template <typename S>
S rounded_to_f16(const S& x) {
  return passed_through(x, static_cast<double>(f16_to_f32(f32_to_f16(static_cast<float>(real(x))))));
}

// What int8 with a scale for each 32 makes of x.
template <typename S>
Vector<S> rounded_to_int8(const Vector<S>& x) {
  Vector<S> y(x.size());
  for (size_t block = 0; block < x.size(); block += 32) {
    double top = 0;
    for (size_t i = block; i < block + 32; ++i) top = std::max(top, std::fabs(real(x[i])));
    const double step = top / 127;
    for (size_t i = block; i < block + 32; ++i) {
      y[i] = passed_through(x[i], step > 0 ? std::nearbyint(real(x[i]) / step) * step : 0);
    }
  }
  return y;
}

template <typename S>
void add(Vector<S>& x, const Vector<S>& y) {
  for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
}

template <typename S>
void scale(Vector<S>& x, const S& s) {
  for (S& v : x) v *= s;
}

// x / sqrt(mean(x^2) + eps) * w (arXiv 1910.07467).
template <typename S>
Vector<S> rms_norm(std::span<const S> x, std::span<const S> w, double epsilon) {
  S sum = 0;
  for (const S& v : x) sum += v * v;
  const S inverse = 1.0 / std::sqrt(sum / static_cast<double>(x.size()) + epsilon);
  Vector<S> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * inverse * w[i];
  return y;
}

// The same within each run of w.size() numbers.
template <typename S>
void head_norm(Vector<S>& x, std::span<const S> w, double epsilon) {
  for (size_t at = 0; at < x.size(); at += w.size()) {
    const auto y = rms_norm<S>(std::span<const S>(x).subspan(at, w.size()), w, epsilon);
    std::copy(y.begin(), y.end(), x.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

inline double widened(float x) { return static_cast<double>(x); }
inline double widened(double x) { return x; }
inline const Complex& widened(const Complex& x) { return x; }

// W x, W [n, x.size()] row by row.
template <typename W, typename S>
Vector<S> product(std::span<const W> w, const Vector<S>& x) {
  const size_t k = x.size();
  Vector<S> y(w.size() / k);
  for (size_t i = 0; i < y.size(); ++i) {
    S sum = 0;
    for (size_t j = 0; j < k; ++j) sum += widened(w[i * k + j]) * x[j];
    y[i] = sum;
  }
  return y;
}

// A change to a matrix (arXiv 2106.09685, 2402.09353).
template <typename S>
struct Delta {
  Vector<S> a, b;       // [r, k], [n, r]
  double scale = 1;     // alpha / r
  double strength = 1;  // it is worn with
  Vector<S> magnitude;  // DoRA: [n], else empty
  Vector<double> norm;  // DoRA: [n] |W + scale B A| by rows, a constant
};

// What the delta adds to W x; `input`: x as A sees it, after dropout.
template <typename S>
Vector<S> added_by(const Delta<S>& delta, const Vector<S>& wx, const Vector<S>& input) {
  Vector<S> y = product<S>(delta.b, product<S>(delta.a, input));
  for (size_t i = 0; i < y.size(); ++i) {
    y[i] *= delta.scale;
    if (!delta.magnitude.empty()) {
      const S g = delta.magnitude[i] / delta.norm[i];
      y[i] = (g - 1.0) * wx[i] + g * y[i];
    }
    y[i] *= delta.strength;
  }
  return y;
}

// |W + scale B A| by rows.
template <typename W, typename S>
Vector<double> norm_of_rows(std::span<const W> w, const Delta<S>& delta, size_t n) {
  const size_t k = w.size() / n, r = delta.a.size() / k;
  Vector<double> out(n);
  for (size_t i = 0; i < n; ++i) {
    double sum = 0;
    for (size_t j = 0; j < k; ++j) {
      double v = real(widened(w[i * k + j]));
      for (size_t l = 0; l < r; ++l) v += delta.scale * real(delta.b[i * r + l]) * real(delta.a[l * k + j]);
      sum += v * v;
    }
    out[i] = std::sqrt(sum);
  }
  return out;
}

// Pair i of a head turned by an angle whose cosine and sine are c and s (arXiv 2104.09864): neighbours, or `half`
// apart.
template <typename S>
void rotate_pair(S* head, int64_t i, int64_t half, bool neighbours, double c, double s) {
  S& a = head[neighbours ? 2 * i : i];
  S& b = head[neighbours ? 2 * i + 1 : i + half];
  const S was_a = a, was_b = b;
  a = was_a * c - was_b * s;
  b = was_a * s + was_b * c;
}

// cap * tanh(x / cap).
template <typename S>
S softcap(const S& x, double cap) {
  return cap * std::tanh(x / cap);
}

template <typename S>
Vector<S> softmax(Vector<S> x) {
  double top = -INFINITY;
  for (const S& v : x) top = std::max(top, real(v));
  S sum = 0;
  for (S& v : x) sum += v = std::exp(v - top);
  for (S& v : x) v /= sum;
  return x;
}

// One query [d] over keys and values, each given as where the d numbers of a position are.
template <typename S>
Vector<S> attend(std::span<const S> q, std::span<const S* const> keys, std::span<const S* const> values, double factor,
                 double cap) {
  Vector<S> scores;
  for (const S* key : keys) {
    S score = 0;
    for (size_t i = 0; i < q.size(); ++i) score += q[i] * key[i];
    score *= factor;
    scores.push_back(cap > 0 ? softcap(score, cap) : score);
  }
  const Vector<S> weights = softmax(std::move(scores));
  Vector<S> out(q.size());
  for (size_t at = 0; at < weights.size(); ++at) {
    for (size_t i = 0; i < q.size(); ++i) out[i] += weights[at] * values[at][i];
  }
  return out;
}

template <typename S>
S silu(const S& g) {
  return g / (1.0 + std::exp(-g));
}
// The tanh form (arXiv 1606.08415).
template <typename S>
S gelu(const S& g) {
  return 0.5 * g * (1.0 + std::tanh(std::sqrt(2 / std::numbers::pi) * (g + 0.044715 * g * g * g)));
}

// -log softmax(logits)[target].
template <typename S>
S cross_entropy(const Vector<S>& logits, size_t target) {
  double top = -INFINITY;
  for (const S& v : logits) top = std::max(top, real(v));
  S sum = 0;
  for (const S& v : logits) sum += std::exp(v - top);
  return std::log(sum) + top - logits[target];
}

}  // namespace andiron::reference
