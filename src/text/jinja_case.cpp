#include "text/jinja_case.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "text/jinja_case_tables.h"
#include "text/unicode.h"
#include "text/unicode_tables.h"

namespace andiron::jinja {

namespace {

using Mapped = std::array<uint32_t, 3>;  // zeros fill up

constexpr uint32_t kCapitalSigma = 0x3a3;
constexpr uint32_t kFinalSigma = 0x3c2;
constexpr uint32_t kSmallSigma = 0x3c3;
constexpr uint32_t kCapitalDottedI = 0x130;
constexpr uint32_t kCombiningDotAbove = 0x307;

// The entry of a sorted table for `code_point`, or nullptr.
template <typename Entry>
const Entry* lookup(std::span<const Entry> table, uint32_t code_point, uint32_t Entry::*key) {
  const auto found = std::lower_bound(table.begin(), table.end(), code_point,
                                      [&](const Entry& entry, uint32_t wanted) { return entry.*key < wanted; });
  return found != table.end() && (*found).*key == code_point ? &*found : nullptr;
}

Mapped simple(uint32_t code_point) { return {code_point, 0, 0}; }

Mapped upper(uint32_t code_point) {
  if (const auto* entry = lookup(case_tables::kSpecial, code_point, &case_tables::Special::code_point)) {
    return {entry->upper[0], entry->upper[1], entry->upper[2]};
  }
  const auto* entry = lookup(case_tables::kUpper, code_point, &case_tables::Pair::from);
  return simple(entry != nullptr ? entry->to : code_point);
}

Mapped title(uint32_t code_point) {
  if (const auto* entry = lookup(case_tables::kSpecial, code_point, &case_tables::Special::code_point)) {
    return {entry->title[0], entry->title[1], entry->title[2]};
  }
  const auto* entry = lookup(case_tables::kTitle, code_point, &case_tables::Pair::from);
  return entry != nullptr ? simple(entry->to) : upper(code_point);
}

Mapped lower(uint32_t code_point) {
  if (code_point == kCapitalDottedI) return {'i', kCombiningDotAbove, 0};
  const auto* entry = lookup(unicode_tables::kLowercase, code_point, &unicode_tables::CodePointPair::from);
  return simple(entry != nullptr ? entry->to : code_point);
}

bool is_case_ignorable(uint32_t code_point) {
  if (code_point == '\'' || code_point == '.' || code_point == ':' || code_point == 0xb7 || code_point == 0x2019) {
    return true;
  }
  switch (category_of(code_point)) {
    case Category::kMn:
    case Category::kMe:
    case Category::kCf:
    case Category::kLm:
    case Category::kSk: return true;
    default: return false;
  }
}

// A sigma at the end of a word (Unicode's Final_Sigma condition). `after` is the byte behind it.
bool is_final_sigma(const Text& text, size_t at, size_t after) {
  const std::string_view bytes = text.view();
  while (after < bytes.size()) {
    const uint32_t next = next_code_point(bytes, after);
    if (is_case_ignorable(next)) continue;
    if (is_cased(next)) return false;
    break;
  }
  while (at > 0) {
    do {
      --at;
    } while (at > 0 && (static_cast<uint8_t>(bytes[at]) & 0xc0) == 0x80);
    size_t position = at;
    const uint32_t before = next_code_point(bytes, position);
    if (is_case_ignorable(before)) continue;
    return is_cased(before);
  }
  return false;
}

Mapped mapped(const Text& text, size_t at, size_t after, uint32_t code_point, Case wanted) {
  switch (wanted) {
    case Case::kUpper: return upper(code_point);
    case Case::kTitle: return title(code_point);
    case Case::kSwap: return is_lower(code_point) ? upper(code_point) : lower(code_point);
    case Case::kFold: {
      Mapped folded = upper(code_point);
      for (uint32_t& part : folded) {
        if (part != 0) part = lower(part)[0];
      }
      return folded;
    }
    case Case::kLower: break;
  }
  if (code_point == kCapitalSigma) return simple(is_final_sigma(text, at, after) ? kFinalSigma : kSmallSigma);
  return lower(code_point);
}

}  // namespace

bool is_cased(uint32_t code_point) { return category_of(code_point) <= Category::kLt; }

bool is_lower(uint32_t code_point) { return category_of(code_point) == Category::kLl; }

void append_case(TextBuilder& out, const Text& text, size_t begin, size_t end, Case wanted) {
  out.spend((end - begin) / 16);
  for (size_t at = begin; at < end && !out.failed();) {
    const size_t start = at;
    const uint32_t code_point = next_code_point(text.view(), at);
    for (const uint32_t part : mapped(text, start, at, code_point, wanted)) {
      if (part != 0 || code_point == 0) out.append_code_point(part, text.is_tainted_at(start));
      if (code_point == 0) break;
    }
  }
}

}  // namespace andiron::jinja
