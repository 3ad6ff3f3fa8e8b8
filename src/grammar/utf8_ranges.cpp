#include "grammar/utf8_ranges.h"

#include <string>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr uint32_t kSurrogateFirst = 0xd800;
constexpr uint32_t kSurrogateLast = 0xdfff;

// Cuts [first, last] until both ends have the same number of bytes and differ in a way that ranges of bytes can say.
void split(uint32_t first, uint32_t last, std::vector<Utf8Sequence>& out) {
  if (first > last) return;
  for (const uint32_t end : {0x7fu, 0x7ffu, kSurrogateFirst - 1, kSurrogateLast, 0xffffu}) {
    if (first > end || last <= end) continue;
    split(first, end, out);
    split(end + 1, last, out);
    return;
  }
  if (first >= kSurrogateFirst && last <= kSurrogateLast) return;
  for (uint32_t bits = 6; bits <= 18 && last > 0x7f; bits += 6) {
    const uint32_t mask = (1u << bits) - 1;
    if ((first & ~mask) == (last & ~mask)) break;
    if ((first & mask) != 0) {
      split(first, first | mask, out);
      split((first | mask) + 1, last, out);
      return;
    }
    if ((last & mask) != mask) {
      split(first, (last & ~mask) - 1, out);
      split(last & ~mask, last, out);
      return;
    }
  }
  std::string low, high;
  append_utf8(low, first);
  append_utf8(high, last);
  Utf8Sequence sequence;
  sequence.size = static_cast<uint32_t>(low.size());
  for (size_t i = 0; i < low.size(); ++i) {
    sequence.bytes[i] = {static_cast<uint8_t>(low[i]), static_cast<uint8_t>(high[i])};
  }
  out.push_back(sequence);
}

}  // namespace

std::vector<Utf8Sequence> utf8_sequences(const CharSet& set) {
  std::vector<Utf8Sequence> out;
  for (const CharSet::Range& range : set.ranges()) split(range.first, range.last, out);
  return out;
}

}  // namespace andiron
