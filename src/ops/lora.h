// Low-rank deltas of linear layers (Hu et al. 2021, arXiv 2106.09685): y = W x + b + scale * B (A x), any number of
// them, chosen row by row of a batch.
//
// With a magnitude m (DoRA: Liu et al. 2024, arXiv 2402.09353), gain g = m / ||W + scale B A|| per output row:
//   y += strength * ((g - 1) . (W x) + g . scale * B (A x)).
// The norm counts as a constant in the backward, as that paper proposes (section 4.3).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/packing.h"
#include "ops/rows.h"

namespace andiron {

// y = x W^T + b, W [n, k] packed (kernels/packing.h). Does not own its weights.
struct Linear {
  PackedFormat format = kPackedF32;
  int64_t n = 0;
  int64_t k = 0;
  const uint8_t* weight = nullptr;
  const float* bias = nullptr;  // [n], or null
  // The place in a DeltaTable; -1: none can be added.
  int32_t id = -1;
  // [n, k] the same numbers in rows, where they are trained (a tape tracks them); else null.
  const float* master = nullptr;
  // Its results go into a softmax over them, whose gradients are a few large numbers among many tiny ones: rounded to
  // the nearest the others would vanish, so they are dithered.
  bool peaked = false;

  explicit operator bool() const { return weight != nullptr; }
};

// Does not own its weights. `a.master` and `b.master` are set where they are trained. Of A and B in F16 the scale has
// in it what undoes their powers of two.
struct LoraDelta {
  Linear a;                          // [r, k] F32, or F16 where neither is trained
  Linear b;                          // [n, r] likewise
  float scale = 1;                   // alpha / r, or alpha / sqrt(r); times the strength it is worn with
  const float* gain = nullptr;       // DoRA: [n] g; null: no magnitude
  const float* magnitude = nullptr;  // DoRA: [n] m, where it is trained
  float strength = 1;                // DoRA: as above
  float dropout = 0;                 // of the inputs of A, while training: the share that is zeroed
};

// The deltas of every linear layer, by Linear::id, in the order in which they are added.
using DeltaTable = std::vector<std::vector<LoraDelta>>;

// Rows [first_row, first_row + rows) of a batch wear these.
struct RowDeltas {
  int64_t first_row = 0;
  int64_t rows = 0;
  const DeltaTable* deltas = nullptr;
};

// A matrix [n, k] of floats in rows, packed as F32: packed_bytes(kPackedF32, n, k) at `out`.
void pack_matrix(const float* rows, int64_t n, int64_t k, uint8_t* out);

// The same as F16, packed_bytes(kPackedF16, n, k), of the numbers times a power of two, from 2^-40 to 2^40, that brings
// the largest between 2^14 and 2^15: small ones, as those of B are, would be F16's subnormals. Returns what undoes it,
// a part of LoraDelta::scale. A number loses 2^-11 of itself, or 2^-39 of the largest where that is more.
float pack_matrix_f16(const float* rows, int64_t n, int64_t k, uint8_t* out);

}  // namespace andiron
