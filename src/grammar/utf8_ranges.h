// A set of code points as the byte sequences of UTF-8.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "text/char_set.h"

namespace andiron {

// One byte of each range after another; `size` of them, 1 to 4.
struct Utf8Sequence {
  struct Range {
    uint8_t first;
    uint8_t last;  // inclusive
  };
  std::array<Range, 4> bytes{};
  uint32_t size = 0;
};

// Disjoint sequences that together match the UTF-8 of every code point in the set and nothing else; surrogates, which
// UTF-8 has not, are left out. (The method of Russ Cox's RE2 and of Rust's utf8-ranges.)
std::vector<Utf8Sequence> utf8_sequences(const CharSet& set);

}  // namespace andiron
