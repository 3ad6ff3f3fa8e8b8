#include "base/byte_reader.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace andiron {
namespace {

constexpr std::array<uint8_t, 8> kBytes = {1, 2, 3, 4, 5, 6, 7, 8};

TEST(ByteReader, ReadsLittleEndianNumbersAndViews) {
  ByteReader in(kBytes, "toy");
  EXPECT_EQ(*in.read<uint8_t>("a"), 1);
  EXPECT_EQ(*in.read<uint16_t>("b"), 0x0302);
  EXPECT_EQ(*in.take_text(2, "c"), "\x04\x05");
  EXPECT_EQ(in.offset(), 5u);
  EXPECT_TRUE(in.take(2, "d").ok());
  EXPECT_EQ((*in.take(1, "e"))[0], 8);
  EXPECT_EQ(in.remaining(), 0u);
  EXPECT_TRUE(in.take(0, "nothing").ok());
}

TEST(ByteReader, RefusesToReadBeyondTheEndAndStaysWhereItIs) {
  ByteReader in(kBytes, "toy.bin");
  ASSERT_TRUE(in.take(5, "x").ok());
  const auto number = in.read<uint32_t>("the length");
  ASSERT_FALSE(number.ok());
  EXPECT_EQ(number.error().message,
            "toy.bin: the length needs 4 bytes at offset 5, but only 3 remain; the file is damaged or cut short");
  const uint64_t huge = std::numeric_limits<uint64_t>::max();
  for (const uint64_t count : {uint64_t{4}, huge, huge - 4, huge - 5, uint64_t{1} << 63}) {
    EXPECT_FALSE(in.take(count, "x").ok());
    EXPECT_FALSE(in.take_text(count, "x").ok());
  }
  EXPECT_EQ(in.offset(), 5u);
  EXPECT_TRUE(in.take(3, "x").ok());
}

TEST(CheckedArithmetic, RefusesWhatWraps) {
  const uint64_t huge = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(*checked_mul(uint64_t{1} << 32, (uint64_t{1} << 32) - 1, "x"), huge - (uint64_t{1} << 32) + 1);
  EXPECT_FALSE(checked_mul(uint64_t{1} << 32, uint64_t{1} << 32, "x").ok());
  EXPECT_EQ(*checked_mul(0, huge, "x"), 0u);
  EXPECT_EQ(*checked_add(huge, 0, "x"), huge);
  EXPECT_FALSE(checked_add(huge, 1, "x").ok());
  EXPECT_EQ(checked_add(huge, 2, "tensor t").error().message, "tensor t: 18446744073709551615 + 2 is too large");
}

}  // namespace
}  // namespace andiron
