#include "base/strings.h"

#include <gtest/gtest.h>

#include <string>

namespace andiron {
namespace {

TEST(Strings, SizesForPeople) {
  const std::pair<uint64_t, const char*> cases[] = {
      {0, "0 B"},
      {1023, "1023 B"},
      {1024, "1.00 KiB"},
      {1536, "1.50 KiB"},
      {10240, "10.0 KiB"},
      {102400, "100 KiB"},
      {uint64_t{1} << 20, "1.00 MiB"},
      {uint64_t{3972844748}, "3.70 GiB"},
      {UINT64_MAX, "16.0 EiB"},
  };
  for (const auto& [bytes, expected] : cases) EXPECT_EQ(human_bytes(bytes), expected);
}

TEST(HumanCount, PutsCommasBetweenThousands) {
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(1000), "1,000");
  EXPECT_EQ(human_count(-1234567), "-1,234,567");
  EXPECT_EQ(human_count(-123), "-123");
  EXPECT_EQ(counted(0, "row"), "0 rows");
  EXPECT_EQ(counted(1, "row"), "1 row");
  EXPECT_EQ(counted(2000, "row"), "2,000 rows");
}

TEST(HumanSeconds, TakesTwoUnits) {
  EXPECT_EQ(human_seconds(-1), "0 s");
  EXPECT_EQ(human_seconds(59.4), "59 s");
  EXPECT_EQ(human_seconds(200), "3 min 20 s");
  EXPECT_EQ(human_seconds(7500), "2 h 5 min");
}

TEST(Strings, QuotedTextCannotReachATerminal) {
  EXPECT_EQ(in_quotes("plain caf\xc3\xa9"), "plain caf\xc3\xa9");
  EXPECT_EQ(in_quotes("\x1b[2J\n\x7f"), "\\x1b[2J\\x0a\\x7f");
  EXPECT_EQ(in_quotes("\xc2\x9b"), "\\xc2\\x9b") << "C1 controls too";
  EXPECT_EQ(in_quotes("a\xff"), "a\\xff");
  EXPECT_EQ(in_quotes(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(in_quotes("abcdef", 3), "abc...");
  EXPECT_EQ(in_quotes("abc", 3), "abc");
}

TEST(Strings, ParsesWholeNumbers) {
  EXPECT_EQ(*parse_int("-42", "n"), -42);
  EXPECT_EQ(*parse_int("9223372036854775807", "n"), INT64_MAX);
  for (const char* text : {"", " 1", "1 ", "+1", "1.0", "0x10", "9223372036854775808", "one", "--1"}) {
    const auto value = parse_int(text, "--threads");
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_EQ(value.error().message, format("--threads: expected a whole number, got \"{}\"", text));
  }
}

TEST(Strings, ParsesDecimals) {
  EXPECT_EQ(*parse_double("0.25", "x"), 0.25);
  EXPECT_EQ(*parse_double("-1e-3", "x"), -1e-3);
  for (const char* text : {"", " 1", "1,5", "1e", "1e999", "0x1p3"}) EXPECT_FALSE(parse_double(text, "x").ok()) << text;
}

// RFC 3629's table of well-formed sequences, at its edges.
TEST(Utf8, WellFormedSequences) {
  const std::pair<const char*, uint32_t> cases[] = {
      {"\x7f", 0x7f},
      {"\xc2\x80", 0x80},
      {"\xdf\xbf", 0x7ff},
      {"\xe0\xa0\x80", 0x800},
      {"\xed\x9f\xbf", 0xd7ff},
      {"\xee\x80\x80", 0xe000},
      {"\xef\xbf\xbf", 0xffff},
      {"\xf0\x90\x80\x80", 0x10000},
      {"\xf4\x8f\xbf\xbf", 0x10ffff},
  };
  for (const auto& [text, code_point] : cases) {
    size_t at = 0;
    bool valid = false;
    EXPECT_EQ(next_code_point(text, at, &valid), code_point);
    EXPECT_TRUE(valid);
    EXPECT_EQ(at, std::string_view(text).size());
    EXPECT_TRUE(is_valid_utf8(text));
    std::string written;
    append_utf8(written, code_point);
    EXPECT_EQ(written, text);
  }
}

TEST(Utf8, MalformedSequencesCostOneByteEach) {
  const char* cases[] = {
      "\x80",
      "\xbf",
      "\xc0\x80",
      "\xc1\xbf",
      "\xc2",
      "\xc2\x41",
      "\xe0\x9f\xbf",
      "\xe2\x82",
      "\xed\xa0\x80",
      "\xed\xbf\xbf",
      "\xf0\x8f\xbf\xbf",
      "\xf0\x90\x80",
      "\xf4\x90\x80\x80",
      "\xf5\x80\x80\x80",
      "\xff",
  };
  for (const char* text : cases) {
    size_t at = 0;
    bool valid = true;
    EXPECT_EQ(next_code_point(text, at, &valid), 0xfffdu);
    EXPECT_FALSE(valid);
    EXPECT_EQ(at, 1u);
    EXPECT_FALSE(is_valid_utf8(text));
  }
}

TEST(Blank, SpacesTabsAndLineEnds) {
  EXPECT_TRUE(is_blank(""));
  EXPECT_TRUE(is_blank(" \t\r\n"));
  EXPECT_FALSE(is_blank(" x "));
  EXPECT_FALSE(is_blank("\v"));
  EXPECT_EQ(trimmed(" \t\r\n"), "");
  EXPECT_EQ(trimmed("\n a b\v\t"), "a b\v");
}

TEST(Utf8, EveryCodePointSurvives) {
  for (uint32_t cp = 0; cp <= 0x10ffff; ++cp) {
    std::string text;
    append_utf8(text, cp);
    size_t at = 0;
    const bool is_surrogate = cp >= 0xd800 && cp <= 0xdfff;
    ASSERT_EQ(next_code_point(text, at), is_surrogate ? 0xfffd : cp);
    ASSERT_EQ(at, text.size());
    ASSERT_EQ(incomplete_utf8_tail(text), 0u);
    for (size_t cut = 1; cut < text.size(); ++cut) ASSERT_EQ(incomplete_utf8_tail(text.substr(0, cut)), cut);
  }
  std::string text;
  append_utf8(text, 0x110000);
  EXPECT_EQ(text, "\xef\xbf\xbd");
}

}  // namespace
}  // namespace andiron
