// The block formats of GGUF as they lie in a file: plain structs, little-endian, no padding.
//
// Layouts are facts of the format (ggml's ggml-common.h; GGUF specification, "ggml_type"); the formula
// of each stands beside it. d, m and dmin are binary16 bit patterns (half.h). Element i of a block is
// x[i]; "nibble low/high" of byte b are b & 15 and b >> 4. Only <stdint.h> and internal linkage here:
// folders compiled for one instruction set include this file, and it must leave no shared symbol.
//
// Blocks in a file are aligned to 2 bytes at best; copy one out (memcpy) or read byte by byte.
#pragma once

#include <stdint.h>

namespace andiron {

constexpr int kBlockElements = 32;        // Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL
constexpr int kSuperBlockElements = 256;  // Q2_K .. Q6_K, IQ4_XS

// x[i] = (q - 8) * d; q = nibble low of qs[i] for i < 16, nibble high of qs[i - 16] above.
struct BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18, "Q4_0 is 18 bytes");

// x[i] = q * d + m; q as in Q4_0.
struct BlockQ4_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20, "Q4_1 is 20 bytes");

// x[i] = (q - 16) * d; low four bits of q as in Q4_0, the fifth is bit i of qh read as one 32-bit number.
struct BlockQ5_0 {
  uint16_t d;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22, "Q5_0 is 22 bytes");

// x[i] = q * d + m; q as in Q5_0.
struct BlockQ5_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24, "Q5_1 is 24 bytes");

// x[i] = qs[i] * d.
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34, "Q8_0 is 34 bytes");

// The super-blocks below hold 256 elements in groups of 16 or 32, group g = i / 16 or i / 32, each group
// with a small integer scale. Products round to float in the order written, left to right.

// Two-bit codes: element i of a half h = i / 128, j = (i % 128) / 32, l = i % 32 is
// q = (qs[32 h + l] >> 2 j) & 3. x[i] = (d * (s & 15)) * q - dmin * (s >> 4) with s = scales[i / 16].
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d;
  uint16_t dmin;
};
static_assert(sizeof(BlockQ2_K) == 84, "Q2_K is 84 bytes");

// x[i] = (d * (s - 32)) * (q - 4); the low two bits of q as in Q2_K, the third is bit 4 h + j of hmask[l];
// s is the six-bit scale of group i / 16, see q3_k_scale.
struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;
};
static_assert(sizeof(BlockQ3_K) == 110, "Q3_K is 110 bytes");

// Four-bit codes: element i of c = i / 64, l = i % 32 is the low (first 32 of each 64) or high nibble of
// qs[32 c + l]. x[i] = (d * s) * q - (dmin * m); s, m are the six-bit pair of group i / 32, see q4_k_pair.
struct BlockQ4_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 144, "Q4_K is 144 bytes");

// As Q4_K, with a fifth bit: bit i / 32 of qh[i % 32].
struct BlockQ5_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176, "Q5_K is 176 bytes");

// x[i] = (d * scales[i / 16]) * (q - 32). With h = i / 128, j = (i % 128) / 32, l = i % 32: the low four
// bits of q are the low (j < 2) or high nibble of ql[64 h + 32 (j & 1) + l], the upper two are
// (qh[32 h + l] >> 2 j) & 3.
struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == 210, "Q6_K is 210 bytes");

// x[i] = d * kIq4Values[q]; q as in Q4_0.
struct BlockIQ4_NL {
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockIQ4_NL) == 18, "IQ4_NL is 18 bytes");

// x[i] = (d * (s - 32)) * kIq4Values[q]. Group g = i / 32 has 16 bytes at qs + 16 g, nibbles as in Q4_0;
// the low four bits of s are the low (g even) or high nibble of scales_l[g / 2], the upper two are
// (scales_h >> 2 g) & 3.
struct BlockIQ4_XS {
  uint16_t d;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};
static_assert(sizeof(BlockIQ4_XS) == 136, "IQ4_XS is 136 bytes");

// The sixteen levels of IQ4_NL and IQ4_XS (ggml-common.h, kvalues_iq4nl).
constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// The six-bit scale s of group g (0 to 15) of a BlockQ3_K, 0 to 63: the low four bits are nibbles of the
// first eight bytes (groups 0 to 7 low, 8 to 15 high), the upper two are pairs of bits of the last four.
static inline int q3_k_scale(const uint8_t scales[12], int g) {
  const int low = g < 8 ? scales[g] & 15 : scales[g - 8] >> 4;
  const int high = (scales[8 + g % 4] >> (2 * (g / 4))) & 3;
  return low | (high << 4);
}

// The six-bit scale and minimum of group g (0 to 7) of a BlockQ4_K or BlockQ5_K. Groups 0 to 3 have their
// scale in the low six bits of byte g and their minimum in those of byte g + 4; groups 4 to 7 have their
// low four bits as the nibbles of byte g + 4 and their upper two in the top bits left over above.
struct ScaleAndMin {
  uint8_t scale;
  uint8_t min;
};
static inline ScaleAndMin q4_k_pair(const uint8_t scales[12], int g) {
  ScaleAndMin pair;
  if (g < 4) {
    pair.scale = (uint8_t)(scales[g] & 63);
    pair.min = (uint8_t)(scales[g + 4] & 63);
  } else {
    pair.scale = (uint8_t)((scales[g + 4] & 15) | ((scales[g - 4] >> 6) << 4));
    pair.min = (uint8_t)((scales[g + 4] >> 4) | ((scales[g] >> 6) << 4));
  }
  return pair;
}

}  // namespace andiron
