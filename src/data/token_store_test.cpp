// Data as tokens in a folder: the rows of data/dataset.h, read once.
#include "data/token_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/strings.h"
#include "base/test_folder.h"
#include "data/byte_tokenizer.h"

namespace andiron {
namespace {

class TokenStoreTest : public testing::Test {
 protected:
  TokenStoreTest() {
    std::string text, chats;
    for (int i = 0; i < 200; ++i) text += format("The {} hills of line {}.\n", i % 7, i);
    for (int i = 0; i < 50; ++i) {
      chats +=
          format(
              R"({{"messages": [{{"role": "user", "content": "Say {}"}}, {{"role": "assistant", "content": "{}"}}]}})",
              i, i * i) +
          "\n";
    }
    paths_ = {folder_.write("text.txt", text), folder_.write("chats.jsonl", chats + "no row\n")};
    options_.reading.seq_len = options_.reading.window = 64;
    options_.reading.held_out = 0.1;
    options_.reading.now = 0;
  }
  Result<TokenStore> open(const std::string& tokenizer_hash = "t") {
    return open_token_store(folder_.file("tokens"), paths_, tokenizer_, tokenizer_hash, "model", options_, team_, {});
  }
  TokenStore opened(const std::string& tokenizer_hash = "t") {
    auto store = open(tokenizer_hash);
    EXPECT_TRUE(store.ok()) << (store.ok() ? "" : store.error().message);
    return store.ok() ? std::move(*store) : TokenStore();
  }

