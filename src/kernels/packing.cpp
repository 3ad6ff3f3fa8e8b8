#include "kernels/packing.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "tensor/quant_blocks.h"

namespace andiron {

namespace {

// What a packed group is made of, by format; the layouts are in the header.
struct Layout {
  int stored_bits;       // of the planes; 0: floats
  int blocks_per_super;  // 8 where a header covers 256 columns
  int header_bytes;
  int scale_bytes;  // per block of 32, all 16 lanes
};

Layout layout_of(PackedFormat format) {
  switch (format) {
    case kPackedQ4_0:
    case kPackedIQ4_NL: return {4, 1, 0, 32};
    case kPackedQ5_0: return {5, 1, 0, 32};
    case kPackedQ8_0: return {8, 1, 0, 32};
    case kPackedQ4_1: return {4, 1, 0, 64};
    case kPackedQ5_1: return {5, 1, 0, 64};
    case kPackedQ4_K: return {4, 8, 64, 32};
    case kPackedQ5_K: return {5, 8, 64, 32};
    case kPackedIQ4_XS: return {4, 8, 32, 16};
    case kPackedQ6_K: return {6, 8, 32, 32};
    case kPackedQ3_K: return {3, 8, 32, 32};
    case kPackedQ2_K: return {2, 8, 64, 32};
    case kPackedF32:
    case kPackedF16:
    case kPackedBF16:
    case kPackedFormatCount: break;
  }
  return {0, 1, 0, 0};
}

// One row's block (32 columns) or super-block (256) taken apart: quants as stored, before offsets and tables.
struct PlainBlock {
  std::array<uint8_t, 256> q{};
  uint16_t d = 0;
  uint16_t dmin = 0;  // or m
  std::array<uint8_t, 16> sc{};
  std::array<uint8_t, 16> m{};
};

// Low nibbles are elements 0..15, high ones 16..31 (ggml's order in all 32-blocks); qh: bit i is the fifth bit of
// element i.
void split_nibbles32(const uint8_t* qs, uint32_t qh, uint8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = static_cast<uint8_t>((qs[i] & 15) | ((qh >> i & 1) << 4));
    q[i + 16] = static_cast<uint8_t>(qs[i] >> 4 | ((qh >> (i + 16) & 1) << 4));
  }
}

// Q4_K and Q5_K: per 64 elements 32 bytes, low nibbles first; qh (may be null): bit 2c, 2c+1 of byte i for chunk c.
void split_nibbles256(const uint8_t* qs, const uint8_t* qh, uint8_t* q) {
  for (int chunk = 0; chunk < 4; ++chunk) {
    for (int i = 0; i < 32; ++i) {
      const uint8_t byte = qs[32 * chunk + i];
      const int low_bit = qh != nullptr ? qh[i] >> (2 * chunk) & 1 : 0;
      const int high_bit = qh != nullptr ? qh[i] >> (2 * chunk + 1) & 1 : 0;
      q[64 * chunk + i] = static_cast<uint8_t>((byte & 15) | low_bit << 4);
      q[64 * chunk + 32 + i] = static_cast<uint8_t>(byte >> 4 | high_bit << 4);
    }
  }
}

// Q2_K and Q3_K: 128 elements share 32 bytes, two bits each, low bits first.
void split_crumbs256(const uint8_t* qs, uint8_t* q) {
  for (int i = 0; i < 256; ++i) q[i] = qs[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32)) & 3;
}

template <typename Block>
Block load_block(const uint8_t* p) {
  Block b;
  std::memcpy(&b, p, sizeof b);
  return b;
}

uint32_t word_of(const uint8_t (&bytes)[4]) {
  uint32_t word = 0;
  std::memcpy(&word, bytes, 4);
  return word;
}

void read_q6_k(const uint8_t* p, PlainBlock& out) {
  const auto b = load_block<BlockQ6_K>(p);
  out.d = b.d;
  std::memcpy(out.sc.data(), b.scales, 16);
  for (int half = 0; half < 2; ++half) {  // 128 elements: 64 bytes of low nibbles, 32 bytes of high pairs
    for (int i = 0; i < 32; ++i) {
      const uint8_t* ql = b.ql + 64 * half;
      const uint8_t qh = b.qh[32 * half + i];
      uint8_t* q = out.q.data() + 128 * half + i;
      q[0] = static_cast<uint8_t>((ql[i] & 15) | (qh & 3) << 4);
      q[32] = static_cast<uint8_t>((ql[i + 32] & 15) | (qh >> 2 & 3) << 4);
      q[64] = static_cast<uint8_t>(ql[i] >> 4 | (qh >> 4 & 3) << 4);
      q[96] = static_cast<uint8_t>(ql[i + 32] >> 4 | (qh >> 6) << 4);
    }
  }
}

void read_q3_k(const uint8_t* p, PlainBlock& out) {
  const auto b = load_block<BlockQ3_K>(p);
  out.d = b.d;
  split_crumbs256(b.qs, out.q.data());
  for (int i = 0; i < 256; ++i) out.q[i] |= static_cast<uint8_t>((b.hmask[i % 32] >> (i / 32) & 1) << 2);
  for (int g = 0; g < 16; ++g) out.sc[g] = static_cast<uint8_t>(q3_k_scale(b.scales, g) - 32);
}

