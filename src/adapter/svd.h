// Cutting a product of two thin matrices to a lower rank, without forming it.
#pragma once

#include <cstdint>
#include <vector>

namespace andiron {

// L R, where L is [n, c] and R is [c, k], both given as c vectors: column i of L, row i of R.
struct ThinProduct {
  int64_t n = 0, k = 0, c = 0;
  std::vector<double> left;   // [c, n]
  std::vector<double> right;  // [c, k]
};

// b a, the best approximation of L R of its rank in the sense of least squares (Eckart and Young 1936).
struct TruncatedProduct {
  int64_t rank = 0;
  std::vector<double> values;  // [min(n, k, c)] all singular values of L R, falling
  std::vector<float> b;        // [n, rank] left singular vectors times the singular values
  std::vector<float> a;        // [rank, k] right singular vectors; a row of zeros where the singular value is 0
};

// Householder QR of both factors, then one-sided Jacobi rotations (Hestenes 1958) on the small core: O((n + k) c^2 +
// c^3) in double. `rank` >= 1; more than min(n, k, c) is cut to that. Deterministic.
TruncatedProduct truncate_product(ThinProduct product, int64_t rank);

}  // namespace andiron
