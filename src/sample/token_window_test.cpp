#include "sample/token_window.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "base/random.h"
#include "sample/reference_for_tests.h"

namespace andiron {
namespace {

std::map<int32_t, int32_t> as_map(std::span<const TokenCount> list) {
  std::map<int32_t, int32_t> result;
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) {
      EXPECT_LT(list[i - 1].token, list[i].token);
    }
    result[list[i].token] = list[i].count;
  }
  return result;
}

SamplerOptions dry_options(int32_t allowed, int32_t last_n, std::vector<std::vector<int32_t>> breakers = {}) {
  SamplerOptions o;
  o.dry_multiplier = 1;
  o.dry_allowed_length = allowed;
  o.dry_last_n = last_n;
  o.dry_breakers = std::move(breakers);
  return o;
}

std::map<int32_t, int32_t> repeats_after(const std::vector<int32_t>& text, const SamplerOptions& o) {
  TokenRing ring(o.dry_last_n);
  RepeatFinder finder(o);
  for (int32_t token : text) {
    ring.push(token);
    finder.push(ring);
  }
  return as_map(finder.find(ring));
}

TEST(TokenWindow, CountsTheLastTokensOnly) {
  for (int32_t window : {1, 2, 7, 8, 64}) {
    TokenRing ring(window + 1);
    WindowCounts counts(window);
    std::vector<int32_t> text;
    for (uint64_t i = 0; i < 300; ++i) {
      text.push_back(static_cast<int32_t>(RandomStream(1).bits(i) % 10));
      ring.push(text.back());
      counts.push(ring);
      std::map<int32_t, int32_t> expected;
      const size_t first = text.size() > static_cast<size_t>(window) ? text.size() - window : 0;
      for (size_t j = first; j < text.size(); ++j) ++expected[text[j]];
      ASSERT_EQ(as_map(counts.counts()), expected) << "window " << window << ", token " << i;
    }
  }
}

TEST(RepeatFinder, FindsWhatWouldProlongARepetition) {
  // "1 2 3 4 ... 1 2 3": a 4 would make the repetition four long.
  EXPECT_EQ(repeats_after({1, 2, 3, 4, 9, 1, 2, 3}, dry_options(2, 100)), (std::map<int32_t, int32_t>{{4, 3}}));
  EXPECT_EQ(repeats_after({1, 2, 3, 4, 9, 1, 2, 3}, dry_options(4, 100)), (std::map<int32_t, int32_t>{}));
  EXPECT_EQ(repeats_after({5, 5, 5, 5}, dry_options(1, 100)), (std::map<int32_t, int32_t>{{5, 3}}));
  EXPECT_EQ(repeats_after({1, 2, 3, 4, 9, 1, 2, 3}, dry_options(2, 6)), (std::map<int32_t, int32_t>{}))
      << "the first occurrence lies before the window";
  EXPECT_EQ(repeats_after({}, dry_options(1, 100)), (std::map<int32_t, int32_t>{}));
}

TEST(RepeatFinder, StopsAtBreakers) {
  const std::vector<int32_t> text = {1, 2, 3, 4, 9, 1, 2, 3};
  EXPECT_EQ(repeats_after(text, dry_options(1, 100, {{1}})), (std::map<int32_t, int32_t>{{4, 2}}));
  EXPECT_EQ(repeats_after(text, dry_options(1, 100, {{3}})), (std::map<int32_t, int32_t>{}))
      << "the text ends with one";
  EXPECT_EQ(repeats_after(text, dry_options(1, 100, {{4}})), (std::map<int32_t, int32_t>{})) << "never punished itself";
  EXPECT_EQ(repeats_after(text, dry_options(1, 100, {{4, 7}})), (std::map<int32_t, int32_t>{{4, 3}}));
  EXPECT_EQ(repeats_after(text, dry_options(1, 100, {{1, 2}})), (std::map<int32_t, int32_t>{{4, 1}}));
  EXPECT_EQ(repeats_after(text, dry_options(1, 100, {{9, 9, 9}, {8, 1}, {9, 1}})),
            (std::map<int32_t, int32_t>{{4, 2}}));
}

TEST(RepeatFinder, AgreesWithComparingEveryPlace) {
  const std::vector<std::vector<std::vector<int32_t>>> breaker_sets = {
      {}, {{0}}, {{0}, {1, 2}}, {{2, 2, 2}, {1, 0, 1}}};
  for (uint64_t trial = 0; trial < 400; ++trial) {
    const RandomStream random(trial);
    const uint64_t vocabulary = 2 + random.bits(0) % 4;
    std::vector<int32_t> text(random.bits(1) % 120);
    for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<int32_t>(random.bits(2 + i) % vocabulary);
    const int32_t allowed = static_cast<int32_t>(1 + random.bits(500) % 4);
    const int32_t last_n = static_cast<int32_t>(1 + random.bits(501) % 130);
    const SamplerOptions o = dry_options(allowed, last_n, breaker_sets[trial % breaker_sets.size()]);
    ASSERT_EQ(repeats_after(text, o), reference::repeats(text, o)) << "trial " << trial;
  }
}

TEST(RepeatFinder, TakesTheLongestWindowInItsStride) {
  // Texts that make a quadratic search take minutes.
  std::vector<int32_t> same(SamplerOptions::kWindowMax, 1);
  const SamplerOptions o = dry_options(2, SamplerOptions::kWindowMax);
  EXPECT_EQ(repeats_after(same, o), (std::map<int32_t, int32_t>{{1, SamplerOptions::kWindowMax - 1}}));
  std::vector<int32_t> halves = same;
  halves[halves.size() / 2] = 2;
  const int32_t half = SamplerOptions::kWindowMax / 2;
  EXPECT_EQ(repeats_after(halves, o), (std::map<int32_t, int32_t>{{1, half - 1}, {2, half - 1}}));
}

}  // namespace
}  // namespace andiron
