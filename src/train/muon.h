// Muon's direction (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024): the nearest matrix
// to the momentum whose singular values are all one, found by five steps of Newton and Schulz,
//
//   X <- X / |X|        five times: A <- X X^T,  X <- a X + (b A + c A A) X        a, b, c = 3.4445, -4.7750, 2.0315
//
// after which they lie between about 0.7 and 1.2. Scaled by 0.2 sqrt(max(rows, columns)) the step has the mean square
// that AdamW's has, so that one learning rate serves both (Liu et al., "Muon is Scalable for LLM Training", 2025).
#pragma once

#include <cstdint>

#include "base/buffer.h"
#include "kernels/kernel_table.h"

namespace andiron {

// Work memory of one thread, grown to the largest matrix it has met.
class Orthogonalizer {
 public:
  explicit Orthogonalizer(const KernelTable& kernels);

  // `x` [rows, columns], in place. A matrix of zeros stays one. The bits depend on the numbers alone.
  void orthogonalize(float* x, int64_t rows, int64_t columns);

  uint64_t bytes() const;  // held now
  // Held when the largest matrix had `size` numbers and the shorter side of none was longer than `least`.
  static uint64_t bytes_needed(int64_t size, int64_t least);

 private:
  void product(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c);
  void iterate(int64_t rows, int64_t columns);

  const KernelTable& kernels_;
  Buffer<uint8_t> scratch_;
  Buffer<float> x_, next_, a_, square_;  // [short, long], the same (first as X^T), [short, short] twice
};

// What the direction is multiplied with, beside the learning rate.
float muon_scale(int64_t rows, int64_t columns);

}  // namespace andiron
