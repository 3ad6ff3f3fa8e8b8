#include "sample/dry_breakers.h"

#include <string_view>

#include "sample/sampler_options.h"

namespace andiron {

std::vector<std::vector<int32_t>> dry_breakers(const Tokenizer& tokenizer) {
  std::vector<std::vector<int32_t>> breakers;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string_view piece = tokenizer.piece(id);
    for (const std::string_view text : kDryBreakerTexts) {
      if (piece.find(text) == std::string_view::npos) continue;
      breakers.push_back({id});
      break;
    }
  }
  return breakers;
}

}  // namespace andiron
