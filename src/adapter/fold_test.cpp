#include "adapter/fold.h"

#include <gtest/gtest.h>

#include <cmath>

#include "adapter/adapter_fixture.h"

namespace andiron {
namespace {

std::vector<float> random_rows(int64_t count, uint64_t seed) {
  std::vector<float> out;
  const RandomStream random(seed, 77);
  for (int64_t i = 0; i < count; ++i) out.push_back(static_cast<float>(random.normal(static_cast<uint64_t>(i))));
  return out;
}

// The definition, on the whole matrix, in double: W + sum of strength times what each adapter alone would add.
std::vector<double> reference(std::span<const WornAdapter> worn, const std::string& layer,
                              const std::vector<float>& w) {
  std::vector<double> out(w.begin(), w.end());
  for (const WornAdapter& one : worn) {
    const AdapterMatrix& m = *one.adapter->find(layer);
    const std::vector<double> delta = dense_delta(*one.adapter, m);
    for (int64_t i = 0; i < m.n; ++i) {
      double square = 0;
      for (int64_t j = 0; j < m.k; ++j) square += std::pow(w[i * m.k + j] + delta[i * m.k + j], 2);
      const double gain = m.magnitude.empty() ? 1 : m.magnitude[i] / std::sqrt(square);
      for (int64_t j = i * m.k; j < (i + 1) * m.k; ++j) {
        out[j] += double{one.strength} * (gain * (w[j] + delta[j]) - w[j]);
      }
    }
  }
  return out;
}

// One rounding to float of a number of that size, and the noise of double sums, which is far below it.
void expect_close(std::span<const float> got, std::span<const double> expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], expected[i], 0x1p-24 * std::abs(expected[i]) + 1e-12) << i;
  }
}

TEST(Fold, AddsTheDelta) {
  Adapter adapter = tiny_adapter(1);
  adapter.rslora = true;
  const WornAdapter worn[] = {{&adapter, 1}};
  const AdapterMatrix& m = adapter.matrices[0];
  std::vector<float> w = random_rows(m.n * m.k, 1);
  const auto expected = reference(worn, m.layer, w);
  fold_rows(worn, m.layer, 0, m.n, w);
  expect_close(w, expected);
}

TEST(Fold, ScalesToTheMagnitudeWithDora) {
  const Adapter adapter = tiny_adapter(2, "llama", true);
  const WornAdapter worn[] = {{&adapter, 1}};
  const AdapterMatrix& m = adapter.matrices[1];
  std::vector<float> w = random_rows(m.n * m.k, 1);
  const auto expected = reference(worn, m.layer, w);
  fold_rows(worn, m.layer, 0, m.n, w);
  expect_close(w, expected);
  for (int64_t i = 0; i < m.n; ++i) {
    double square = 0;
    for (int64_t j = 0; j < m.k; ++j) square += std::pow(double{w[i * m.k + j]}, 2);
    EXPECT_NEAR(std::sqrt(square), std::abs(m.magnitude[i]), 1e-6) << "the length of row " << i;
  }
}

TEST(Fold, ADoraThatLearnedNothingChangesNothing) {
  Adapter adapter = tiny_adapter(2, "llama", true);
  AdapterMatrix& m = adapter.matrices[0];
  const std::vector<float> w = random_rows(m.n * m.k, 1);
  std::fill(m.b.begin(), m.b.end(), 0.0f);
  for (int64_t i = 0; i < m.n; ++i) {
    double square = 0;
    for (int64_t j = 0; j < m.k; ++j) square += std::pow(double{w[i * m.k + j]}, 2);
    m.magnitude[i] = static_cast<float>(std::sqrt(square));
  }
  const WornAdapter worn[] = {{&adapter, 1}};
  std::vector<float> rows = w;
  fold_rows(worn, m.layer, 0, m.n, rows);
  // The magnitude is rounded once and the product once.
  for (size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(rows[i], w[i], 2 * 0x1p-24 * std::abs(w[i]));
}

TEST(Fold, AdaptersAddUpByTheirStrength) {
  const Adapter one = tiny_adapter(3), two = tiny_adapter(4, "llama", true), off = tiny_adapter(5);
  const WornAdapter worn[] = {{&one, 0.5f}, {&two, -1.25f}, {&off, 0}};
  const AdapterMatrix& m = one.matrices[2];
  const std::vector<float> w = random_rows(m.n * m.k, 1);
  const auto expected = reference(worn, m.layer, w);
  std::vector<float> whole = w;
  fold_rows(worn, m.layer, 0, m.n, whole);
  expect_close(whole, expected);

  std::vector<float> parts = w;
  for (int64_t row = 0; row < m.n; row += 5) {
    const int64_t count = std::min<int64_t>(5, m.n - row);
    fold_rows(worn, m.layer, row, count, std::span(parts).subspan(row * m.k, count * m.k));
  }
  EXPECT_EQ(parts, whole) << "whatever the cut";
}

TEST(Fold, OtherLayersAndZeroRowsStay) {
  const Adapter adapter = tiny_adapter(3, "llama", true);
  const WornAdapter worn[] = {{&adapter, 1}};
  EXPECT_TRUE(changes_layer(worn, "blk.0.attn_q"));
  EXPECT_FALSE(changes_layer(worn, "blk.0.attn_v"));
  std::vector<float> rows = {1, 2, 3};
  fold_rows(worn, "blk.0.attn_v", 0, 1, rows);
  EXPECT_EQ(rows, (std::vector<float>{1, 2, 3}));

  Adapter flat = adapter;
  std::fill(flat.matrices[0].b.begin(), flat.matrices[0].b.end(), 0.0f);
  const WornAdapter flat_worn[] = {{&flat, 1}};
  std::vector<float> zeros(flat.matrices[0].k, 0.0f);
  fold_rows(flat_worn, "blk.0.attn_q", 3, 1, zeros);
  for (const float v : zeros) EXPECT_EQ(v, 0) << "no direction to scale, and no NaN";
}

}  // namespace
}  // namespace andiron
