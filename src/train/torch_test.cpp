// Loss, gradients and ten steps of training against PyTorch (tests/oracles/torch_training.py).
#include <gtest/gtest.h>

#include <cmath>

#include "base/atomic_file.h"
#include "train/torch_fixture.h"

namespace andiron {
namespace {

constexpr int64_t kSteps = 10;

struct Hyper {
  double rate, weight_decay, clip_norm;
};

// Both round keys and values to f16. Where float arithmetic moves one across the middle between two, it changes by a
// part in 2048; some one in five hundred does, and which depends on the BLAS that PyTorch has. Most of that vanishes in
// the sum, but a number of a key that every row attends to (the first, often) moves all their scores, and the gradients
// of q and k are small differences of what those scores weigh: up to twice that part of their length.
constexpr double kGradientTolerance = 1e-3;
// A loss is changed in the second order of what changes weights, and in the first of what changes activations: the
// flips cancel over rows. Ten steps of Adam, which scales small gradients up to the size of large ones, may differ
// more.
constexpr double kLossTolerance = 2e-5, kCurveTolerance = 1e-4;

void expect_like_torch(Learner& s, FloatWeights& base, int64_t length, const Hyper& hyper) {
  const TokenRows rows = made_rows(4, length, s.model->config().vocabulary, true);
  TrainerOptions options;
  options.optimizer.weight_decay = static_cast<float>(hyper.weight_decay);
  options.optimizer.clip_norm = hyper.clip_norm;
  const TestFolder folder;
  write_torch_task(s, base, {.train = &rows}, Training::together(rows, kSteps, hyper.rate, options), kSteps,
                   folder.file("in"));
  const auto expected = ask_torch(folder.file("in"), folder.file("out"));
  if (expected == nullptr) GTEST_SKIP() << kNoTorch;
  const Json losses = parse_json(*expected->metadata("losses"), "losses").value();
  Training training(s, rows, kSteps, hyper.rate, options);
  for (int64_t step = 0; step < kSteps; ++step) {
    const StepReport report = training.trainer->step().value();
    const double want = losses.items()[static_cast<size_t>(step)].as_double();
    EXPECT_NEAR(report.loss, want, (step == 0 ? kLossTolerance : kCurveTolerance) * want) << "step " << step + 1;
    if (step > 0) continue;
    for (const Parameter& p : s.parameters) {
      const auto gradient = expected->floats(*expected->find(p.name)).value();
      double difference = 0, square = 0;
      for (size_t i = 0; i < gradient.size(); ++i) {
        const auto g = static_cast<double>(gradient[i]);
        difference += (static_cast<double>(p.gradient[i]) - g) * (static_cast<double>(p.gradient[i]) - g);
        square += g * g;
      }
      EXPECT_GT(square, 0) << p.name;
      EXPECT_LE(std::sqrt(difference), kGradientTolerance * std::sqrt(square)) << p.name;
    }
  }
  const double first = losses.items()[0].as_double(), last = losses.items().back().as_double();
  EXPECT_LT(last, 0.95 * first) << "nothing was learnt";
}

TEST(Torch, TrainsAllNumbersOfATinyLlamaAlike) {
  Learner s(small_model({"llama", [](TinyModel& m) { m.width = 64, m.inner = 88; }}), best_kernels(), 2);
  s.train_all();
  expect_like_torch(s, *s.floats, 40, {3e-3, 0.1, 1});
}

TEST(Torch, TrainsAnAdapterOfATinyLlamaAlike) {
  Learner s(small_model({"llama", [](TinyModel& m) { m.tied = true, m.head_dim = 20; }}), best_kernels(), 2);
  const auto base = FloatWeights::create(*s.model, s.team).value();
  s.train_adapter(adapter_for(*s.model, 4, false, 0.05));
  expect_like_torch(s, *base, 40, {1e-2, 0.01, 0});
}

TEST(Torch, TrainsAStoryTellerAlike) {
  const std::string folder = ANDIRON_SOURCE_DIR "/../shared/data/models/tinystories-656k";
  if (!file_exists(folder)) GTEST_SKIP() << folder << " is not there";
  Learner adapter(folder, best_kernels(), 2);
  const auto base = FloatWeights::create(*adapter.model, adapter.team).value();
  adapter.train_adapter(adapter_for(*adapter.model, 4, false, 0.02));
  expect_like_torch(adapter, *base, 60, {5e-3, 0, 1});
  Learner all(folder, best_kernels(), 2);
  all.train_all();
  expect_like_torch(all, *all.floats, 60, {1e-3, 0.01, 1});
}

}  // namespace
}  // namespace andiron
