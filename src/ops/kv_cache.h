// KvPages: the keys and values of one sequence, all layers, in the layout the attention kernels read.
//
// They lie in pages of kAttentionTile positions, which sequences that begin alike share. A page is written by the
// KvPages that made it, until it is shared; from then on nobody writes it: who must, because the sequence was cut back
// and goes on differently, takes a copy first. So a shared page may be read on any thread. Whether a page was ever
// shared is remembered, not asked of its count of owners, which may change meanwhile.
//
// Where a new page lies: page p in slot p % 16 of a slab (ops/kv_page.h), of that in which the last page was made, if
// both are of the same sixteen and p comes later; otherwise of a new one. So what a sequence computes lies in slabs of
// its own, also behind pages that are another's: the slots of those stay unused and cost addresses only. And what must
// be written anew, because it has been shared, begins a new slab, in which the pages made after it follow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/kernel_table.h"
#include "ops/kv_page.h"

namespace andiron {

// Which piece of a page is what: layer by layer, in a layer the keys of each head, then the values of each. In this
// order files of prefixes hold them (engine/prefix_block.h).
struct KvLayout {
  KvFormat format = kKvF16;
  int64_t layers = 1, kv_heads = 1;
  int64_t head_dim = 16;  // a multiple of 16 (of 32 for q8_0), at most 512

  int64_t position_bytes() const;  // of the keys of one head, or of its values
  KvPageShape shape() const { return {2 * layers * kv_heads, kAttentionTile * position_bytes()}; }
  int64_t page_bytes() const { return shape().bytes(); }
  // From KvPage::data() on; multiples of 64.
  int64_t keys(int64_t layer, int64_t head) const { return shape().offset(2 * layer * kv_heads + head); }
  int64_t values(int64_t layer, int64_t head) const { return shape().offset((2 * layer + 1) * kv_heads + head); }
};

// One thread at a time, but for store().
class KvPages {
 public:
  explicit KvPages(const KvLayout& layout);
  KvPages(KvPages&&) = default;
  KvPages& operator=(KvPages&&) = default;

  const KvLayout& layout() const { return layout_; }

  // Makes positions [begin, end) ready to be written: pages that are not there, and copies of those that are shared.
  // What stood behind `begin` may be lost. Throws std::bad_alloc; what stands before `begin` is as it was even then.
  void reserve(int64_t begin, int64_t end);
  // Whether it did.
  bool are_reserved(int64_t begin, int64_t end) const;

  // Stores k and v [head_dim] at a position that is reserved. Threads may store different heads of one layer together.
  void store(const KernelTable& kernels, int64_t layer, int64_t head, int64_t position, const float* k, const float* v);

  // For AttentionArgs; valid until the next reserve() or put().
  const uint8_t* const* data() const { return read_.data(); }

  // A page that is there; from now on shared.
  std::shared_ptr<const KvPage> share(int64_t page);
  // Another's page of this layout, in the place of this one's. Throws std::bad_alloc; then nothing has changed.
  void put(int64_t page, std::shared_ptr<const KvPage> shared);
  // For put() at this place, and for others: of what another page's pieces hold, one after another. Lies where a page
  // that is made there does. Null where `bytes` are not page_bytes(). Throws std::bad_alloc.
  std::shared_ptr<const KvPage> page_of(int64_t page, std::span<const uint8_t> bytes);

 private:
  void grow(size_t pages);
  std::shared_ptr<KvPage> make_page(int64_t page);
  void store_f16(const KernelTable& kernels, uint8_t* keys, uint8_t* values, int64_t at, const float* k,
                 const float* v) const;
  void store_q8(uint8_t* keys, uint8_t* values, int64_t at, const float* k, const float* v) const;

  KvLayout layout_;
  // Page by page; null where there is none.
  std::vector<std::shared_ptr<const KvPage>> pages_;
  std::vector<const uint8_t*> read_;       // what pages_ have
  std::vector<uint8_t*> write_;            // likewise; null also for those that are shared
  std::shared_ptr<KvSlab> slab_;           // of the page made last; null where there was none
  int64_t free_begin_ = 0, free_end_ = 0;  // the pages whose slots in it are free
};

// n numbers as an f16 cache keeps them: what f16 cannot hold becomes the largest it can, and a NaN becomes 0 (a masked
// position has weight 0, and 0 times an infinity would reach rows that must not see it).
void to_kept_f16(const KernelTable& kernels, const float* x, int64_t n, uint16_t* out);

}  // namespace andiron
