// Encode: the formats whose codes stand for sixteen uneven levels (kIq4Values).

#include "tensor/quant_encode.h"
#include "tensor/quant_search.h"
#include "tensor/quant_superblock.h"

namespace andiron {

using quant_search::Iq4Levels;
using quant_search::reciprocal;

void encode_block(const SmallBlock& in, BlockIQ4_NL* out) {
  out->d = quant_search::find_f16_scale<Iq4Levels, 32>(in.x, in.w, {1.08f, 0.6f, 25});
  const float to_levels = reciprocal(f16_to_f32(out->d));
  uint8_t codes[32];
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(Iq4Levels::code(in.x[i] * to_levels));
  pack_nibbles(codes, 32, out->qs);
}

void encode_block(const SuperBlock& in, BlockIQ4_XS* out) {
  quant_search::ScaledGroups<Iq4Levels, 8, quant_search::UniformLevels<-32, 31>> groups(in.x, in.w, 2);
  const auto found = groups.search({1.08f, 0.6f, 13});
  out->d = found.d;
  for (int g = 0; g < 8; ++g) {
    const int s = found.scales[static_cast<size_t>(g)];
    const int biased = s + 32;
    out->scales_l[g / 2] = static_cast<uint8_t>(out->scales_l[g / 2] | (biased & 15) << (4 * (g % 2)));
    out->scales_h = static_cast<uint16_t>(out->scales_h | (biased >> 4) << (2 * g));
    const float to_levels = reciprocal(f16_to_f32(found.d) * static_cast<float>(s));
    uint8_t codes[32];
    for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(Iq4Levels::code(in.x[32 * g + i] * to_levels));
    pack_nibbles(codes, 32, out->qs + 16 * g);
  }
}

}  // namespace andiron