void read_iq4_xs(const uint8_t* p, PlainBlock& out) {
  const auto b = load_block<BlockIQ4_XS>(p);
  out.d = b.d;
  for (int g = 0; g < 8; ++g) {
    const int low = b.scales_l[g / 2] >> (4 * (g % 2)) & 15;
    const int high = b.scales_h >> (2 * g) & 3;
    out.sc[g] = static_cast<uint8_t>((low | high << 4) - 32);
    split_nibbles32(b.qs + 16 * g, 0, out.q.data() + 32 * g);
  }
}

template <typename Block>
void read_k_pairs(const Block& b, PlainBlock& out) {
  out.d = b.d;
  out.dmin = b.dmin;
  for (int g = 0; g < 8; ++g) {
    const ScaleAndMin pair = q4_k_pair(b.scales, g);
    out.sc[g] = pair.scale;
    out.m[g] = pair.min;
  }
}

void read_block(DType dtype, const uint8_t* p, PlainBlock& out) {
  switch (dtype) {
    case DType::kQ4_0:
    case DType::kIQ4_NL: {
      const auto b = load_block<BlockQ4_0>(p);
      out.d = b.d;
      split_nibbles32(b.qs, 0, out.q.data());
      return;
    }
    case DType::kQ4_1: {
      const auto b = load_block<BlockQ4_1>(p);
      out.d = b.d;
      out.dmin = b.m;
      split_nibbles32(b.qs, 0, out.q.data());
      return;
    }
    case DType::kQ5_0: {
      const auto b = load_block<BlockQ5_0>(p);
      out.d = b.d;
      split_nibbles32(b.qs, word_of(b.qh), out.q.data());
      return;
    }
    case DType::kQ5_1: {
      const auto b = load_block<BlockQ5_1>(p);
      out.d = b.d;
      out.dmin = b.m;
      split_nibbles32(b.qs, word_of(b.qh), out.q.data());
      return;
    }
    case DType::kQ8_0: {
      const auto b = load_block<BlockQ8_0>(p);
      out.d = b.d;
      std::memcpy(out.q.data(), b.qs, 32);
      return;
    }
    case DType::kQ4_K: {
      const auto b = load_block<BlockQ4_K>(p);
      read_k_pairs(b, out);
      split_nibbles256(b.qs, nullptr, out.q.data());
      return;
    }
    case DType::kQ5_K: {
      const auto b = load_block<BlockQ5_K>(p);
      read_k_pairs(b, out);
      split_nibbles256(b.qs, b.qh, out.q.data());
      return;
    }
    case DType::kQ2_K: {
      const auto b = load_block<BlockQ2_K>(p);
      out.d = b.d;
      out.dmin = b.dmin;
      std::memcpy(out.sc.data(), b.scales, 16);
      split_crumbs256(b.qs, out.q.data());
      return;
    }
    case DType::kQ3_K: read_q3_k(p, out); return;
    case DType::kQ6_K: read_q6_k(p, out); return;
    case DType::kIQ4_XS: read_iq4_xs(p, out); return;
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16: break;
  }
  ANDIRON_UNREACHABLE("read_block: not a block format");
}

// Quads of one block of 32 columns (16 rows x 32 bytes) to planes of `bits`.
void write_planes(const std::array<PlainBlock, 16>& rows, int column, int bits, uint8_t* out) {
  uint8_t quads[8][64];
  for (int r = 0; r < 16; ++r) {
    for (int j = 0; j < 8; ++j) std::memcpy(quads[j] + 4 * r, rows[r].q.data() + column + 4 * j, 4);
  }
  if (bits == 8) {
    std::memcpy(out, quads, sizeof quads);
    return;
  }
  const int low_bits = bits >= 4 ? 4 : 2;
  const int per_byte = 8 / low_bits;  // quads that share a byte
  const int vectors = 8 / per_byte;   // of 64 bytes
  const int mask = (1 << low_bits) - 1;
  std::memset(out, 0, size_t{64} * static_cast<size_t>(bits));
  for (int j = 0; j < 8; ++j) {
    uint8_t* plane = out + 64 * (j % vectors);
    const int shift = low_bits * (j / vectors);
    for (int b = 0; b < 64; ++b) plane[b] = static_cast<uint8_t>(plane[b] | (quads[j][b] & mask) << shift);
  }
  uint8_t* high = out + 64 * vectors;
  if (bits == 6) {
    for (int j = 0; j < 8; ++j) {
      for (int b = 0; b < 64; ++b)
        high[64 * (j % 2) + b] |= static_cast<uint8_t>((quads[j][b] >> 4 & 3) << (2 * (j / 2)));
    }
  } else if (bits == 5 || bits == 3) {
    for (int j = 0; j < 8; ++j) {
      for (int b = 0; b < 64; ++b) high[b] |= static_cast<uint8_t>((quads[j][b] >> low_bits & 1) << j);
    }
  }
}

