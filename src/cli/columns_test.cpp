#include "cli/columns.h"

#include <gtest/gtest.h>

namespace andiron {
namespace {

using Lines = std::vector<std::string>;

TEST(WrapText, BreaksBetweenWords) {
  EXPECT_EQ(wrap_text("the quick brown fox", 10), (Lines{"the quick", "brown fox"}));
  EXPECT_EQ(wrap_text("the quick brown fox", 9), (Lines{"the quick", "brown fox"}));
  EXPECT_EQ(wrap_text("the quick brown fox", 8), (Lines{"the", "quick", "brown", "fox"}));
  EXPECT_EQ(wrap_text("unbreakable", 4), (Lines{"unbr", "eaka", "ble"})) << "a word longer than a line is cut";
  EXPECT_EQ(wrap_text("a\n\nb", 4), (Lines{"a", "", "b"})) << "line ends stay";
  EXPECT_EQ(wrap_text("", 4), Lines{""});
  EXPECT_EQ(wrap_text("a\tb", 4), Lines{"a b"});
}

TEST(WrapText, CountsCharactersAndNotBytes) {
  EXPECT_EQ(wrap_text("\u00e4\u00f6\u00fc \u00df\u00e9", 6), Lines{"\u00e4\u00f6\u00fc \u00df\u00e9"});
  EXPECT_EQ(wrap_text("\u00e4\u00f6\u00fc\u00df", 2), (Lines{"\u00e4\u00f6", "\u00fc\u00df"}));
}

// Whatever the text, no line is longer than asked, and no letter is lost.
TEST(WrapText, LosesNothing) {
  const std::string text = "One day, a little girl named Lily   found a needle in her room.\nShe knew it was sharp.";
  const auto letters = [](std::string_view words) {
    std::string out;
    for (const char c : words) out += c == ' ' || c == '\n' ? "" : std::string(1, c);
    return out;
  };
  for (size_t width = 1; width < 70; ++width) {
    std::string all;
    for (const std::string& line : wrap_text(text, width)) {
      EXPECT_LE(line.size(), width) << line;
      all += line;
    }
    EXPECT_EQ(letters(all), letters(text)) << width;
  }
}

TEST(SideBySide, PutsTwoTextsBesideEachOther) {
  EXPECT_EQ(side_by_side("one two three four", "five\nsix", 23, " | "),
            "one two    | five\n"
            "three four | six\n");
  EXPECT_EQ(side_by_side("a", "b\nc", 23, " | "),
            "a          | b\n"
            "           | c\n");
  EXPECT_EQ(side_by_side("\u00e4", "", 23, " | "), "\u00e4          |\n") << "no spaces at the end";
}

}  // namespace
}  // namespace andiron
