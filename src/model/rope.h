// RopePlans: the rotary frequencies of a model, with all its ways of stretching them applied.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "model/config.h"

namespace andiron {

// Position p turns pair i by p * inv_freq[i]; cos and sin are multiplied by `magnitude`.
struct RopePlan {
  std::vector<double> inv_freq;  // [dimensions / 2]
  double magnitude = 1;
  bool pairs = false;

  int64_t half() const { return static_cast<int64_t>(inv_freq.size()); }
};

class RopePlans {
 public:
  // Reads the divisors that some models keep as tensors ("rope_freqs.weight", "rope_factors_short.weight" and
  // "rope_factors_long.weight").
  static Result<RopePlans> create(const ModelSource& source, const ModelConfig& config);

  // Of layers without a window, for a cache of `capacity` positions.
  const RopePlan& full(int64_t capacity) const { return capacity > original_context_ ? long_ : short_; }
  // Of layers with one, where they have their own.
  const RopePlan& local() const { return local_; }

 private:
  RopePlan short_, long_, local_;
  int64_t original_context_ = 0;
};

}  // namespace andiron