void put_f16(uint8_t* out, int lane, uint16_t value) { std::memcpy(out + 2 * lane, &value, 2); }

// The scales that stand before block `b` of the super-block.
void write_scales(PackedFormat format, const std::array<PlainBlock, 16>& rows, int b, uint8_t* out) {
  for (int r = 0; r < 16; ++r) {
    const PlainBlock& row = rows[r];
    switch (format) {
      case kPackedQ4_1:
      case kPackedQ5_1: put_f16(out + 32, r, row.dmin); [[fallthrough]];
      case kPackedQ4_0:
      case kPackedQ5_0:
      case kPackedQ8_0:
      case kPackedIQ4_NL: put_f16(out, r, row.d); break;
      case kPackedQ4_K:
      case kPackedQ5_K:
        out[r] = row.sc[b];
        out[16 + r] = row.m[b];
        break;
      case kPackedIQ4_XS: out[r] = row.sc[b]; break;
      default:  // Q2_K, Q3_K, Q6_K: a scale for each 16
        out[r] = row.sc[2 * b];
        out[16 + r] = row.sc[2 * b + 1];
    }
  }
}

void pack_quant_group(DType dtype, const uint8_t* const* rows, int count, int64_t k, uint8_t* out) {
  const PackedFormat format = packed_format(dtype);
  const Layout layout = layout_of(format);
  const DTypeInfo& info = dtype_info(dtype);
  std::array<PlainBlock, 16> plain;
  for (int64_t block = 0; block < k / info.block_elements; ++block) {
    for (int r = 0; r < count; ++r) read_block(dtype, rows[r] + block * info.block_bytes, plain[r]);
    for (int r = 0; r < 16 && layout.header_bytes > 0; ++r) {
      put_f16(out, r, plain[r].d);
      if (layout.header_bytes == 64) put_f16(out + 32, r, plain[r].dmin);
    }
    out += layout.header_bytes;
    for (int b = 0; b < layout.blocks_per_super; ++b) {
      write_scales(format, plain, b, out);
      write_planes(plain, 32 * b, layout.stored_bits, out + layout.scale_bytes);
      out += layout.scale_bytes + 64 * layout.stored_bits;
    }
  }
}

void pack_float_group(DType dtype, const uint8_t* const* rows, int count, int64_t k, uint8_t* out) {
  const size_t size = dtype_info(dtype).block_bytes;
  std::memset(out, 0, packed_group_bytes(packed_format(dtype), k));
  for (int r = 0; r < count; ++r) {
    for (int64_t i = 0; i < k; ++i) {
      const int64_t at = dtype == DType::kBF16 ? i / 2 * 32 + 2 * r + i % 2 : i * 16 + r;
      std::memcpy(out + static_cast<size_t>(at) * size, rows[r] + static_cast<size_t>(i) * size, size);
    }
  }
}

}  // namespace

PackedFormat packed_format(DType dtype) {
  switch (dtype) {
    case DType::kF32: return kPackedF32;
    case DType::kF16: return kPackedF16;
    case DType::kBF16: return kPackedBF16;
    case DType::kQ4_0: return kPackedQ4_0;
    case DType::kQ4_1: return kPackedQ4_1;
    case DType::kQ5_0: return kPackedQ5_0;
    case DType::kQ5_1: return kPackedQ5_1;
    case DType::kQ8_0: return kPackedQ8_0;
    case DType::kQ2_K: return kPackedQ2_K;
    case DType::kQ3_K: return kPackedQ3_K;
    case DType::kQ4_K: return kPackedQ4_K;
    case DType::kQ5_K: return kPackedQ5_K;
    case DType::kQ6_K: return kPackedQ6_K;
    case DType::kIQ4_NL: return kPackedIQ4_NL;
    case DType::kIQ4_XS: return kPackedIQ4_XS;
  }
  ANDIRON_UNREACHABLE("packed_format: not a DType");
}

uint64_t packed_group_bytes(PackedFormat format, int64_t k) {
  const auto columns = static_cast<uint64_t>(k);
  const uint64_t even = (columns + 1) / 2 * 2;
  if (format == kPackedF32) return even * 64;
  if (format == kPackedF16 || format == kPackedBF16) return even * 32;
  const Layout layout = layout_of(format);
  const int per_super = layout.header_bytes + layout.blocks_per_super * (layout.scale_bytes + 64 * layout.stored_bits);
  return columns / static_cast<uint64_t>(32 * layout.blocks_per_super) * static_cast<uint64_t>(per_super);
}

void pack_group(DType dtype, const uint8_t* const* rows, int count, int64_t k, uint8_t* out) {
  ANDIRON_CHECK(count >= 1 && count <= kGroupRows && k % dtype_info(dtype).block_elements == 0);
  if (dtype_info(dtype).is_float) {
    pack_float_group(dtype, rows, count, k, out);
  } else {
    pack_quant_group(dtype, rows, count, k, out);
  }
}

}  // namespace andiron
