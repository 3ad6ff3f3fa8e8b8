#include "ops/kv_cache.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"
#include "tensor/half.h"

namespace andiron {

namespace {
int64_t tiles_of(int64_t capacity) { return (capacity + kAttentionTile - 1) / kAttentionTile; }

struct Sizes {
  int64_t keys, values;  // bytes per head
};
Sizes head_sizes(KvFormat format, int64_t head_dim, int64_t capacity) {
  const int64_t positions = tiles_of(capacity) * kAttentionTile;
  // generic/attention-inl.h: f16 2 bytes a number; q8_0 one byte and a 16-bit scale for each 32.
  const int64_t per_position = format == kKvF16 ? 2 * head_dim : head_dim + head_dim / 16;
  return {positions * per_position, positions * per_position};
}
}  // namespace

uint64_t KvLayer::bytes_needed(KvFormat format, int64_t kv_heads, int64_t head_dim, int64_t capacity) {
  const Sizes sizes = head_sizes(format, head_dim, capacity);
  return static_cast<uint64_t>(kv_heads * (sizes.keys + sizes.values));
}

KvLayer::KvLayer(KvFormat format, int64_t kv_heads, int64_t head_dim, int64_t capacity)
    : format_(format), head_dim_(head_dim), capacity_(capacity) {
  ANDIRON_CHECK(head_dim % (format == kKvF16 ? 16 : 32) == 0);
  const Sizes sizes = head_sizes(format, head_dim, capacity);
  key_bytes_per_head_ = sizes.keys;
  value_bytes_per_head_ = sizes.values;
  bytes_ = bytes_needed(format, kv_heads, head_dim, capacity);
  // Fresh pages are zero, which reads as number 0 in both formats.
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<uint8_t*>(memory);
  keys_ = memory_;
  values_ = memory_ + kv_heads * key_bytes_per_head_;
}

KvLayer::KvLayer(KvLayer&& other) noexcept { *this = std::move(other); }

KvLayer& KvLayer::operator=(KvLayer&& other) noexcept {
  std::swap(format_, other.format_);
  std::swap(head_dim_, other.head_dim_);
  std::swap(capacity_, other.capacity_);
  std::swap(key_bytes_per_head_, other.key_bytes_per_head_);
  std::swap(value_bytes_per_head_, other.value_bytes_per_head_);
  std::swap(bytes_, other.bytes_);
  std::swap(memory_, other.memory_);
  std::swap(keys_, other.keys_);
  std::swap(values_, other.values_);
  return *this;
}

KvLayer::~KvLayer() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

void KvLayer::store(const KernelTable& kernels, int64_t head, int64_t position, const float* k, const float* v) {
  uint8_t* keys = keys_ + head * key_bytes_per_head_;
  uint8_t* values = values_ + head * value_bytes_per_head_;
  if (format_ == kKvF16) {
    store_f16(kernels, keys, values, position, k, v);
  } else {
    store_q8(keys, values, position, k, v);
  }
}

uint64_t KvLayer::tile_bytes() const { return bytes_ / static_cast<uint64_t>(tiles_of(capacity_)); }

// f(offset in the memory, bytes) of each head's keys and then each head's values: a tile of each is one piece.
template <typename F>
void KvLayer::for_each_piece(int64_t tile, F f) const {
  ANDIRON_CHECK(tile >= 0 && tile < tiles_of(capacity_));
  const int64_t tiles = tiles_of(capacity_);
  const auto heads = static_cast<int64_t>(bytes_) / (key_bytes_per_head_ + value_bytes_per_head_);
  for (int64_t head = 0; head < heads; ++head) {
    const int64_t piece = key_bytes_per_head_ / tiles;
    f(head * key_bytes_per_head_ + tile * piece, static_cast<size_t>(piece));
  }
  for (int64_t head = 0; head < heads; ++head) {
    const int64_t piece = value_bytes_per_head_ / tiles;
    f(heads * key_bytes_per_head_ + head * value_bytes_per_head_ + tile * piece, static_cast<size_t>(piece));
  }
}

void KvLayer::read_tile(int64_t tile, uint8_t* out) const {
  for_each_piece(tile, [&](int64_t offset, size_t bytes) {
    std::memcpy(out, memory_ + offset, bytes);
    out += bytes;
  });
}

void KvLayer::write_tile(int64_t tile, const uint8_t* from) {
  for_each_piece(tile, [&](int64_t offset, size_t bytes) {
    std::memcpy(memory_ + offset, from, bytes);
    from += bytes;
  });
}

void to_kept_f16(const KernelTable& kernels, const float* x, int64_t n, uint16_t* out) {
  constexpr uint16_t kLargest = 0x7bff, kExponent = 0x7c00;
  kernels.to_f16(x, n, out);
  for (int64_t i = 0; i < n; ++i) {
    if ((out[i] & kExponent) != kExponent) continue;
    const bool infinite = (out[i] & 0x3ff) == 0;
    out[i] = infinite ? static_cast<uint16_t>((out[i] & 0x8000) | kLargest) : uint16_t{0};
  }
}

void KvLayer::store_f16(const KernelTable& kernels, uint8_t* keys, uint8_t* values, int64_t position, const float* k,
                        const float* v) {
  uint16_t halves[512];
  to_kept_f16(kernels, k, head_dim_, halves);
  auto* block = reinterpret_cast<uint16_t*>(keys) + position / kKvBlock * kKvBlock * head_dim_;
  for (int64_t d = 0; d < head_dim_; ++d) block[kKvBlock * d + position % kKvBlock] = halves[d];
  uint16_t* row = reinterpret_cast<uint16_t*>(values) + position * head_dim_;
  to_kept_f16(kernels, v, head_dim_, row);
}

namespace {
// One block of 32 numbers: the f16 scale, and whole numbers at stride `step`. The scale is rounded to f16 first and the
// numbers are chosen for the rounded one.
uint16_t quantize32(const float* x, uint8_t* q, int64_t step) {
  float top = 0;
  for (int i = 0; i < 32; ++i) top = std::max(top, std::fabs(x[i]));  // passes over a NaN
  const uint16_t scale = f32_to_f16(std::min(top / 127, kF16Max));
  const float d = f16_to_f32(scale);
  const float inverse = d > 0 ? 1 / d : 0;
  for (int i = 0; i < 32; ++i) {
    const float r = std::nearbyint(x[i] * inverse);
    q[i * step] = static_cast<uint8_t>(static_cast<int8_t>(r >= 127 ? 127 : r <= -127 ? -127 : r == r ? r : 0));
  }
  return scale;
}
}  // namespace

void KvLayer::store_q8(uint8_t* keys, uint8_t* values, int64_t position, const float* k, const float* v) {
  const int64_t chunks = head_dim_ / 32;
  uint8_t* row = values + position * (head_dim_ + head_dim_ / 16);
  for (int64_t c = 0; c < chunks; ++c) {
    uint8_t* block = keys + (position / kKvBlock * chunks + c) * (32 + 512);
    const int64_t lane = position % kKvBlock;
    reinterpret_cast<uint16_t*>(block)[lane] = quantize32(k + 32 * c, block + 32 + lane, kKvBlock);
    reinterpret_cast<uint16_t*>(row)[c] = quantize32(v + 32 * c, row + head_dim_ / 16 + 32 * c, 1);
  }
}

}  // namespace andiron
