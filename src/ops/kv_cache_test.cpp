// Pages of keys and values: what lies where, who may write it, and what sharing costs.
#include "ops/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <new>
#include <span>
#include <thread>
#include <vector>

#include "kernels/dispatch.h"
#include "ops/kv_fixture.h"
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

// Files on disk hold the pieces in this order.
TEST(KvPages, LieInLayersThenKeysThenValuesThenHeads) {
  const KvLayout layout = {kKvF16, 3, 2, 16};
  KvPages pages(layout);
  pages.reserve(0, 128);
  fill(pages, 0, 128);
  ASSERT_EQ(layout.page_bytes(), 3 * 2 * 2 * 16 * 64 * 2);
  for (const int64_t page : {0, 1}) {
    const auto bytes = bytes_of(*pages.share(page));
    EXPECT_EQ(bytes, bytes_of(pages, page)) << "where kernels look for them";
    const auto* at = reinterpret_cast<const uint16_t*>(bytes.data());
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
  EXPECT_EQ((KvLayout{kKvQ8_0, 2, 3, 96}.values(1, 2)), 16 * 64 * (96 + 3 * 2) * (6 + 3 + 2));
}

// So many bytes that page `page` of a sequence lies behind the first of its sixteen.
int64_t behind_first(const KvPages& pages, int64_t page) {
  return pages.data()[page] - pages.data()[page / kSlabPages * kSlabPages];
}

// 1,024 positions of a head in one run.
TEST(KvPages, LiePieceBesidePieceBySixteen) {
  for (const KvLayout& layout : {KvLayout{kKvF16, 2, 3, 16}, KvLayout{kKvQ8_0, 2, 3, 32}}) {
    const int64_t piece = layout.shape().piece_bytes;
    std::vector<int64_t> rows;
    for (const int64_t layer : {0, 1}) {
      for (const int64_t head : {0, 1, 2}) {
        rows.push_back(layout.keys(layer, head));
        rows.push_back(layout.values(layer, head));
      }
    }
    std::sort(rows.begin(), rows.end());
    for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i], static_cast<int64_t>(i) * 16 * piece);

    KvPages pages(layout);
    pages.reserve(0, 10);
    pages.reserve(10, 64 * 33);
    for (int64_t page = 0; page < 33; ++page) {
      EXPECT_EQ(behind_first(pages, page), page % 16 * piece) << page;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(pages.data()[page]) % 64, 0U) << page;
    }
  }
}

// Behind pages of another, and behind a copy, what a sequence makes lies in a row again.
TEST(KvPages, BeginASlabWhereTheirPlaceIsTaken) {
  const KvLayout layout = {kKvF16, 1, 1, 16};
  const int64_t piece = layout.shape().piece_bytes;
  KvPages pages(layout), other(layout);
  pages.reserve(0, 64 * 4);
  for (const int64_t page : {0, 1}) other.put(page, pages.share(page));
  other.reserve(64 * 2, 64 * 18);
  EXPECT_EQ(behind_first(other, 1), piece);
  for (int64_t page = 3; page < 16; ++page) EXPECT_EQ(other.data()[page] - other.data()[2], (page - 2) * piece) << page;
  EXPECT_EQ(behind_first(other, 17), piece);

  const uint8_t* made_first = pages.data()[1];
  pages.reserve(64, 64 * 6);
  EXPECT_NE(pages.data()[1], made_first);
  for (const int64_t page : {2, 3}) EXPECT_EQ(behind_first(pages, page), page * piece) << "its own before, and still";
  for (const int64_t page : {4, 5}) EXPECT_EQ(pages.data()[page] - pages.data()[1], (page - 1) * piece) << page;
}

TEST(KvPages, AreMadeOfTheBytesOfOthers) {
  for (const KvLayout& layout : {KvLayout{kKvF16, 2, 3, 16}, KvLayout{kKvQ8_0, 2, 3, 32}}) {
    KvPages one(layout), two(layout);
    one.reserve(0, 128);
    fill(one, 0, 128);
    for (const int64_t page : {0, 1}) {
      const auto bytes = bytes_of(*one.share(page));
      const auto made = two.page_of(page, bytes);
      ASSERT_NE(made, nullptr);
      EXPECT_EQ(bytes_of(*made), bytes);
      two.put(page, made);
    }
    EXPECT_FALSE(two.are_reserved(0, 1)) << "shared";
    two.reserve(128, 129);
    for (const int64_t page : {1, 2}) EXPECT_EQ(behind_first(two, page), page * layout.shape().piece_bytes);
    for (const int64_t wrong : {-layout.page_bytes(), int64_t{-1}, int64_t{1}}) {
      const std::vector<uint8_t> bytes(static_cast<size_t>(layout.page_bytes() + wrong));
      EXPECT_EQ(two.page_of(3, bytes), nullptr);
    }
  }
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
  EXPECT_EQ(bytes_of(pages, 1), std::vector<uint8_t>(static_cast<size_t>(pages.layout().page_bytes()), 0));
}

