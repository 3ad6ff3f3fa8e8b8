#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/content_hash.h"
#include "base/random.h"
#include "base/test_folder.h"
#include "engine/allocation_fixture.h"
#include "ops/kv_fixture.h"

namespace andiron {
namespace {

namespace fs = std::filesystem;

std::vector<int32_t> some_tokens(size_t count, uint64_t seed = 1) {
  const RandomStream random(seed);
  std::vector<int32_t> tokens(count);
  for (size_t i = 0; i < count; ++i) tokens[i] = static_cast<int32_t>(random.uniform(i) * 1000);
  return tokens;
}

PrefixChain chain_of(std::span<const int32_t> tokens, const std::string& space = "space") {
  PrefixChain chain(space);
  chain.extend(tokens);
  return chain;
}

constexpr int64_t kPieces = 4;  // of a page here

// A page of `bytes`, the pieces of which hold value, value + 1 and so on.
std::shared_ptr<const KvPage> page_of(int64_t bytes, int64_t value) {
  auto page = std::make_shared<KvPage>(std::make_shared<KvSlab>(KvPageShape{kPieces, bytes / kPieces}), 5);
  for (int64_t i = 0; i < kPieces; ++i) std::ranges::fill(page->piece(i), static_cast<uint8_t>(value + i));
  return page;
}

// For pages of a multiple of kPieces bytes.
std::shared_ptr<const KvPage> make_page(std::span<const uint8_t> bytes) {
  const size_t piece_bytes = bytes.size() / kPieces;
  if (bytes.size() % kPieces != 0) return nullptr;
  const KvPageShape shape = {kPieces, static_cast<int64_t>(piece_bytes)};
  auto page = std::make_shared<KvPage>(std::make_shared<KvSlab>(shape), 11);
  for (size_t i = 0; i < kPieces; ++i) {
    const auto piece = bytes.subspan(i * piece_bytes, piece_bytes);
    std::ranges::copy(piece, page->piece(static_cast<int64_t>(i)).begin());
  }
  return page;
}

std::vector<uint8_t> data_of(const PrefixBlock& block) { return bytes_of(*block.page); }

// The block `at` of a text, with a page that tells it from others.
PrefixBlock block_of(std::span<const int32_t> tokens, int64_t at, int64_t bytes = 100) {
  const PrefixChain chain = chain_of(tokens);
  PrefixBlock block;
  block.key = chain.key(at);
  block.parent = chain.parent(at);
  block.space = chain.space();
  block.tokens.assign(tokens.begin(), tokens.begin() + (at + 1) * kPrefixPositions);
  block.page = page_of(bytes, tokens[0] + at);
  return block;
}

std::string file_of(const PrefixBlock& block, const TestFolder& folder) {
  const std::string path = folder.file("block");
  EXPECT_TRUE(write_prefix_file(block, path).ok());
  const auto bytes = read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

TEST(PrefixChain, NamesABlockByItsSpaceAndAllTokensUpToItsEnd) {
  const auto tokens = some_tokens(200);
  const PrefixChain chain = chain_of(tokens);
  ASSERT_EQ(chain.size(), 3);
  EXPECT_EQ(chain.key(0).size(), 32U);
  EXPECT_EQ(chain.parent(1), chain.key(0));

  PrefixChain grown("space");
  for (size_t count = 0; count <= tokens.size(); count += 7) grown.extend(std::span(tokens).first(count));
  ASSERT_EQ(grown.size(), 3);
  for (const int64_t i : {0, 1, 2}) EXPECT_EQ(grown.key(i), chain.key(i));

  auto changed = tokens;
  ++changed[63];
  EXPECT_NE(chain_of(changed).key(0), chain.key(0));
  EXPECT_NE(chain_of(changed).key(2), chain.key(2));
  changed = tokens;
  ++changed[64];
  EXPECT_EQ(chain_of(changed).key(0), chain.key(0));
  EXPECT_NE(chain_of(changed).key(1), chain.key(1));
  EXPECT_NE(chain_of(tokens, "another").key(0), chain.key(0));
  EXPECT_EQ(chain_of(std::span(tokens).first(63)).size(), 0);
}

TEST(PrefixOrder, TheEndsOfTextsUsedLongAgoGoFirst) {
  PrefixOrder order;
  order.use("a1", "a", 1);
  order.use("a2", "a1", 1);
  order.use("b1", "b", 1);
  order.use("b2", "b1", 1);
  order.use("a1", "a", 1);  // the beginning of a was used again, its end was not
  order.use("c2", "a1", 1);
  EXPECT_EQ(order.bytes(), 5U);
  std::vector<std::string> gone;
  while (!order.empty()) {
    gone.push_back(order.last());
    order.forget(gone.back());
  }
  EXPECT_EQ(gone, (std::vector<std::string>{"a2", "b2", "b1", "c2", "a1"}));
  EXPECT_EQ(order.bytes(), 0U);
}

// Each allocation in turn fails.
TEST(PrefixOrder, WithoutMemoryNothingChanges) {
  PrefixOrder order;
  order.use("a1", "a", 1);
  const std::string name = "a name for which a string has no room within";
  int64_t failures = 0;
  for (; !order.holds(name); ++failures) {
    ASSERT_LT(failures, 100);
    t_allocations_left = failures;
    try {
      order.use(name, "a1", 2);
      t_allocations_left = -1;
    } catch (const std::bad_alloc&) {
      EXPECT_FALSE(order.holds(name));
      EXPECT_EQ(order.last(), "a1");
      EXPECT_EQ(order.bytes(), 1U);
    }
  }
  EXPECT_GE(failures, 3) << "two strings and what holds them, and then none failed";
  EXPECT_EQ(order.last(), name);
  t_allocations_left = 0;
  order.use(name, "another", 5);
  EXPECT_EQ(std::exchange(t_allocations_left, -1), 0) << "known";
  EXPECT_EQ(order.last(), "a1");
  EXPECT_EQ(order.bytes(), 6U);
}

TEST(PrefixFile, HoldsABlock) {
  const TestFolder folder;
  const auto tokens = some_tokens(192);
  const PrefixBlock block = block_of(tokens, 1);
  const std::string bytes = file_of(block, folder);
  EXPECT_EQ(bytes.size(), prefix_file_bytes(block));
  const auto again = parse_prefix_file(bytes, "test", make_page);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->key, block.key);
  EXPECT_EQ(again->parent, block.parent);
  EXPECT_EQ(data_of(*again), data_of(block));
  EXPECT_TRUE(again->is("space", std::span(tokens).first(128)));
  EXPECT_FALSE(again->is("space", tokens));
  EXPECT_FALSE(again->is("other", std::span(tokens).first(128)));
  auto others = tokens;
  ++others[5];
  EXPECT_FALSE(again->is("space", std::span(others).first(128))) << "of the same name by malice";
}

TEST(PrefixFile, EveryCutAndEveryFlippedBitIsAnError) {
  const TestFolder folder;
  const std::string bytes = file_of(block_of(some_tokens(64), 0, 20), folder);
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(parse_prefix_file(bytes.substr(0, cut), "test", make_page).ok());
  }
  EXPECT_FALSE(parse_prefix_file(bytes + "x", "test", make_page).ok());
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(parse_prefix_file(flipped, "test", make_page).ok()) << "bit " << bit;
  }
}

