// Packed weights: the one layout that every path reads.
//
// A matrix [N, K] is cut into groups of 16 rows (the last padded with rows of zeros); a group is contiguous and holds
// its columns in blocks of 32. Within a block the quants stand in "quads": quad j holds, for each of the 16 rows, the
// four elements k = 4j .. 4j+3 as bytes, 64 bytes in all. That is one register for vpdpbusd, half of an AMX tile, and
// two registers for AVX2. Quants narrower than a byte are stored in planes over those 64-byte quads:
//   4-bit plane, 256 bytes: byte b of vector v holds quad v in the low nibble, quad v + 4 in the high one;
//   2-bit plane, 128 bytes: byte b of vector v holds quads v, v + 2, v + 4, v + 6 from the low bits up;
//   1-bit plane, 64 bytes: byte b holds the bits of quads 0 .. 7 from the low bit up.
// Scales stand before the planes they belong to, 16 lanes side by side. Layout of one group by format
// (sc, m: 16 bytes, d, dmin: 16 f16):
//   Q4_0 Q5_0 Q8_0 IQ4_NL   per 32: d, planes
//   Q4_1 Q5_1               per 32: d, m as f16, planes
//   Q4_K Q5_K               per 256: d, dmin, then per 32: sc, m, planes
//   IQ4_XS                  per 256: d, then per 32: sc (signed), planes
//   Q6_K Q3_K               per 256: d, then per 32: sc of each 16 (signed, 2 x 16), planes
//   Q2_K                    per 256: d, dmin, then per 32: sc | m << 4 of each 16 (2 x 16), planes
// Planes: Q4 4; Q5 4 + 1; Q6 4 + 2; Q3 2 + 1; Q2 2; Q8 bytes (signed) as they are; IQ4 4 (indices into the table).
// Floats: F32, F16 [K, 16]; BF16 [K/2, 16, 2] (K odd: padded with a zero), the pairs that AMX reads.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"
#include "tensor/dtype.h"

namespace andiron {

PackedFormat packed_format(DType dtype);

// Bytes of one group of 16 rows of K columns. K must be a whole number of `dtype` blocks.
uint64_t packed_group_bytes(PackedFormat format, int64_t k);
inline int64_t packed_groups(int64_t rows) { return (rows + kGroupRows - 1) / kGroupRows; }
inline uint64_t packed_bytes(PackedFormat format, int64_t rows, int64_t k) {
  return static_cast<uint64_t>(packed_groups(rows)) * packed_group_bytes(format, k);
}

// Packs up to 16 rows into one group. rows[i] points to row i as stored in a file; `count` in [1, 16].
void pack_group(DType dtype, const uint8_t* const* rows, int count, int64_t k, uint8_t* out);

}  // namespace andiron
