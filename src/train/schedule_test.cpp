#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace andiron {
namespace {

TEST(Schedule, WarmsUpInAStraightLineAndEndsAtTheFloor) {
  for (const auto kind : {Schedule::Kind::kCosine, Schedule::Kind::kLinear}) {
    const Schedule s = {.kind = kind, .peak = 2, .floor_share = 0.1, .warmup_steps = 4, .steps = 23};
    EXPECT_DOUBLE_EQ(s.rate(1), 0.5);
    EXPECT_DOUBLE_EQ(s.rate(3), 1.5);
    EXPECT_DOUBLE_EQ(s.rate(4), 2);
    EXPECT_DOUBLE_EQ(s.rate(14), 1.1) << "half way down, both curves cross";
    EXPECT_GT(s.rate(23), 0.2) << "the last step of the run learns too";
    EXPECT_DOUBLE_EQ(s.rate(24), 0.2);
    EXPECT_DOUBLE_EQ(s.rate(1000), 0.2);
    for (int step = 5; step <= 24; ++step) EXPECT_LT(s.rate(step), s.rate(step - 1));
  }
  const Schedule cosine = {.peak = 1, .warmup_steps = 0, .steps = 4};
  EXPECT_DOUBLE_EQ(cosine.rate(1), 1);
  EXPECT_NEAR(cosine.rate(2), 0.85355339, 1e-8);  // (1 + cos 45 degrees) / 2
  EXPECT_DOUBLE_EQ(cosine.rate(5), 0);
}

// Hugging Face's get_linear_ and get_cosine_schedule_with_warmup without a warm-up: of step s of n, counted from 1, the
// lambda has way = (s - 1) / n. PyTorch's LinearLR(1, 0, n) and CosineAnnealingLR(n) are the same.
TEST(Schedule, FallsAsTheOthersDo) {
  const Schedule linear = {.kind = Schedule::Kind::kLinear, .peak = 1, .steps = 8};
  const Schedule cosine = {.kind = Schedule::Kind::kCosine, .peak = 1, .steps = 8};
  for (int step = 1; step <= 8; ++step) {
    const double way = (step - 1) / 8.0;
    EXPECT_DOUBLE_EQ(linear.rate(step), 1 - way);
    EXPECT_DOUBLE_EQ(cosine.rate(step), 0.5 * (1 + std::cos(std::numbers::pi * way)));
  }
}

TEST(Schedule, ConstantStays) {
  const Schedule s = {.kind = Schedule::Kind::kConstant, .peak = 3, .warmup_steps = 2, .steps = 10};
  EXPECT_DOUBLE_EQ(s.rate(1), 1.5);
  for (int step = 2; step <= 12; ++step) EXPECT_EQ(s.rate(step), 3);
}

TEST(Schedule, WsdFallsAtTheEndAlone) {
  const Schedule s = {
      .kind = Schedule::Kind::kWsd, .peak = 2, .floor_share = 0.1, .decay_share = 0.25, .warmup_steps = 4, .steps = 40};
  EXPECT_DOUBLE_EQ(s.rate(2), 1);
  for (int step = 4; step <= 30; ++step) EXPECT_EQ(s.rate(step), 2);
  EXPECT_DOUBLE_EQ(s.rate(40), 0.2 + 1.8 / 11) << "the last of ten steps on the way down";
  EXPECT_DOUBLE_EQ(s.rate(41), 0.2);
  EXPECT_DOUBLE_EQ(s.rate(1000), 0.2);
}

TEST(Schedule, RunsOfOneStepTrain) {
  for (const auto kind : {Schedule::Kind::kCosine, Schedule::Kind::kLinear, Schedule::Kind::kConstant}) {
    EXPECT_EQ((Schedule{.kind = kind, .peak = 1, .steps = 1}.rate(1)), 1);
    EXPECT_EQ((Schedule{.kind = kind, .peak = 1, .warmup_steps = 1, .steps = 1}.rate(1)), 1);
    EXPECT_GT((Schedule{.kind = kind, .peak = 1, .steps = 2}.rate(2)), 0.4);
    EXPECT_EQ((Schedule{.kind = kind, .peak = 1, .warmup_steps = 5, .steps = 3}.rate(3)), 0.6) << "all of it warm-up";
  }
}

TEST(Schedule, KindsHaveNames) {
  for (const char* name : {"cosine", "linear", "constant", "wsd"}) {
    EXPECT_EQ(schedule_kind_name(schedule_kind_from_name(name).value()), name);
  }
  EXPECT_NE(schedule_kind_from_name("Cosine").error().message.find("expected cosine, linear, constant or wsd"),
            std::string::npos);
}

TEST(StepsOfEpochs, RoundsUpAndNeverToNone) {
  EXPECT_EQ(steps_of_epochs(1, 100, 8), 13);
  EXPECT_EQ(steps_of_epochs(3, 100, 8), 38) << "passes run into one another";
  EXPECT_EQ(steps_of_epochs(0.1, 30, 1), 3) << "not 4, though 0.1 * 30 > 3 in binary";
  EXPECT_EQ(steps_of_epochs(0.001, 5, 4), 1);
  EXPECT_EQ(steps_of_epochs(3, 0, 4), 0);
  EXPECT_EQ(steps_of_epochs(-1, 10, 4), 0);
}

}  // namespace
}  // namespace andiron
