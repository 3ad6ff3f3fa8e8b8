#include "train/planner.h"

#include <gtest/gtest.h>

#include <string>

namespace andiron {
namespace {

// About SmolLM2-135M in four bits, with adapters of rank 8 on everything.
MemoryInput memory_135m() {
  return {.weight_bytes = uint64_t{90} << 20,
          .parameters = 2'442'240,
          .optimizer_bytes = 8 * 2'442'240,
          .pass_bytes = uint64_t{130} << 20};
}

struct Case {
  PlanInput input;
  // Rows of 200 tokens in the mean, five in two sequences.
  explicit Case(int64_t count = 2000) {
    input.rows = count;
    input.tokens = 200 * count;
    input.sequences = (2 * count + 4) / 5;
    input.trained_tokens = tokens() / 2;
    input.held_out_tokens = 5000;
    input.sequence_length = 512;
    input.tokens_per_s = 1000;
    input.memory = memory_135m();
  }
  int64_t tokens() const { return input.tokens; }
  Plan plan() const {
    auto plan = plan_run(input);
    EXPECT_TRUE(plan.ok()) << plan.error().message;
    return plan.ok() ? std::move(*plan) : Plan{};
  }
  std::string error() const {
    const auto plan = plan_run(input);
    EXPECT_FALSE(plan.ok());
    return plan.ok() ? "" : plan.error().message;
  }
};

TEST(Plan, WithoutABudgetIsThreeEpochs) {
  const Case c;
  const Plan plan = c.plan();
  EXPECT_NEAR(plan.epochs, 3, 0.1);
  EXPECT_GE(plan.steps, 100);
  EXPECT_NEAR(plan.seconds, 3 * static_cast<double>(c.tokens()) / 1000, 0.2 * plan.seconds);
}

TEST(Plan, WhatIsLearnedByHeartIsSeenMoreOften) {
  Case c(20);
  c.input.by_heart = true;
  EXPECT_NEAR(c.plan().epochs, 16, 1);
  c.input.budget_seconds = 3600;
  EXPECT_GT(c.plan().epochs, 10);
  c.input.epochs = 2;
  EXPECT_NEAR(c.plan().epochs, 2, 0.5);
}

// Whatever the budget, the steps and the measurements of it must fit; and a good part of it must be used where there
// is enough to learn.
TEST(Plan, KeepsTheBudget) {
  for (const double budget : {30.0, 100.0, 600.0, 2700.0}) {
    Case c;
    c.input.budget_seconds = budget;
    const Plan plan = c.plan();
    EXPECT_LE(plan.seconds, budget) << budget;
    const double most = 4.0 * static_cast<double>(c.tokens()) / 1000;
    EXPECT_GE(plan.seconds, 0.7 * std::min(budget, most)) << budget;
    EXPECT_LE(plan.epochs, 4.01);
    EXPECT_GE(plan.steps, 1);
    EXPECT_GE(plan.held_out_every, 1);
    EXPECT_LE(plan.held_out_every, plan.steps);
  }
}

TEST(Plan, SaysWhatItDoes) {
  Case c;
  c.input.budget_seconds = 100;
  std::string text;
  for (const std::string& line : c.plan().lines) text += line + "\n";
  EXPECT_NE(text.find("2,000 rows"), std::string::npos) << text;
  EXPECT_NE(text.find("800 sequences of 512 tokens"), std::string::npos) << text;
  EXPECT_NE(text.find("% of the data will be seen"), std::string::npos) << text;
  EXPECT_NE(text.find("within 1 min 40 s"), std::string::npos) << text;
  EXPECT_NE(text.find("memory: about"), std::string::npos) << text;
}

TEST(Plan, KeepsWhatWasAskedFor) {
  Case c;
  c.input.steps = 7;
  c.input.batch = 3;
  c.input.grad_accum = 2;
  const Plan plan = c.plan();
  EXPECT_EQ(plan.steps, 7);
  EXPECT_EQ(plan.batch, 3);
  EXPECT_EQ(plan.grad_accum, 2);
  EXPECT_DOUBLE_EQ(plan.epochs, 42.0 / static_cast<double>(c.input.sequences));
  c.input.steps.reset();
  c.input.epochs = 2;
  EXPECT_NEAR(c.plan().epochs, 2, 6.0 / static_cast<double>(c.input.sequences));
}

TEST(Plan, RefusesWhatCannotBe) {
  Case c;
  c.input.budget_seconds = 0.5;
  EXPECT_NE(c.error().find("has not room for one step"), std::string::npos);
  c.input.budget_seconds = 60;
  c.input.epochs = 3;
  EXPECT_NE(c.error().find("leave out --steps and --epochs"), std::string::npos);
  c = Case();
  c.input.batch = 0;
  EXPECT_NE(c.error().find("--batch"), std::string::npos);
  EXPECT_NE(Case(0).error().find("nothing to train on"), std::string::npos);
}

TEST(Plan, WorksForOneShortRow) {
  Case c(1);
  const Plan plan = c.plan();
  EXPECT_EQ(plan.batch, 1);
  EXPECT_EQ(plan.steps, 3);
  c.input.tokens_per_s = 0;
  EXPECT_EQ(c.plan().seconds, 0) << "unknown";
}

TEST(MemoryEstimate, IsTheSumOfItsParts) {
  MemoryInput input = {.weight_bytes = 1000, .parameters = 500, .optimizer_bytes = 4000, .pass_bytes = 300};
  const MemoryEstimate e = estimate_memory(input);
  EXPECT_EQ(e.weights, 1000u);
  EXPECT_EQ(e.parameters, 6000u);
  EXPECT_EQ(e.gradients, 2000u);
  EXPECT_EQ(e.optimizer, 4000u);
  EXPECT_EQ(e.pass, 300u);
  EXPECT_EQ(e.total(), 13300 + e.process);
  EXPECT_EQ(describe(e).find("weights"), std::string::npos) << "hardly counts: " << describe(e);
  input.weight_bytes = uint64_t{1} << 30;
  EXPECT_NE(describe(estimate_memory(input)).find("weights 1.00 GiB"), std::string::npos);
}

}  // namespace
}  // namespace andiron
