// KvCache: what one sequence remembers, the keys and values of every layer.
//
// Positions [0, length) are filled by Forward::run. truncate() goes back to an earlier position, from which the
// sequence may go on differently. Memory is reserved for the whole capacity but taken from the system only as positions
// are filled. One thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/model.h"
#include "ops/kv_cache.h"

namespace andiron {

class KvCache {
 public:
  // `capacity` positions, at least 1; it may exceed the trained context (the caller decides whether that is wise).
  // Models with two sets of rotary factors (Phi 3's longrope) choose by the capacity: beyond the original context the
  // long ones, for every position.
  // Fails on a capacity or format that the model cannot have, or when the system has no address space left.
  static Result<KvCache> create(const Model& model, int64_t capacity, KvFormat format = kKvF16);
  KvCache(KvCache&&) = default;
  KvCache& operator=(KvCache&&) = default;

  int64_t capacity() const { return capacity_; }
  int64_t length() const { return length_; }
  KvFormat format() const { return format_; }
  uint64_t bytes() const;  // when full

  // The keys and values of one layer, 0 <= i < config().blocks; layout: kernels/generic/attention-inl.h.
  const KvLayer& layer(size_t i) const { return layers_[i]; }

  // A tile of all layers, 64 positions (kAttentionTile) from a multiple of 64 on: as it is stored, in tile_bytes(). Its
  // bytes depend on the tokens up to its end and on nothing else, and mean the same to every cache of this model and
  // format whose rotary factors are the same.
  uint64_t tile_bytes() const;
  // Requires a tile that is full: (tile + 1) * 64 <= length().
  void read_tile(int64_t tile, std::span<uint8_t> out) const;
  // The next 64 positions. Requires a length() that is a multiple of 64, and room.
  void append_tile(std::span<const uint8_t> from);

  // Forgets positions from `length` on. Requires 0 <= length <= length().
  void truncate(int64_t length);

 private:
  friend class Forward;
  KvCache() = default;

  KvFormat format_ = kKvF16;
  int64_t capacity_ = 0;
  int64_t length_ = 0;
  const Model* model_ = nullptr;  // only compared
  std::vector<KvLayer> layers_;
};

uint64_t kv_bytes_per_position(const ModelConfig& config, KvFormat format);

// "f16" or "q8_0".
Result<KvFormat> kv_format_from_name(std::string_view name);

}  // namespace andiron
