/* The packed formats, as each kernel needs them: how to step through a group and turn one block of 32 columns into
 * quads of bytes and lanes of scales. Layouts: kernels/packing.h. Included inside one instruction set's namespace,
 * after vec.h. */
#pragma once

#include "tensor/quant_blocks.h"

namespace andiron {
namespace {

enum Scales {
  kScaleF16,        /* per 32: d */
  kScaleMinF16,     /* per 32: d, m */
  kSuperScaleS8,    /* per 256: d; per 32 (or 16): signed sc */
  kSuperScaleMinU8, /* per 256: d, dmin; per 32: sc, m */
  kSuperScaleMinU4, /* per 256: d, dmin; per 16: sc | m << 4 */
};

/* kStored: bits in the file's planes. kBits: of the bytes after unpacking (8: signed). kSub: elements a scale covers.
 * kOffset: what is taken off every unsigned quant. */
template <int kStored_, int kBits_, int kSub_, int kOffset_, Scales kScales_>
struct Format {
  static constexpr int kStored = kStored_, kBits = kBits_, kSub = kSub_, kOffset = kOffset_;
  static constexpr int kSubs = 32 / kSub_, kQuads = kSub_ / 4;
  static constexpr Scales kScales = kScales_;
  static constexpr bool kHasMin =
      kScales_ == kScaleMinF16 || kScales_ == kSuperScaleMinU8 || kScales_ == kSuperScaleMinU4;
  static constexpr bool kIsSuper = kScales_ != kScaleF16 && kScales_ != kScaleMinF16;
  static constexpr int kBlocksPerSuper = kIsSuper ? 8 : 1;
  static constexpr int kHeaderBytes = !kIsSuper ? 0 : kHasMin ? 64 : 32;
  static constexpr int kScaleBytes = kScales_ == kScaleMinF16 ? 64 : kScales_ == kSuperScaleS8 ? 16 * kSubs : 32;
  static constexpr int kBlockBytes = kScaleBytes + 64 * kStored_;
  static constexpr int kSuperBytes = kHeaderBytes + kBlocksPerSuper * kBlockBytes;
};

typedef Format<4, 4, 32, 8, kScaleF16> FormatQ4_0;
typedef Format<4, 4, 32, 0, kScaleMinF16> FormatQ4_1;
typedef Format<5, 5, 32, 16, kScaleF16> FormatQ5_0;
typedef Format<5, 5, 32, 0, kScaleMinF16> FormatQ5_1;
typedef Format<8, 8, 32, 0, kScaleF16> FormatQ8_0;
typedef Format<2, 2, 16, 0, kSuperScaleMinU4> FormatQ2_K;
typedef Format<3, 3, 16, 4, kSuperScaleS8> FormatQ3_K;
typedef Format<4, 4, 32, 0, kSuperScaleMinU8> FormatQ4_K;
typedef Format<5, 5, 32, 0, kSuperScaleMinU8> FormatQ5_K;
typedef Format<6, 6, 16, 32, kSuperScaleS8> FormatQ6_K;
typedef Format<4, 8, 32, 0, kScaleF16> FormatIQ4_NL;
typedef Format<4, 8, 32, 0, kSuperScaleS8> FormatIQ4_XS;

/* One block of 32 columns of one group. */
struct BlockScales {
  V::F scale[2]; /* d_w of each sub-block */
  V::F min[2];   /* m_w of each sub-block: what is added per unit of x */
};

/* Some blocks ahead: the hardware prefetcher stops at 4 KiB pages, and a group is read end to end. */
template <class Fmt>
KERNEL_INLINE void prefetch_block(const uint8_t* p) {
  for (int line = 0; line < Fmt::kBlockBytes; line += 64) __builtin_prefetch(p + line + 2048, 0, 3);
}

/* The planes of one block to 8 quads. Its loops are unrolled, as are those of what takes the quads: an array that any
 * loop indexes lies in memory, and each quad would be stored and loaded again. */
template <class Fmt>
KERNEL_INLINE void unpack_quads(const uint8_t* p, V::B (&q)[8]) {
  if constexpr (Fmt::kStored == 8) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) q[j] = V::b_load(p + 64 * j);
  }
  if constexpr (Fmt::kStored == 4 || Fmt::kStored == 5 || Fmt::kStored == 6) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const V::B v = V::b_load(p + 64 * j);
      q[j] = V::b_and(v, 0x0f);
      q[j + 4] = V::b_and(V::b_shr<4>(v), 0x0f);
    }
    if constexpr (Fmt::kBits == 8) {
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) q[j] = V::b_lookup(q[j], kIq4Values);
    }
  }
  if constexpr (Fmt::kStored == 2 || Fmt::kStored == 3) {
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      const V::B v = V::b_load(p + 64 * j);
      q[j] = V::b_and(v, 3);
      q[j + 2] = V::b_and(V::b_shr<2>(v), 3);
      q[j + 4] = V::b_and(V::b_shr<4>(v), 3);
      q[j + 6] = V::b_and(V::b_shr<6>(v), 3);
    }
  }
  if constexpr (Fmt::kStored == 6) { /* bits 4 and 5 */
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      const V::B v = V::b_load(p + 256 + 64 * j);
      q[j] = V::b_or(q[j], V::b_and(V::b_shl<4>(v), 0x30));
      q[j + 2] = V::b_or(q[j + 2], V::b_and(V::b_shl<2>(v), 0x30));
      q[j + 4] = V::b_or(q[j + 4], V::b_and(v, 0x30));
      q[j + 6] = V::b_or(q[j + 6], V::b_and(V::b_shr<2>(v), 0x30));
    }
  }
  if constexpr (Fmt::kStored == 5 || Fmt::kStored == 3) { /* the top bit: to 16 or to 4 */
    const V::B v = V::b_load(p + (Fmt::kStored == 5 ? 256 : 128));
    if constexpr (Fmt::kStored == 5) {
      q[0] = V::b_or(q[0], V::b_and(V::b_shl<4>(v), 16));
      q[1] = V::b_or(q[1], V::b_and(V::b_shl<3>(v), 16));
      q[2] = V::b_or(q[2], V::b_and(V::b_shl<2>(v), 16));
      q[3] = V::b_or(q[3], V::b_and(V::b_shl<1>(v), 16));
      q[4] = V::b_or(q[4], V::b_and(v, 16));
      q[5] = V::b_or(q[5], V::b_and(V::b_shr<1>(v), 16));
      q[6] = V::b_or(q[6], V::b_and(V::b_shr<2>(v), 16));
      q[7] = V::b_or(q[7], V::b_and(V::b_shr<3>(v), 16));
    } else {
      q[0] = V::b_or(q[0], V::b_and(V::b_shl<2>(v), 4));
      q[1] = V::b_or(q[1], V::b_and(V::b_shl<1>(v), 4));
      q[2] = V::b_or(q[2], V::b_and(v, 4));
      q[3] = V::b_or(q[3], V::b_and(V::b_shr<1>(v), 4));
      q[4] = V::b_or(q[4], V::b_and(V::b_shr<2>(v), 4));
      q[5] = V::b_or(q[5], V::b_and(V::b_shr<3>(v), 4));
      q[6] = V::b_or(q[6], V::b_and(V::b_shr<4>(v), 4));
      q[7] = V::b_or(q[7], V::b_and(V::b_shr<5>(v), 4));
    }
  }
}

