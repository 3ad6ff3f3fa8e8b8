#include "base/content_hash.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace andiron {
namespace {

std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// What `xxhsum -H2` and `xxhsum -H3` print.
TEST(ContentHash, IsXxh3) {
  EXPECT_EQ(content_hash(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(content_hash("a"), "a96faf705af16834e6c632b61e964e1f");
  EXPECT_EQ(content_hash("abc"), "06b05ab6733a618578af5f94892f3950");
  EXPECT_EQ(short_hash_digits("abc"), "78af5f94892f3950");
  EXPECT_EQ(short_hash(bytes_of("abc")), 0x78af5f94892f3950U);
}

TEST(ContentHash, PiecesGiveTheHashOfTheWhole) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>('a' + i * i % 23);
  for (const size_t cut : {size_t{0}, size_t{1}, size_t{240}, size_t{1024}, text.size()}) {
    ContentHash hash;
    hash.add(bytes_of(text).first(cut));
    ContentHash moved(std::move(hash));
    moved.add(bytes_of(text).subspan(cut));
    EXPECT_EQ(moved.digits(), content_hash(text)) << cut;
  }
}

TEST(ContentHash, KnowsWhereATextEnds) {
  ContentHash one, other, numbers;
  one.add_text("ab");
  one.add_text("c");
  other.add_text("a");
  other.add_text("bc");
  numbers.add(2);
  numbers.add(bytes_of("ab"));
  numbers.add(1);
  numbers.add(bytes_of("c"));
  EXPECT_NE(one.digits(), other.digits());
  EXPECT_EQ(one.digits(), numbers.digits());
}

}  // namespace
}  // namespace andiron
