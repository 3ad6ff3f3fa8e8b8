// Merging adapters into one, with the meaning of PEFT's add_weighted_adapter.
//
// In these, w is an adapter's weight times its scaling; the result has scaling 1. PEFT's linear, ties and dare work on
// A and B apart, each multiplied by sqrt(w) (a negative weight's sign goes to B), so the delta of the result also holds
// products of one adapter's B with another's A; concatenation and svd work on the deltas themselves.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "adapter/adapter.h"
#include "base/result.h"
#include "base/thread_team.h"

namespace andiron {

enum class MergeMethod {
  kLinear,       // sum of sqrt(w) A, sum of sqrt(w) B; equal ranks
  kConcatenate,  // A stacked, B side by side: exactly the sum of the deltas; ranks add up
  kTies,         // of each A and B keep the largest; per element, the mean of those with the majority's sign (arXiv
                 // 2306.01708); equal ranks
  kDareLinear,   // each element is kept with probability `density` and divided by it (arXiv 2311.03099), then linear
  kDareTies,     // likewise, then the sign vote of ties
  kSvd,          // the sum of the deltas, cut to `rank` by singular values: the best approximation of that rank
};

// "linear", "cat", "ties", "dare", "dare-ties", "svd".
Result<MergeMethod> merge_method_from_name(std::string_view name);
std::string_view merge_method_name(MergeMethod method);

enum class MajoritySign {
  kTotal,      // of the sum of the elements
  kFrequency,  // of more elements
};

struct MergeOptions {
  MergeMethod method = MergeMethod::kLinear;
  double density = 0.5;  // ties and dare: share of the elements kept, above 0 to 1
  MajoritySign majority = MajoritySign::kTotal;
  uint64_t seed = 0;  // dare: the same seed gives the same adapter
  int64_t rank = 0;   // svd; 0: the largest of the adapters'
};

struct WeightedAdapter {
  const Adapter* adapter;
  float weight = 1;
};

// An adapter that lacks a layer adds nothing there. The result has the same bits for any number of threads. An Error
// for DoRA (magnitudes do not add up: fold it into a base instead), for adapters of different architectures or shapes,
// for unequal ranks where they must be equal, and for a result that is not finite.
Result<Adapter> merge_adapters(std::span<const WeightedAdapter> parts, const MergeOptions& options, ThreadTeam& team);

}  // namespace andiron
