// The codecs of every supported number format: decode is the definition of the format, encode finds
// good blocks for given numbers. Both are plain loops; kernels have their own fast ways to read blocks and
// are tested against these.
//
// All functions are pure: any number of threads may call them on different rows. A row is a whole number
// of blocks (DTypeInfo::block_elements); anything else is a programmer's mistake (ANDIRON_CHECK).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "tensor/dtype.h"

namespace andiron {

// Writes `elements` floats from row_bytes(dtype, elements) bytes at `blocks` (any alignment). Every
// byte pattern is legal; a scale that is an infinity or NaN gives infinities and NaNs. The floats are, bit for bit,
// those of ggml's dequantize_row functions (which NaN is not promised).
void decode_row(DType dtype, const uint8_t* blocks, float* out, uint64_t elements);

// Writes row_bytes(dtype, elements) bytes at `blocks` (any alignment) for `elements` floats, choosing the
// blocks that make the sum of importance[i] * (in[i] - decoded[i])^2 small; with `importance` null, every
// element counts the same. The same input gives the same bytes on every machine.
//
// `importance` [elements] is typically the mean square of the activation that meets each column; only
// its ratios within a block matter. An entry that is negative or not finite counts as zero, and zero as a millionth of
// the block's mean; a block whose entries are all zero counts evenly.
//
// F32, F16 and BF16 round to nearest and keep infinities and NaNs. In the block formats a NaN or infinity
// has no meaning: it is encoded as zero, and a value beyond what the format can express as the nearest end
// of its range. Call check_finite first where that should be an error.
void encode_row(DType dtype, const float* in, uint8_t* blocks, uint64_t elements, const float* importance);

// Q8_0 as encode_row writes it, but without a search: a block's scale is its largest magnitude / 127. For weights that
// are rounded anew after every step of training.
void round_row_q8_0(const float* in, uint8_t* blocks, uint64_t elements);

// An Error naming `what` and the first element that is a NaN or an infinity, if there is one.
Status check_finite(const float* in, uint64_t elements, std::string_view what);

}  // namespace andiron
