/* Rows whose length is not a multiple of 16 lanes. */
#pragma once

namespace andiron {
namespace {

/* 16 numbers at p, or the first n of them and zeros. */
inline V::F load_some(const float* p, int64_t n) {
  if (n >= 16) return V::f_load(p);
  float lanes[16] = {0};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return V::f_load(lanes);
}
inline void store_some(float* p, V::F v, int64_t n) {
  if (n >= 16) {
    V::f_store(p, v);
    return;
  }
  float lanes[16];
  V::f_store(lanes, v);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}

/* n numbers to and from 16 bits, `narrow` and `widen` 16 at a time. */
template <class Narrow>
inline void to_halves(const float* x, int64_t n, uint16_t* y, Narrow narrow) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) narrow(y + i, V::f_load(x + i));
  uint16_t lanes[16];
  narrow(lanes, load_some(x + i, n - i));
  for (int64_t j = 0; i + j < n; ++j) y[i + j] = lanes[j];
}
template <class Widen>
inline void from_halves(const uint16_t* x, int64_t n, float* y, Widen widen) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) V::f_store(y + i, widen(x + i));
  uint16_t lanes[16] = {0};
  for (int64_t j = 0; i + j < n; ++j) lanes[j] = x[i + j];
  if (i < n) store_some(y + i, widen(lanes), n - i);
}

}  // namespace
}  // namespace andiron