  TestFolder folder_;
  ThreadTeam team_{2};
  Tokenizer tokenizer_ = byte_tokenizer();
  std::vector<std::string> paths_;
  TokenStoreOptions options_;
};

TEST_F(TokenStoreTest, HoldsTheRowsThatLearnWouldRead) {
  const TokenStore store = opened();
  EXPECT_FALSE(store.found);
  auto reading = options_.reading;
  reading.held_out = 0;
  const auto expected = load_data(paths_, tokenizer_, "model", reading, team_);
  ASSERT_TRUE(expected.ok());
  std::multiset<std::pair<std::vector<int32_t>, std::vector<uint8_t>>> all, found;
  for (const TokenRow& row : expected->train.rows) all.insert({row.tokens, row.trained});
  const auto rows = ShardRows::open(folder_.file("tokens"), store.made, store.chunks, {.packing = {.seq_len = 64}});
  ASSERT_TRUE(rows.ok());
  const auto train = (*rows)->all();
  ASSERT_TRUE(train.ok());
  EXPECT_FALSE(store.held_out.rows.empty());
  for (const auto* side : {&train->rows, &store.held_out.rows}) {
    for (const TokenRow& row : *side) found.insert({row.tokens, row.trained});
  }
  EXPECT_TRUE(all == found);
  ASSERT_EQ(store.sources.size(), 2U);
  EXPECT_EQ(store.sources[1].format, "chat");
  EXPECT_EQ(store.sources[1].rows, 51);
  EXPECT_EQ(store.sources[1].bad_rows, 1);
  int64_t trained = 0;
  for (const TokenSource& source : store.sources) trained += source.train_rows;
  EXPECT_EQ(trained, std::ssize(train->rows));
}

TEST_F(TokenStoreTest, IsMadeAgainOnlyWhenSomethingHasChanged) {
  const TokenStore first = opened();
  const TokenStore again = opened();
  EXPECT_TRUE(again.found);
  EXPECT_EQ(again.made.key, first.made.key);
  EXPECT_EQ(again.described, first.described);
  EXPECT_EQ(again.held_out.rows.size(), first.held_out.rows.size());
  EXPECT_FALSE(opened("another tokenizer").found);
  EXPECT_FALSE(opened().found) << "there is one at a time";
  options_.reading.seed = 1;
  EXPECT_FALSE(opened().found);
  options_.reading.held_out = 0.2;
  EXPECT_FALSE(opened().found);
  options_.reading.loss_on = LossOn::kEverything;
  EXPECT_FALSE(opened().found);
  folder_.write("text.txt", "Another text.");
  EXPECT_FALSE(opened().found);
  EXPECT_TRUE(opened().found);
}

// As a kill leaves it: files without an index, an index cut short.
TEST_F(TokenStoreTest, WhatIsUnfinishedIsMadeAgain) {
  const TokenStore whole = opened();
  const std::string index = folder_.file("tokens/index.json");
  const auto bytes = read_bytes(index);
  for (const size_t size : {size_t{0}, bytes.size() / 2}) {
    folder_.write("tokens/index.json", std::span(bytes).first(size));
    EXPECT_FALSE(opened().found);
    EXPECT_TRUE(read_bytes(index) == bytes);
  }
  std::filesystem::remove(folder_.file("tokens/0000.tokens"));
  EXPECT_FALSE(opened().found) << "a file that is gone";
  EXPECT_TRUE(opened().found);
}

// What is refused by its key leaves what was there.
TEST_F(TokenStoreTest, InputsAreCheckedBeforeAnythingIsWritten) {
  const TokenStore first = opened();
  const auto index = read_bytes(folder_.file("tokens/index.json"));
  folder_.write("text.txt", "Another text.");
  std::string key;
  std::vector<TokenInput> inputs;
  options_.check = [&](const std::string& now, const std::vector<TokenInput>& files) -> Status {
    key = now;
    inputs = files;
    return now == first.made.key ? Status{} : make_error("other data");
  };
  EXPECT_EQ(open().error().message, "other data");
  EXPECT_NE(key, first.made.key);
  ASSERT_EQ(inputs.size(), 2U);
  EXPECT_EQ(inputs[0].path, paths_[0]);
  EXPECT_EQ(inputs[0].format, "text");
  EXPECT_EQ(inputs[0].bytes, 13U);
  EXPECT_EQ(inputs[1].hash, first.sources[1].hash);
  EXPECT_TRUE(read_bytes(folder_.file("tokens/index.json")) == index);
}

// They count only where they decide how a file is read, and are those of the call.
TEST_F(TokenStoreTest, NamesOfFilesAreThoseOfTheCall) {
  opened();
  std::filesystem::create_directory(folder_.file("moved"));
  for (std::string& path : paths_) {
    const std::string to = folder_.file("moved/" + std::filesystem::path(path).filename().string());
    std::filesystem::rename(path, to);
    path = to;
  }
  TokenStore store = opened();
  EXPECT_TRUE(store.found);
  EXPECT_EQ(store.sources[0].path, paths_[0]);
  paths_ = {folder_.file("moved")};  // in it the conversations come first
  EXPECT_FALSE(opened().found);
  folder_.write("moved/picture.png", "\x89PNG");
  store = opened();
  EXPECT_TRUE(store.found) << "of what is not read nothing counts";
  EXPECT_EQ(store.sources[0].path, folder_.file("moved/chats.jsonl"));
  std::filesystem::rename(folder_.file("moved/text.txt"), folder_.file("moved/text.md"));
  EXPECT_FALSE(opened().found) << "Markdown may begin with front matter";
}

TEST_F(TokenStoreTest, ThreadsChangeNothing) {
  opened();
  const auto bytes = read_bytes(folder_.file("tokens/0000.tokens"));
  std::filesystem::remove_all(folder_.file("tokens"));
  ThreadTeam one(1);
  ASSERT_TRUE(open_token_store(folder_.file("tokens"), paths_, tokenizer_, "t", "model", options_, one, {}).ok());
  EXPECT_TRUE(read_bytes(folder_.file("tokens/0000.tokens")) == bytes);
}

TEST_F(TokenStoreTest, DataThatIsNoneIsRefused) {
  paths_ = {folder_.file("none.txt")};
  EXPECT_NE(open().error().message.find("none.txt"), std::string::npos);
  paths_ = {folder_.write("bad.jsonl", "{\"messages\": []}\n{\"messages\": []}\n")};
  EXPECT_FALSE(open().ok());
}

TEST(HashTokenizer, TellsTokenizersApart) {
  TokenizerSpec spec;
  spec.tokens.push_back("a");
  spec.tokens.push_back("b");
  const std::string before = hash_tokenizer(spec);
  EXPECT_EQ(before, hash_tokenizer(spec));
  spec.chat_template = "{{ 1 }}";
  EXPECT_NE(before, hash_tokenizer(spec));
}

}  // namespace
}  // namespace andiron
