#include "sample/logprobs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "sample/reference_for_tests.h"

namespace andiron {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Logprobs, EqualTheLogOfTheSoftmax) {
  for (size_t size : {1, 2, 5, 1000}) {
    const std::vector<float> logits = reference::random_logits(size, size);
    const reference::Distribution d = reference::softmax({logits.begin(), logits.end()});
    Logprobs out;
    for (size_t top_n : {size_t{0}, size_t{1}, size_t{3}, size}) {
      const int32_t chosen = static_cast<int32_t>(size / 2);
      logprobs(logits, chosen, static_cast<int32_t>(top_n), out);
      ASSERT_EQ(out.top.size(), std::min(top_n, size));
      for (size_t i = 0; i < out.top.size(); ++i) {
        EXPECT_EQ(out.top[i].token, d[i].token);
        // One rounding to float of a number whose double is exact to about 1e-13.
        EXPECT_NEAR(out.top[i].logprob, std::log(d[i].p), 1e-7 * (1 - std::log(d[i].p)));
      }
      const auto entry = std::find_if(d.begin(), d.end(), [&](const auto& e) { return e.token == chosen; });
      EXPECT_EQ(out.chosen.token, chosen);
      EXPECT_NEAR(out.chosen.logprob, std::log(entry->p), 1e-7 * (1 - std::log(entry->p)));
    }
  }
}

TEST(Logprobs, ImpossibleTokensAreNotListed) {
  Logprobs out;
  logprobs(std::vector<float>{kNan, 1, -kInfinity, 1}, 2, 4, out);
  ASSERT_EQ(out.top.size(), 2u);
  EXPECT_EQ(out.top[0].token, 1);
  EXPECT_EQ(out.top[1].token, 3);
  EXPECT_FLOAT_EQ(out.top[0].logprob, std::log(0.5f));
  EXPECT_EQ(out.chosen.logprob, -kInfinity);

  logprobs(std::vector<float>{kInfinity, 1}, 0, 1, out);
  EXPECT_EQ(out.chosen.logprob, 0);
  logprobs(std::vector<float>{kNan, -kInfinity}, 0, 2, out);
  EXPECT_TRUE(out.top.empty());
  EXPECT_EQ(out.chosen.logprob, -kInfinity);
}

}  // namespace
}  // namespace andiron
