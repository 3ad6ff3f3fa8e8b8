// KvCache: what one sequence remembers, the keys and values of every layer.
//
// Positions [0, length) are filled by Forward::run. truncate() goes back to an earlier position, from which the
// sequence may go on differently. Memory is taken from the system as positions are filled, and addresses for 1,024 of
// them at once. It is counted in pages of 64 positions, which caches share where their sequences begin alike. One
// thread at a time; pages that are shared may be read and let go on any.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/result.h"
#include "model/model.h"
#include "ops/kv_cache.h"

namespace andiron {

class KvCache {
 public:
  // `capacity` positions, at least 1; it may exceed the trained context (the caller decides whether that is wise).
  // Models with two sets of rotary factors (Phi 3's longrope) choose by the capacity: beyond the original context the
  // long ones, for every position.
  // `model` must outlive it. Fails on a capacity or format that the model cannot have.
  static Result<KvCache> create(const Model& model, int64_t capacity, KvFormat format = kKvF16);
  KvCache(KvCache&&) = default;
  KvCache& operator=(KvCache&&) = default;

  int64_t capacity() const { return capacity_; }
  int64_t length() const { return length_; }
  KvFormat format() const { return pages_.layout().format; }

  const KvPages& pages() const { return pages_; }  // all layers, 0 to config().blocks

  // Makes the pages for so many positions from length() on, and copies of those that are shared. Forward::run does so
  // too; whoever runs many sequences at once learns here which of them there is no memory for. An Error when there is
  // none, or when the capacity has no room; then the cache is as it was.
  Status reserve(int64_t positions);

  // A page of all layers, 64 positions (kAttentionTile) from a multiple of 64 on, in page_bytes(). Its bytes depend on
  // the tokens up to its end and on nothing else, and mean the same to every cache of this model and format whose
  // rotary factors are the same. It is shared from then on, not copied. Requires a page that is full: (index + 1) * 64
  // <= length().
  std::shared_ptr<const KvPage> page(int64_t index);
  // The next 64 positions, shared with whoever else has the page. Requires one of such a cache, a length() that is a
  // multiple of 64, and room. Throws std::bad_alloc; then the cache is as it was.
  void append_page(std::shared_ptr<const KvPage> page);
  // A page for append_page() of what another's pieces hold (KvPage::piece), one after another; it lies where the next
  // page computed here would. Null where `bytes` are not page_bytes(). Throws std::bad_alloc, as append_page() does.
  std::shared_ptr<const KvPage> page_of(std::span<const uint8_t> bytes);
  uint64_t page_bytes() const { return static_cast<uint64_t>(pages_.layout().page_bytes()); }

  // Forgets positions from `length` on. Requires 0 <= length <= length().
  void truncate(int64_t length);

 private:
  friend class Forward;
  KvCache(const Model& model, int64_t capacity, KvFormat format);

  int64_t capacity_ = 0;
  int64_t length_ = 0;
  const Model* model_ = nullptr;
  KvPages pages_;
};

uint64_t kv_bytes_per_position(const ModelConfig& config, KvFormat format);

// "f16" or "q8_0".
Result<KvFormat> kv_format_from_name(std::string_view name);

}  // namespace andiron
