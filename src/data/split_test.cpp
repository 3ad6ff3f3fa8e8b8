#include "data/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>

namespace andiron {
namespace {

std::vector<uint64_t> orders_of(int first, int count, uint64_t seed = 1) {
  std::vector<uint64_t> orders;
  for (int i = first; i < first + count; ++i) orders.push_back(held_out_order("document " + std::to_string(i), seed));
  return orders;
}

int64_t held(const HeldOut& out) { return std::count(out.rows.begin(), out.rows.end(), uint8_t{1}); }

TEST(HoldOut, ThePartAskedForIsHeldOut) {
  const auto orders = orders_of(0, 10'000);
  const HeldOut out = hold_out(orders, {.part = 0.05, .rows_max = 100'000});
  // Binomial: 500 of 10,000 with a standard deviation of 22.
  EXPECT_GT(held(out), 400);
  EXPECT_LT(held(out), 600);
  EXPECT_EQ(out.documents, 10'000);
  EXPECT_EQ(out.held_out, held(out));
}

TEST(HoldOut, OtherDocumentsMoveNone) {
  const auto few = orders_of(0, 500);
  const auto many = orders_of(-700, 2000);
  const HeldOutOptions options{.part = 0.1, .rows_max = 100'000};
  const HeldOut a = hold_out(few, options);
  const HeldOut b = hold_out(many, options);
  for (size_t i = 0; i < few.size(); ++i) EXPECT_EQ(a.rows[i], b.rows[i + 700]);
  EXPECT_GT(held(a), 0);
  EXPECT_NE(hold_out(orders_of(0, 500, 2), options).rows, a.rows) << "another seed holds out others";
}

TEST(HoldOut, AtLeastOneOfTwoAndNeverAll) {
  for (int count = 2; count < 30; ++count) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      for (const double part : {0.0001, 0.05, 0.99}) {
        const HeldOut out = hold_out(orders_of(0, count, seed), {.part = part, .rows_max = 1000});
        EXPECT_GE(held(out), 1);
        EXPECT_LT(held(out), count);
      }
    }
  }
  EXPECT_EQ(held(hold_out(orders_of(0, 1), {})), 0);
  EXPECT_EQ(held(hold_out({}, {})), 0);
  EXPECT_EQ(held(hold_out(orders_of(0, 100), {.part = 0})), 0);
}

TEST(HoldOut, TheFirstInOrderStayWhenThereAreTooMany) {
  const auto orders = orders_of(0, 1000);
  const HeldOut few = hold_out(orders, {.part = 0.5, .rows_max = 10});
  EXPECT_EQ(held(few), 10);
  uint64_t last_held = 0;
  uint64_t first_trained = UINT64_MAX;
  for (size_t i = 0; i < orders.size(); ++i) {
    if (few.rows[i] != 0) {
      last_held = std::max(last_held, orders[i]);
    } else {
      first_trained = std::min(first_trained, orders[i]);
    }
  }
  EXPECT_LT(last_held, first_trained);
}

TEST(HoldOut, ARowNeverParts) {
  // Twenty documents of 1 to 20 rows, their rows in turn.
  std::vector<uint64_t> orders;
  for (int row = 0; row < 20; ++row) {
    for (int i = row; i < 20; ++i) orders.push_back(held_out_order(std::to_string(i), 3));
  }
  const HeldOut out = hold_out(orders, {.part = 0.2});
  EXPECT_EQ(out.documents, 20);
  EXPECT_GT(held(out), 0);
  for (size_t i = 0; i < orders.size(); ++i) {
    for (size_t j = 0; j < orders.size(); ++j) {
      if (orders[i] == orders[j]) {
        EXPECT_EQ(out.rows[i], out.rows[j]);
      }
    }
  }
}

TEST(HoldOut, ALongDocumentIsHeldOutByBlocks) {
  const std::vector<uint64_t> orders(1000, held_out_order("text", 1));
  const HeldOut out = hold_out(orders, {.part = 0.05, .rows_max = 1000});
  EXPECT_EQ(out.documents, 1);
  EXPECT_GT(held(out), 0);
  EXPECT_LT(held(out), 200);
  EXPECT_EQ(held(out), 25 * out.held_out) << "blocks of 25 rows";
  for (size_t i = 0; i < orders.size(); ++i) EXPECT_EQ(out.rows[i], out.rows[i / 25 * 25]);
  // Two rows of one document are two blocks.
  EXPECT_EQ(held(hold_out(std::vector<uint64_t>(2, 7), {})), 1);
}

}  // namespace
}  // namespace andiron
