// CharSet: a set of Unicode code points, as sorted disjoint ranges. Built while a pattern is compiled.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/unicode.h"

namespace andiron {

class CharSet {
 public:
  struct Range {
    uint32_t first;
    uint32_t last;  // inclusive
    bool operator==(const Range&) const = default;
  };

  CharSet() = default;
  CharSet(uint32_t first, uint32_t last) : ranges_{{first, last}} {}

  static CharSet all() { return {0, 0x10ffff}; }
  // Union of the categories first..last, which are neighbours in the enum.
  static CharSet categories(Category first, Category last);
  static CharSet script(Script script);
  static CharSet white_space();
  static CharSet union_of(std::span<const CharSet> sets);

  std::span<const Range> ranges() const { return ranges_; }
  bool empty() const { return ranges_.empty(); }
  bool contains(uint32_t code_point) const;
  bool operator==(const CharSet&) const = default;

  CharSet& unite(const CharSet& other);
  CharSet& intersect(const CharSet& other);
  CharSet& complement();
  // Adds the other case of every ASCII letter in the set, with U+017F for 's' and U+212A for 'k': all that simple case
  // folding (CaseFolding.txt) says of ASCII letters.
  CharSet& fold_ascii_case();

 private:
  void normalize();

  std::vector<Range> ranges_;
};

}  // namespace andiron
