// KvPage: the keys and values of 64 positions (kAttentionTile), all layers; KvSlab: the memory of sixteen of them.
//
// A page consists of pieces: the keys, or the values, of one layer and one head. Attention walks through one piece of
// every page. Where the pieces of a page lay together, that was in runs of 8 to 16 KB, and attention alone took 50 to
// 85% longer at 4,096 positions than in one. So pages lie side by side in a slab. A slab is a table: a row for every
// piece that a page has, and in it a slot for each of the sixteen pages. Sixteen pages that follow one another in a
// sequence are, for attention to one head, one run of 1,024 positions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>

namespace andiron {

inline constexpr int64_t kSlabPages = 16;

struct KvPageShape {
  int64_t pieces = 1;
  int64_t piece_bytes = 1;

  int64_t bytes() const { return pieces * piece_bytes; }
  // Of a piece in every slab, from KvPage::data() on.
  int64_t offset(int64_t piece) const { return piece * kSlabPages * piece_bytes; }
  friend bool operator==(const KvPageShape&, const KvPageShape&) = default;
};

// One mapping, given back to the system with the last page of it. Any thread may let a page of it go.
class KvSlab {
 public:
  // Zeros, which read as number 0 in every format; taken from the system as they are written. Numbers above 0. Throws
  // std::bad_alloc.
  explicit KvSlab(const KvPageShape& shape);
  KvSlab(const KvSlab&) = delete;
  KvSlab& operator=(const KvSlab&) = delete;
  ~KvSlab();

 private:
  friend class KvPage;
  void take(int64_t slot);
  void share();
  void give_back(int64_t slot);

  const KvPageShape shape_;
  uint8_t* memory_ = nullptr;
  std::mutex mutex_;    // of what follows
  uint32_t taken_ = 0;  // a bit for each slot that a page has
  bool is_shared_ = false;
};

// A slot of a slab, whose memory goes back to the system with the page if any page of the slab was ever shared, and
// with the slab otherwise: one sequence has them all then and lets them go together, which costs one call instead of
// one for each piece. What goes back are whole pages of the system that hold nothing of another KvPage, nor of two
// rows: the edges of pieces that end within one stay until the neighbour goes too, or the slab.
class KvPage {
 public:
  // A `slot` that no page had before: 0 to kSlabPages - 1.
  KvPage(std::shared_ptr<KvSlab> slab, int64_t slot);
  KvPage(const KvPage&) = delete;
  KvPage& operator=(const KvPage&) = delete;
  ~KvPage();

  const KvPageShape& shape() const { return slab_->shape_; }
  // Of the first piece; the others lie at shape().offset().
  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  // One after another they are what a file holds.
  std::span<uint8_t> piece(int64_t i) { return {data_ + shape().offset(i), static_cast<size_t>(shape().piece_bytes)}; }
  std::span<const uint8_t> piece(int64_t i) const {
    return {data_ + shape().offset(i), static_cast<size_t>(shape().piece_bytes)};
  }

  // To be called before anybody else gets the page, by whom it belongs to till then.
  void mark_shared() const { slab_->share(); }

 private:
  std::shared_ptr<KvSlab> slab_;
  int64_t slot_;
  uint8_t* data_;
};

}  // namespace andiron
