#include "model/kv_cache.h"

#include <new>

#include "base/check.h"
#include "base/strings.h"

namespace andiron {

namespace {
// What one cache may reserve: a mistake in the capacity should be an error, not a machine without address space.
constexpr uint64_t kBytesMax = uint64_t{1} << 42;
constexpr int64_t kCapacityMax = int64_t{1} << 31;
}  // namespace

Result<KvCache> KvCache::create(const Model& model, int64_t capacity, KvFormat format) {
  const ModelConfig& config = model.config();
  if (capacity < 1 || capacity > kCapacityMax) {
    return make_error("a context of {} positions is not possible; 1 to {} are", capacity, kCapacityMax);
  }
  if (format == kKvQ8_0 && config.padded_head_dim() % 32 != 0) {
    return make_error("{}: its heads of {} numbers cannot be kept as q8_0, which takes 32 at a time; use f16",
                      model.source().path(), config.head_dim);
  }
  const uint64_t bytes = KvLayer::bytes_needed(format, config.kv_heads, config.padded_head_dim(), capacity);
  if (bytes > kBytesMax / static_cast<uint64_t>(config.blocks)) {
    return make_error("{}: a context of {} positions would take more than {}", model.source().path(), capacity,
                      human_bytes(kBytesMax));
  }
  KvCache cache;
  cache.format_ = format;
  cache.capacity_ = capacity;
  cache.model_ = &model;
  try {
    for (int64_t i = 0; i < config.blocks; ++i) {
      cache.layers_.emplace_back(format, config.kv_heads, config.padded_head_dim(), capacity);
    }
  } catch (const std::bad_alloc&) {
    return make_error("{}: no memory for a context of {} positions ({})", model.source().path(), capacity,
                      human_bytes(bytes * static_cast<uint64_t>(config.blocks)));
  }
  return cache;
}

uint64_t KvCache::bytes() const {
  uint64_t sum = 0;
  for (const KvLayer& layer : layers_) sum += layer.bytes();
  return sum;
}

uint64_t KvCache::tile_bytes() const { return layers_.front().tile_bytes() * layers_.size(); }

void KvCache::read_tile(int64_t tile, std::span<uint8_t> out) const {
  ANDIRON_CHECK(tile >= 0 && (tile + 1) * kAttentionTile <= length_ && out.size() == tile_bytes());
  const size_t step = layers_.front().tile_bytes();
  for (size_t i = 0; i < layers_.size(); ++i) layers_[i].read_tile(tile, out.data() + i * step);
}

void KvCache::append_tile(std::span<const uint8_t> from) {
  ANDIRON_CHECK(length_ % kAttentionTile == 0 && length_ + kAttentionTile <= capacity_ && from.size() == tile_bytes());
  const size_t step = layers_.front().tile_bytes();
  for (size_t i = 0; i < layers_.size(); ++i) layers_[i].write_tile(length_ / kAttentionTile, from.data() + i * step);
  length_ += kAttentionTile;
}

void KvCache::truncate(int64_t length) {
  ANDIRON_CHECK(length >= 0 && length <= length_);
  length_ = length;
}

uint64_t kv_bytes_per_position(const ModelConfig& config, KvFormat format) {
  // A whole tile's share: caches grow in steps of 64 positions (ops/kv_cache.h).
  const uint64_t tile = KvLayer::bytes_needed(format, config.kv_heads, config.padded_head_dim(), kAttentionTile);
  return tile / kAttentionTile * static_cast<uint64_t>(config.blocks);
}

Result<KvFormat> kv_format_from_name(std::string_view name) {
  if (name == "f16") return kKvF16;
  if (name == "q8_0") return kKvQ8_0;
  return make_error("\"{}\" is not a format of the key and value cache; f16 and q8_0 are", quoted(name));
}

}  // namespace andiron