// What an earlier version has written is found by this one.
TEST(PrefixFile, IsLaidOutAsItAlwaysWas) {
  const TestFolder folder;
  const auto tokens = some_tokens(128);
  const auto raw = [](auto number) { return std::string(reinterpret_cast<const char*>(&number), sizeof number); };
  std::string wanted =
      "andiron prefix\n" + raw(uint32_t{1}) + raw(uint64_t{5}) + raw(uint64_t{128}) + raw(uint64_t{20}) + "space";
  for (const int32_t token : tokens) wanted += raw(token);
  for (const int32_t piece : {0, 1, 2, 3}) wanted += std::string(5, static_cast<char>(tokens[0] + 1 + piece));
  EXPECT_EQ(file_of(block_of(tokens, 1, 20), folder), wanted + content_hash(wanted));
}

// Whoever writes the file can make its hash right: lengths are held against what is there.
TEST(PrefixFile, LengthsThatLieAreErrors) {
  const TestFolder folder;
  const std::string whole = file_of(block_of(some_tokens(64), 0, 20), folder);
  const std::string body = whole.substr(0, whole.size() - 32);
  constexpr size_t kLengths = 15 + 4;  // behind magic and version
  for (const size_t field : {0, 1, 2}) {
    for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32, UINT64_MAX, UINT64_MAX / 4 + 65}) {
      std::string lie = body;
      std::memcpy(lie.data() + kLengths + 8 * field, &value, 8);
      EXPECT_FALSE(parse_prefix_file(lie + content_hash(lie), "test", make_page).ok()) << field << " " << value;
    }
  }
  std::string empty = body.substr(0, body.size() - 20);
  empty.replace(kLengths + 16, 8, 8, '\0');
  EXPECT_FALSE(parse_prefix_file(empty + content_hash(empty), "test", make_page).ok()) << "a page of nothing";
}