TEST(KvPages, SharedOnesAreTheSameMemoryUntilSomebodyWrites) {
  const KvLayout layout = {kKvF16, 2, 1, 16};
  KvPages one(layout), two(layout);
  one.reserve(0, 128);
  fill(one, 0, 128);
  const auto bits_first = bytes_of(one, 0), bits_second = bytes_of(one, 1);
  for (const int64_t page : {0, 1}) two.put(page, one.share(page));
  for (const int64_t page : {0, 1}) EXPECT_EQ(one.data()[page], two.data()[page]);
  for (const KvPages* pages : {&one, &two}) EXPECT_FALSE(pages->are_reserved(0, 1) || pages->are_reserved(64, 65));

  // The second goes on from position 70: its page is a copy up to there, the first page is still the same.
  two.reserve(70, 90);
  EXPECT_FALSE(two.are_reserved(0, 1));
  EXPECT_EQ(two.data()[0], one.data()[0]);
  ASSERT_NE(two.data()[1], one.data()[1]);
  EXPECT_EQ(bytes_of(two, 1), bits_second);
  fill(two, 70, 90, -1);
  EXPECT_NE(bytes_of(two, 1), bits_second);
  EXPECT_EQ(bytes_of(one, 1), bits_second);
  KvPages expected(layout);
  expected.reserve(64, 128);
  fill(expected, 64, 128);
  fill(expected, 70, 90, -1);
  EXPECT_EQ(bytes_of(two, 1), bytes_of(expected, 1));

  // Who made a page may not write it either, once it was shared; not even when nobody else has it any more.
  one.reserve(0, 1);
  EXPECT_NE(one.data()[0], two.data()[0]);
  fill(one, 0, 1, -1);
  EXPECT_EQ(bytes_of(two, 0), bits_first);
  two.share(0).reset();
  const uint8_t* before = two.data()[0];
  two.reserve(10, 11);
  EXPECT_NE(two.data()[0], before);
  EXPECT_EQ(bytes_of(two, 0), bits_first);
}

TEST(KvPages, LiveAsLongAsSomebodyHasThem) {
  std::shared_ptr<const KvPage> page;
  std::vector<uint8_t> bits;
  {
    KvPages pages({kKvF16, 1, 1, 16});
    pages.reserve(0, 64);
    fill(pages, 0, 64);
    bits = bytes_of(pages, 0);
    page = pages.share(0);
  }
  EXPECT_EQ(page.use_count(), 1);
  EXPECT_EQ(bytes_of(*page), bits);
}

// Of those that were shared, when one goes and another lives. Pieces of 64 KiB are whole pages of any system.
TEST(KvPages, GiveTheirMemoryBackOneByOne) {
  const KvLayout layout = {kKvF16, 1, 1, 512};
  std::shared_ptr<const KvPage> first, second;
  {
    KvPages pages(layout);
    pages.reserve(0, 128);
    fill(pages, 0, 128);
    first = pages.share(0);
    second = pages.share(1);
  }
  const auto bits = bytes_of(*first);
  const std::span<const uint8_t> keys = second->piece(0), values = second->piece(1);
  const auto is_zero = [](std::span<const uint8_t> bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
  };
  EXPECT_FALSE(is_zero(keys) || is_zero(values));
  second.reset();
  EXPECT_TRUE(is_zero(keys) && is_zero(values)) << "mapped still, as the first lies in the same slab";
  EXPECT_EQ(bytes_of(*first), bits);
}

// One sequence reads and goes on with a copy while another thread reads the page and lets it go: for the thread
// sanitizer.
TEST(KvPages, MayBeReadOnAnotherThread) {
  const KvLayout layout = {kKvQ8_0, 2, 2, 32};
  for (int round = 0; round < 20; ++round) {
    KvPages pages(layout);
    pages.reserve(0, 64);
    fill(pages, 0, 64);
    const auto bits = bytes_of(pages, 0);
    std::thread reader([page = pages.share(0), &bits]() mutable {
      EXPECT_EQ(bytes_of(*page), bits);
      page.reset();
    });
    pages.reserve(60, 64);
    fill(pages, 60, 64, -1);
    reader.join();
    EXPECT_NE(bytes_of(pages, 0), bits);
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
