#include "ops/kv_cache.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "tensor/half.h"

namespace andiron {

int64_t KvLayout::position_bytes() const {
  // generic/attention-inl.h: f16 2 bytes a number; q8_0 one byte and a 16-bit scale for each 32.
  return format == kKvF16 ? 2 * head_dim : head_dim + head_dim / 16;
}

KvPages::KvPages(const KvLayout& layout) : layout_(layout) {
  ANDIRON_CHECK(layout.head_dim > 0 && layout.head_dim % (layout.format == kKvF16 ? 16 : 32) == 0);
}

void KvPages::grow(size_t pages) {
  if (write_.size() >= pages) return;
  pages_.resize(std::max(pages_.size(), pages));
  read_.resize(std::max(read_.size(), pages));
  write_.resize(pages);  // last: its size tells that all have grown
}

namespace {
void copy_pieces(const KvPage& from, KvPage& to) {
  for (int64_t i = 0; i < to.shape().pieces; ++i) {
    const auto piece = from.piece(i);
    std::copy(piece.begin(), piece.end(), to.piece(i).begin());
  }
}
}  // namespace

std::shared_ptr<KvPage> KvPages::make_page(int64_t page) {
  if (slab_ == nullptr || page < free_begin_ || page >= free_end_) {
    slab_ = std::make_shared<KvSlab>(layout_.shape());
    free_begin_ = page;
    free_end_ = (page / kSlabPages + 1) * kSlabPages;
  }
  auto made = std::make_shared<KvPage>(slab_, page % kSlabPages);
  free_begin_ = page + 1;
  return made;
}

void KvPages::reserve(int64_t begin, int64_t end) {
  if (begin >= end) return;
  grow(static_cast<size_t>((end + kAttentionTile - 1) / kAttentionTile));
  for (int64_t page = begin / kAttentionTile; page * kAttentionTile < end; ++page) {
    const auto at = static_cast<size_t>(page);
    if (write_[at] != nullptr) continue;
    auto made = make_page(page);
    const bool keeps_some = begin > page * kAttentionTile && pages_[at] != nullptr;
    if (keeps_some) copy_pieces(*pages_[at], *made);
    read_[at] = write_[at] = made->data();
    pages_[at] = std::move(made);
  }
}

bool KvPages::are_reserved(int64_t begin, int64_t end) const {
  if (begin >= end) return true;
  for (int64_t page = begin / kAttentionTile; page * kAttentionTile < end; ++page) {
    if (page >= std::ssize(write_) || write_[static_cast<size_t>(page)] == nullptr) return false;
  }
  return true;
}

std::shared_ptr<const KvPage> KvPages::share(int64_t page) {
  ANDIRON_CHECK(page >= 0 && page < std::ssize(pages_) && pages_[static_cast<size_t>(page)] != nullptr);
  const auto at = static_cast<size_t>(page);
  pages_[at]->mark_shared();
  write_[at] = nullptr;
  return pages_[at];
}

void KvPages::put(int64_t page, std::shared_ptr<const KvPage> shared) {
  ANDIRON_CHECK(page >= 0 && shared->shape() == layout_.shape());
  const auto at = static_cast<size_t>(page);
  grow(at + 1);
  read_[at] = shared->data();
  write_[at] = nullptr;
  pages_[at] = std::move(shared);
}

std::shared_ptr<const KvPage> KvPages::page_of(int64_t page, std::span<const uint8_t> bytes) {
  ANDIRON_CHECK(page >= 0);
  if (std::ssize(bytes) != layout_.page_bytes()) return nullptr;
  auto made = make_page(page);
  const auto piece_bytes = static_cast<size_t>(made->shape().piece_bytes);
  for (int64_t i = 0; i < made->shape().pieces; ++i) {
    const auto piece = bytes.subspan(static_cast<size_t>(i) * piece_bytes, piece_bytes);
    std::copy(piece.begin(), piece.end(), made->piece(i).begin());
  }
  made->mark_shared();
  return made;
}

void KvPages::store(const KernelTable& kernels, int64_t layer, int64_t head, int64_t position, const float* k,
                    const float* v) {
  uint8_t* page = write_[static_cast<size_t>(position / kAttentionTile)];
  uint8_t* keys = page + layout_.keys(layer, head);
  uint8_t* values = page + layout_.values(layer, head);
  if (layout_.format == kKvF16) {
    store_f16(kernels, keys, values, position % kAttentionTile, k, v);
  } else {
    store_q8(keys, values, position % kAttentionTile, k, v);
  }
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

void KvPages::store_f16(const KernelTable& kernels, uint8_t* keys, uint8_t* values, int64_t at, const float* k,
                        const float* v) const {
  const int64_t head_dim = layout_.head_dim;
  uint16_t halves[512];
  to_kept_f16(kernels, k, head_dim, halves);
  auto* block = reinterpret_cast<uint16_t*>(keys) + at / kKvBlock * kKvBlock * head_dim;
  for (int64_t d = 0; d < head_dim; ++d) block[kKvBlock * d + at % kKvBlock] = halves[d];
  uint16_t* row = reinterpret_cast<uint16_t*>(values) + at * head_dim;
  to_kept_f16(kernels, v, head_dim, row);
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

void KvPages::store_q8(uint8_t* keys, uint8_t* values, int64_t at, const float* k, const float* v) const {
  const int64_t head_dim = layout_.head_dim, chunks = head_dim / 32;
  uint8_t* row = values + at * (head_dim + head_dim / 16);
  for (int64_t c = 0; c < chunks; ++c) {
    uint8_t* block = keys + (at / kKvBlock * chunks + c) * (32 + 512);
    const int64_t lane = at % kKvBlock;
    reinterpret_cast<uint16_t*>(block)[lane] = quantize32(k + 32 * c, block + 32 + lane, kKvBlock);
    reinterpret_cast<uint16_t*>(row)[c] = quantize32(v + 32 * c, row + head_dim / 16 + 32 * c, 1);
  }
}

}  // namespace andiron
