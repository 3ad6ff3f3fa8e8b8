// Merging, held against straightforward float64 code on whole matrices.
#include "adapter/merge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "adapter/adapter_fixture.h"
#include "adapter/svd.h"

namespace andiron {
namespace {

Result<Adapter> merge(std::span<const WeightedAdapter> parts, const MergeOptions& options, int threads = 1) {
  ThreadTeam team(threads);
  return merge_adapters(parts, options, team);
}

Adapter merged(std::span<const WeightedAdapter> parts, const MergeOptions& options, int threads = 1) {
  auto result = merge(parts, options, threads);
  EXPECT_TRUE(result.ok()) << error_of(result);
  return result.ok() ? std::move(*result) : Adapter{};
}

// An adapter of one small matrix.
Adapter single(std::vector<float> a, std::vector<float> b, int64_t r, float alpha) {
  Adapter adapter;
  adapter.architecture = "qwen2";
  adapter.rank = r;
  adapter.alpha = alpha;
  const auto k = static_cast<int64_t>(a.size()) / r, n = static_cast<int64_t>(b.size()) / r;
  adapter.matrices.push_back(
      {.layer = "blk.0.attn_v", .n = n, .k = k, .r = r, .alpha = alpha, .a = a, .b = b, .magnitude = {}});
  return adapter;
}

// Within so many roundings to float of the largest.
void expect_close(std::span<const double> got, std::span<const double> expected, double roundings) {
  ASSERT_EQ(got.size(), expected.size());
  double largest = 0;
  for (const double v : expected) largest = std::max(largest, std::abs(v));
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], roundings * 0x1p-24 * largest) << i;
}

std::vector<double> widened(const std::vector<float>& values) { return {values.begin(), values.end()}; }

std::vector<double> sum_of_deltas(std::span<const WeightedAdapter> parts, const std::string& layer) {
  std::vector<double> sum;
  for (const WeightedAdapter& part : parts) {
    const AdapterMatrix* m = part.adapter->find(layer);
    if (m == nullptr) continue;
    const auto delta = dense_delta(*part.adapter, *m, part.weight);
    sum.resize(delta.size());
    for (size_t i = 0; i < delta.size(); ++i) sum[i] += delta[i];
  }
  return sum;
}

// PEFT's linear: sqrt(weight x scaling) goes to A and to B.
TEST(Merge, LinearAddsTheFactors) {
  Adapter one = tiny_adapter(1), two = tiny_adapter(2);
  one.rslora = true;
  two.matrices[1].alpha = 3;
  const WeightedAdapter parts[] = {{&one, 0.7f}, {&two, 2}};
  const Adapter out = merged(parts, {.method = MergeMethod::kLinear});
  ASSERT_EQ(out.matrices.size(), one.matrices.size());
  for (size_t i = 0; i < out.matrices.size(); ++i) {
    const AdapterMatrix &x = one.matrices[i], &y = two.matrices[i], &m = out.matrices[i];
    const double wx = std::sqrt(double{0.7f} * x.alpha / std::sqrt(3.0)), wy = std::sqrt(2.0 * y.alpha / 3.0);
    std::vector<double> a(x.a.size()), b(x.b.size());
    for (size_t j = 0; j < a.size(); ++j) a[j] = wx * x.a[j] + wy * y.a[j];
    for (size_t j = 0; j < b.size(); ++j) b[j] = wx * x.b[j] + wy * y.b[j];
    expect_close(widened(m.a), a, 2);  // the scaling and the result are rounded
    expect_close(widened(m.b), b, 2);
    EXPECT_EQ(out.scaling(m), 1);
  }
  EXPECT_FALSE(out.rslora);
  EXPECT_EQ(out.rank, 3);
}

