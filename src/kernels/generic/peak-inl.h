/* How fast the arithmetic units are, over registers and nothing else: what a real product is measured against. BF16
 * weights are multiplied in f32 here, so their peak is that of f32. */
#pragma once

#include "kernels/kernel_table.h"

namespace andiron {
namespace {

int64_t peak_int8(int64_t rounds, uint8_t* scratch) {
  V::I sum[V::kPeakSums];
  for (int i = 0; i < V::kPeakSums; ++i) sum[i] = V::i_load(scratch + 64 * i);
  const V::B a = V::b_load(scratch), b = V::b_load(scratch + 64);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < V::kPeakSums; ++i) sum[i] = V::peak_dot(sum[i], a, b);
  }
  for (int i = 0; i < V::kPeakSums; ++i) V::i_store(scratch + 64 * i, sum[i]);
  return rounds * 64 * V::kPeakSums;
}

int64_t peak_f32(int64_t rounds, float* scratch) {
  V::F sum[V::kPeakSums];
  for (int i = 0; i < V::kPeakSums; ++i) sum[i] = V::f_load(scratch + 16 * i);
  const V::F a = V::f_load(scratch), b = V::f_load(scratch + 16);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < V::kPeakSums; ++i) sum[i] = V::peak_fma(sum[i], a, b);
  }
  for (int i = 0; i < V::kPeakSums; ++i) V::f_store(scratch + 16 * i, sum[i]);
  return rounds * 16 * V::kPeakSums;
}

int64_t peak(PeakKind kind, int64_t rounds, void* scratch) {
  return kind == kPeakInt8 ? peak_int8(rounds, (uint8_t*)scratch) : peak_f32(rounds, (float*)scratch);
}

}  // namespace
}  // namespace andiron
