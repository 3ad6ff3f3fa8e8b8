#include "base/strings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace andiron {

std::string human_bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return format("{} B", bytes);
  return value >= 100  ? format("{:.0f} {}", value, kUnits[unit])
         : value >= 10 ? format("{:.1f} {}", value, kUnits[unit])
                       : format("{:.2f} {}", value, kUnits[unit]);
}

std::string human_seconds(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(std::clamp(seconds, 0.0, 1e9)));
  if (whole < 60) return format("{} s", whole);
  if (whole < 3600) return format("{} min {} s", whole / 60, whole % 60);
  return format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string human_count(int64_t count) {
  const std::string digits = std::to_string(count);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    const bool between = i > 0 && digits[i - 1] != '-' && (digits.size() - i) % 3 == 0;
    if (between) out += ',';
    out += digits[i];
  }
  return out;
}

std::string counted(int64_t count, std::string_view noun) {
  return format("{} {}{}", human_count(count), noun, count == 1 ? "" : "s");
}

std::string in_quotes(std::string_view text, size_t limit) {
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    if (out.size() >= limit) return out + "...";
    const size_t start = at;
    bool valid = false;
    const uint32_t cp = next_code_point(text, at, &valid);
    // Controls of the terminal, and of the direction of writing (U+202A.., U+2066.., U+200E and U+200F), which make
    // text look like other text.
    const bool control = cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x202a && cp <= 0x202e) ||
                         (cp >= 0x2066 && cp <= 0x2069) || cp == 0x200e || cp == 0x200f;
    if (valid && !control) {
      out.append(text.substr(start, at - start));
    } else {
      for (size_t i = start; i < at; ++i) out += format("\\x{:02x}", static_cast<uint8_t>(text[i]));
    }
  }
  return out;
}

namespace {
template <typename T>
Result<T> parse_number(std::string_view text, std::string_view what, const char* kind) {
  T value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) {
    return make_error("{}: expected {}, got \"{}\"", what, kind, in_quotes(text));
  }
  return value;
}
}  // namespace

Result<int64_t> parse_int(std::string_view text, std::string_view what) {
  return parse_number<int64_t>(text, what, "a whole number");
}

Result<double> parse_double(std::string_view text, std::string_view what) {
  return parse_number<double>(text, what, "a number");
}

uint32_t next_code_point(std::string_view text, size_t& at, bool* valid) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(at);
  if (valid != nullptr) *valid = true;
  if (lead < 0x80) return byte(at++);
  const size_t length = lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
  if (length != 0 && lead < 0xf5 && text.size() - at >= length) {
    uint32_t cp = lead & (0x7fu >> length);
    size_t i = 1;
    while (i < length && (byte(at + i) & 0xc0) == 0x80) cp = cp << 6 | (byte(at + i++) & 0x3fu);
    // The smallest code point each length may carry (RFC 3629): shorter ones are overlong forms.
    static constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (i == length && cp >= kSmallest[length] && cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff)) {
      at += length;
      return cp;
    }
  }
  ++at;
  if (valid != nullptr) *valid = false;
  return 0xfffd;
}

bool is_blank(std::string_view text) { return trimmed(text).empty(); }

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

bool is_valid_utf8(std::string_view text) {
  bool valid = true;
  for (size_t at = 0; at < text.size() && valid;) next_code_point(text, at, &valid);
  return valid;
}

void append_utf8(std::string& out, uint32_t cp) {
  if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff)) cp = 0xfffd;
  if (cp < 0x80) {
    out += static_cast<char>(cp);
  } else if (cp < 0x800) {
    out += static_cast<char>(0xc0 | cp >> 6);
    out += static_cast<char>(0x80 | (cp & 0x3f));
  } else if (cp < 0x10000) {
    out += static_cast<char>(0xe0 | cp >> 12);
    out += static_cast<char>(0x80 | (cp >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (cp & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | cp >> 18);
    out += static_cast<char>(0x80 | (cp >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (cp >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (cp & 0x3f));
  }
}

size_t incomplete_utf8_tail(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<uint8_t>(text[text.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;
    const size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

}  // namespace andiron
