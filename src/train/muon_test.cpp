#include "train/muon.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>

#include "kernels/dispatch.h"
#include "train/optimizer.h"
#include "train/test_parameters.h"

namespace andiron {
namespace {

const KernelTable& kernels() { return *select_kernels().value(); }

// Row `i` of the orthogonal matrix of the discrete cosine transform, number `j` of n.
double cosine(int64_t n, int64_t i, int64_t j) {
  const auto size = static_cast<double>(n);
  const double angle = std::numbers::pi * (2 * static_cast<double>(j) + 1) * static_cast<double>(i) / (2 * size);
  return std::cos(angle) * std::sqrt((i == 0 ? 1 : 2) / size);
}

double singular_value(int64_t i) { return 3.0 / static_cast<double>(1 + i % 7); }

// sum_i f(i) u_i v_i^T over orthonormal u and v: a matrix whose singular vectors are known.
template <typename F>
std::vector<float> matrix(int64_t rows, int64_t columns, F f) {
  std::vector<float> out;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < std::min(rows, columns); ++i) sum += f(i) * cosine(rows, i, r) * cosine(columns, i, c);
      out.push_back(static_cast<float>(sum));
    }
  }
  return out;
}

// What becomes of a singular value: the iteration on numbers.
double iterated(double s) {
  for (int i = 0; i < 5; ++i) s = s * (3.4445 + s * s * (-4.7750 + s * s * 2.0315));
  return s;
}

double norm(int64_t least) {
  double squares = 0;
  for (int64_t i = 0; i < least; ++i) squares += singular_value(i) * singular_value(i);
  return std::sqrt(squares);
}

// A product of matrices rounds each sum of k terms by at most k u of its terms' sizes, here below 2 in all as norms of
// rows are below sqrt 2. An iteration makes three products, and multiplies errors by up to 3.45 where singular values
// are small: over all five by the sum of powers of that.
double tolerance(int64_t most) {
  double grown = 0;
  for (int i = 0; i < 5; ++i) grown += std::pow(3.45, i);
  return 3 * 2 * static_cast<double>(most) * 0x1p-24 * grown;
}

const std::vector<std::vector<int64_t>> kShapes = {{24, 40}, {40, 24}, {33, 33}, {1, 5}, {70, 8}};

TEST(Muon, MovesSingularValuesToOneAndLeavesTheirVectors) {
  for (const auto& shape : kShapes) {
    const int64_t rows = shape[0], columns = shape[1], least = std::min(rows, columns);
    std::vector<float> x = matrix(rows, columns, singular_value);
    Orthogonalizer(kernels()).orthogonalize(x.data(), rows, columns);
    const auto expected = matrix(rows, columns, [&](int64_t i) { return iterated(singular_value(i) / norm(least)); });
    for (int64_t i = 0; i < least; ++i) {
      EXPECT_GT(iterated(singular_value(i) / norm(least)), 0.6) << "the iteration of the test";
      EXPECT_LT(iterated(singular_value(i) / norm(least)), 1.25);
    }
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_NEAR(x[i], expected[i], tolerance(std::max(rows, columns))) << rows << " x " << columns << ", " << i;
    }
  }
}

TEST(Muon, LeavesZerosAlone) {
  std::vector<float> x(6 * 9);
  Orthogonalizer(kernels()).orthogonalize(x.data(), 6, 9);
  EXPECT_EQ(x, std::vector<float>(6 * 9));
}

// The first step goes along the gradient's direction, for hidden matrices alone.
TEST(Muon, StepsByTheDirectionAndDecaysTheWeights) {
  TestParameters test({{24, 40}, {24, 40}});
  test.parameters()[0].hidden = true;
  const auto before = test.values();
  for (auto& gradient : test.gradients()) std::ranges::copy(matrix(24, 40, singular_value), gradient.begin());
  ThreadTeam team(2);
  Optimizer optimizer(test.parameters(), {.weight_decay = 0.5f, .muon = true}, kernels(), team);
  optimizer.step(0.1);
  const auto direction = matrix(24, 40, [](int64_t i) { return iterated(singular_value(i) / norm(24)); });
  const double step = 0.1 * 0.2 * std::sqrt(40.0);
  for (size_t i = 0; i < direction.size(); ++i) {
    const double expected = (1 - 0.1 * 0.5) * before[0][i] - step * direction[i];
    ASSERT_NEAR(test.values()[0][i], expected, step * tolerance(40) + 4 * 0x1p-24 * std::fabs(before[0][i])) << i;
  }
  // AdamW's first step is the sign of the gradient.
  EXPECT_NEAR(test.values()[1][0], 0.95 * before[1][0] - 0.1, 1e-5);
}

// m <- 0.95 m + 0.05 g and the direction is that of 0.95 m + 0.05 g: after a gradient a and then one of b along the
// same vectors, singular values of 0.95 (0.95 0.05 a + 0.05 b) + 0.05 b.
TEST(Muon, RemembersGradients) {
  TestParameters test({{24, 40}});
  test.parameters()[0].hidden = true;
  ThreadTeam team(1);
  Optimizer optimizer(test.parameters(), {.clip_norm = 0, .muon = true}, kernels(), team);
  std::ranges::copy(matrix(24, 40, [](int64_t i) { return 1 + 0.1 * static_cast<double>(i); }),
                    test.gradients()[0].begin());
  optimizer.step(0.1);
  const auto before = test.values();
  std::ranges::copy(matrix(24, 40, [](int64_t i) { return i % 2 == 0 ? 3.0 : 0.5; }), test.gradients()[0].begin());
  optimizer.step(0.1);
  const auto mixed = [](int64_t i) {
    return 0.95 * 0.95 * (1 + 0.1 * static_cast<double>(i)) + 1.95 * (i % 2 == 0 ? 3.0 : 0.5);
  };
  double squares = 0;
  for (int64_t i = 0; i < 24; ++i) squares += mixed(i) * mixed(i);
  const auto direction = matrix(24, 40, [&](int64_t i) { return iterated(mixed(i) / std::sqrt(squares)); });
  const double step = 0.1 * 0.2 * std::sqrt(40.0);
  for (size_t i = 0; i < direction.size(); ++i) {
    ASSERT_NEAR(test.values()[0][i], before[0][i] - step * direction[i],
                step * tolerance(40) + 4 * 0x1p-24 * std::fabs(before[0][i]));
  }
}

TEST(Muon, HasTheSameBitsForAnyNumberOfThreadsAndGoesOnFromItsState) {
  const auto train = [](int threads, bool restored) {
    TestParameters test({{24, 40}, {3, 257}, {40, 24}, {257}});
    test.parameters()[0].hidden = test.parameters()[2].hidden = true;
    ThreadTeam team(threads);
    auto optimizer = std::make_unique<Optimizer>(test.parameters(), OptimizerOptions{.muon = true}, kernels(), team);
    for (int step = 0; step < 6; ++step) {
      if (restored && step == 3) {
        auto next = std::make_unique<Optimizer>(test.parameters(), OptimizerOptions{.muon = true}, kernels(), team);
        const auto from = optimizer->state(), to = next->state();
        for (size_t i = 0; i < from.size(); ++i) std::ranges::copy(from[i].data, to[i].data.begin());
        next->set_steps(3);
        optimizer = std::move(next);
      }
      test.fill_gradients(step);
      EXPECT_TRUE(optimizer->step(1e-2).applied);
    }
    return test.values();
  };
  const auto expected = train(1, false);
  EXPECT_EQ(train(3, false), expected);
  EXPECT_EQ(train(2, true), expected);
}

}  // namespace
}  // namespace andiron
