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

// Below this a plain search is at most this many times the linear one, and faster in practice.
constexpr size_t kShortNeedle = 16;

// Knuth, Morris and Pratt: visits each byte of the text once. std::string_view::find is quadratic on hostile input.
// `at(i)` and `key(i)` read text and needle, so that the same code searches backwards.
template <typename TextAt, typename NeedleAt>
size_t search_linear(TextAt at, size_t text_size, NeedleAt key, size_t needle_size) {
  std::vector<size_t> fallback(needle_size, 0);
  for (size_t i = 1, matched = 0; i < needle_size; ++i) {
    while (matched > 0 && key(i) != key(matched)) matched = fallback[matched - 1];
    if (key(i) == key(matched)) ++matched;
    fallback[i] = matched;
  }
  for (size_t i = 0, matched = 0; i < text_size; ++i) {
    while (matched > 0 && at(i) != key(matched)) matched = fallback[matched - 1];
    if (at(i) == key(matched)) ++matched;
    if (matched == needle_size) return i + 1 - needle_size;
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
