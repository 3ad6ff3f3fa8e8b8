// Parses the regular expressions of pre-tokenizers into a tree. See text/regex.h for the language.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/char_set.h"

namespace andiron {

struct RegexNode {
  enum class Kind : uint8_t {
    kEmpty,        // matches nothing at all, of length 0
    kSet,          // one code point of sets[set]
    kSequence,     // children one after another
    kAlternation,  // the first child that leads to a match
    kRepeat,       // children[0], `min` to `max` times
    kLook,         // length 0: the next code point is in sets[set], or, with at_end, there is none
  };
  Kind kind = Kind::kEmpty;
  uint32_t set = 0;
  bool at_end = false;
  bool greedy = true;
  uint32_t min = 0;
  uint32_t max = 0;  // kUnbounded: no limit
  std::vector<uint32_t> children;

  static constexpr uint32_t kUnbounded = UINT32_MAX;
};

struct RegexTree {
  std::vector<RegexNode> nodes;  // a node stands after its children
  std::vector<CharSet> sets;     // all different
  uint32_t root = 0;
};

Result<RegexTree> parse_regex(std::string_view pattern);

}  // namespace andiron