TEST(Merge, ANegativeWeightTakesTheDeltaAway) {
  const Adapter one = tiny_adapter(1);
  const WeightedAdapter parts[] = {{&one, -0.5f}};
  const Adapter out = merged(parts, {.method = MergeMethod::kLinear});
  for (const AdapterMatrix& m : out.matrices) {
    expect_close(dense_delta(out, m), sum_of_deltas(parts, m.layer), 10);
  }
}

TEST(Merge, ConcatenationIsTheSumOfTheDeltas) {
  const Adapter one = tiny_adapter(1), two = tiny_adapter(2);
  Adapter three = tiny_adapter(3);
  for (AdapterMatrix& m : three.matrices) m = random_matrix(m.layer, m.n, m.k, 5, 4);
  three.matrices.erase(three.matrices.begin() + 1);
  three.matrices.push_back(random_matrix("output", 20, 12, 2, 5));
  const WeightedAdapter parts[] = {{&one, 0.5f}, {&two, -2}, {&three, 1}};
  const Adapter out = merged(parts, {.method = MergeMethod::kConcatenate});
  ASSERT_EQ(out.matrices.size(), 7u);
  EXPECT_EQ(out.matrices[0].r, 11);
  EXPECT_EQ(out.matrices[1].r, 6) << "the third has nothing there";
  EXPECT_EQ(out.matrices[6].layer, "output");
  EXPECT_EQ(out.matrices[6].r, 2);
  EXPECT_EQ(out.rank, 11);
  // Each product holds one rounded factor; there are at most 11 in a sum.
  for (const AdapterMatrix& m : out.matrices) {
    expect_close(dense_delta(out, m), sum_of_deltas(parts, m.layer), 22);
  }
}

// The example is small enough to work by hand. Density 0.5 of 4 keeps 2 of each: [0 -3 2 0] and [4 0 -1 0] (among
// equals the first), and of B both of 4.
TEST(Merge, TiesByHand) {
  const Adapter one = single({1, -3, 2, 1}, {1, 2, 3, 4}, 1, 1), two = single({4, 0.5f, -1, 1}, {-3, 1, 1, -9}, 1, 1);
  const WeightedAdapter parts[] = {{&one, 1}, {&two, 4}};
  const Adapter out = merged(parts, {.method = MergeMethod::kTies, .density = 0.5});
  // Votes 4, -3, 1, 0. The weights are 1 and sqrt(4).
  EXPECT_EQ(out.matrices[0].a, (std::vector<float>{8, -3, 2, 0}));
  // B keeps [0 0 3 4] and [-3 0 0 -9]: votes -3, 0, 3, -5.
  EXPECT_EQ(out.matrices[0].b, (std::vector<float>{-6, 0, 3, -18}));
}

// As in PEFT, where a sign of 0 counts as positive.
TEST(Merge, ADrawnVoteIsPositive) {
  const Adapter one = single({2, -3}, {1}, 1, 1), two = single({-2, 3}, {1}, 1, 1);
  const WeightedAdapter parts[] = {{&one, 1}, {&two, 1}};
  EXPECT_EQ(merged(parts, {.method = MergeMethod::kTies, .density = 1}).matrices[0].a, (std::vector<float>{2, 3}));
}

// By frequency, and where both agree the mean is taken.
TEST(Merge, TiesByFrequency) {
  const Adapter one = single({1, 1, 2}, {1}, 1, 1), two = single({1, 2, 4}, {1}, 1, 1),
                three = single({-9, -9, 3}, {1}, 1, 1);
  const WeightedAdapter parts[] = {{&one, 1}, {&two, 1}, {&three, 1}};
  MergeOptions options{.method = MergeMethod::kTies, .density = 1, .majority = MajoritySign::kFrequency};
  EXPECT_EQ(merged(parts, options).matrices[0].a, (std::vector<float>{1, 1.5f, 3}));
  options.majority = MajoritySign::kTotal;
  EXPECT_EQ(merged(parts, options).matrices[0].a, (std::vector<float>{-9, -9, 3}));
}

