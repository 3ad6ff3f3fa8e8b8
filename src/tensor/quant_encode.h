// What the encoder files of tensor/ share: a block made fit for the searches, and one function a format.
// Internal to tensor/.
#pragma once

#include "tensor/quant_blocks.h"

namespace andiron {

// The numbers of one block and their weights, such that the searches need no special cases: every x finite
// and within +-1e9 (beyond the range of every format), every w >= 1e-6, their mean about 1.
template <int kElements>
struct PreparedBlock {
  float x[kElements];
  float w[kElements];
};
using SmallBlock = PreparedBlock<kBlockElements>;
using SuperBlock = PreparedBlock<kSuperBlockElements>;

void encode_block(const SmallBlock& in, BlockQ4_0* out);
void encode_block(const SmallBlock& in, BlockQ4_1* out);
void encode_block(const SmallBlock& in, BlockQ5_0* out);
void encode_block(const SmallBlock& in, BlockQ5_1* out);
void encode_block(const SmallBlock& in, BlockQ8_0* out);
void encode_block(const SmallBlock& in, BlockIQ4_NL* out);
void encode_block(const SuperBlock& in, BlockQ2_K* out);
void encode_block(const SuperBlock& in, BlockQ3_K* out);
void encode_block(const SuperBlock& in, BlockQ4_K* out);
void encode_block(const SuperBlock& in, BlockQ5_K* out);
void encode_block(const SuperBlock& in, BlockQ6_K* out);
void encode_block(const SuperBlock& in, BlockIQ4_XS* out);

// Two 4-bit codes a byte: the code of element i in the low half of out[i], that of element i + count / 2 in
// the high half.
inline void pack_nibbles(const uint8_t* codes, int count, uint8_t* out) {
  for (int i = 0; i < count / 2; ++i) out[i] = static_cast<uint8_t>(codes[i] | codes[i + count / 2] << 4);
}

}  // namespace andiron
