#include "ops/kv_page.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/check.h"

namespace andiron {

KvSlab::KvSlab(const KvPageShape& shape) : shape_(shape) {
  ANDIRON_CHECK(shape.pieces > 0 && shape.piece_bytes > 0);
  const auto bytes = static_cast<size_t>(kSlabPages * shape.bytes());
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<uint8_t*>(memory);
}

KvSlab::~KvSlab() { munmap(memory_, static_cast<size_t>(kSlabPages * shape_.bytes())); }

void KvSlab::take(int64_t slot) {
  const std::lock_guard lock(mutex_);
  ANDIRON_CHECK(slot >= 0 && slot < kSlabPages && (taken_ >> slot & 1) == 0);
  taken_ |= uint32_t{1} << slot;
}

void KvSlab::share() {
  const std::lock_guard lock(mutex_);
  is_shared_ = true;
}

// With the lock held to the end: who takes a slot beside this one must not write before its edges have gone.
void KvSlab::give_back(int64_t slot) {
  const std::lock_guard lock(mutex_);
  taken_ &= ~(uint32_t{1} << slot);
  if (!is_shared_) return;
  int64_t first = slot, end = slot + 1;  // of the slots around it that nobody has
  while (first > 0 && (taken_ >> (first - 1) & 1) == 0) --first;
  while (end < kSlabPages && (taken_ >> end & 1) == 0) ++end;
  const auto page = static_cast<int64_t>(sysconf(_SC_PAGESIZE));
  const auto down = [page](int64_t at) { return at / page * page; };
  const auto up = [page](int64_t at) { return (at + page - 1) / page * page; };
  const int64_t bytes = shape_.piece_bytes;
  for (int64_t i = 0; i < shape_.pieces; ++i) {
    const int64_t row = shape_.offset(i);
    const int64_t from = std::max(up(row + first * bytes), down(row + slot * bytes));
    const int64_t to = std::min(down(row + end * bytes), up(row + (slot + 1) * bytes));
    if (from < to) madvise(memory_ + from, static_cast<size_t>(to - from), MADV_DONTNEED);
  }
}

KvPage::KvPage(std::shared_ptr<KvSlab> slab, int64_t slot)
    : slab_(std::move(slab)), slot_(slot), data_(slab_->memory_ + slot * slab_->shape_.piece_bytes) {
  slab_->take(slot);
}

KvPage::~KvPage() {
  if (slab_.use_count() > 1) slab_->give_back(slot_);  // else the slab goes too
}

}  // namespace andiron
