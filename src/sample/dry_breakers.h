// Where DRY's repetitions end (SamplerOptions::dry_breakers), in the tokens of a vocabulary.
#pragma once

#include <cstdint>
#include <vector>

#include "text/tokenizer.h"

namespace andiron {

// Every token whose text holds one of kDryBreakerTexts. Walks the whole vocabulary.
std::vector<std::vector<int32_t>> dry_breakers(const Tokenizer& tokenizer);

}  // namespace andiron
