// What the tests of the kernels share: numbers, packed weights, and every table this machine can run.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "base/random.h"
#include "kernels/dispatch.h"
#include "kernels/packing.h"
#include "tensor/quantize.h"

namespace andiron {

void install_emulated_amx_kernels(KernelTable* table);

inline std::vector<float> normals(uint64_t seed, size_t count, double scale = 1) {
  const RandomStream random(seed);
  std::vector<float> v(count);
  for (size_t i = 0; i < count; ++i) v[i] = static_cast<float>(scale * random.normal(i));
  return v;
}

// A weight [n, k] in a file format, packed, and as the floats it stands for.
struct Weight {
  Weight(DType format, int64_t rows, int64_t columns, uint64_t seed)
      : Weight(format, rows, columns, normals(seed, static_cast<size_t>(rows * columns), 0.05)) {}
  Weight(DType format, int64_t rows, int64_t columns, const std::vector<float>& values)
      : dtype(format), n(rows), k(columns) {
    const size_t stride = row_bytes(dtype, static_cast<uint64_t>(k));
    std::vector<uint8_t> blocks(static_cast<size_t>(n) * stride);
    decoded.resize(values.size());
    for (int64_t r = 0; r < n; ++r) {
      encode_row(dtype, values.data() + r * k, blocks.data() + r * stride, k, nullptr);
      decode_row(dtype, blocks.data() + r * stride, decoded.data() + r * k, k);
    }
    packed = Buffer<uint8_t>(packed_bytes(packed_format(dtype), n, k));
    const uint64_t group_bytes = packed_group_bytes(packed_format(dtype), k);
    for (int64_t g = 0; g < packed_groups(n); ++g) {
      std::vector<const uint8_t*> rows16;
      for (int64_t r = 16 * g; r < std::min(n, 16 * g + 16); ++r) rows16.push_back(blocks.data() + r * stride);
      pack_group(dtype, rows16.data(), static_cast<int>(rows16.size()), k, packed.data() + g * group_bytes);
    }
  }
  DType dtype;
  int64_t n, k;
  std::vector<float> decoded;
  Buffer<uint8_t> packed;
};

inline std::vector<KernelTable> all_tables() {
  std::vector<KernelTable> tables;
  for (const Isa isa : available_isas()) tables.push_back(kernels_of(isa));
  const auto& isas = available_isas();
  if (std::find(isas.begin(), isas.end(), Isa::kAvx512) != isas.end()) {
    KernelTable emulated = kernels_of(Isa::kAvx512);
    install_emulated_amx_kernels(&emulated);
    tables.push_back(emulated);
  }
  return tables;
}

}  // namespace andiron
