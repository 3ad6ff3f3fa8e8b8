// Encode: the K formats, 256 elements in groups of 16 or 32 with whole scales (and minimums) under one binary16.

#include "tensor/quant_encode.h"
#include "tensor/quant_superblock.h"

namespace andiron {

namespace {

using quant_search::AffineGroups;
using quant_search::GroupPairs;
using quant_search::GroupScales;
using quant_search::reciprocal;
using quant_search::ScaledGroups;
using quant_search::UniformLevels;

template <typename Levels, int kGroups>
void scaled_codes(const SuperBlock& in, const GroupScales<kGroups>& found, uint8_t (&codes)[256]) {
  const float d = f16_to_f32(found.d);
  for (int i = 0; i < 256; ++i) {
    const float scale = d * static_cast<float>(found.scales[static_cast<size_t>(i * kGroups / 256)]);
    codes[i] = static_cast<uint8_t>(Levels::code(in.x[i] * reciprocal(scale)));
  }
}

template <typename Levels, int kGroups>
void affine_codes(const SuperBlock& in, const GroupPairs<kGroups>& found, uint8_t (&codes)[256]) {
  const float d = f16_to_f32(found.d);
  const float dmin = f16_to_f32(found.dmin);
  for (int i = 0; i < 256; ++i) {
    const auto g = static_cast<size_t>(i * kGroups / 256);
    const float scale = d * static_cast<float>(found.scales[g]);
    const float min = dmin * static_cast<float>(found.mins[g]);
    codes[i] = static_cast<uint8_t>(Levels::code((in.x[i] + min) * reciprocal(scale)));
  }
}

// The low two bits of each code, as Q2_K and Q3_K lay them out.
void pack_two_bits(const uint8_t (&codes)[256], uint8_t (&qs)[64]) {
  for (int i = 0; i < 256; ++i) {
    uint8_t& byte = qs[32 * (i / 128) + i % 32];
    byte = static_cast<uint8_t>(byte | (codes[i] & 3) << (2 * ((i % 128) / 32)));
  }
}

// The low four bits of each code, as Q4_K and Q5_K lay them out.
void pack_four_bits(const uint8_t (&codes)[256], uint8_t (&qs)[128]) {
  for (int i = 0; i < 256; ++i) {
    uint8_t& byte = qs[32 * (i / 64) + i % 32];
    byte = static_cast<uint8_t>(byte | (codes[i] & 15) << (i % 64 < 32 ? 0 : 4));
  }
}

// Bit `bit` of each code, element i at bit i / 32 of byte i % 32, as Q3_K and Q5_K lay it out.
void pack_high_bit(const uint8_t (&codes)[256], int bit, uint8_t (&qh)[32]) {
  for (int i = 0; i < 256; ++i) qh[i % 32] = static_cast<uint8_t>(qh[i % 32] | ((codes[i] >> bit) & 1) << (i / 32));
}

// The inverse of q4_k_pair.
void pack_pairs(const GroupPairs<8>& found, uint8_t (&scales)[12]) {
  for (int g = 0; g < 8; ++g) {
    const int s = found.scales[static_cast<size_t>(g)];
    const int m = found.mins[static_cast<size_t>(g)];
    if (g < 4) {
      scales[g] = static_cast<uint8_t>(scales[g] | s);
      scales[g + 4] = static_cast<uint8_t>(scales[g + 4] | m);
    } else {
      scales[g + 4] = static_cast<uint8_t>((s & 15) | (m & 15) << 4);
      scales[g - 4] = static_cast<uint8_t>(scales[g - 4] | (s >> 4) << 6);
      scales[g] = static_cast<uint8_t>(scales[g] | (m >> 4) << 6);
    }
  }
}

}  // namespace

void encode_block(const SuperBlock& in, BlockQ2_K* out) {
  using Levels = UniformLevels<0, 3>;
  const auto found = AffineGroups<Levels, 16, UniformLevels<0, 15>>(in.x, in.w, 1).search({-0.3f, 0.6f, 4});
  uint8_t codes[256];
  affine_codes<Levels>(in, found, codes);
  out->d = found.d;
  out->dmin = found.dmin;
  for (size_t g = 0; g < 16; ++g) out->scales[g] = static_cast<uint8_t>(found.scales[g] | found.mins[g] << 4);
  pack_two_bits(codes, out->qs);
}

void encode_block(const SuperBlock& in, BlockQ3_K* out) {
  using Levels = UniformLevels<-4, 3>;
  const auto found = ScaledGroups<Levels, 16, UniformLevels<-32, 31>>(in.x, in.w, 2).search({1.2f, 0.6f, 15});
  uint8_t codes[256];
  scaled_codes<Levels>(in, found, codes);
  out->d = found.d;
  for (int g = 0; g < 16; ++g) {  // the inverse of q3_k_scale
    const int biased = found.scales[static_cast<size_t>(g)] + 32;
    out->scales[g % 8] = static_cast<uint8_t>(out->scales[g % 8] | (biased & 15) << (g < 8 ? 0 : 4));
    out->scales[8 + g % 4] = static_cast<uint8_t>(out->scales[8 + g % 4] | (biased >> 4) << (2 * (g / 4)));
  }
  pack_two_bits(codes, out->qs);
  pack_high_bit(codes, 2, out->hmask);
}

void encode_block(const SuperBlock& in, BlockQ4_K* out) {
  using Levels = UniformLevels<0, 15>;
  const auto found = AffineGroups<Levels, 8, UniformLevels<0, 63>>(in.x, in.w, 1).search({-0.4f, 1.0f, 4});
  uint8_t codes[256];
  affine_codes<Levels>(in, found, codes);
  out->d = found.d;
  out->dmin = found.dmin;
  pack_pairs(found, out->scales);
  pack_four_bits(codes, out->qs);
}

void encode_block(const SuperBlock& in, BlockQ5_K* out) {
  using Levels = UniformLevels<0, 31>;
  const auto found = AffineGroups<Levels, 8, UniformLevels<0, 63>>(in.x, in.w, 1).search({-0.4f, 1.0f, 4});
  uint8_t codes[256];
  affine_codes<Levels>(in, found, codes);
  out->d = found.d;
  out->dmin = found.dmin;
  pack_pairs(found, out->scales);
  pack_high_bit(codes, 4, out->qh);
  pack_four_bits(codes, out->qs);
}

void encode_block(const SuperBlock& in, BlockQ6_K* out) {
  using Levels = UniformLevels<-32, 31>;
  const auto found = ScaledGroups<Levels, 16, UniformLevels<-128, 127>>(in.x, in.w, 6).search({1.04f, 0.96f, 7});
  uint8_t codes[256];
  scaled_codes<Levels>(in, found, codes);
  out->d = found.d;
  for (size_t g = 0; g < 16; ++g) out->scales[g] = static_cast<int8_t>(found.scales[g]);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int quarter = (i % 128) / 32;
    uint8_t& low = out->ql[64 * half + 32 * (quarter & 1) + i % 32];
    uint8_t& high = out->qh[32 * half + i % 32];
    low = static_cast<uint8_t>(low | (codes[i] & 15) << (quarter < 2 ? 0 : 4));
    high = static_cast<uint8_t>(high | (codes[i] >> 4) << (2 * quarter));
  }
}

}  // namespace andiron
