#include "text/regex.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/strings.h"

namespace andiron {
namespace {

// All matches in `text`, divided by '|', skipping what no match covers.
std::string matches(std::string_view pattern, std::string_view text) {
  const auto regex = Regex::compile(pattern);
  if (!regex.ok()) return regex.error().message;
  RegexScanner scanner(*regex, text);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t size = scanner.match_at(at);
    if (size == 0) {
      next_code_point(text, at);
      continue;
    }
    if (!out.empty()) out += '|';
    out += text.substr(at, size);
    at += size;
  }
  return out;
}

TEST(Regex, MatchesAsBacktrackingWould) {
  struct Case {
    const char* pattern;
    const char* text;
    const char* expected;
  };
  const Case cases[] = {
      {"abc", "xabcabcab", "abc|abc"},
      {"a|ab", "abab", "a|a"},  // the first alternative, not the longest
      {"ab|a", "abaab", "ab|a|ab"},
      {"(a|ab)(c|bcd)", "abcd", "abcd"},  // ... unless it leads nowhere
      {"(?:ab)+", "ababa", "abab"},
      {"a*", "baab", "aa"},  // empty matches count for nothing
      {"a{2,3}", "aaaaaaa", "aaa|aaa"},
      {"a{2}", "aaaaa", "aa|aa"},
      {"a{2,}", "aaaaab", "aaaaa"},
      {"a{2,3}?", "aaaaaa", "aa|aa|aa"},
      {"a+?b??", "aaab", "a|a|a"},
      {"a{,2}", "a{,2}", "a{,2}"},  // no interval: ordinary characters
      {"[a-c]+", "abcdcba", "abc|cba"},
      {"[^a-c]+", "abcdef", "def"},
      {"[]a]+", "a]b", "a]"},
      {"[a\\]-]+", "a]-b", "a]-"},
      {"[\\w-]+", "a-b c", "a-b|c"},
      {"[a-z&&[^aeiou]]+", "hello", "h|ll"},
      {"[[ab][cd]]+", "abcde", "abcd"},
      {"\\d+", "12\u0663x", "12\u0663"},
      {"\\p{N}+", "1\u00bd\u2167x", "1\u00bd\u2167"},
      {"\\p{Lu}\\p{Ll}+", "Hello WORLD \u00c9t\u00e9", "Hello|\u00c9t\u00e9"},
      {"\\p{Han}+", "ab\u4e2d\u6587c", "\u4e2d\u6587"},
      {"\\P{L}+|\\p{^N}", "1a", "1|a"},
      {"\\pL+", "a\u00e91", "a\u00e9"},
      {"(?i:'s|'LL)", "'S'll's'\u017f", "'S|'ll|'s|'\u017f"},
      {"(?i)abc|d", "ABCD", "ABC|D"},
      {"(?i:[k-m])", "\u212a", "\u212a"},
      {"a(?!b)", "abac", "a"},
      {"a(?=b)", "abac", "a"},
      {"a(?=[bc])", "abacad", "a|a"},
      {"\\s+(?!\\S)|\\s", "a   b  ", "  | |  "},
      {"\\s+$", "a  b  ", "  "},
      {"x$", "xx", "x"},
      {".+", "ab\ncd", "ab|cd"},
      {"\\x41\\x{42}\\u0043", "ABC", "ABC"},
      {"\\.\\\\\\n", ".\\\n", ".\\\n"},
      {"a++b", "aab", "aab"},
      {"[^x]",
       "\xff"
       "a",
       "\xff|a"},  // a stray byte is one character
      {"(a*)*", "aa", "aa"},
  };
  for (const Case& c : cases) EXPECT_EQ(matches(c.pattern, c.text), c.expected) << c.pattern;
}

TEST(Regex, RefusesWhatItDoesNotSupportAndSaysWhat) {
  struct Case {
    const char* pattern;
    const char* says;
  };
  const Case cases[] = {
      {"(?<=a)b", "group of this kind"},
      {"(?<!a)b", "group of this kind"},
      {"(?>a)b", "group of this kind"},
      {"(?=ab)c", "look-ahead at more than one character"},
      {"^a", "'^' is not supported"},
      {"\\bword", "escape \\b is not supported"},
      {"(a)\\1", "escape \\1 is not supported"},
      {"\\p{Klingon}", "property Klingon is not known"},
      {"[[:alpha:]]", "POSIX"},
      {"(a", "'(' without ')'"},
      {"a)", "')' without '('"},
      {"[a", "'[' without ']'"},
      {"[b-a]", "out of order"},
      {"a{3,2}", "out of order"},
      {"a{1001}", "above 1000"},
      {"a**", "quantifier after a quantifier"},
      {"*a", "'*' is not supported"},
      {"\\", "'\\' at the end"},
      {"\\p{L", "without }"},
      {"\\x{110000}", "hexadecimal"},
      {"\\x4", "hexadecimal"},
      {"\xff", "not UTF-8"},
  };
  for (const Case& c : cases) {
    const auto regex = Regex::compile(c.pattern);
    ASSERT_FALSE(regex.ok()) << c.pattern;
    EXPECT_NE(regex.error().message.find(c.says), std::string::npos) << regex.error().message;
  }
}

TEST(Regex, RefusesWhatWouldGrowTooLarge) {
  const auto repeat = [](const std::string& text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
  };
  const std::string cases[] = {
      repeat("(", 40) + "a" + repeat(")", 40),  // nested too deep
      repeat("[", 40) + "a" + repeat("]", 40),
      repeat("a", 9000),                           // too long
      "((((a{1000}){1000}){1000}){1000}){1000}",   // too many instructions
      "(((((){1000}){1000}){1000}){1000}){1000}",  // none at all, but as many steps
      "[ab]*a[ab]{20}",                            // 2^20 states
  };
  for (const std::string& pattern : cases) {
    EXPECT_FALSE(Regex::compile(pattern).ok()) << pattern.substr(0, 60);
  }
}

// Each of these takes a backtracking matcher, or one that starts afresh at every character, quadratic time or worse.
TEST(Regex, LongTextTakesLinearTime) {
  const std::string spaces(1'000'000, ' ');
  EXPECT_EQ(matches("\\s+$", spaces + "x"), "");
  EXPECT_EQ(matches("\\s+$", spaces), spaces);
  EXPECT_EQ(matches("(\\s|\\s\\s)*x|\\s*y", spaces), "");
  EXPECT_EQ(matches("(a+)+b", std::string(1'000'000, 'a')), "");
  EXPECT_EQ(matches("(aa)*b|(aaa)*c", std::string(200'000, 'a')), "");
}

}  // namespace
}  // namespace andiron
