#include "engine/stop_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"

namespace andiron {
namespace {

// Feeds `pieces` and returns everything shown.
std::string shown(StopText& stop, const std::vector<std::string>& pieces) {
  std::string out;
  for (const std::string& piece : pieces) out += stop.push(piece);
  out += stop.finish();
  return out;
}

TEST(StopText, ShowsEverythingAtOnceWithoutStopStrings) {
  StopText stop({});
  EXPECT_EQ(stop.push("abc"), "abc");
  EXPECT_EQ(stop.push(""), "");
  EXPECT_EQ(stop.push("d"), "d");
  EXPECT_EQ(stop.finish(), "");
  EXPECT_FALSE(stop.stopped());
}

TEST(StopText, HoldsBackWhatMightBecomeAStopString) {
  StopText stop({"END"});
  EXPECT_EQ(stop.push("the E"), "the ");
  EXPECT_EQ(stop.push("N"), "");
  EXPECT_EQ(stop.push("X"), "ENX");
  EXPECT_EQ(stop.push("E"), "");
  EXPECT_EQ(stop.finish(), "E");
}

TEST(StopText, EndsBeforeTheStopString) {
  StopText stop({"END", ""});
  EXPECT_EQ(shown(stop, {"one E", "N", "D two"}), "one ");
  EXPECT_TRUE(stop.stopped());
  EXPECT_EQ(stop.found(), "END");
}

TEST(StopText, TheOneThatEndsFirstWins) {
  StopText stop({"bcd", "cde", "c"});
  EXPECT_EQ(shown(stop, {"abcde"}), "ab");
  EXPECT_EQ(stop.found(), "c");
  StopText same_end({"c", "abc"});
  EXPECT_EQ(shown(same_end, {"xabc"}), "x");
  EXPECT_EQ(same_end.found(), "abc");
}

TEST(StopText, TheCutOfTheTextDoesNotMatter) {
  const std::string text = "aabaabaacaabaaabaacab";
  const std::vector<std::string> stops = {"aabaaab", "caab", "bbbb"};
  StopText whole(stops);
  const std::string expected = shown(whole, {text});
  const RandomStream random(7);
  for (uint64_t round = 0; round < 200; ++round) {
    std::vector<std::string> pieces;
    for (size_t at = 0; at < text.size();) {
      const size_t length = 1 + static_cast<size_t>(random.uniform(round * 100 + at) * 4);
      pieces.push_back(text.substr(at, length));
      at += length;
    }
    StopText stop(stops);
    EXPECT_EQ(shown(stop, pieces), expected);
    EXPECT_EQ(stop.found(), whole.found());
  }
}

}  // namespace
}  // namespace andiron
