// Tokens on disk: what is written is read back, in an order of the seed's that can be taken up anywhere.
#include "data/token_shards.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/strings.h"
#include "base/test_folder.h"

namespace andiron {
namespace {

const std::string kKey(32, 'a');

class TokenShardsTest : public testing::Test {
 protected:
  // Row i has 2 to 9 tokens that begin with i, and is of source i % 3.
  static TokenRow row(int i) {
    TokenRow row;
    row.tokens.assign(static_cast<size_t>(2 + i % 8), i);
    for (size_t j = 0; j < row.tokens.size(); ++j) row.trained.push_back(j > 0 && (i + static_cast<int>(j)) % 3 != 0);
    return row;
  }
  std::vector<TokenChunk> write(int rows, const ShardOptions& options) {
    auto writer = ShardWriter::create(folder_.path(), options);
    EXPECT_TRUE(writer.ok());
    for (int i = 0; i < rows; ++i) EXPECT_TRUE(writer->add(row(i), static_cast<uint32_t>(i % 3)).ok());
    auto chunks = writer->finish();
    EXPECT_TRUE(chunks.ok());
    return chunks.ok() ? *chunks : std::vector<TokenChunk>();
  }
  std::unique_ptr<ShardRows> open(const ShardOptions& made, const std::vector<TokenChunk>& chunks,
                                  const ShardRowsOptions& options = {}) {
    auto rows = ShardRows::open(folder_.path(), made, chunks, options);
    EXPECT_TRUE(rows.ok()) << (rows.ok() ? "" : rows.error().message);
    return rows.ok() ? std::move(*rows) : nullptr;
  }
  static ShardOptions made(uint32_t files, bool wide = false) {
    ShardOptions out;
    out.key = kKey;
    out.files = files;
    out.wide = wide;
    out.seed = 5;
    out.chunk_bytes = 200;  // some six rows
    return out;
  }
  static std::vector<std::vector<uint64_t>> numbers(const Result<SequenceBatch>& batch) {
    std::vector<std::vector<uint64_t>> out;
    EXPECT_TRUE(batch.ok()) << (batch.ok() ? "" : batch.error().message);
    if (!batch.ok()) return out;
    for (const auto& sequence : batch->sequences) {
      out.emplace_back();
      for (const uint32_t i : sequence) out.back().push_back(batch->numbers[i]);
    }
    return out;
  }

