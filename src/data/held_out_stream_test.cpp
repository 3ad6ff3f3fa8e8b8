#include "data/held_out_stream.h"

#include <gtest/gtest.h>

#include <set>

#include "base/strings.h"
#include "data/split.h"

namespace andiron {
namespace {

struct Sides {
  std::vector<int32_t> train, held_out;  // the first token of each row
  int64_t documents = 0;
};

// Documents of so many rows each; every row has four positions and a number of its own.
Sides divide(const std::vector<int>& documents, double part, int64_t positions_max = 1 << 20, int skip = -1) {
  Sides out;
  HeldOutStream stream(part, positions_max, [&](LoadedRow&& row) -> Status {
    out.train.push_back(row.row.tokens[0]);
    return {};
  });
  int32_t number = 0;
  for (size_t d = 0; d < documents.size(); ++d) {
    for (int i = 0; i < documents[d]; ++i, ++number) {
      if (static_cast<int>(d) == skip) continue;
      LoadedRow row;
      row.row.tokens.assign(5, number);
      row.row.trained.assign(5, 1);
      row.order = held_out_order(format("document {}", d), 1);
      EXPECT_TRUE(stream.add(std::move(row)).ok());
    }
  }
  const auto held_out = stream.finish();
  EXPECT_TRUE(held_out.ok());
  if (held_out.ok()) {
    for (const LoadedRow& row : *held_out) out.held_out.push_back(row.row.tokens[0]);
  }
  out.documents = stream.documents();
  return out;
}

TEST(HeldOutStream, EveryRowIsOnOneSideAndDocumentsStayWhole) {
  const std::vector<int> documents(400, 3);
  const Sides sides = divide(documents, 0.1);
  std::set<int32_t> all(sides.train.begin(), sides.train.end());
  for (const int32_t row : sides.held_out) EXPECT_TRUE(all.insert(row).second);
  EXPECT_EQ(all.size(), 1200U);
  EXPECT_EQ(sides.documents, 400);
  std::set<int32_t> held;
  for (const int32_t row : sides.held_out) held.insert(row / 3);
  EXPECT_EQ(held.size() * 3, sides.held_out.size());
  EXPECT_NEAR(static_cast<double>(held.size()), 40, 24);  // four deviations of 400 tosses
}

// The same documents as data/split.h chooses, where none counts as several.
TEST(HeldOutStream, ChoosesAsTheRuleInMemory) {
  const std::vector<int> documents(200, 1);
  std::vector<uint64_t> orders;
  for (int d = 0; d < 200; ++d) orders.push_back(held_out_order(format("document {}", d), 1));
  const HeldOut expected = hold_out(orders, {.part = 0.1});
  const Sides sides = divide(documents, 0.1);
  std::set<int32_t> held(sides.held_out.begin(), sides.held_out.end());
  for (int32_t d = 0; d < 200; ++d) EXPECT_EQ(held.count(d), expected.rows[static_cast<size_t>(d)]) << d;
}

TEST(HeldOutStream, OtherDocumentsMoveNothing) {
  const std::vector<int> documents(100, 2);
  const Sides all = divide(documents, 0.2);
  const Sides without = divide(documents, 0.2, 1 << 20, 17);
  std::vector<int32_t> expected;
  for (const int32_t row : all.held_out) {
    if (row / 2 != 17) expected.push_back(row);
  }
  EXPECT_EQ(without.held_out, expected);
}

TEST(HeldOutStream, ALongDocumentCountsAsBlocks) {
  const Sides sides = divide({2000}, 0.1);
  EXPECT_EQ(sides.documents, 1);
  ASSERT_FALSE(sides.held_out.empty());
  EXPECT_EQ(sides.held_out.size() % HeldOutStream::kBlockRows, 0U);
  std::set<int32_t> blocks;
  for (const int32_t row : sides.held_out) blocks.insert(row / 16);
  EXPECT_EQ(blocks.size() * 16, sides.held_out.size());
  EXPECT_NEAR(static_cast<double>(blocks.size()), 12.5, 13.5);  // four deviations of 125 tosses
}

TEST(HeldOutStream, KeepsAtLeastOneOfTwoAndNeverAllAndNoMoreThanAsked) {
  EXPECT_EQ(divide({1, 1}, 1e-9).held_out.size(), 1U);
  EXPECT_EQ(divide({1, 1}, 0.999999).train.size(), 1U);
  EXPECT_EQ(divide({1}, 0.5).train.size(), 1U);
  EXPECT_TRUE(divide({5, 5}, 0).held_out.empty());
  EXPECT_TRUE(divide({}, 0.5).held_out.empty());
  const Sides few = divide(std::vector<int>(100, 1), 0.9, 40);
  EXPECT_EQ(few.held_out.size(), 10U) << "of four positions each";
  EXPECT_EQ(divide({200}, 0.9, 40).held_out.size(), 10U) << "where a block would be 64 positions";
  EXPECT_EQ(divide({200}, 0.9, 3).held_out.size(), 1U) << "a row is not cut";
  const Sides many = divide(std::vector<int>(100, 1), 0.9, 80);
  EXPECT_EQ(std::vector<int32_t>(many.held_out.begin(), many.held_out.begin() + 10), few.held_out)
      << "the first in order stay";
}

}  // namespace
}  // namespace andiron
