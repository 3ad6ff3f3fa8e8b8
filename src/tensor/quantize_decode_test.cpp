// decode_row against two things that share no code with it: a second decoder that reads each format as a string of
// bits and computes in double, and blocks that llama.cpp decoded (testdata/ggml_decode.txt, written by
// bench/peers/codec_compare --golden).

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "tensor/half.h"
#include "tensor/quantize.h"

namespace andiron {
namespace {

// A block as one little-endian number, `width` bits of it from bit `at`.
struct Bits {
  const uint8_t* bytes;
  int get(int at, int width) const {
    int value = 0;
    for (int i = 0; i < width; ++i) value |= ((bytes[(at + i) / 8] >> ((at + i) % 8)) & 1) << i;
    return value;
  }
  double f16(int byte) const { return static_cast<double>(f16_to_f32(static_cast<uint16_t>(get(8 * byte, 16)))); }
  int signed_byte(int byte) const { return static_cast<int8_t>(get(8 * byte, 8)); }
};

// One element in exact arithmetic: product - subtrahend. Both fit a double without rounding: at most 11 bits of
// scale, 8 of group scale and 8 of code.
struct Element {
  double product;
  double subtrahend;
};

// Where element i's bits lie, format by format. Positions are in bits from the start of the block unless named a byte.
// In the blocks of 32 the low nibbles of all 16 bytes come first.
int nibble_32(const Bits& b, int byte, int i) { return b.get(8 * (byte + i % 16) + 4 * (i / 16), 4); }

// Two-bit codes in four planes of 32 elements for each half of 128.
int plane_2(const Bits& b, int byte, int i) {
  return b.get(8 * (byte + 32 * (i / 128) + i % 32) + 2 * (i / 32 % 4), 2);
}

// Four-bit codes in two planes of 32 elements for each 64.
int plane_4(const Bits& b, int byte, int i) { return b.get(8 * (byte + 32 * (i / 64) + i % 32) + 4 * (i / 32 % 2), 4); }

// One bit for each group of 32: eight planes in 32 bytes.
int plane_1(const Bits& b, int byte, int i) { return b.get(8 * (byte + i % 32) + i / 32, 1); }

// The twelve bytes at `byte` hold 8 scales and 8 minimums of 6 bits: the first four of each whole in bytes 0 to 3 and
// 4 to 7, the rest with four bits in bytes 8 to 11 and two above an earlier whole one.
int k_scale(const Bits& b, int byte, int g) {
  const int at = 8 * byte;
  return g < 4 ? b.get(at + 8 * g, 6) : b.get(at + 8 * (4 + g), 4) + 16 * b.get(at + 8 * (g - 4) + 6, 2);
}
int k_min(const Bits& b, int byte, int g) {
  const int at = 8 * byte;
  return g < 4 ? b.get(at + 8 * (4 + g), 6) : b.get(at + 8 * (4 + g) + 4, 4) + 16 * b.get(at + 8 * g + 6, 2);
}

Element q4_0(const Bits& b, int i) { return {b.f16(0) * (nibble_32(b, 2, i) - 8), 0}; }
Element q4_1(const Bits& b, int i) { return {b.f16(0) * nibble_32(b, 4, i), -b.f16(2)}; }
Element q5_0(const Bits& b, int i) { return {b.f16(0) * (nibble_32(b, 6, i) + 16 * b.get(16 + i, 1) - 16), 0}; }
Element q5_1(const Bits& b, int i) { return {b.f16(0) * (nibble_32(b, 8, i) + 16 * b.get(32 + i, 1)), -b.f16(2)}; }
Element q8_0(const Bits& b, int i) { return {b.f16(0) * b.signed_byte(2 + i), 0}; }
Element q2_k(const Bits& b, int i) {
  const int g = i / 16;
  return {b.f16(80) * b.get(8 * g, 4) * plane_2(b, 16, i), b.f16(82) * b.get(8 * g + 4, 4)};
}
Element q3_k(const Bits& b, int i) {
  const int g = i / 16;
  // Byte 96: sixteen low nibbles, groups 0 to 7 in the low halves; byte 104: upper pairs, four groups to a plane.
  const int scale = b.get(8 * (96 + g % 8) + 4 * (g / 8), 4) + 16 * b.get(8 * (104 + g % 4) + 2 * (g / 4), 2);
  return {b.f16(108) * (scale - 32) * (plane_2(b, 32, i) + 4 * plane_1(b, 0, i) - 4), 0};
}
Element q4_k(const Bits& b, int i) {
  return {b.f16(0) * k_scale(b, 4, i / 32) * plane_4(b, 16, i), b.f16(2) * k_min(b, 4, i / 32)};
}
Element q5_k(const Bits& b, int i) {
  const int q = plane_4(b, 48, i) + 16 * plane_1(b, 16, i);
  return {b.f16(0) * k_scale(b, 4, i / 32) * q, b.f16(2) * k_min(b, 4, i / 32)};
}
Element q6_k(const Bits& b, int i) {
  // Low nibbles in two planes of 64 elements for each half of 128; upper pairs as in Q2_K.
  const int low = b.get(8 * (64 * (i / 128) + i % 64) + 4 * (i / 64 % 2), 4);
  return {b.f16(208) * b.signed_byte(192 + i / 16) * (low + 16 * plane_2(b, 128, i) - 32), 0};
}
constexpr int kLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
Element iq4_nl(const Bits& b, int i) { return {b.f16(0) * kLevels[nibble_32(b, 2, i)], 0}; }
Element iq4_xs(const Bits& b, int i) {
  const int g = i / 32;
  const int scale = b.get(8 * 4 + 4 * g, 4) + 16 * b.get(8 * 2 + 2 * g, 2);
  return {b.f16(0) * (scale - 32) * kLevels[nibble_32(b, 8 + 16 * g, i % 32)], 0};
}

using SecondDecoder = Element (*)(const Bits&, int);
const std::map<DType, SecondDecoder> kSecondDecoders = {
    {DType::kQ4_0, q4_0}, {DType::kQ4_1, q4_1}, {DType::kQ5_0, q5_0},     {DType::kQ5_1, q5_1},
    {DType::kQ8_0, q8_0}, {DType::kQ2_K, q2_k}, {DType::kQ3_K, q3_k},     {DType::kQ4_K, q4_k},
    {DType::kQ5_K, q5_k}, {DType::kQ6_K, q6_k}, {DType::kIQ4_NL, iq4_nl}, {DType::kIQ4_XS, iq4_xs},
};

TEST(Decode, AgreesWithASecondDecoderInDouble) {
  for (const auto& [dtype, second] : kSecondDecoders) {
    const DTypeInfo& info = dtype_info(dtype);
    const RandomStream random(4, static_cast<uint64_t>(dtype));
    std::vector<uint8_t> block(info.block_bytes);
    std::vector<float> out(info.block_elements);
    uint64_t counter = 0;
    for (int round = 0; round < 200; ++round) {
      for (uint8_t& byte : block) byte = static_cast<uint8_t>(random.bits(counter++));
      decode_row(dtype, block.data(), out.data(), out.size());
      for (int i = 0; i < static_cast<int>(info.block_elements); ++i) {
        const Element want = second({block.data()}, i);
        const double value = want.product - want.subtrahend;
        const float got = out[static_cast<size_t>(i)];
        if (!std::isfinite(value)) {
          EXPECT_FALSE(std::isfinite(got)) << info.name << " element " << i;
          continue;
        }
        // In float the product rounds once, or twice where it has three factors, the subtrahend once, and the
        // difference once: each by half an ulp, 2^-24 of its size.
        const double bound = 0x1p-24 * (2 * std::fabs(want.product) + std::fabs(want.subtrahend) + std::fabs(value));
        EXPECT_LE(std::fabs(static_cast<double>(got) - value), bound * 1.001) << info.name << " element " << i;
      }
    }
  }
}

TEST(Decode, AgreesWithLlamaCppBitForBit) {
  std::ifstream file(ANDIRON_SOURCE_DIR "/src/tensor/testdata/ggml_decode.txt");
  ASSERT_TRUE(file.good());
  std::map<std::string, int> blocks_count;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string name, hex, word;
    words >> name >> hex;
    const auto dtype = dtype_from_name(name);
    ASSERT_TRUE(dtype.has_value()) << name;
    const DTypeInfo& info = dtype_info(*dtype);
    ASSERT_EQ(hex.size(), 2 * info.block_bytes);
    std::vector<uint8_t> block;
    for (size_t i = 0; i < hex.size(); i += 2) {
      block.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    }
    std::vector<float> out(info.block_elements);
    decode_row(*dtype, block.data(), out.data(), out.size());
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_TRUE(words >> word);
      EXPECT_EQ(std::bit_cast<uint32_t>(out[i]), std::stoul(word, nullptr, 16)) << name << " element " << i;
    }
    ++blocks_count[name];
  }
  EXPECT_EQ(blocks_count.size(), kSecondDecoders.size());
}

