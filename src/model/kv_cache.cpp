#include "model/kv_cache.h"

#include <new>
#include <utility>

#include "base/check.h"
#include "base/strings.h"

namespace andiron {

namespace {
// What one cache may take when full: a mistake in the capacity should be an error at once.
constexpr uint64_t kBytesMax = uint64_t{1} << 42;
constexpr int64_t kCapacityMax = int64_t{1} << 31;

KvLayout layout_of(const ModelConfig& config, KvFormat format) {
  return {format, config.blocks, config.kv_heads, config.padded_head_dim()};
}
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
  if (kv_bytes_per_position(config, format) > kBytesMax / static_cast<uint64_t>(capacity)) {
    return make_error("{}: a context of {} positions would take more than {}", model.source().path(), capacity,
                      human_bytes(kBytesMax));
  }
  return KvCache(model, capacity, format);
}

KvCache::KvCache(const Model& model, int64_t capacity, KvFormat format)
    : capacity_(capacity), model_(&model), pages_(layout_of(model.config(), format)) {}

Status KvCache::reserve(int64_t positions) {
  const int64_t end = length_ + positions;
  if (positions < 0 || end > capacity_) {
    return make_error("{}: the context of {} positions is full: {} more would have to fit in the {} that are left",
                      model_->source().path(), capacity_, counted(positions, "token"), capacity_ - length_);
  }
  try {
    pages_.reserve(length_, end);
  } catch (const std::bad_alloc&) {
    return make_error("{}: no memory for a context of {} positions ({})", model_->source().path(), end,
                      human_bytes(static_cast<uint64_t>(end) * model_->kv_bytes_per_position(format())));
  }
  return {};
}

std::shared_ptr<const KvPage> KvCache::page(int64_t index) {
  ANDIRON_CHECK(index >= 0 && (index + 1) * kAttentionTile <= length_);
  return pages_.share(index);
}

void KvCache::append_page(std::shared_ptr<const KvPage> page) {
  ANDIRON_CHECK(length_ % kAttentionTile == 0 && length_ + kAttentionTile <= capacity_);
  pages_.put(length_ / kAttentionTile, std::move(page));
  length_ += kAttentionTile;
}

std::shared_ptr<const KvPage> KvCache::page_of(std::span<const uint8_t> bytes) {
  return pages_.page_of(length_ / kAttentionTile, bytes);
}

void KvCache::truncate(int64_t length) {
  ANDIRON_CHECK(length >= 0 && length <= length_);
  length_ = length;
}

uint64_t kv_bytes_per_position(const ModelConfig& config, KvFormat format) {
  return static_cast<uint64_t>(layout_of(config, format).page_bytes()) / kAttentionTile;
}

Result<KvFormat> kv_format_from_name(std::string_view name) {
  if (name == "f16") return kKvF16;
  if (name == "q8_0") return kKvQ8_0;
  return make_error("\"{}\" is not a format of the key and value cache; f16 and q8_0 are", in_quotes(name));
}

}  // namespace andiron
