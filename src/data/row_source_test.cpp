#include "data/row_source.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace andiron {
namespace {

TokenRows some_rows(int count) {
  TokenRows rows;
  for (int i = 0; i < count; ++i) {
    rows.rows.emplace_back();
    rows.rows.back().tokens.assign(static_cast<size_t>(2 + i % 5), i);
    rows.rows.back().trained.assign(static_cast<size_t>(2 + i % 5), 1);
  }
  return rows;
}

std::vector<std::vector<uint64_t>> numbers(const SequenceBatch& batch) {
  std::vector<std::vector<uint64_t>> out;
  for (const auto& sequence : batch.sequences) {
    out.emplace_back();
    for (const uint32_t row : sequence) out.back().push_back(batch.numbers[row]);
  }
  return out;
}

TEST(MemoryRows, EveryEpochHasEveryRowOnceInAnOrderOfItsOwn) {
  const TokenRows rows = some_rows(50);
  const PackOptions options = {.seq_len = 8, .seed = 3};
  MemoryRows source(rows, options);
  const auto plan = plan_epoch(row_positions(rows), options, 0);
  const auto count = static_cast<int64_t>(plan.size());
  const auto first = source.sequences(0, count);
  ASSERT_TRUE(first.ok());
  const auto found = numbers(*first);
  ASSERT_EQ(found.size(), plan.size());
  for (size_t i = 0; i < plan.size(); ++i) {
    EXPECT_EQ(found[i], std::vector<uint64_t>(plan[i].begin(), plan[i].end()));
  }
  for (size_t i = 0; i < first->numbers.size(); ++i) {
    EXPECT_EQ(first->rows.rows[i].tokens, rows.rows[first->numbers[i]].tokens);
  }
  const auto second = source.sequences(count, count);
  EXPECT_NE(numbers(*second), found);
}

TEST(MemoryRows, AnyCutGivesTheSameSequences) {
  const TokenRows rows = some_rows(30);
  const PackOptions options = {.seq_len = 6, .seed = 3};
  MemoryRows whole(rows, options);
  const auto expected = numbers(*whole.sequences(0, 60));  // several epochs
  for (const int64_t first : {0, 59, 7, 31, 3}) {
    MemoryRows fresh(rows, options);
    for (MemoryRows* source : {&fresh, &whole}) {  // taken up there, and gone back to
      const auto found = numbers(*source->sequences(first, std::min<int64_t>(5, 60 - first)));
      for (size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], expected[static_cast<size_t>(first) + i]) << first;
    }
  }
}

TEST(MemoryRows, PairsAndLabelsStayTogether) {
  TokenRows rows = some_rows(6);
  rows.rejected = some_rows(6).rows;
  rows.desirable = {0, 1, 0, 0, 1, 1};
  MemoryRows source(rows, {.seq_len = 20, .pack = false});
  const auto batch = source.sequences(0, 6);
  ASSERT_TRUE(batch.ok());
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(batch->rows.rejected[i].tokens, batch->rows.rows[i].tokens);
    EXPECT_EQ(batch->rows.desirable[i], rows.desirable[batch->numbers[i]]);
  }
  const TokenRows none;
  EXPECT_FALSE(MemoryRows(none, {}).sequences(0, 1).ok());
}

}  // namespace
}  // namespace andiron
