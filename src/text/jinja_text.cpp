#include "text/jinja_text.h"

#include <algorithm>
#include <utility>

namespace andiron::jinja {

Text::Text(std::string bytes, bool tainted) : bytes_(std::move(bytes)) {
  if (tainted) taint_all();
}

void Text::taint_all() {
  tainted_.clear();
  if (!bytes_.empty()) tainted_.push_back({0, bytes_.size()});
}

void Text::add_range(size_t begin, size_t end) {
  if (begin == end) return;
  if (!tainted_.empty() && tainted_.back().end == begin) {
    tainted_.back().end = end;
  } else {
    tainted_.push_back({begin, end});
  }
}

bool Text::is_tainted_at(size_t byte) const {
  const auto after = std::upper_bound(tainted_.begin(), tainted_.end(), byte,
                                      [](size_t key, const TaintRange& range) { return key < range.end; });
  return after != tainted_.end() && after->begin <= byte;
}

void Text::append(std::string_view bytes, bool tainted) {
  const size_t start = bytes_.size();
  bytes_.append(bytes);
  if (tainted) add_range(start, bytes_.size());
}

void Text::append_slice(const Text& other, size_t begin, size_t end) {
  const size_t start = bytes_.size();
  bytes_.append(other.bytes_, begin, end - begin);
  auto range = std::upper_bound(other.tainted_.begin(), other.tainted_.end(), begin,
                                [](size_t key, const TaintRange& entry) { return key < entry.end; });
  for (; range != other.tainted_.end() && range->begin < end; ++range) {
    add_range(start + std::max(range->begin, begin) - begin, start + std::min(range->end, end) - begin);
  }
}

Text Text::slice(size_t begin, size_t end) const {
  Text out;
  out.append_slice(*this, begin, end);
  return out;
}

size_t code_point_count(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

size_t code_point_offset(std::string_view text, size_t index) {
  for (size_t at = 0; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) continue;
    if (index == 0) return at;
    --index;
  }
  return text.size();
}

namespace {

// Up to this length a plain search is at most this many times the linear one, and faster in practice.
constexpr size_t kShortNeedle = 16;

// Where the greatest suffix of the needle begins, in the order of bytes or (is_reversed) its opposite; `period` is that
// suffix's.
template <typename NeedleAt>
size_t greatest_suffix(NeedleAt key, size_t size, bool is_reversed, size_t& period) {
  size_t suffix = 0;
  size_t at = 1;
  size_t equal = 0;
  period = 1;
  while (at + equal < size) {
    const auto a = static_cast<uint8_t>(key(at + equal));
    const auto b = static_cast<uint8_t>(key(suffix + equal));
    if (a == b) {
      if (++equal < period) continue;
      at += period;
      equal = 0;
    } else if (is_reversed ? a > b : a < b) {
      at += equal + 1;
      equal = 0;
      period = at - suffix;
    } else {
      suffix = at++;
      equal = 0;
      period = 1;
    }
  }
  return suffix;
}

// M. Crochemore and D. Perrin, "Two-way string-matching" (1991): linear time and no memory, where
// std::string_view::find is quadratic on hostile input and Knuth, Morris and Pratt need a table of the needle's length.
// `at(i)` and `key(i)` read text and needle, so that the same code searches backwards.
template <typename TextAt, typename NeedleAt>
size_t search_linear(TextAt at, size_t text_size, NeedleAt key, size_t size) {
  size_t period = 0;
  size_t reversed_period = 0;
  size_t cut = greatest_suffix(key, size, false, period);
  if (const size_t reversed = greatest_suffix(key, size, true, reversed_period); reversed > cut) {
    cut = reversed;
    period = reversed_period;
  }
  size_t repeated = 0;
  while (repeated < cut && key(repeated) == key(repeated + period)) ++repeated;
  const bool is_periodic = repeated == cut;
  const size_t shift = is_periodic ? period : std::max(cut, size - cut) + 1;
  size_t known = 0;  // leading bytes of the needle that are known to match here
  for (size_t start = 0; start + size <= text_size;) {
    size_t i = std::max(cut, known);
    while (i < size && key(i) == at(start + i)) ++i;
    if (i < size) {
      start += i - cut + 1;
      known = 0;
      continue;
    }
    i = cut;
    while (i > known && key(i - 1) == at(start + i - 1)) --i;
    if (i <= known) return start;
    start += shift;
    known = is_periodic ? size - period : 0;
  }
  return std::string_view::npos;
}

}  // namespace

size_t find_text(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.size() <= kShortNeedle) return text.find(needle, from);
  if (needle.size() > text.size() - from) return std::string_view::npos;
  const size_t found = search_linear([&](size_t i) { return text[from + i]; }, text.size() - from,
                                     [&](size_t i) { return needle[i]; }, needle.size());
  return found == std::string_view::npos ? found : from + found;
}

size_t find_text_last(std::string_view text, std::string_view needle, size_t end) {
  text = text.substr(0, end);
  if (needle.size() <= kShortNeedle) return text.rfind(needle);
  if (needle.size() > text.size()) return std::string_view::npos;
  const size_t found = search_linear([&](size_t i) { return text[text.size() - 1 - i]; }, text.size(),
                                     [&](size_t i) { return needle[needle.size() - 1 - i]; }, needle.size());
  return found == std::string_view::npos ? found : text.size() - found - needle.size();
}

}  // namespace andiron::jinja