std::vector<double> ties_reference(const std::vector<std::vector<float>>& tasks, const std::vector<double>& weights,
                                   double density) {
  std::vector<std::vector<double>> kept;
  for (const auto& task : tasks) {
    std::vector<size_t> order(task.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t x, size_t y) { return std::abs(task[x]) > std::abs(task[y]); });
    std::vector<double>& out = kept.emplace_back(task.size(), 0.0);
    for (size_t i = 0; i < static_cast<size_t>(density * static_cast<double>(task.size())); ++i) {
      out[order[i]] = task[order[i]];
    }
  }
  std::vector<double> out(tasks[0].size());
  for (size_t i = 0; i < out.size(); ++i) {
    double vote = 0, sum = 0, count = 0;
    for (const auto& task : kept) vote += task[i];
    for (size_t t = 0; t < kept.size(); ++t) {
      const bool agrees = vote >= 0 ? kept[t][i] > 0 : kept[t][i] < 0;
      sum += agrees ? weights[t] * kept[t][i] : 0;
      count += agrees ? 1 : 0;
    }
    out[i] = sum / std::max(count, 1.0);
  }
  return out;
}

TEST(Merge, TiesOfManyNumbers) {
  const Adapter one = tiny_adapter(1), two = tiny_adapter(2), three = tiny_adapter(3);
  const WeightedAdapter parts[] = {{&one, 1}, {&two, 0.5f}, {&three, 2}};
  std::vector<double> weights;
  for (const auto& part : parts) weights.push_back(std::sqrt(double{part.weight} * 16 / 3));
  for (const double density : {0.01, 0.2, 0.5, 0.77, 1.0}) {
    const Adapter out = merged(parts, {.method = MergeMethod::kTies, .density = density});
    for (size_t i = 0; i < out.matrices.size(); ++i) {
      const AdapterMatrix &x = one.matrices[i], &y = two.matrices[i], &z = three.matrices[i];
      expect_close(widened(out.matrices[i].a), ties_reference({x.a, y.a, z.a}, weights, density), 2);
      expect_close(widened(out.matrices[i].b), ties_reference({x.b, y.b, z.b}, weights, density), 2);
    }
  }
}

TEST(Merge, DareKeepsAShareAndRescalesIt) {
  Adapter one = tiny_adapter(1);
  one.matrices = {random_matrix("blk.0.ffn_up", 300, 200, 8, 1)};
  one.matrices[0].alpha = 8;  // scaling 1
  const WeightedAdapter parts[] = {{&one, 1}};
  const MergeOptions options{.method = MergeMethod::kDareLinear, .density = 0.3, .seed = 5};
  const Adapter out = merged(parts, options);
  int64_t kept = 0;
  const AdapterMatrix &m = out.matrices[0], &from = one.matrices[0];
  for (size_t i = 0; i < m.a.size(); ++i) {
    if (m.a[i] == 0) continue;
    ++kept;
    EXPECT_EQ(m.a[i], static_cast<float>(from.a[i] / 0.3));
  }
  // Binomial: 1600 draws, mean 480, deviation 18.3; five of them.
  EXPECT_NEAR(static_cast<double>(kept), 480, 92);
  expect_same_matrices(merged(parts, options), out);
  const Adapter other = merged(parts, {.method = MergeMethod::kDareLinear, .density = 0.3, .seed = 6});
  EXPECT_NE(other.matrices[0].a, m.a);
  expect_close(widened(merged(parts, {.method = MergeMethod::kDareLinear, .density = 1}).matrices[0].a),
               widened(from.a), 0);
}

TEST(Merge, DareDropsTheSameWhateverElseIsMerged) {
  const Adapter one = tiny_adapter(1);
  Adapter less = one;
  less.matrices.erase(less.matrices.begin());
  const MergeOptions options{.method = MergeMethod::kDareLinear, .density = 0.5, .seed = 1};
  const WeightedAdapter all[] = {{&one, 1}}, some[] = {{&less, 1}};
  EXPECT_EQ(merged(all, options).matrices[1].a, merged(some, options).matrices[0].a);
}