TEST(Decode, WidensTheFloatFormats) {
  const std::vector<uint8_t> bytes = {0x00, 0x3c, 0x49, 0xc0};
  float out[2];
  decode_row(DType::kF16, bytes.data(), out, 2);
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], -2.142578125f);
  decode_row(DType::kBF16, bytes.data(), out, 2);
  EXPECT_EQ(out[0], 0.0078125f);
  EXPECT_EQ(out[1], -3.140625f);
  decode_row(DType::kF32, bytes.data(), out, 1);
  EXPECT_EQ(std::bit_cast<uint32_t>(out[0]), 0xc0493c00u);
}

TEST(Decode, NeedsNoAlignmentAndNoElements) {
  for (const DTypeInfo& info : all_dtypes()) {
    std::vector<uint8_t> bytes(info.block_bytes * 2 + 1);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 37 % 64);
    const std::vector<uint8_t> moved(bytes.begin() + 1, bytes.end());
    std::vector<float> at_odd(2 * info.block_elements), at_even(2 * info.block_elements);
    decode_row(info.dtype, bytes.data() + 1, at_odd.data(), at_odd.size());
    decode_row(info.dtype, moved.data(), at_even.data(), at_even.size());
    EXPECT_EQ(at_odd, at_even) << info.name;
    decode_row(info.dtype, nullptr, nullptr, 0);
  }
}

TEST(DecodeDeathTest, RefusesPartOfABlock) {
  uint8_t block[34] = {};
  float out[32];
  EXPECT_DEATH(decode_row(DType::kQ8_0, block, out, 31), "");
}

}  // namespace
}  // namespace andiron
