#include "text/whole_token_finder.h"

#include <algorithm>

#include "base/strings.h"
#include "text/unicode.h"

namespace andiron {

namespace {

// The code point that ends at `end`.
uint32_t code_point_before(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && end - at < 4 && (static_cast<uint8_t>(text[at]) & 0xc0) == 0x80) --at;
  return next_code_point(text, at);
}

bool is_word_character(uint32_t c) {
  const Category category = category_of(c);
  return category <= Category::kNo || category == Category::kPc;
}

bool is_single_word(std::string_view text, size_t begin, size_t end) {
  if (begin > 0 && is_word_character(code_point_before(text, begin))) return false;
  return end == text.size() || !is_word_character(next_code_point(text, end));
}

size_t skip_space_left(std::string_view text, size_t from, size_t at) {
  while (at > from) {
    const uint32_t c = code_point_before(text, at);
    if (!is_white_space(c)) break;
    size_t size = 1;
    while ((static_cast<uint8_t>(text[at - size]) & 0xc0) == 0x80) ++size;
    at -= size;
  }
  return std::max(at, from);
}

size_t skip_space_right(std::string_view text, size_t at) {
  while (at < text.size()) {
    size_t next = at;
    if (!is_white_space(next_code_point(text, next))) break;
    at = next;
  }
  return at;
}

}  // namespace

Result<WholeTokenFinder> WholeTokenFinder::create(const Vocabulary& vocabulary, const TokenizerSpec& spec) {
  WholeTokenFinder out;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const TokenType type = vocabulary.type(id);
    const std::string_view text = vocabulary.text(id);
    const bool whole = type == TokenType::kControl || type == TokenType::kUnknown || type == TokenType::kUserDefined;
    // Of two tokens with one text, the one that text finds.
    if (!whole || text.empty() || text.size() > kTextBytesMax || vocabulary.find(text) != id) continue;
    const bool needs_trust = type != TokenType::kUserDefined || vocabulary.is_structural(id);
    out.entries_.push_back({text, id, needs_trust, TokenRule{id}});
  }
  std::sort(out.entries_.begin(), out.entries_.end(), [](const Entry& a, const Entry& b) { return a.text < b.text; });
  for (const TokenRule& rule : spec.rules) {
    if (!vocabulary.holds(rule.id)) {
      return make_error("{}: an added token has id {}, but ids run from 0 to {}", spec.source, rule.id,
                        vocabulary.size() - 1);
    }
    const std::string_view text = vocabulary.text(rule.id);
    const auto found = std::lower_bound(out.entries_.begin(), out.entries_.end(), text,
                                        [](const Entry& entry, std::string_view key) { return entry.text < key; });
    if (found != out.entries_.end() && found->id == rule.id) found->rule = rule;
  }
  size_t entry = 0;
  for (size_t byte = 0; byte < 256; ++byte) {
    out.starts_[byte] = static_cast<uint32_t>(entry);
    while (entry < out.entries_.size() && static_cast<uint8_t>(out.entries_[entry].text[0]) == byte) ++entry;
  }
  out.starts_[256] = static_cast<uint32_t>(entry);
  return out;
}

// The longest entry at text[at] that may stand there; `trusted_end` is where the trusted range that holds `at` ends.
const WholeTokenFinder::Entry* WholeTokenFinder::longest_at(std::string_view text, size_t at,
                                                            size_t trusted_end) const {
  const auto first_byte = static_cast<uint8_t>(text[at]);
  auto low = entries_.begin() + starts_[first_byte];
  auto high = entries_.begin() + starts_[first_byte + 1];
  const Entry* best = nullptr;
  for (size_t depth = 1; low != high; ++depth) {
    // All of [low, high) agree with the text up to `depth`; the one that ends here, if any, sorts first.
    if (low->text.size() == depth) {
      const bool trusted = !low->needs_trust || at + depth <= trusted_end;
      if (trusted && (!low->rule.single_word || is_single_word(text, at, at + depth))) best = &*low;
      ++low;
    }
    if (at + depth >= text.size()) break;
    const auto byte = static_cast<uint8_t>(text[at + depth]);
    const auto by_byte = [depth](const Entry& entry) { return static_cast<uint8_t>(entry.text[depth]); };
    low = std::partition_point(low, high, [&](const Entry& entry) { return by_byte(entry) < byte; });
    high = std::partition_point(low, high, [&](const Entry& entry) { return by_byte(entry) == byte; });
  }
  return best;
}

void WholeTokenFinder::find(std::string_view text, std::span<const Range> trusted, std::vector<Match>& out) const {
  if (entries_.empty()) return;
  size_t range = 0;
  size_t from = 0;  // the end of the last match
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (starts_[byte] == starts_[byte + 1]) {
      ++at;
      continue;
    }
    while (range < trusted.size() && trusted[range].end <= at) ++range;
    const bool inside = range < trusted.size() && trusted[range].begin <= at;
    const Entry* entry = longest_at(text, at, inside ? trusted[range].end : 0);
    if (entry == nullptr) {
      ++at;
      continue;
    }
    Match match{at, at + entry->text.size(), entry->id};
    if (entry->rule.strip_left) match.begin = skip_space_left(text, from, match.begin);
    if (entry->rule.strip_right) match.end = skip_space_right(text, match.end);
    out.push_back(match);
    from = at = match.end;
  }
}

}  // namespace andiron