TEST(Merge, DareTiesVotesOnWhatIsLeft) {
  const Adapter one = tiny_adapter(1), two = tiny_adapter(2);
  const WeightedAdapter parts[] = {{&one, 1}, {&two, 1}};
  const MergeOptions dare{.method = MergeMethod::kDareTies, .density = 0.5, .seed = 3};
  const Adapter out = merged(parts, dare);
  const double weight = std::sqrt(16.0 / 3);
  for (size_t i = 0; i < out.matrices[0].a.size(); ++i) {
    const double x = one.matrices[0].a[i] / 0.5 * weight, y = two.matrices[0].a[i] / 0.5 * weight;
    const double got = out.matrices[0].a[i];
    // Of each number there is all or nothing; of two signs, one.
    const double choices[] = {0, x, y, (x + y) / 2};
    const bool is_one = std::any_of(std::begin(choices), std::end(choices),
                                    [&](double c) { return std::abs(got - c) <= 0x1p-23 * std::abs(c); });
    EXPECT_TRUE(is_one) << got << " of " << x << " and " << y;
  }
  EXPECT_EQ(merged(parts, {.method = MergeMethod::kDareTies, .density = 1}).matrices[0].a,
            merged(parts, {.method = MergeMethod::kTies, .density = 1}).matrices[0].a);
}

TEST(Merge, TheSameBitsForAnyNumberOfThreads) {
  const Adapter one = tiny_adapter(1), two = tiny_adapter(2);
  const WeightedAdapter parts[] = {{&one, 1}, {&two, 0.5f}};
  for (const auto method : {MergeMethod::kLinear, MergeMethod::kConcatenate, MergeMethod::kTies,
                            MergeMethod::kDareLinear, MergeMethod::kDareTies, MergeMethod::kSvd}) {
    expect_same_matrices(merged(parts, {.method = method}, 3), merged(parts, {.method = method}, 1));
  }
}

// The singular values of a dense matrix [n, k] by power iteration on what is left of it: slow and plain.
std::vector<double> singular_values(std::vector<double> d, int64_t n, int64_t k, int64_t count) {
  std::vector<double> out;
  for (int64_t s = 0; s < count; ++s) {
    std::vector<double> v(k), u(n);
    for (int64_t j = 0; j < k; ++j) v[j] = 1.0 / static_cast<double>(j + 1 + s);
    double length = 0;
    for (int iteration = 0; iteration < 4000; ++iteration) {
      std::fill(u.begin(), u.end(), 0.0);
      for (int64_t i = 0; i < n; ++i) u[i] = std::inner_product(v.begin(), v.end(), d.begin() + i * k, 0.0);
      std::fill(v.begin(), v.end(), 0.0);
      const double norm = std::sqrt(std::inner_product(u.begin(), u.end(), u.begin(), 0.0));
      if (norm == 0) break;
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < k; ++j) v[j] += u[i] / norm * d[i * k + j];
      }
      length = std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
      for (double& x : v) x /= length;
    }
    out.push_back(length);
    for (int64_t i = 0; i < n; ++i) {
      const double along = std::inner_product(v.begin(), v.end(), d.begin() + i * k, 0.0);
      for (int64_t j = 0; j < k; ++j) d[i * k + j] -= along * v[j];
    }
  }
  return out;
}

TEST(Merge, SvdOfFullRankIsTheSumOfTheDeltas) {
  const Adapter one = tiny_adapter(1), two = tiny_adapter(2);
  const WeightedAdapter parts[] = {{&one, 0.5f}, {&two, -1.5f}};
  const Adapter out = merged(parts, {.method = MergeMethod::kSvd, .rank = 100});
  for (const AdapterMatrix& m : out.matrices) {
    EXPECT_EQ(m.r, 6);
    expect_close(dense_delta(out, m), sum_of_deltas(parts, m.layer), 20);
  }
}

