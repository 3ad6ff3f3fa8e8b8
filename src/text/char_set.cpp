#include "text/char_set.h"

#include <algorithm>

#include "text/unicode_tables.h"

namespace andiron {

CharSet CharSet::categories(Category first, Category last) {
  CharSet out;
  const auto& table = unicode_tables::kCategories;
  for (size_t i = 0; i < table.size(); ++i) {
    const auto category = static_cast<Category>(table[i] & 31);
    if (category < first || category > last) continue;
    const uint32_t end = i + 1 < table.size() ? (table[i + 1] >> 5) - 1 : 0x10ffff;
    out.ranges_.push_back({table[i] >> 5, end});
  }
  out.normalize();
  return out;
}

CharSet CharSet::script(Script script) {
  CharSet out;
  for (const auto& entry : unicode_tables::kScripts) {
    if (entry.script == static_cast<uint8_t>(script)) out.ranges_.push_back({entry.first, entry.last});
  }
  out.normalize();
  return out;
}

CharSet CharSet::white_space() {
  CharSet out;
  for (uint32_t code_point = 0; code_point <= 0x3000; ++code_point) {
    if (is_white_space(code_point)) out.ranges_.push_back({code_point, code_point});
  }
  out.normalize();
  return out;
}

CharSet CharSet::union_of(std::span<const CharSet> sets) {
  CharSet out;
  for (const CharSet& set : sets) out.ranges_.insert(out.ranges_.end(), set.ranges_.begin(), set.ranges_.end());
  out.normalize();
  return out;
}

bool CharSet::contains(uint32_t code_point) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), code_point,
                                      [](uint32_t key, const Range& range) { return key < range.first; });
  return after != ranges_.begin() && code_point <= (after - 1)->last;
}

CharSet& CharSet::unite(const CharSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  normalize();
  return *this;
}

CharSet& CharSet::intersect(const CharSet& other) {
  CharSet without = other;
  without.complement();
  return complement().unite(without).complement();  // De Morgan
}

CharSet& CharSet::complement() {
  std::vector<Range> gaps;
  uint32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) gaps.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= 0x10ffff) gaps.push_back({next, 0x10ffff});
  ranges_ = std::move(gaps);
  return *this;
}

CharSet& CharSet::fold_ascii_case() {
  CharSet more;
  const auto add = [&](uint32_t code_point) { more.ranges_.push_back({code_point, code_point}); };
  for (uint32_t lower = 'a'; lower <= 'z'; ++lower) {
    const uint32_t extra = lower == 's' ? 0x17f : lower == 'k' ? 0x212a : lower;
    if (!contains(lower) && !contains(lower - 32) && !contains(extra)) continue;
    add(lower);
    add(lower - 32);
    add(extra);
  }
  more.normalize();
  return unite(more);
}

void CharSet::normalize() {
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.first < b.first; });
  size_t out = 0;
  for (const Range& range : ranges_) {
    if (out > 0 && range.first <= ranges_[out - 1].last + 1) {
      ranges_[out - 1].last = std::max(ranges_[out - 1].last, range.last);
    } else {
      ranges_[out++] = range;
    }
  }
  ranges_.resize(out);
}

}  // namespace andiron
