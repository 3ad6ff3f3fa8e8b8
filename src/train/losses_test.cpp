// The preference losses against numbers worked out by hand, and their slopes against differences.
#include "train/losses.h"

#include <gtest/gtest.h>

#include <cmath>

namespace andiron {
namespace {

constexpr AnswerScore kChosen = {-10, -12, 4}, kRejected = {-9, -8, 3};

// beta (2 - -1) = 0.3; -log sigmoid(0.3); -beta sigmoid(-0.3).
TEST(DpoLoss, ByHand) {
  const PairLoss loss = dpo_loss(kChosen, kRejected, 0.1);
  EXPECT_NEAR(loss.margin, 0.3, 1e-15);
  EXPECT_NEAR(loss.loss, 0.5543552444685271, 1e-15);
  EXPECT_NEAR(loss.chosen, -0.04255574831883411, 1e-15);
  EXPECT_NEAR(loss.rejected, 0.04255574831883411, 1e-15);
}

// Means -0.5 and -2: odds e^-0.5 / (1 - e^-0.5) = 1.5415 and e^-2 / (1 - e^-2) = 0.15652, whose ratio is e^2.28734;
// 0.5 - 0.25 log sigmoid(2.28734).
TEST(OrpoLoss, ByHand) {
  const PairLoss loss = orpo_loss({-2, 0, 4}, {-6, 0, 3}, 0.25);
  EXPECT_NEAR(loss.margin, 2.2873386716983295, 1e-14);
  EXPECT_NEAR(loss.loss, 0.5241764659123499, 1e-14);
  EXPECT_NEAR(loss.chosen, -0.26464170774475126, 1e-14);
  EXPECT_NEAR(loss.rejected, 0.008883694801491007, 1e-14);
}

// beta * 3 - 0.1 = 0.2: 1.5 (1 - sigmoid(0.2)) for a good answer, 1.5 (1 - sigmoid(-0.2)) for a bad one.
TEST(KtoLoss, ByHand) {
  const LabelLoss good = kto_loss({-5, -8, 7}, true, 0.1, 0.1, 1.5), bad = kto_loss({-5, -8, 7}, false, 0.1, 0.1, 1.5);
  EXPECT_NEAR(good.loss, 0.6752490040312831, 1e-15);
  EXPECT_NEAR(good.answer, -0.037127485906779, 1e-15);
  EXPECT_NEAR(bad.loss, 0.8247509959687169, 1e-15);
  EXPECT_NEAR(bad.answer, 0.037127485906779, 1e-15);
}

// A central difference over 2h is off by h^2 times a third derivative, below 50 here, and by what rounding leaves:
// 1e-15 of losses up to 10, over h.
TEST(PreferenceLosses, SlopesAreThoseOfTheLosses) {
  constexpr double kH = 1e-5, kTolerance = 1e-8;
  for (const double beta : {0.05, 0.5}) {
    for (const double logp : {-0.3, -4.0, -30.0}) {
      for (const double other : {-0.7, -25.0}) {
        const AnswerScore chosen = {logp, -9, 5}, rejected = {other, -7, 6};
        const auto moved = [](AnswerScore answer, double by) {
          answer.logp += by;
          return answer;
        };
        for (const auto loss : {dpo_loss, orpo_loss}) {
          const PairLoss at = loss(chosen, rejected, beta);
          EXPECT_NEAR(
              at.chosen,
              (loss(moved(chosen, kH), rejected, beta).loss - loss(moved(chosen, -kH), rejected, beta).loss) / (2 * kH),
              kTolerance);
          EXPECT_NEAR(
              at.rejected,
              (loss(chosen, moved(rejected, kH), beta).loss - loss(chosen, moved(rejected, -kH), beta).loss) / (2 * kH),
              kTolerance);
        }
        for (const bool desirable : {true, false}) {
          const auto loss = [&](double by) { return kto_loss(moved(chosen, by), desirable, 0.2, beta, 1.3).loss; };
          EXPECT_NEAR(kto_loss(chosen, desirable, 0.2, beta, 1.3).answer, (loss(kH) - loss(-kH)) / (2 * kH),
                      kTolerance);
        }
      }
    }
  }
}

TEST(PreferenceLosses, FarOutStayFinite) {
  for (const double logp : {-1e5, 0.0}) {
    for (const double other : {-1e5, 0.0}) {
      const AnswerScore chosen = {logp, -100, 5}, rejected = {other, -100, 5};
      for (const auto loss : {dpo_loss, orpo_loss}) {
        const PairLoss at = loss(chosen, rejected, 1);
        EXPECT_TRUE(std::isfinite(at.loss) && std::isfinite(at.margin)) << logp << " " << other;
        EXPECT_TRUE(std::isfinite(at.chosen) && std::isfinite(at.rejected)) << logp << " " << other;
      }
      for (const bool desirable : {true, false}) {
        const LabelLoss at = kto_loss(chosen, desirable, 0, 1, 1);
        EXPECT_TRUE(std::isfinite(at.loss) && std::isfinite(at.answer));
      }
    }
  }
}

}  // namespace
}  // namespace andiron