// Eckart and Young: the error of the best approximation of rank r has the squares of the other singular values as its
// square, and no other approximation is as near.
TEST(Merge, SvdCutsToTheBestOfItsRank) {
  Adapter one = tiny_adapter(1), two = tiny_adapter(2);
  one.matrices.push_back(
      random_matrix("output", 5, 40, 4, 1));  // wider than high: fewer rows than columns of the stack
  two.matrices.push_back(random_matrix("output", 5, 40, 7, 2));
  one.matrices[0] = random_matrix("blk.0.attn_q", 40, 4, 6, 3);
  two.matrices[0] = random_matrix("blk.0.attn_q", 40, 4, 5, 4);
  const WeightedAdapter parts[] = {{&one, 0.5f}, {&two, 1}};
  for (const int64_t rank : {1, 2, 3, 4}) {
    const Adapter out = merged(parts, {.method = MergeMethod::kSvd, .rank = rank});
    for (const AdapterMatrix& m : out.matrices) {
      ASSERT_EQ(m.r, rank) << m.layer;
      const auto whole = sum_of_deltas(parts, m.layer), cut = dense_delta(out, m);
      const int64_t count = std::min({m.n, m.k, int64_t{11}});
      const auto values = singular_values(whole, m.n, m.k, count);
      double error = 0, expected = 0;
      for (size_t i = 0; i < whole.size(); ++i) error += std::pow(whole[i] - cut[i], 2);
      for (int64_t s = rank; s < count; ++s) expected += values[s] * values[s];
      EXPECT_NEAR(std::sqrt(error), std::sqrt(expected), 1e-5 * values[0]) << m.layer << " rank " << rank;
      for (int64_t s = 0; s < rank; ++s) {  // A's rows are of length 1 and at right angles, B's columns of the values
        double square = 0;
        for (int64_t i = 0; i < m.n; ++i) square += std::pow(double{m.b[i * m.r + s]}, 2);
        EXPECT_NEAR(std::sqrt(square), values[s], 1e-5 * values[0]);
        for (int64_t t = 0; t <= s; ++t) {
          const double dot = std::inner_product(&m.a[s * m.k], &m.a[s * m.k] + m.k, &m.a[t * m.k], 0.0);
          EXPECT_NEAR(dot, s == t ? 1 : 0, 1e-6);
        }
      }
    }
  }
}

TEST(Merge, SvdWithoutARankTakesTheLargest) {
  const Adapter one = tiny_adapter(1);
  Adapter two = tiny_adapter(2);
  for (AdapterMatrix& m : two.matrices) m = random_matrix(m.layer, m.n, m.k, 5, 4);
  const WeightedAdapter parts[] = {{&one, 1}, {&two, 1}};
  for (const AdapterMatrix& m : merged(parts, {.method = MergeMethod::kSvd}).matrices) EXPECT_EQ(m.r, 5);
}

TEST(Svd, NothingAndLessThanFullRankAreNoTrouble) {
  ThinProduct zero{.n = 7, .k = 5, .c = 3, .left = std::vector<double>(21, 0.0), .right = std::vector<double>(15, 1.0)};
  const TruncatedProduct nothing = truncate_product(zero, 2);
  EXPECT_EQ(nothing.rank, 2);
  for (const float v : nothing.b) EXPECT_EQ(v, 0);
  for (const float v : nothing.a) EXPECT_TRUE(std::isfinite(v));
  for (const double v : nothing.values) EXPECT_EQ(v, 0);

  // Three times the same product: rank 1.
  ThinProduct same{.n = 4, .k = 6, .c = 3, .left = {}, .right = {}};
  for (int copy = 0; copy < 3; ++copy) {
    for (const double v : {1, -2, 2, 4}) same.left.push_back(v);
    for (const double v : {3, 0, 4, 0, 0, 12}) same.right.push_back(v);
  }
  const TruncatedProduct one = truncate_product(same, 3);
  EXPECT_NEAR(one.values[0], 3 * 5 * 13, 1e-10);
  EXPECT_NEAR(one.values[1], 0, 1e-12);
  EXPECT_NEAR(one.values[2], 0, 1e-12);
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 6; ++j) {
      double sum = 0;
      for (int s = 0; s < 3; ++s) sum += double{one.b[i * 3 + s]} * double{one.a[s * 6 + j]};
      EXPECT_NEAR(sum, 3 * same.left[i] * same.right[j], 1e-4) << "five roundings of 144";
    }
  }
}

