// Encode: the formats of 32 elements with one binary16 scale, and perhaps an offset, to a block.

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "tensor/quant_encode.h"
#include "tensor/quant_search.h"
#include "tensor/quantize.h"

namespace andiron {

namespace {

using quant_search::find_f16_affine;
using quant_search::find_f16_scale;
using quant_search::reciprocal;
using quant_search::Sweep;
using quant_search::UniformLevels;

// Bit 4 of each code, element i at bit i of a little-endian number.
void pack_fifth_bits(const uint8_t (&codes)[32], uint8_t (&qh)[4]) {
  for (int i = 0; i < 32; ++i) qh[i / 8] = static_cast<uint8_t>(qh[i / 8] | (codes[i] >> 4) << (i % 8));
}

template <int kCount>
void keep_low_nibbles(uint8_t (&codes)[kCount]) {
  for (uint8_t& code : codes) code &= 15;
}

// Finds the scale and the codes that go with it.
template <typename Levels>
uint16_t encode_scaled(const SmallBlock& in, const Sweep& sweep, uint8_t (&codes)[32]) {
  const uint16_t d = find_f16_scale<Levels, 32>(in.x, in.w, sweep);
  const float to_levels = reciprocal(f16_to_f32(d));
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(Levels::code(in.x[i] * to_levels));
  return d;
}

template <typename Levels>
quant_search::F16Affine encode_affine(const SmallBlock& in, const Sweep& trims, uint8_t (&codes)[32]) {
  const auto found = find_f16_affine<Levels, 32>(in.x, in.w, trims);
  const float to_levels = reciprocal(f16_to_f32(found.scale));
  const float offset = f16_to_f32(found.offset);
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(Levels::code((in.x[i] - offset) * to_levels));
  return found;
}

}  // namespace

void encode_block(const SmallBlock& in, BlockQ4_0* out) {
  uint8_t codes[32];
  out->d = encode_scaled<UniformLevels<-8, 7>>(in, {1.08f, 0.6f, 25}, codes);
  pack_nibbles(codes, 32, out->qs);
}

void encode_block(const SmallBlock& in, BlockQ4_1* out) {
  uint8_t codes[32];
  const auto found = encode_affine<UniformLevels<0, 15>>(in, {-0.4f, 1.4f, 7}, codes);
  out->d = found.scale;
  out->m = found.offset;
  pack_nibbles(codes, 32, out->qs);
}

void encode_block(const SmallBlock& in, BlockQ5_0* out) {
  uint8_t codes[32];
  out->d = encode_scaled<UniformLevels<-16, 15>>(in, {1.06f, 0.8f, 25}, codes);
  pack_fifth_bits(codes, out->qh);
  keep_low_nibbles(codes);
  pack_nibbles(codes, 32, out->qs);
}

void encode_block(const SmallBlock& in, BlockQ5_1* out) {
  uint8_t codes[32];
  const auto found = encode_affine<UniformLevels<0, 31>>(in, {-0.4f, 1.4f, 7}, codes);
  out->d = found.scale;
  out->m = found.offset;
  pack_fifth_bits(codes, out->qh);
  keep_low_nibbles(codes);
  pack_nibbles(codes, 32, out->qs);
}

// -128 is left out: readers may negate codes in eight bits.
void encode_block(const SmallBlock& in, BlockQ8_0* out) {
  uint8_t codes[32];
  out->d = encode_scaled<UniformLevels<-127, 127>>(in, {1.01f, 0.99f, 21}, codes);
  for (int i = 0; i < 32; ++i) out->qs[i] = static_cast<int8_t>(codes[i] - 127);
}

namespace {
// Loops that compilers vectorise: of whole numbers, whose order is that of magnitudes, and without branches.
void round_block(const float* in, BlockQ8_0* out) {
  constexpr int32_t kInfinity = 0x7f800000;
  int32_t bits[32];
  int32_t top = 0;
  for (int i = 0; i < 32; ++i) {
    const auto number = std::bit_cast<int32_t>(in[i]), magnitude = number & 0x7fffffff;
    bits[i] = magnitude < kInfinity ? number : 0;
    top = std::max(top, magnitude < kInfinity ? magnitude : 0);
  }
  out->d = quant_search::f16_scale(std::bit_cast<float>(top) / 127);
  const float to_levels = reciprocal(f16_to_f32(out->d));
  constexpr float kRounds = 0x1.8p23f;  // added to a small number, leaves its nearest whole number in the lowest bits
  for (int i = 0; i < 32; ++i) {
    const float level = std::clamp(std::bit_cast<float>(bits[i]) * to_levels, -127.0f, 127.0f);
    out->qs[i] = static_cast<int8_t>(std::bit_cast<int32_t>(level + kRounds));
  }
}
}  // namespace

void round_row_q8_0(const float* in, uint8_t* blocks, uint64_t elements) {
  ANDIRON_CHECK(elements % 32 == 0);
  for (uint64_t i = 0; i < elements / 32; ++i) {
    BlockQ8_0 block;
    round_block(in + i * 32, &block);
    std::memcpy(blocks + i * sizeof(block), &block, sizeof(block));
  }
}

}  // namespace andiron
