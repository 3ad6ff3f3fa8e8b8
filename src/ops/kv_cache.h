// KvLayer: the keys and values of one layer of one sequence, in the layout the attention kernels read.
//
// Memory for the whole capacity is reserved when it is made but taken from the system only as positions are written.
// Positions are appended by Ops::attention and overwritten when a sequence is cut back and goes on differently. One
// writer at a time.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace andiron {

class KvLayer {
 public:
  KvLayer() = default;
  // `capacity` positions; head_dim a multiple of 16 (of 32 for q8_0).
  KvLayer(KvFormat format, int64_t kv_heads, int64_t head_dim, int64_t capacity);
  KvLayer(KvLayer&& other) noexcept;
  KvLayer& operator=(KvLayer&& other) noexcept;
  KvLayer(const KvLayer&) = delete;
  KvLayer& operator=(const KvLayer&) = delete;
  ~KvLayer();

  KvFormat format() const { return format_; }
  int64_t capacity() const { return capacity_; }
  uint64_t bytes() const { return bytes_; }  // when full
  const uint8_t* keys(int64_t head) const { return keys_ + head * key_bytes_per_head_; }
  const uint8_t* values(int64_t head) const { return values_ + head * value_bytes_per_head_; }

  // Stores k and v [head_dim] of one head at a position below the capacity.
  void store(const KernelTable& kernels, int64_t head, int64_t position, const float* k, const float* v);

  // A tile: kAttentionTile positions of all heads, from a multiple of it on, as they are stored. `out` and `from` have
  // tile_bytes(); tile * kAttentionTile is below the capacity.
  uint64_t tile_bytes() const;
  void read_tile(int64_t tile, uint8_t* out) const;
  void write_tile(int64_t tile, const uint8_t* from);

  static uint64_t bytes_needed(KvFormat format, int64_t kv_heads, int64_t head_dim, int64_t capacity);

 private:
  void store_f16(const KernelTable& kernels, uint8_t* keys, uint8_t* values, int64_t position, const float* k,
                 const float* v);
  void store_q8(uint8_t* keys, uint8_t* values, int64_t position, const float* k, const float* v);

  template <typename F>
  void for_each_piece(int64_t tile, F f) const;

  KvFormat format_ = kKvF16;
  int64_t head_dim_ = 0, capacity_ = 0;
  int64_t key_bytes_per_head_ = 0, value_bytes_per_head_ = 0;
  uint64_t bytes_ = 0;
  uint8_t* memory_ = nullptr;
  uint8_t* keys_ = nullptr;
  uint8_t* values_ = nullptr;
};

// n numbers as an f16 cache keeps them: what f16 cannot hold becomes the largest it can, and a NaN becomes 0 (a masked
// position has weight 0, and 0 times an infinity would reach rows that must not see it).
void to_kept_f16(const KernelTable& kernels, const float* x, int64_t n, uint16_t* out);

}  // namespace andiron