TEST(Merge, RefusesWhatDoesNotGoTogether) {
  const Adapter one = tiny_adapter(1), dora = tiny_adapter(2, "llama", true), other = tiny_adapter(2, "qwen2");
  Adapter wide = tiny_adapter(2), deep = tiny_adapter(2), heads = tiny_adapter(2), broken = tiny_adapter(2);
  wide.matrices[0] = random_matrix("blk.0.attn_q", 16, 14, 3, 1);
  deep.matrices[0] = random_matrix("blk.0.attn_q", 16, 12, 4, 1);
  heads.heads = 8;
  broken.matrices[0].a[0] = NAN;
  const auto refused = [&](const Adapter& second, MergeMethod method, std::vector<std::string> says) {
    const WeightedAdapter parts[] = {{&one, 1}, {&second, 1}};
    const std::string error = error_of(merge(parts, {.method = method}));
    EXPECT_NE(error, "");
    expect_says(error, says);
  };
  refused(dora, MergeMethod::kLinear, {"DoRA"});
  refused(other, MergeMethod::kLinear, {"qwen2", "llama"});
  refused(heads, MergeMethod::kLinear, {"8", "2"});
  refused(wide, MergeMethod::kConcatenate, {"blk.0.attn_q", "16 x 12", "16 x 14"});
  refused(deep, MergeMethod::kTies, {"rank 3", "4", "cat"});
  refused(broken, MergeMethod::kSvd, {"NaN"});
  const WeightedAdapter parts[] = {{&one, 1}, {&deep, 1}}, negative[] = {{&one, -1}}, wild[] = {{&one, INFINITY}};
  EXPECT_TRUE(merge(parts, {.method = MergeMethod::kConcatenate}).ok());
  expect_says(error_of(merge(negative, {.method = MergeMethod::kTies})), {"-1", "signs"});
  expect_says(error_of(merge(wild, {})), {"finite"});
  expect_says(error_of(merge({}, {})), {"0"});
  for (const double density : {0.0, -1.0, 1.5, static_cast<double>(NAN)}) {
    expect_says(error_of(merge(std::span(parts).first(1), {.method = MergeMethod::kTies, .density = density})),
                {"density"});
  }
  expect_says(error_of(merge(parts, {.method = MergeMethod::kSvd, .rank = -1})), {"rank"});
  const Adapter large = single({3e38f}, {3e38f}, 1, 1);
  const WeightedAdapter twice[] = {{&large, 1}, {&large, 1}};
  expect_says(error_of(merge(twice, {})), {"infinity"});
}

TEST(Merge, OriginsAreKeptWhereTheyAgree) {
  const Adapter one = tiny_adapter(1);
  Adapter two = tiny_adapter(2);
  const WeightedAdapter parts[] = {{&one, 1}, {&two, 1}};
  EXPECT_EQ(merged(parts, {}).base_hash, one.base_hash);
  two.base_hash = "other";
  EXPECT_EQ(merged(parts, {}).base_hash, "");
  EXPECT_EQ(merged(parts, {}).base_name, one.base_name);
}

}  // namespace
}  // namespace andiron
