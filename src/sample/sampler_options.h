// What the sampler needs of its options (andiron/sampling.h) beyond the options themselves.
#pragma once

#include <cstdint>
#include <string_view>

#include "andiron/sampling.h"
#include "base/result.h"

namespace andiron {

// The breaker texts of the DRY pull request.
inline constexpr std::string_view kDryBreakerTexts[] = {"\n", ":", "\"", "*"};

// Returns the options ready for use (windows of -1 resolved, top_k at most the vocabulary, bias sorted by
// token), or an error naming the first field out of range, its value and its range. NaN is in no range.
// `vocabulary` is the number of logits, at least 1.
Result<SamplerOptions> validate(SamplerOptions options, int32_t vocabulary);

}  // namespace andiron