class PrefixFolderTest : public testing::Test {
 protected:
  std::unique_ptr<PrefixFolder> open(uint64_t bytes_max = 1 << 20) const {
    auto opened = PrefixFolder::open(path_, bytes_max);
    EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().message);
    return std::move(opened).value();
  }
  std::string path_of(const std::string& key) const { return path_ + "/" + key + ".kv"; }
  size_t files() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
  }
  static std::shared_ptr<const PrefixBlock> shared(PrefixBlock block) {
    return std::make_shared<const PrefixBlock>(std::move(block));
  }

  TestFolder folder_;
  std::string path_ = folder_.file("some/prefixes");
};

TEST_F(PrefixFolderTest, BlocksAreThereAfterARestartAndForNobodyElse) {
  const auto tokens = some_tokens(192);
  const auto first = shared(block_of(tokens, 0)), second = shared(block_of(tokens, 1));
  {
    const auto folder = open();
    EXPECT_EQ(folder->read(first->key, make_page), nullptr);
    folder->put(first);
    folder->put(second);
    EXPECT_TRUE(folder->holds(second->key));
    folder->settle();
    EXPECT_EQ(folder->bytes(), prefix_file_bytes(*first) + prefix_file_bytes(*second));
    EXPECT_EQ(fs::status(path_).permissions(), fs::perms::owner_all);
    EXPECT_EQ(fs::status(path_of(first->key)).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  }
  const auto folder = open();
  EXPECT_TRUE(folder->holds(second->key));
  const auto again = folder->read(second->key, make_page);
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(data_of(*again), data_of(*second));
  EXPECT_EQ(again->tokens, second->tokens);
}

TEST_F(PrefixFolderTest, ABlockIsNotWrittenWithoutTheOneBeforeIt) {
  const auto tokens = some_tokens(192);
  const auto folder = open();
  folder->put(shared(block_of(tokens, 1)));
  folder->settle();
  EXPECT_EQ(files(), 0U);
}

TEST_F(PrefixFolderTest, WhatWaitsIsWrittenBeforeTheEnd) {
  std::vector<std::shared_ptr<const PrefixBlock>> blocks;
  for (uint64_t i = 0; i < 20; ++i) blocks.push_back(shared(block_of(some_tokens(64, i), 0)));
  {
    const auto folder = open();
    for (const auto& block : blocks) folder->put(block);
  }
  const auto folder = open();
  for (const auto& block : blocks) EXPECT_NE(folder->read(block->key, make_page), nullptr);
}

TEST_F(PrefixFolderTest, DamagedAndForeignFilesAreRemovedAndOthersLeftAlone) {
  const auto one = shared(block_of(some_tokens(64, 1), 0)), two = shared(block_of(some_tokens(64, 2), 0));
  const auto three = shared(block_of(some_tokens(64, 3), 0));
  {
    const auto folder = open();
    for (const auto& block : {one, two, three}) folder->put(block);
  }
  fs::resize_file(path_of(one->key), 40);                                                       // cut short
  fs::copy_file(path_of(three->key), path_of(two->key), fs::copy_options::overwrite_existing);  // of another text
  for (const char* name : {"notes.txt", "0123.kv"}) folder_.write(std::string("some/prefixes/") + name, "mine");
  const auto folder = open();
  EXPECT_EQ(folder->read(one->key, make_page), nullptr);
  EXPECT_EQ(folder->read(two->key, make_page), nullptr);
  EXPECT_NE(folder->read(three->key, make_page), nullptr);
  EXPECT_FALSE(folder->holds(one->key));
  EXPECT_EQ(files(), 3U) << "three's, and those that are not ours";
  folder->put(one);
  folder->settle();
  EXPECT_NE(folder->read(one->key, make_page), nullptr) << "it can be made again";
}

TEST_F(PrefixFolderTest, KeepsWhatWasUsedLastWithinItsLimitAlsoAfterARestart) {
  std::vector<std::shared_ptr<const PrefixBlock>> blocks;
  for (uint64_t i = 0; i < 6; ++i) blocks.push_back(shared(block_of(some_tokens(64, i), 0)));
  const uint64_t each = prefix_file_bytes(*blocks[0]);
  {
    const auto folder = open(4 * each);
    for (int i = 0; i < 4; ++i) folder->put(blocks[static_cast<size_t>(i)]);
    folder->settle();
    folder->use(blocks[0]);
    folder->put(blocks[4]);
    folder->settle();
    EXPECT_FALSE(folder->holds(blocks[1]->key));
    EXPECT_EQ(files(), 4U);
    folder->use(blocks[2]);
  }
  const auto folder = open(2 * each);  // in the order of use: 2, 4, 0, 3
  EXPECT_TRUE(folder->holds(blocks[2]->key));
  EXPECT_TRUE(folder->holds(blocks[4]->key));
  EXPECT_EQ(folder->bytes(), 2 * each);
  EXPECT_EQ(files(), 2U);
}

// What was refused is waited for by nobody, and may come again.
TEST_F(PrefixFolderTest, WithoutMemoryNothingWaits) {
  const auto folder = open();
  const auto block = shared(block_of(some_tokens(64), 0));
  bool is_put = false;
  for (int64_t failures = 0; !is_put; ++failures) {
    ASSERT_LT(failures, 100);
    t_allocations_left = failures;
    try {
      folder->put(block);
      is_put = true;
    } catch (const std::bad_alloc&) {
      EXPECT_FALSE(folder->holds(block->key));
    }
    t_allocations_left = -1;
    folder->settle();
    EXPECT_EQ(folder->holds(block->key), is_put);
    EXPECT_EQ(files(), is_put ? 1U : 0U);
  }
}

// Nor does the thread that writes end, wherever its memory runs out; what it has no memory for is not there.
TEST_F(PrefixFolderTest, WithoutMemoryNothingIsWritten) {
  const auto old = shared(block_of(some_tokens(64, 1), 0)), fresh = shared(block_of(some_tokens(64, 2), 0));
  const auto folder = open(prefix_file_bytes(*fresh));  // there is room for one of them
  t_spared = true;
  bool has_failed = true;
  for (int64_t failures = 0; has_failed; ++failures) {
    ASSERT_LT(failures, 1000);
    folder->clear();
    folder->put(old);
    folder->settle();
    ASSERT_TRUE(folder->holds(old->key));
    g_allocations_left = failures;
    folder->put(fresh);
    folder->settle();
    has_failed = g_allocations_left.exchange(-1) < 0;
    const size_t held = (folder->holds(old->key) ? 1U : 0U) + (folder->holds(fresh->key) ? 1U : 0U);
    EXPECT_EQ(files(), held) << failures;
  }
  t_spared = false;
  EXPECT_TRUE(folder->holds(fresh->key));
  EXPECT_FALSE(folder->holds(old->key));
}

TEST_F(PrefixFolderTest, WhatIsClearedIsGoneAlsoWhatStillWaited) {
  const auto folder = open();
  for (uint64_t round = 0; round < 3; ++round) {
    for (uint64_t i = 0; i < 10; ++i) folder->put(shared(block_of(some_tokens(64, i), 0)));
    if (round == 1) folder->settle();
    EXPECT_TRUE(folder->clear());
    EXPECT_EQ(files(), 0U);
    EXPECT_EQ(folder->bytes(), 0U);
    EXPECT_FALSE(folder->holds(block_of(some_tokens(64, 9), 0).key));
  }
}

// Two servers share a folder, or the one of now keeps nothing there.
TEST_F(PrefixFolderTest, WhatOthersHaveWrittenIsClearedToo) {
  const auto folder = open(), other = open();
  for (uint64_t i = 0; i < 5; ++i) other->put(shared(block_of(some_tokens(64, i), 0)));
  other->settle();
  folder_.write("some/prefixes/notes.txt", "of a person");
  ASSERT_EQ(files(), 6U);
  EXPECT_TRUE(folder->clear());
  EXPECT_EQ(files(), 1U) << "other names are left alone";
  const std::string gone = block_of(some_tokens(64, 0), 0).key;
  EXPECT_EQ(other->read(gone, make_page), nullptr);
  EXPECT_FALSE(other->holds(gone));
  folder->put(shared(block_of(some_tokens(64, 0), 0)));
  folder->settle();
  ASSERT_EQ(files(), 2U);
  EXPECT_TRUE(PrefixFolder::clear_files(path_));
  EXPECT_EQ(files(), 1U);
  EXPECT_TRUE(PrefixFolder::clear_files(folder_.file("none")));
  EXPECT_FALSE(fs::exists(folder_.file("none")));
  EXPECT_FALSE(PrefixFolder::clear_files(folder_.file("some/prefixes/notes.txt"))) << "it cannot be looked into";
}

// Files come and go on a thread of their own, without a lock; what is known of them is true once that has settled.
TEST_F(PrefixFolderTest, WhatIsHeldIsThereAndNothingElse) {
  std::vector<std::shared_ptr<const PrefixBlock>> blocks;
  for (uint64_t i = 0; i < 20; ++i) blocks.push_back(shared(block_of(some_tokens(64, i), 0)));
  const uint64_t each = prefix_file_bytes(*blocks[0]);
  const auto folder = open(4 * each);
  for (size_t round = 0; round < 20; ++round) {
    for (size_t i = 0; i < blocks.size(); ++i) {
      folder->put(blocks[(7 * i + round) % blocks.size()]);
      const auto& another = blocks[(3 * i + round) % blocks.size()];
      if (const auto found = folder->read(another->key, make_page)) {
        EXPECT_EQ(data_of(*found), data_of(*another));
      }
      if (i % 5 == 0) folder->use(another);
    }
    if (round % 7 == 6) folder->clear();
    folder->settle();
    size_t held = 0;
    for (const auto& block : blocks) {
      if (!folder->holds(block->key)) continue;
      ++held;
      EXPECT_NE(folder->read(block->key, make_page), nullptr) << "round " << round;
    }
    EXPECT_EQ(held, round % 7 == 6 ? 0U : 4U);
    EXPECT_EQ(files(), held);
    EXPECT_EQ(folder->bytes(), held * each);
  }
}

TEST_F(PrefixFolderTest, AFolderThatCannotBeIsAnError) {
  folder_.write("some", "a file");
  const auto refused = PrefixFolder::open(path_, 1000);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find(path_), std::string::npos) << refused.error().message;
}

