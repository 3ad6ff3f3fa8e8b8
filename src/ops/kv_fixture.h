// For tests only: what pages of keys and values hold, piece after piece.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/kv_cache.h"

namespace andiron {

inline std::vector<uint8_t> bytes_of(const KvPage& page) {
  std::vector<uint8_t> bytes;
  for (int64_t i = 0; i < page.shape().pieces; ++i) {
    const auto piece = page.piece(i);
    bytes.insert(bytes.end(), piece.begin(), piece.end());
  }
  return bytes;
}

// The same of a page that is there, found as kernels find it.
inline std::vector<uint8_t> bytes_of(const KvPages& pages, int64_t page) {
  const KvLayout& layout = pages.layout();
  std::vector<uint8_t> bytes;
  for (int64_t layer = 0; layer < layout.layers; ++layer) {
    for (const bool is_key : {true, false}) {
      for (int64_t head = 0; head < layout.kv_heads; ++head) {
        const int64_t at = is_key ? layout.keys(layer, head) : layout.values(layer, head);
        const uint8_t* piece = pages.data()[page] + at;
        bytes.insert(bytes.end(), piece, piece + layout.shape().piece_bytes);
      }
    }
  }
  return bytes;
}

}  // namespace andiron
