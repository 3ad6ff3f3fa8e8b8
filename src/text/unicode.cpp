#include "text/unicode.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/strings.h"
#include "text/unicode_tables.h"

namespace andiron {

namespace {

// Hangul syllables are composed by arithmetic (The Unicode Standard, section 3.12).
constexpr uint32_t kHangulFirst = 0xac00, kHangulCount = 11172;
constexpr uint32_t kLeadFirst = 0x1100, kLeadCount = 19;
constexpr uint32_t kVowelFirst = 0x1161, kVowelCount = 21;
constexpr uint32_t kTailFirst = 0x11a7, kTailCount = 28;  // the first stands for "no tail"

// A byte that belongs to no code point travels through normalization as this plus the byte.
constexpr uint32_t kRawByte = 0x110000;
// Below this no code point has a combining class or takes part in a composition as the second part, so text made of
// these alone is in form C already.
constexpr uint32_t kFirstCombining = 0x300;

// The entry that covers `code_point` in a table of (first << shift | value).
uint32_t lookup_run(std::span<const uint32_t> table, int shift, uint32_t code_point) {
  const uint32_t key = (code_point + 1) << shift;
  const auto after = std::lower_bound(table.begin(), table.end(), key);
  return *(after - 1) & ((1u << shift) - 1);
}

std::vector<uint32_t> to_code_points(std::string_view text) {
  std::vector<uint32_t> out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    bool valid = true;
    const uint32_t code_point = next_code_point(text, at, &valid);
    out.push_back(valid ? code_point : kRawByte + static_cast<uint8_t>(text[start]));
  }
  return out;
}

void append(std::string& out, uint32_t code_point) {
  if (code_point >= kRawByte) {
    out += static_cast<char>(code_point - kRawByte);
  } else {
    append_utf8(out, code_point);
  }
}

std::string to_text(const std::vector<uint32_t>& code_points) {
  std::string out;
  out.reserve(code_points.size());
  for (const uint32_t code_point : code_points) append(out, code_point);
  return out;
}

uint32_t combining_class(uint32_t code_point) {
  if (code_point < kFirstCombining || code_point >= kRawByte) return 0;
  return lookup_run(unicode_tables::kCombiningClasses, 8, code_point);
}

void decompose_one(uint32_t code_point, std::vector<uint32_t>& out) {
  if (code_point - kHangulFirst < kHangulCount) {
    const uint32_t index = code_point - kHangulFirst;
    out.push_back(kLeadFirst + index / (kVowelCount * kTailCount));
    out.push_back(kVowelFirst + index / kTailCount % kVowelCount);
    if (index % kTailCount != 0) out.push_back(kTailFirst + index % kTailCount);
    return;
  }
  const auto& table = unicode_tables::kDecompositions;
  const auto found =
      std::lower_bound(table.begin(), table.end(), code_point,
                       [](const unicode_tables::Decomposition& entry, uint32_t key) { return entry.code_point < key; });
  if (found == table.end() || found->code_point != code_point) {
    out.push_back(code_point);
    return;
  }
  const auto parts = unicode_tables::kDecompositionParts.subspan(found->at, found->count);
  out.insert(out.end(), parts.begin(), parts.end());
}

// Canonical decomposition, then canonical order: marks sorted by class between starters.
std::vector<uint32_t> decompose(std::string_view text) {
  std::vector<uint32_t> out;
  out.reserve(text.size());
  for (const uint32_t code_point : to_code_points(text)) decompose_one(code_point, out);
  for (size_t i = 0; i < out.size();) {
    if (combining_class(out[i]) == 0) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < out.size() && combining_class(out[end]) != 0) ++end;
    std::stable_sort(out.begin() + static_cast<ptrdiff_t>(i), out.begin() + static_cast<ptrdiff_t>(end),
                     [](uint32_t a, uint32_t b) { return combining_class(a) < combining_class(b); });
    i = end;
  }
  return out;
}