class PrefixCacheTest : public testing::Test {
 protected:
  static std::unique_ptr<PrefixCache> cache(const PrefixCacheOptions& options) {
    auto made = PrefixCache::create(options);
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
    return std::move(made).value();
  }
  // All whole blocks of a text.
  static void insert(PrefixCache& cache, std::span<const int32_t> tokens) {
    const PrefixChain chain = chain_of(tokens);
    for (int64_t i = 0; i < chain.size(); ++i) cache.insert(chain, i, tokens, page_of(100, tokens[0] + i));
  }
  // How many of a text's blocks are found, from the first on.
  static int64_t found(PrefixCache& cache, std::span<const int32_t> tokens) {
    const PrefixChain chain = chain_of(tokens);
    for (int64_t i = 0; i < chain.size(); ++i) {
      const auto block = cache.find(chain, i, tokens, make_page);
      if (block == nullptr) return i;
      EXPECT_EQ(data_of(*block), bytes_of(*page_of(100, tokens[0] + i)));
    }
    return chain.size();
  }
};

TEST_F(PrefixCacheTest, FindsWhatATextHasInCommonWithAnother) {
  const auto cache = this->cache({.bytes = 1 << 20});
  const auto tokens = some_tokens(300);
  EXPECT_EQ(found(*cache, tokens), 0);
  insert(*cache, tokens);
  EXPECT_EQ(found(*cache, tokens), 4);
  EXPECT_EQ(found(*cache, std::span(tokens).first(130)), 2);
  auto other = tokens;
  ++other[150];
  EXPECT_EQ(found(*cache, other), 2);
  const PrefixChain elsewhere = chain_of(tokens, "other adapters");
  EXPECT_EQ(cache->find(elsewhere, 0, tokens, make_page), nullptr);
  EXPECT_FALSE(cache->may_hold(elsewhere, 0));
}

