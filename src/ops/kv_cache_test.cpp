// Pages of keys and values: what lies where, who may write it, and what sharing costs.
#include "ops/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <new>
#include <thread>
#include <vector>

#include "base/random.h"
#include "kernels/dispatch.h"
#include "tensor/half.h"

namespace andiron {
namespace {

// Numbers that f16 holds, and that tell a place from its neighbours.
float number(int64_t layer, int64_t head, int64_t position, int64_t d, bool is_key) {
  return static_cast<float>(512 * (position % 4) + 128 * layer + 64 * head + 2 * d + (is_key ? 1 : 0)) / 2;
}

void fill(KvPages& pages, int64_t begin, int64_t end, float sign = 1) {
  const KvLayout& layout = pages.layout();
  std::vector<float> k(static_cast<size_t>(layout.head_dim)), v(k.size());
  for (int64_t layer = 0; layer < layout.layers; ++layer) {
    for (int64_t head = 0; head < layout.kv_heads; ++head) {
      for (int64_t at = begin; at < end; ++at) {
        for (int64_t d = 0; d < layout.head_dim; ++d) {
          k[static_cast<size_t>(d)] = sign * number(layer, head, at, d, true);
          v[static_cast<size_t>(d)] = sign * number(layer, head, at, d, false);
        }
        pages.store(kernels_of(Isa::kScalar), layer, head, at, k.data(), v.data());
      }
    }
  }
}

std::vector<uint8_t> copy_of(const KvPages& pages, int64_t page) {
  const uint8_t* data = pages.data()[page];
  return {data, data + pages.layout().page_bytes()};
}

// Files on disk hold these bytes.
TEST(KvPages, LieInLayersThenKeysThenValuesThenHeads) {
  const KvLayout layout = {kKvF16, 3, 2, 16};
  KvPages pages(layout);
  pages.reserve(0, 128);
  fill(pages, 0, 128);
  ASSERT_EQ(layout.page_bytes(), 3 * 2 * 2 * 16 * 64 * 2);
  for (const int64_t page : {0, 1}) {
    const auto* at = reinterpret_cast<const uint16_t*>(pages.data()[page]);
    for (int64_t layer = 0; layer < 3; ++layer) {
      for (const bool is_key : {true, false}) {
        for (int64_t head = 0; head < 2; ++head) {
          for (int64_t i = 0; i < 64 * 16; ++i) {
            const int64_t position = is_key ? i / 256 * 16 + i % 16 : i / 16, d = is_key ? i / 16 % 16 : i % 16;
            ASSERT_EQ(f16_to_f32(*at++), number(layer, head, 64 * page + position, d, is_key))
                << layer << (is_key ? " key " : " value ") << head << " " << i;
          }
        }
      }
    }
  }
}

TEST(KvPages, OfBothFormatsAreAsLargeAsTheirNumbers) {
  EXPECT_EQ((KvLayout{kKvF16, 2, 3, 96}.page_bytes()), 64 * 2 * 3 * 2 * 96 * 2);
  EXPECT_EQ((KvLayout{kKvQ8_0, 2, 3, 96}.page_bytes()), 64 * 2 * 3 * 2 * (96 + 3 * 2));
  EXPECT_EQ((KvLayout{kKvQ8_0, 2, 3, 96}.values(1, 2)), 64 * (96 + 3 * 2) * (6 + 3 + 2));
}

TEST(KvPages, AreThereOnlyWhereTheyWereReserved) {
  KvPages pages({kKvF16, 1, 1, 16});
  EXPECT_FALSE(pages.are_reserved(0, 1));
  EXPECT_TRUE(pages.are_reserved(0, 0) && pages.are_reserved(70, 70));
  pages.reserve(0, 64);
  EXPECT_TRUE(pages.are_reserved(0, 64));
  EXPECT_FALSE(pages.are_reserved(0, 65));
  const uint8_t* first = pages.data()[0];
  pages.reserve(63, 65);
  EXPECT_TRUE(pages.are_reserved(0, 128));
  EXPECT_FALSE(pages.are_reserved(128, 129));
  EXPECT_EQ(pages.data()[0], first) << "nobody else has it";
  pages.reserve(200, 200);
  EXPECT_FALSE(pages.are_reserved(192, 193));
  EXPECT_EQ(copy_of(pages, 1), std::vector<uint8_t>(static_cast<size_t>(pages.layout().page_bytes()), 0));
}

TEST(KvPages, SharedOnesAreTheSameMemoryUntilSomebodyWrites) {
  const KvLayout layout = {kKvF16, 2, 1, 16};
  KvPages one(layout), two(layout);
  one.reserve(0, 128);
  fill(one, 0, 128);
  const auto bits_first = copy_of(one, 0), bits_second = copy_of(one, 1);
  for (const int64_t page : {0, 1}) two.put(page, one.share(page));
  for (const int64_t page : {0, 1}) EXPECT_EQ(one.data()[page], two.data()[page]);
  for (const KvPages* pages : {&one, &two}) EXPECT_FALSE(pages->are_reserved(0, 1) || pages->are_reserved(64, 65));

  // The second goes on from position 70: its page is a copy up to there, the first page is still the same.
  two.reserve(70, 90);
  EXPECT_FALSE(two.are_reserved(0, 1));
  EXPECT_EQ(two.data()[0], one.data()[0]);
  ASSERT_NE(two.data()[1], one.data()[1]);
  EXPECT_EQ(copy_of(two, 1), bits_second);
  fill(two, 70, 90, -1);
  EXPECT_NE(copy_of(two, 1), bits_second);
  EXPECT_EQ(copy_of(one, 1), bits_second);
  KvPages expected(layout);
  expected.reserve(64, 128);
  fill(expected, 64, 128);
  fill(expected, 70, 90, -1);
  EXPECT_EQ(copy_of(two, 1), copy_of(expected, 1));

  // Who made a page may not write it either, once it was shared; not even when nobody else has it any more.
  one.reserve(0, 1);
  EXPECT_NE(one.data()[0], two.data()[0]);
  fill(one, 0, 1, -1);
  EXPECT_EQ(copy_of(two, 0), bits_first);
  two.share(0).reset();
  const uint8_t* before = two.data()[0];
  two.reserve(10, 11);
  EXPECT_NE(two.data()[0], before);
  EXPECT_EQ(copy_of(two, 0), bits_first);
}

// Whatever the size, and whichever is let go first.
TEST(KvPage, AdjacentOnesAreEachOnTheirOwn) {
  for (const size_t bytes : {1, 4096, 4352, 3 * 4096}) {
    auto pages = KvPage::adjacent(5, bytes);
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(pages[i]->bytes().size(), bytes);
      EXPECT_EQ(pages[i]->bytes().back(), 0);
      std::fill_n(pages[i]->data(), bytes, static_cast<uint8_t>(i + 1));
      if (i > 0) {
        EXPECT_LT(pages[i - 1]->data(), pages[i]->data());
      }
    }
    for (const size_t gone : {3, 0, 4}) pages[gone].reset();
    for (const size_t i : {1, 2}) {
      const auto left = pages[i]->bytes();
      EXPECT_TRUE(std::all_of(left.begin(), left.end(), [&](uint8_t b) { return b == i + 1; }));
    }
  }
}

TEST(KvPages, LiveAsLongAsSomebodyHasThem) {
  std::shared_ptr<const KvPage> page;
  std::vector<uint8_t> bits;
  {
    KvPages pages({kKvF16, 1, 1, 16});
    pages.reserve(0, 64);
    fill(pages, 0, 64);
    bits = copy_of(pages, 0);
    page = pages.share(0);
  }
  EXPECT_EQ(page.use_count(), 1);
  EXPECT_TRUE(std::equal(bits.begin(), bits.end(), page->bytes().begin(), page->bytes().end()));
}

// One sequence reads and goes on with a copy while another thread reads the page and lets it go: for the thread
// sanitizer.
TEST(KvPages, MayBeReadOnAnotherThread) {
  const KvLayout layout = {kKvQ8_0, 2, 2, 32};
  for (int round = 0; round < 20; ++round) {
    KvPages pages(layout);
    pages.reserve(0, 64);
    fill(pages, 0, 64);
    const auto bits = copy_of(pages, 0);
    std::thread reader([page = pages.share(0), &bits]() mutable {
      EXPECT_TRUE(std::equal(bits.begin(), bits.end(), page->bytes().begin(), page->bytes().end()));
      page.reset();
    });
    pages.reserve(60, 64);
    fill(pages, 60, 64, -1);
    reader.join();
    EXPECT_NE(copy_of(pages, 0), bits);
  }
}

// More than any address space has.
TEST(KvPages, WithoutMemoryNothingChanges) {
  KvPages pages({kKvF16, int64_t{1} << 20, int64_t{1} << 20, 512});
  EXPECT_THROW(pages.reserve(0, 1), std::bad_alloc);
  EXPECT_FALSE(pages.are_reserved(0, 1));
}

}  // namespace
}  // namespace andiron
