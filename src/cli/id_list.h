// Lists of token ids as people write them ("1 5 7", "1,5,7", "[1, 5, 7]") and as `andiron tokenize` prints them: lines
// of an id and its piece in quotation marks, or a JSON object with "ids".
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace andiron {

// Numbers from 0 to vocabulary - 1; anything else is an Error naming `what`.
Result<std::vector<int32_t>> parse_ids(std::string_view text, int64_t vocabulary, std::string_view what);

}  // namespace andiron
