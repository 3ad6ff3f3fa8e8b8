#include "tensor/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace andiron {
namespace {

// The value of a binary16 pattern by IEEE 754's formula, in double.
double f16_by_formula(uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int mantissa = half & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(Half, WidensEveryFiniteF16Exactly) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    if ((half & 0x7c00) == 0x7c00) continue;
    const float value = f16_to_f32(static_cast<uint16_t>(half));
    EXPECT_EQ(static_cast<double>(value), f16_by_formula(static_cast<uint16_t>(half))) << half;
    EXPECT_EQ(std::signbit(value), (half & 0x8000) != 0) << half;
  }
}

TEST(Half, EveryF16ComesBackFromFloat) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const float value = f16_to_f32(static_cast<uint16_t>(half));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(value))));
    } else {
      EXPECT_EQ(f32_to_f16(value), half);
    }
  }
}

// Rounding to nearest even, stated by its definition: no neighbour is nearer, and of two equally near
// the one with the even last bit is taken.
TEST(Half, NarrowsToTheNearestF16) {
  const RandomStream random(1);
  for (uint64_t i = 0; i < 200000; ++i) {
    const uint64_t bits = random.bits(i);
    // Exponents around the binary16 range, where something happens: 2^-28 to 2^17.
    const int exponent = static_cast<int>((bits >> 32) % 46) - 28;
    double value = std::ldexp(1.0 + static_cast<double>(bits & 0x7fffff) * 0x1p-23, exponent);
    if (i % 3 == 0) value = std::ldexp(std::floor(std::ldexp(value, 11 - exponent)), exponent - 11);  // often a tie
    const uint16_t half = f32_to_f16(static_cast<float>(value));
    if (value >= 65520.0) {
      EXPECT_EQ(half, 0x7c00) << value;
      continue;
    }
    const double error = std::fabs(f16_by_formula(half) - value);
    const double above = half == 0x7bff ? 65536.0 : f16_by_formula(static_cast<uint16_t>(half + 1));
    EXPECT_LE(error, std::fabs(above - value)) << value;
    const double below = half == 0 ? -above : f16_by_formula(static_cast<uint16_t>(half - 1));
    EXPECT_LE(error, std::fabs(below - value)) << value;
    const bool tie = error == std::fabs(above - value) || error == std::fabs(below - value);
    EXPECT_FALSE(tie && half % 2 == 1) << value;
    EXPECT_EQ(f32_to_f16(static_cast<float>(-value)), half | 0x8000) << value;
  }
}

TEST(Half, NarrowsTheEdgesOfF16) {
  const float infinity = std::numeric_limits<float>::infinity();
  struct {
    float value;
    uint16_t half;
  } const cases[] = {
      {0.0f, 0x0000},          {-0.0f, 0x8000},     {1.0f, 0x3c00},         {65504.0f, 0x7bff},
      {65519.996f, 0x7bff},    {65520.0f, 0x7c00},  {infinity, 0x7c00},     {-infinity, 0xfc00},
      {0x1p-14f, 0x0400},      {0x1p-24f, 0x0001},  {0x1p-25f, 0x0000},     {0x1.8p-24f, 0x0002},
      {0x1.000002p-25f, 0x01}, {0x1p-149f, 0x0000}, {0x1.ff8p-15f, 0x03ff}, {0x1.ffcp-15f, 0x0400},
  };
  for (const auto& c : cases) EXPECT_EQ(f32_to_f16(c.value), c.half) << c.value;
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::quiet_NaN()) & 0x7fff, 0x7e00);
}

TEST(Half, Bf16IsTheUpperHalfOfFloatRoundedToEven) {
  const float infinity = std::numeric_limits<float>::infinity();
  struct {
    uint32_t bits;
    uint16_t brain;
  } const cases[] = {
      {0x3f800000, 0x3f80}, {0x3f807fff, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81}, {0x3f818000, 0x3f82},
      {0x7f7fffff, 0x7f80}, {0x00000001, 0x0000}, {0x80008001, 0x8001}, {0x7f800000, 0x7f80}, {0x7f800001, 0x7fc0},
  };
  for (const auto& c : cases) EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(c.bits)), c.brain) << std::hex << c.bits;
  EXPECT_EQ(bf16_to_f32(0x7f80), infinity);
  EXPECT_EQ(bf16_to_f32(0xc049), -3.140625f);
}

static_assert(f16_to_f32(0x3555) > 0.333f && f32_to_f16(0.1f) == 0x2e66, "usable in constant expressions");

}  // namespace
}  // namespace andiron
