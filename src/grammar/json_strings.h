// Parts of grammars for JSON strings: characters with their escapes, patterns, formats, names of members.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "grammar/grammar.h"

namespace andiron {

// One character of a JSON string out of a set, as it is or escaped where JSON demands that.
uint32_t json_chars(Grammar& grammar, const CharSet& set);
// Any character, escapes of every kind included (but \u with a surrogate).
uint32_t json_any_char(Grammar& grammar);

// What stands between the quotes of a string that matches the regular expression (ECMA 262 as JSON schema uses it; a
// part of it: text/regex.h without look-ahead, and ^ and $ only at the ends). \d, \w and \s mean ASCII. Errors say what
// is not supported.
Result<uint32_t> json_pattern(Grammar& grammar, std::string_view pattern);

// The pattern of a JSON schema format; none where it is not known. Some allow less than their standard does.
std::optional<std::string_view> format_pattern(std::string_view format);

// What stands between the quotes of a string without escapes that is none of these; each at most kNameBytesMax long.
uint32_t json_names_except(Grammar& grammar, std::span<const std::string> names);
inline constexpr size_t kNameBytesMax = 256;

// A name as part of a JSON pointer (RFC 6901).
std::string pointer_part(std::string_view name);

}  // namespace andiron