// The code point that `first` and `second` compose to, or 0.
uint32_t compose_pair(uint32_t first, uint32_t second) {
  if (first - kLeadFirst < kLeadCount && second - kVowelFirst < kVowelCount) {
    return kHangulFirst + ((first - kLeadFirst) * kVowelCount + (second - kVowelFirst)) * kTailCount;
  }
  if (first - kHangulFirst < kHangulCount && (first - kHangulFirst) % kTailCount == 0 && second > kTailFirst &&
      second < kTailFirst + kTailCount) {
    return first + (second - kTailFirst);
  }
  const auto& table = unicode_tables::kCompositions;
  const std::pair key(first, second);
  const auto found = std::lower_bound(
      table.begin(), table.end(), key,
      [](const unicode_tables::Composition& entry, const auto& k) { return std::pair(entry.first, entry.second) < k; });
  if (found == table.end() || found->first != first || found->second != second) return 0;
  return found->composed;
}

// Canonical composition in place (UAX #15, definition D117): a mark joins the last starter unless a mark of the same
// or a higher class stands between them.
void compose(std::vector<uint32_t>& text) {
  size_t out = 0;
  size_t starter = SIZE_MAX;
  uint32_t last_class = 0;
  for (const uint32_t code_point : std::vector<uint32_t>(text)) {
    const uint32_t mark_class = combining_class(code_point);
    const bool adjacent = starter != SIZE_MAX && starter + 1 == out;
    if (starter != SIZE_MAX && (adjacent || (last_class != 0 && last_class < mark_class))) {
      if (const uint32_t composed = compose_pair(text[starter], code_point); composed != 0) {
        text[starter] = composed;
        continue;
      }
    }
    if (mark_class == 0) starter = out;
    last_class = mark_class;
    text[out++] = code_point;
  }
  text.resize(out);
}

// Whether every code point is below `limit`, judged by UTF-8 lead bytes.
bool all_below_combining(std::string_view text) {
  // U+0300 is 0xCC 0x80: every lead byte below 0xCC begins a smaller code point, and a stray byte changes nothing.
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0xcc; });
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

uint32_t lowercase_of(uint32_t code_point) {
  if (code_point < 0x80) return code_point >= 'A' && code_point <= 'Z' ? code_point + 32 : code_point;
  const auto& table = unicode_tables::kLowercase;
  const auto found =
      std::lower_bound(table.begin(), table.end(), code_point,
                       [](const unicode_tables::CodePointPair& entry, uint32_t key) { return entry.from < key; });
  return found != table.end() && found->from == code_point ? found->to : code_point;
}

}  // namespace

std::string_view category_name(Category category) {
  static constexpr std::array<std::string_view, kCategoryCount> kNames = {
      "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe",
      "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn"};
  return kNames[static_cast<size_t>(category)];
}

std::string_view script_name(Script script) {
  static constexpr std::array<std::string_view, kScriptCount> kNames = {
      "Latin", "Greek",   "Cyrillic", "Arabic",   "Hebrew",   "Devanagari", "Thai", "Lao",
      "Khmer", "Myanmar", "Hangul",   "Hiragana", "Katakana", "Bopomofo",   "Han"};
  return kNames[static_cast<size_t>(script)];
}

Category category_of(uint32_t code_point) {
  if (code_point > 0x10ffff) return Category::kCn;
  return static_cast<Category>(lookup_run(unicode_tables::kCategories, 5, code_point));
}

bool is_white_space(uint32_t code_point) {
  if (code_point < 0x80) return code_point == ' ' || (code_point >= '\t' && code_point <= '\r');
  return code_point == 0x85 || code_point == 0xa0 || code_point == 0x1680 ||
         (code_point >= 0x2000 && code_point <= 0x200a) || code_point == 0x2028 || code_point == 0x2029 ||
         code_point == 0x202f || code_point == 0x205f || code_point == 0x3000;
}

bool is_punctuation(uint32_t code_point) {
  const Category category = category_of(code_point);
  return category >= Category::kPc && category <= Category::kPo;
}

std::string to_nfc(std::string_view text) {
  if (all_below_combining(text)) return std::string(text);
  auto code_points = decompose(text);
  compose(code_points);
  return to_text(code_points);
}

std::string to_nfd(std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  return to_text(decompose(text));
}

std::string to_lowercase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const uint32_t code_point : to_code_points(text)) {
    append(out, lowercase_of(code_point));
    if (code_point == 0x130) append(out, 0x307);
  }
  return out;
}

std::string without_nonspacing_marks(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const uint32_t code_point : to_code_points(text)) {
    if (category_of(code_point) != Category::kMn) append(out, code_point);
  }
  return out;
}

}  // namespace andiron
