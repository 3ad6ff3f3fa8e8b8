/* How fast the arithmetic units are: the register tiles of the matrix products, over operands that stay in the L1
 * cache, without the scaling, unpacking and storing that real products need. What a real product is measured against.
 */
#pragma once

#include "kernels/generic/matmul_float-inl.h"
#include "kernels/generic/matmul_quant-inl.h"

namespace andiron {
namespace {

int64_t peak_int8(int64_t rounds, uint8_t* scratch) {
  constexpr int kBits = P::kPanelBits<4>; /* the commonest weights */
  constexpr int kLdx = 64, kLanesBytes = 4 * P::kLanes;
  const uint8_t* quads[P::kGroups];
  const int32_t* init[P::kGroups];
  for (int g = 0; g < P::kGroups; ++g) {
    quads[g] = scratch + 512 * g;
    init[g] = (const int32_t*)(scratch + 1024);
  }
  const uint8_t* x = scratch + 2048;
  P::I dot[P::kGroups][P::kTokens];
  for (int64_t i = 0; i < rounds; ++i) {
    P::template dot_panel<kBits, 8, P::kGroups, P::kTokens>(quads, init, (const int8_t*)x, x, kLdx,
                                                            (const int32_t*)scratch, 0, 0, dot);
    __asm__ volatile("" : : "m"(dot) : "memory"); /* this round's sums are wanted */
  }
  return rounds * 8 * kLanesBytes * P::kGroups * P::kTokens;
}

template <class Fmt>
int64_t peak_float(int64_t rounds, uint8_t* scratch) {
  constexpr int64_t kK = 128;
  MatmulArgs a = {};
  a.weight = scratch;
  a.group_end = V::kGroups;
  a.x.f32 = (const float*)(scratch + V::kGroups * kK * 64);
  a.x.tokens = V::kTokens;
  a.x.k = kK;
  a.y = (float*)(scratch + V::kGroups * kK * 64 + V::kTokens * kK * 4);
  a.ldy = 16 * V::kGroups;
  for (int64_t i = 0; i < rounds; ++i) {
    float_tile<Fmt, V::kGroups, V::kTokens>(&a, kK / 2 * Fmt::kStep, 0, 1, 0);
    __asm__ volatile("" : : "r"(a.y) : "memory");
  }
  return rounds * kK * 16 * V::kGroups * V::kTokens;
}

int64_t peak(PeakKind kind, int64_t rounds, void* scratch) {
  uint8_t* s = (uint8_t*)scratch;
  switch (kind) {
    case kPeakInt8: return peak_int8(rounds, s);
    case kPeakBF16: return peak_float<FloatBF16>(rounds, s);
    default: return peak_float<FloatF32>(rounds, s);
  }
}

}  // namespace
}  // namespace andiron
