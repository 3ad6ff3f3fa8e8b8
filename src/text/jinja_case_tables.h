// The generated tables behind text/jinja_case.h.
#pragma once

#include <cstdint>
#include <span>

namespace andiron::jinja::case_tables {

struct Pair {
  uint32_t from;
  uint32_t to;
};
// Characters whose upper or title case is more than one character (SpecialCasing.txt); zeros fill up.
struct Special {
  uint32_t code_point;
  uint32_t upper[3];
  uint32_t title[3];
};

// Sorted by code point.
extern const std::span<const Pair> kUpper;
extern const std::span<const Pair> kTitle;  // only where it differs from the upper case
extern const std::span<const Special> kSpecial;

}  // namespace andiron::jinja::case_tables