/* What a group's super-block header gives to its blocks. */
struct SuperScales {
  V::F d, dmin; /* dmin with its sign turned: the minimum is subtracted */
};

template <class Fmt>
KERNEL_INLINE SuperScales load_header(const uint8_t* header) {
  SuperScales s = {V::f_zero(), V::f_zero()};
  if constexpr (Fmt::kIsSuper) s.d = V::f_from_f16((const uint16_t*)header);
  if constexpr (Fmt::kIsSuper && Fmt::kHasMin) {
    s.dmin = V::f_sub(V::f_zero(), V::f_from_f16((const uint16_t*)(header + 32)));
  }
  return s;
}

template <class Fmt>
KERNEL_INLINE BlockScales load_scales(const SuperScales& super, const uint8_t* p) {
  BlockScales s;
  if constexpr (Fmt::kScales == kScaleF16 || Fmt::kScales == kScaleMinF16) {
    s.scale[0] = V::f_from_f16((const uint16_t*)p);
    if constexpr (Fmt::kHasMin) s.min[0] = V::f_from_f16((const uint16_t*)(p + 32));
  }
  if constexpr (Fmt::kScales == kSuperScaleS8) {
#pragma GCC unroll 2
    for (int i = 0; i < Fmt::kSubs; ++i) s.scale[i] = V::f_mul(super.d, V::f_from_s8(p + 16 * i));
  }
  if constexpr (Fmt::kScales == kSuperScaleMinU8) {
    s.scale[0] = V::f_mul(super.d, V::f_from_u8(p));
    s.min[0] = V::f_mul(super.dmin, V::f_from_u8(p + 16));
  }
  if constexpr (Fmt::kScales == kSuperScaleMinU4) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      uint8_t low[16], high[16];
      for (int j = 0; j < 16; ++j) {
        low[j] = p[16 * i + j] & 15;
        high[j] = p[16 * i + j] >> 4;
      }
      s.scale[i] = V::f_mul(super.d, V::f_from_u8(low));
      s.min[i] = V::f_mul(super.dmin, V::f_from_u8(high));
    }
  }
  return s;
}

}  // namespace
}  // namespace andiron
