#include "base/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace andiron {
namespace {

bool all_zero(const Buffer<float>& buffer) {
  return std::all_of(buffer.span().begin(), buffer.span().end(), [](float x) { return x == 0; });
}

// Below, at and above the size from which large pages are asked for.
TEST(Buffer, IsZeroedAlignedAndWritable) {
  for (const size_t count : {size_t{1}, size_t{1000}, size_t{1} << 19, (size_t{1} << 19) + 1, size_t{3} << 20}) {
    for (const Pages pages : {Pages::kUsual, Pages::kLarge}) {
      Buffer<float> buffer(count, pages);
      ASSERT_EQ(buffer.size(), count);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % Buffer<float>::kAlignment, 0U);
      EXPECT_TRUE(all_zero(buffer)) << count;
      std::fill(buffer.span().begin(), buffer.span().end(), 1.0F);
    }
  }
}

TEST(Buffer, MovesBetweenKindsOfMemory) {
  Buffer<float> small(10), large(size_t{1} << 20, Pages::kLarge);
  small[9] = 9;
  large[(1 << 20) - 1] = 20;
  std::swap(small, large);
  EXPECT_EQ(small.size(), size_t{1} << 20);
  EXPECT_EQ(small[(1 << 20) - 1], 20);
  EXPECT_EQ(large[9], 9);
  small = Buffer<float>();
  EXPECT_EQ(small.size(), 0U);
}

TEST(Buffer, MakesRoomOnlyWhereThereIsLess) {
  Buffer<float> buffer;
  buffer.make_room(1 << 20);
  buffer[7] = 7;
  buffer.make_room(100);
  EXPECT_EQ(buffer.size(), size_t{1} << 20);
  EXPECT_EQ(buffer[7], 7);
  buffer.make_room(2 << 20);
  EXPECT_TRUE(all_zero(buffer));
}

TEST(Buffer, WhatDoesNotFitIsRefused) { EXPECT_THROW(Buffer<float>(size_t{1} << 60, Pages::kLarge), std::bad_alloc); }

}  // namespace
}  // namespace andiron
