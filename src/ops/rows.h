// Rows: a view of a matrix of floats.
#pragma once

#include <cstdint>

namespace andiron {

// T rows of `cols` floats, `stride` apart. Does not own them.
struct Rows {
  float* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  float* row(int64_t i) const { return data + i * stride; }
  // The columns [first, first + count) of the same rows: how one fused product is read as q, k and v.
  Rows columns(int64_t first, int64_t count) const { return {data + first, rows, count, stride}; }
  Rows slice(int64_t first, int64_t count) const { return {data + first * stride, count, cols, stride}; }
};

}  // namespace andiron