// A page is in memory once, and as long as somebody has it.
TEST_F(PrefixCacheTest, SharesPagesAndCopiesNone) {
  const auto text = some_tokens(128, 1), another = some_tokens(128, 2);
  const PrefixChain chain = chain_of(text);
  const auto cache = this->cache({.bytes = block_of(text, 0).bytes() + block_of(text, 1).bytes()});
  const auto page = page_of(100, 7);
  cache->insert(chain, 0, text, page);
  EXPECT_EQ(cache->find(chain, 0, text, make_page)->page, page);
  EXPECT_EQ(page.use_count(), 2);
  EXPECT_TRUE(cache->is_in_memory(chain, 0));
  EXPECT_FALSE(cache->is_in_memory(chain, 1));
  cache->insert(chain, 0, text, page_of(100, 7));
  EXPECT_EQ(cache->find(chain, 0, text, make_page)->page, page) << "the first stays";
  insert(*cache, another);
  EXPECT_FALSE(cache->is_in_memory(chain, 0));
  EXPECT_EQ(page.use_count(), 1);
  cache->insert(chain, 0, text, page);
  cache->clear();
  EXPECT_EQ(page.use_count(), 1);
  EXPECT_EQ(bytes_of(*page), bytes_of(*page_of(100, 7)));
}

