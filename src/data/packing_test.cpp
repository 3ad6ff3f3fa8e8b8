#include "data/packing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace andiron {
namespace {

using Batches = std::vector<std::vector<uint32_t>>;

std::vector<int64_t> random_lengths(size_t count, int64_t longest) {
  const RandomStream random(7);
  std::vector<int64_t> lengths(count);
  for (size_t i = 0; i < count; ++i) {
    lengths[i] = 1 + static_cast<int64_t>(random.uniform(i) * static_cast<double>(longest));
  }
  return lengths;
}

std::vector<uint32_t> all_rows(const Batches& batches) {
  std::vector<uint32_t> rows;
  for (const auto& batch : batches) rows.insert(rows.end(), batch.begin(), batch.end());
  return rows;
}

int64_t length_of(const std::vector<uint32_t>& batch, const std::vector<int64_t>& lengths) {
  int64_t sum = 0;
  for (const uint32_t row : batch) sum += lengths[row];
  return sum;
}

TEST(PlanEpoch, EveryRowIsInOneBatchAndNoSequenceOverflows) {
  const auto lengths = random_lengths(3001, 200);
  for (const auto order : {PackOptions::Order::kShuffled, PackOptions::Order::kGiven}) {
    for (const bool pack : {true, false}) {
      const Batches batches = plan_epoch(lengths, {.seq_len = 256, .pack = pack, .order = order}, 3);
      auto rows = all_rows(batches);
      std::sort(rows.begin(), rows.end());
      ASSERT_EQ(rows.size(), lengths.size());
      for (uint32_t i = 0; i < rows.size(); ++i) ASSERT_EQ(rows[i], i);
      for (const auto& batch : batches) {
        EXPECT_LE(length_of(batch, lengths), 256);
        if (!pack) {
          EXPECT_EQ(batch.size(), 1U);
        }
      }
    }
  }
}

TEST(PlanEpoch, SequencesAreNearlyFull) {
  const auto lengths = random_lengths(5000, 200);
  const Batches batches = plan_epoch(lengths, {.seq_len = 512}, 0);
  const double full = static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), int64_t{0})) /
                      (512.0 * static_cast<double>(batches.size()));
  EXPECT_GT(full, 0.98);
}

TEST(PlanEpoch, DependsOnSeedAndEpochAndNothingElse) {
  const auto lengths = random_lengths(500, 100);
  const PackOptions options{.seq_len = 128, .seed = 11};
  const Batches first = plan_epoch(lengths, options, 0);
  EXPECT_EQ(plan_epoch(lengths, options, 0), first);
  EXPECT_NE(plan_epoch(lengths, options, 1), first);
  PackOptions other = options;
  other.seed = 12;
  EXPECT_NE(plan_epoch(lengths, other, 0), first);
}

// Were bins not shuffled after filling, the first batches would hold the longest rows of the window.
TEST(PlanEpoch, LengthDoesNotSayWhenARowComes) {
  std::vector<int64_t> lengths(1000, 10);
  for (size_t i = 0; i < 500; ++i) lengths[i] = 100;
  const auto rows = all_rows(plan_epoch(lengths, {.seq_len = 100}, 0));
  const auto long_in_first_half =
      std::count_if(rows.begin(), rows.begin() + 500, [](uint32_t row) { return row < 500; });
  // 500 bins of one long row and 50 of ten short ones: of the first 500 rows about 250 are long, give or take 50.
  EXPECT_GT(long_in_first_half, 150);
  EXPECT_LT(long_in_first_half, 350);
}

TEST(PlanEpoch, GivenOrderIsKept) {
  const std::vector<int64_t> lengths = {5, 5, 1, 20, 3, 3};
  const PackOptions options{.seq_len = 10, .order = PackOptions::Order::kGiven};
  EXPECT_EQ(plan_epoch(lengths, options, 0), (Batches{{0, 1}, {2}, {3}, {4, 5}}));
  EXPECT_TRUE(plan_epoch({}, options, 0).empty());
}

TEST(JoinSequences, AsManyAsFitAndAtLeastOne) {
  const std::vector<int64_t> positions = {3, 4, 2, 9, 1, 1};
  const Batches sequences = {{0, 1}, {2}, {3}, {4}, {5}};
  EXPECT_EQ(join_sequences(sequences, positions, 9), (Batches{{0, 1, 2}, {3}, {4, 5}}));
  EXPECT_EQ(join_sequences(sequences, positions, 4), (Batches{{0, 1}, {2}, {3}, {4, 5}})) << "longer ones run alone";
  EXPECT_TRUE(join_sequences({}, positions, 4).empty());
}

TEST(PackRows, RowsBecomeSegmentsWithoutTheirLastToken) {
  const TokenRow a{{1, 2, 3}, {0, 0, 1}};
  const TokenRow b{{4, 5}, {0, 1}};
  const TokenRow* rows[] = {&a, &b, &a};
  const PackedBatch batch = pack_rows(rows);
  EXPECT_EQ(batch.tokens, (std::vector<int32_t>{1, 2, 4, 1, 2}));
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{2, 3, 5, 2, 3}));
  EXPECT_EQ(batch.weights, (std::vector<float>{0, 1, 1, 0, 1}));
  EXPECT_EQ(batch.weight_sum, 3);
  ASSERT_EQ(batch.segments.size(), 3U);
  EXPECT_EQ(batch.segments[1].first, 2);
  EXPECT_EQ(batch.segments[1].count, 1);
  EXPECT_EQ(batch.segments[1].row, 1U);
  EXPECT_EQ(batch.segments[2].first, 3);
}

TEST(PackRows, PromptsWeighWhatIsSaid) {
  constexpr int32_t kBos = 9;
  const TokenRow chat{{kBos, 1, 2, 3, 4}, {0, 0, 0, 1, 0}};
  const TokenRow begun{{1, 2, 3}, {0, 0, 1}};
  const TokenRow text{{kBos, 1, 2}, {0, 1, 1}};
  const TokenRow goes_on{{kBos, 3, 4}, {0, 0, 1}};
  const TokenRow* rows[] = {&chat, &begun, &text, &goes_on};
  const PackedBatch batch = pack_rows(rows, {.weight = 0.1F, .bos = kBos});
  EXPECT_EQ(batch.weights, (std::vector<float>{0.1F, 0.1F, 1, 0.1F, 0.1F, 1, 1, 1, 0, 1}));
  EXPECT_EQ(batch.weight_sum, 5 + 4 * static_cast<double>(0.1F));
  EXPECT_EQ(pack_rows(rows).weights, (std::vector<float>{0, 0, 1, 0, 0, 1, 1, 1, 0, 1}));
  const PackedBatch even = pack_rows(rows, {.weight = 1});
  EXPECT_EQ(even.weights, std::vector<float>(10, 1)) << "without a bos no row is known to go on";
}

}  // namespace
}  // namespace andiron
