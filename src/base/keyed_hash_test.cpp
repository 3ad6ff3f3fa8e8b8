#include "base/keyed_hash.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace andiron {
namespace {

TEST(KeyedHash, EqualTextsHashAlikeWhereverTheyLie) {
  const std::string text = "a token of more than eight bytes";
  for (size_t size = 0; size <= text.size(); ++size) {
    const std::string copy = "xyz" + text.substr(0, size);
    EXPECT_EQ(keyed_hash(std::string_view(text).substr(0, size)), keyed_hash(std::string_view(copy).substr(3)));
  }
  EXPECT_EQ(&hash_key(), &hash_key()) << "one key a process";
}

TEST(KeyedHash, DependsOnTheKey) {
  const HashKey one = {1, 3}, other = {2, 3}, third = {1, 0x9e3779b97f4a7c15u};
  EXPECT_NE(keyed_hash("token", one), keyed_hash("token", other));
  EXPECT_NE(keyed_hash("token", one), keyed_hash("token", third));
  EXPECT_NE(keyed_hash(uint64_t{7}, one), keyed_hash(uint64_t{7}, other));
  EXPECT_NE(keyed_hash(uint64_t{7}, one), keyed_hash(uint64_t{7}, third));
}

// Tables take the low bits: names and numbers that differ little must spread over them.
TEST(KeyedHash, LowBitsSpread) {
  constexpr uint64_t kCount = 4096, kSlots = 65536;
  std::set<uint64_t> texts, numbers;
  for (uint64_t i = 0; i < kCount; ++i) {
    texts.insert(keyed_hash("blk." + std::to_string(i) + ".weight") % kSlots);
    numbers.insert(keyed_hash(i << 32 | (i + 1)) % kSlots);
  }
  // Evenly drawn, 3971 differ on average, with a spread of 11.
  EXPECT_GT(texts.size(), 3850U);
  EXPECT_GT(numbers.size(), 3850U);
}

TEST(KeyedHash, ZeroBytesAndLengthsCount) {
  std::set<uint64_t> seen;
  for (size_t size = 0; size < 20; ++size) seen.insert(keyed_hash(std::string(size, '\0')));
  EXPECT_EQ(seen.size(), 20U);
}

}  // namespace
}  // namespace andiron