TEST_F(PrefixCacheTest, StaysWithinItsLimitAndLosesEndsFirst) {
  const auto text = some_tokens(64 * 10, 1), another = some_tokens(64 * 10, 2);
  uint64_t limit = 0;
  for (int64_t i = 0; i < 10; ++i) limit += block_of(text, i).bytes();
  const auto cache = this->cache({.bytes = limit});
  insert(*cache, text);
  EXPECT_EQ(found(*cache, text), 10);
  EXPECT_EQ(cache->bytes(), limit);
  insert(*cache, std::span(another).first(64 * 5));
  EXPECT_LE(cache->bytes(), limit);
  EXPECT_EQ(found(*cache, std::span(another).first(64 * 5)), 5);
  const int64_t left = found(*cache, text);
  EXPECT_GT(left, 4);
  EXPECT_LT(left, 10);
  // Of a text that is too long for it, the cache keeps the beginning.
  const auto small = this->cache({.bytes = limit / 4});
  insert(*small, text);
  EXPECT_GT(found(*small, text), 2);
}

TEST_F(PrefixCacheTest, TheDiskHasWhatMemoryHasLost) {
  const TestFolder folder;
  const auto text = some_tokens(64 * 6);
  const PrefixCacheOptions options = {
      .bytes = 2 * block_of(text, 5).bytes(), .folder = folder.file("prefixes"), .disk_bytes = 1 << 20};
  {
    const auto cache = this->cache(options);
    insert(*cache, text);
    cache->settle();
    EXPECT_EQ(found(*cache, text), 6);
    EXPECT_LE(cache->bytes(), options.bytes);
  }
  const auto cache = this->cache(options);
  EXPECT_EQ(cache->bytes(), 0U);
  EXPECT_TRUE(cache->may_hold(chain_of(text), 5));
  EXPECT_FALSE(cache->is_in_memory(chain_of(text), 0));
  EXPECT_EQ(found(*cache, text), 6);
}

// A file for which there is no memory now stays; one that cannot be a page of this model goes.
TEST_F(PrefixCacheTest, WhatCannotBeMadeAPageIsNotFound) {
  const TestFolder folder;
  const auto text = some_tokens(64);
  const PrefixChain chain = chain_of(text);
  const PrefixCacheOptions options = {.bytes = 1 << 20, .folder = folder.file("prefixes"), .disk_bytes = 1 << 20};
  insert(*cache(options), text);
  const auto cache = this->cache(options);
  const PageMaker without_memory = [](std::span<const uint8_t>) -> std::shared_ptr<const KvPage> {
    throw std::bad_alloc();
  };
  EXPECT_EQ(cache->find(chain, 0, text, without_memory), nullptr);
  EXPECT_TRUE(cache->may_hold(chain, 0));
  EXPECT_EQ(cache->find(chain, 0, text, [](std::span<const uint8_t>) { return nullptr; }), nullptr);
  EXPECT_FALSE(cache->may_hold(chain, 0));
}

}  // namespace
}  // namespace andiron