  TestFolder folder_;
};

TEST_F(TokenShardsTest, RowsComeBackAsTheyWere) {
  for (const bool wide : {false, true}) {
    const auto options = made(3, wide);
    const auto chunks = write(300, options);
    EXPECT_GT(chunks.size(), 30U);
    const auto source = open(options, chunks, {.packing = {.seq_len = 16}});
    const auto count = source->sequences_per_epoch();
    ASSERT_TRUE(count.ok());
    const auto batch = source->sequences(0, *count);
    ASSERT_TRUE(batch.ok());
    std::set<uint64_t> seen;
    for (size_t i = 0; i < batch->numbers.size(); ++i) {
      const TokenRow expected = row(static_cast<int>(batch->numbers[i]));
      EXPECT_EQ(batch->rows.rows[i].tokens, expected.tokens);
      EXPECT_EQ(batch->rows.rows[i].trained, expected.trained);
      EXPECT_TRUE(seen.insert(batch->numbers[i]).second);
    }
    EXPECT_EQ(seen.size(), 300U);
    for (const auto& sequence : batch->sequences) {
      int64_t positions = 0;
      for (const uint32_t i : sequence) positions += batch->rows.rows[i].positions();
      EXPECT_LE(positions, 16);
    }
    EXPECT_EQ(open(options, chunks, {.packing = {.seq_len = 16}})->all()->rows.size(), 300U);
  }
  auto options = made(1, true);
  auto writer = ShardWriter::create(folder_.path(), options);
  ASSERT_TRUE(writer->add({{70000, 0x7fffffff}, {0, 1}}, 0).ok());
  EXPECT_EQ(open(options, *writer->finish())->all()->rows[0].tokens, (std::vector<int32_t>{70000, 0x7fffffff}));
}

// Files are samples of all rows, and an epoch's order is neither the data's nor another's.
TEST_F(TokenShardsTest, OrdersAreOfTheSeedAndTheEpoch) {
  const auto options = made(4);
  const auto chunks = write(400, options);
  const auto order = [&](uint64_t seed, int64_t epoch) {
    const auto source =
        open(options, chunks, {.packing = {.seq_len = 8, .pack = false, .seed = seed}, .window_chunks = 8});
    return numbers(source->sequences(400 * epoch, 400));
  };
  const auto first = order(1, 0);
  EXPECT_EQ(first, order(1, 0));
  EXPECT_NE(first, order(1, 1));
  EXPECT_NE(first, order(2, 0));
  // Of the first quarter of what is seen, about a quarter stands in each quarter of the data: 25 of 100; 4.3 is the
  // deviation of drawing 100 of 400 without putting back, and chunks of six rows widen it by some two times.
  std::array<int, 4> quarters{};
  for (size_t i = 0; i < 100; ++i) ++quarters[first[i][0] / 100];
  for (const int count : quarters) EXPECT_NEAR(count, 25, 22);
}

TEST_F(TokenShardsTest, AnyCutGivesTheSameSequences) {
  const auto options = made(3);
  const auto chunks = write(100, options);
  const ShardRowsOptions reading = {.packing = {.seq_len = 16, .seed = 3}, .weights = {1, 0.5, 2}, .window_chunks = 4};
  const auto whole = open(options, chunks, reading);
  const auto expected = numbers(whole->sequences(0, 150));  // several epochs
  ASSERT_EQ(expected.size(), 150U);
  for (const int64_t first : {0, 149, 33, 70, 7}) {
    const auto fresh = open(options, chunks, reading);
    for (ShardRows* source : {fresh.get(), whole.get()}) {
      const auto found = numbers(source->sequences(first, std::min<int64_t>(20, 150 - first)));
      for (size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], expected[static_cast<size_t>(first) + i]) << first;
    }
  }
}

TEST_F(TokenShardsTest, WeightsSayHowOftenRowsAreSeen) {
  const auto options = made(2);
  const auto chunks = write(300, options);
  const auto source = open(options, chunks, {.packing = {.seq_len = 8, .pack = false}, .weights = {0, 2, 0.5}});
  std::map<uint64_t, int> seen;
  const auto count = source->sequences_per_epoch();
  for (const auto& sequence : numbers(source->sequences(0, *count))) ++seen[sequence[0]];
  int halves = 0;
  for (uint64_t i = 0; i < 300; ++i) {
    if (i % 3 == 2) {
      halves += seen[i];
    } else {
      EXPECT_EQ(seen[i], i % 3 == 1 ? 2 : 0);
    }
  }
  EXPECT_NEAR(halves, 50, 20);  // four deviations of a hundred tosses of a coin
  const auto nothing = open(options, chunks, {.packing = {.seq_len = 8}, .weights = {0, 0, 0}});
  EXPECT_NE(nothing->sequences(0, 1).error().message.find("leave no row"), std::string::npos);
}

// Rows that are shown often fill windows: one of 50 places holds five rows of weight ten.
TEST_F(TokenShardsTest, WeightsDoNotMakeWindowsLarger) {
  const auto options = made(2);
  const auto chunks = write(300, options);
  const ShardRowsOptions reading = {
      .packing = {.seq_len = 8, .pack = false, .seed = 3}, .weights = {10, 10, 1.5}, .window_places = 50};
  const auto source = open(options, chunks, reading);
  const auto count = source->sequences_per_epoch();
  ASSERT_TRUE(count.ok());
  const auto all = numbers(source->sequences(0, *count));
  std::map<uint64_t, int> seen;
  std::set<uint64_t> first;
  for (size_t i = 0; i < all.size(); ++i) {
    ++seen[all[i][0]];
    if (i < 50) first.insert(all[i][0]);
  }
  EXPECT_LT(first.size(), 25U) << "of 300";
  for (uint64_t i = 0; i < 300; ++i) {
    if (i % 3 == 2) {
      EXPECT_TRUE(seen[i] == 1 || seen[i] == 2) << i;
    } else {
      EXPECT_EQ(seen[i], 10) << i;
    }
  }
  for (const int64_t from : {0, 49, 50, 777}) {  // and on into the next epoch
    const auto found = numbers(open(options, chunks, reading)->sequences(from, 100));
    for (size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], all[static_cast<size_t>(from) + i]) << from;
  }
  const auto again = numbers(source->sequences(*count, *count));
  EXPECT_NE(again, all) << "another epoch";
}

TEST_F(TokenShardsTest, OtherAndDamagedFilesAreRefused) {
  const auto options = made(2);
  auto chunks = write(60, options);
  const auto refused = [&](const ShardOptions& by, const std::vector<TokenChunk>& list, size_t seq_len = 16) {
    auto rows = ShardRows::open(folder_.path(), by, list, {.packing = {.seq_len = static_cast<int64_t>(seq_len)}});
    if (!rows.ok()) return rows.error().message;
    const auto all = (*rows)->all();
    return all.ok() ? std::string() : all.error().message;
  };
  EXPECT_EQ(refused(options, chunks), "");
  auto other = options;
  other.key = std::string(32, 'b');
  EXPECT_NE(refused(other, chunks).find("made of other data or another tokenizer"), std::string::npos);
  EXPECT_NE(refused(options, chunks, 4).find("a row of "), std::string::npos);
  auto wrong = chunks;
  wrong[0].bytes = 1 << 20;
  EXPECT_NE(refused(options, wrong).find("cut short"), std::string::npos);
  wrong = chunks;
  wrong[0].file = 9;
  EXPECT_NE(refused(options, wrong).find("there is no file 9"), std::string::npos);
  // Every byte counts.
  const std::string path = token_shard_path(folder_.path(), 0);
  const auto whole = read_bytes(path);
  for (size_t i = 0; i < whole.size(); i += 7) {
    auto flipped = whole;
    flipped[i] ^= 1;
    folder_.write("0000.tokens", flipped);
    EXPECT_NE(refused(options, chunks), "") << i;
    folder_.write("0000.tokens", std::span(whole).first(i));
    EXPECT_NE(refused(options, chunks), "") << i;
  }
}

}  // namespace
}  // namespace andiron
