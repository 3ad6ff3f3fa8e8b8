#include "base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace andiron {
namespace {

using Counter = std::array<uint32_t, 4>;

// The known answers of the Random123 distribution (tests/kat_vectors, "philox4x32 10").
TEST(Philox, GivesTheKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // Digits of pi.
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, IsAFunctionOfSeedStreamAndCounterAlone) {
  // Half of the known answers again: seed, stream and counter take their places low word first.
  EXPECT_EQ(RandomStream(0).bits(0), 0xe169c58d6627e8d5);
  EXPECT_EQ(RandomStream(0x299f31d0a4093822, 0x0370734413198a2e).bits(0x85a308d3243f6a88), 0x94fdccebd16cfe09);
  const RandomStream stream(7, 3);
  const uint64_t fifth = stream.bits(5);
  for (uint64_t i = 0; i < 10; ++i) stream.bits(i);
  EXPECT_EQ(stream.bits(5), fifth);
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    for (uint64_t s = 0; s < 10; ++s) {
      for (uint64_t i = 0; i < 10; ++i) seen.insert(RandomStream(seed, s).bits(i));
    }
  }
  EXPECT_EQ(seen.size(), 1000u);
}

// Tolerances: five standard deviations of the mean and of the variance of so many draws.
TEST(RandomStream, UniformAndNormalHaveTheirMoments) {
  constexpr int kDraws = 100000;
  const RandomStream stream(1);
  double uniform_sum = 0, normal_sum = 0, normal_squares = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const double u = stream.uniform(i);
    ASSERT_TRUE(u >= 0 && u < 1);
    uniform_sum += u;
    const double n = stream.normal(i);
    ASSERT_TRUE(std::isfinite(n));
    normal_sum += n;
    normal_squares += n * n;
  }
  const double root = std::sqrt(static_cast<double>(kDraws));
  EXPECT_NEAR(uniform_sum / kDraws, 0.5, 5 * std::sqrt(1.0 / 12) / root);
  EXPECT_NEAR(normal_sum / kDraws, 0, 5 / root);
  EXPECT_NEAR(normal_squares / kDraws, 1, 5 * std::sqrt(2.0) / root);
}

}  // namespace
}  // namespace andiron
