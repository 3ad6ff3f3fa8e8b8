// Preference pairs from a model's own mistakes: the answer of the row is preferred to the one that was given.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace andiron::ember {

struct Preferences {
  std::string lines;  // {"prompt": [messages], "chosen": text, "rejected": text}, one a line
  int64_t pairs = 0, answers = 0;
};

// `rows`: lines of conversations; `answers`: what `andiron eval ROWS --answers` wrote of them. An Error where the two
// do not belong together. A wrong answer that is empty makes no pair.
Result<Preferences> make_preferences(std::string_view rows, std::string_view answers);

}  // namespace andiron::ember
