#include "ops/kv_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"
#include "tensor/half.h"

namespace andiron {

namespace {
// Attention walks through a sequence's pages, which is up to a quarter faster where each lies behind the one before;
// mappings made one by one would lie in the opposite order. What is not written yet costs addresses only.
constexpr size_t kAdjacentPages = 16;

uint8_t* map(size_t bytes) {
  ANDIRON_CHECK(bytes > 0);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<uint8_t*>(memory);
}
}  // namespace

KvPage::KvPage(size_t bytes) : size_(bytes), data_(map(bytes)) {}

KvPage::~KvPage() {
  if (data_ != nullptr) munmap(data_, size_);
}

std::vector<std::shared_ptr<KvPage>> KvPage::adjacent(size_t count, size_t bytes) {
  std::vector<std::shared_ptr<KvPage>> pages(count);
  for (auto& page : pages) page = std::make_shared<KvPage>();
  const auto system_page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t step = (bytes + system_page - 1) / system_page * system_page;
  uint8_t* data = map(count * step);  // nothing fails from here on: each page has its part
  for (auto& page : pages) {
    page->size_ = bytes;
    page->data_ = data;
    data += step;
  }
  return pages;
}

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

std::shared_ptr<KvPage> KvPages::make_page() {
  if (unused_.empty()) {
    unused_ = KvPage::adjacent(kAdjacentPages, static_cast<size_t>(layout_.page_bytes()));
    std::reverse(unused_.begin(), unused_.end());
  }
  auto page = std::move(unused_.back());
  unused_.pop_back();
  return page;
}

void KvPages::reserve(int64_t begin, int64_t end) {
  if (begin >= end) return;
  grow(static_cast<size_t>((end + kAttentionTile - 1) / kAttentionTile));
  for (int64_t page = begin / kAttentionTile; page * kAttentionTile < end; ++page) {
    const auto at = static_cast<size_t>(page);
    if (write_[at] != nullptr) continue;
    auto made = make_page();
    const bool keeps_some = begin > page * kAttentionTile && pages_[at] != nullptr;
    if (keeps_some) std::memcpy(made->data(), read_[at], pages_[at]->bytes().size());
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
  write_[static_cast<size_t>(page)] = nullptr;
  return pages_[static_cast<size_t>(page)];
}

void KvPages::put(int64_t page, std::shared_ptr<const KvPage> shared) {
  ANDIRON_CHECK(page >= 0 && std::ssize(shared->bytes()) == layout_.page_bytes());
  const auto at = static_cast<size_t>(page);
  grow(at + 1);
  read_[at] = shared->bytes().data();
  write_[at] = nullptr;
  pages_[at] = std::move(shared);
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
