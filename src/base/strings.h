// Text helpers: formatting, joining, sizes for people, UTF-8.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace andiron {

// fmt-style formatting: format("{} of {}", a, b). The format string is checked at compile time.
template <typename... Args>
std::string format(fmt::format_string<Args...> pattern, Args&&... args) {
  return fmt::format(pattern, std::forward<Args>(args)...);
}

// An Error whose message is formatted.
template <typename... Args>
Error make_error(fmt::format_string<Args...> pattern, Args&&... args) {
  return Error{fmt::format(pattern, std::forward<Args>(args)...)};
}
// The same of a kind.
template <typename... Args>
Error make_error(ErrorKind kind, fmt::format_string<Args...> pattern, Args&&... args) {
  return Error{fmt::format(pattern, std::forward<Args>(args)...), kind};
}

// "3.7 GiB", "512 B": powers of 1024, three significant digits.
std::string human_bytes(uint64_t bytes);
// "8 s", "3 min 20 s", "2 h 5 min".
std::string human_seconds(double seconds);
// "12,345"
std::string human_count(int64_t count);
// "1 row", "2,000 rows".
std::string counted(int64_t count, std::string_view noun);

// Text for an error message: control characters and bytes that are not UTF-8 escaped as \xNN,
// cut to `limit` bytes with "..." when longer. Untrusted text reaches a terminal only through this.
std::string in_quotes(std::string_view text, size_t limit = 80);

// Whole number or decimal in full; anything left over is an error naming `what`.
Result<int64_t> parse_int(std::string_view text, std::string_view what);
Result<double> parse_double(std::string_view text, std::string_view what);

bool is_valid_utf8(std::string_view text);

// Nothing but spaces, tabs and line ends.
bool is_blank(std::string_view text);
// Without those at either end.
std::string_view trimmed(std::string_view text);

// Decodes one code point at text[at] and advances `at`. On a malformed sequence it consumes one byte
// and returns 0xFFFD; `valid` (optional) says which happened. Requires at < text.size().
uint32_t next_code_point(std::string_view text, size_t& at, bool* valid = nullptr);

// Appends a code point (any value above 0x10FFFF or a surrogate becomes U+FFFD).
void append_utf8(std::string& out, uint32_t code_point);

// Number of trailing bytes of `text` that begin a UTF-8 sequence not yet complete (0 to 3): what a
// streaming printer must hold back.
size_t incomplete_utf8_tail(std::string_view text);

}  // namespace andiron
