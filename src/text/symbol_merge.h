// The merging at the heart of both byte-pair encoders: of all neighbours that may merge, the pair of best rank goes
// first, among equals the leftmost, until none is left (R. Sennrich et al., 2016, section 3.2).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "text/tokenizer_spec.h"

namespace andiron {

// A run of bytes in the piece being encoded, and the token it is so far, if any.
struct Symbol {
  uint32_t begin;
  uint32_t size;
  int32_t id;
};

// What merging two neighbours would give. Lower ranks go first; kNoMerge: they do not merge.
struct Merge {
  static constexpr uint32_t kNoMerge = UINT32_MAX;
  uint32_t rank = kNoMerge;
  int32_t id = kNoToken;
};

// Working memory of merge_symbols, kept from piece to piece.
struct MergeScratch {
  std::vector<Merge> merges;   // by symbol: with the next one
  std::vector<uint64_t> heap;  // pair_key of merges that may be next
};

namespace internal {

// Quadratic, but with no bookkeeping: the fastest for a word.
template <typename FindMerge>
void merge_short(std::vector<Symbol>& symbols, const FindMerge& find_merge, std::vector<Merge>& merges) {
  merges.resize(symbols.size());
  for (size_t i = 0; i + 1 < symbols.size(); ++i) merges[i] = find_merge(symbols[i], symbols[i + 1]);
  while (symbols.size() > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < symbols.size(); ++i) {
      if (merges[i].rank < merges[best].rank) best = i;
    }
    if (merges[best].rank == Merge::kNoMerge) return;
    symbols[best].size += symbols[best + 1].size;
    symbols[best].id = merges[best].id;
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
    merges.erase(merges.begin() + static_cast<ptrdiff_t>(best));
    if (best > 0) merges[best - 1] = find_merge(symbols[best - 1], symbols[best]);
    if (best + 1 < symbols.size()) merges[best] = find_merge(symbols[best], symbols[best + 1]);
  }
}

// Neighbours in a vector of symbols, with no memory but the symbols: one that was merged into its left neighbour has
// size 0 and room for links. The second symbol of a merged run keeps where the run ends, its last one where it begins.
class LinkedSymbols {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  explicit LinkedSymbols(std::vector<Symbol>& symbols) : symbols_(symbols) {}

  const Symbol& operator[](uint32_t i) const { return symbols_[i]; }
  bool holds(uint32_t i) const { return symbols_[i].size != 0; }
  uint32_t next(uint32_t i) const {
    const uint32_t after = end(i);
    return after == symbols_.size() ? kNone : after;
  }
  uint32_t previous(uint32_t i) const {
    if (i == 0) return kNone;
    return holds(i - 1) ? i - 1 : symbols_[i - 1].begin;
  }
  // Makes one symbol of neighbours.
  void join(uint32_t left, uint32_t right, int32_t id) {
    const uint32_t after = end(right);
    symbols_[left].size += symbols_[right].size;
    symbols_[left].id = id;
    symbols_[right].size = 0;
    symbols_[left + 1].id = static_cast<int32_t>(after);
    symbols_[after - 1].begin = left;
  }

 private:
  uint32_t end(uint32_t i) const {
    if (i + 1 == symbols_.size() || holds(i + 1)) return i + 1;
    return static_cast<uint32_t>(symbols_[i + 1].id);
  }

  std::vector<Symbol>& symbols_;
};

// O(n log n) in the number of symbols: a heap over a linked list. In the heap are only pairs that go before both pairs
// beside them; any other must wait for one of those, whose merging decides anew about it. Of text this leaves a third,
// of a run of one letter a single pair.
template <typename FindMerge>
class LongMerger {
 public:
  LongMerger(std::vector<Symbol>& symbols, const FindMerge& find_merge, MergeScratch& scratch)
      : symbols_(symbols), count_(symbols.size()), find_merge_(find_merge), scratch_(scratch) {}

  void merge_all() {
    auto& heap = scratch_.heap;
    scratch_.merges.assign(count_, Merge{});
    for (uint32_t i = 0; i + 1 < count_; ++i) scratch_.merges[i] = find_merge_(symbols_[i], symbols_[i + 1]);
    heap.clear();
    for (uint32_t i = 0; i + 1 < count_; ++i) {
      if (goes_first(i)) heap.push_back(key(i));
    }
    std::make_heap(heap.begin(), heap.end(), std::greater<>());
    while (!heap.empty()) {
      std::pop_heap(heap.begin(), heap.end(), std::greater<>());
      const uint64_t top = heap.back();
      heap.pop_back();
      const auto left = static_cast<uint32_t>(top);
      // Another merge may have changed the pair since; should it have this very key again, it is its turn all the same.
      if (symbols_.holds(left) && key(left) == top) merge(left);
    }
  }

 private:
  static constexpr uint32_t kNone = LinkedSymbols::kNone;
  static constexpr uint64_t kLast = UINT64_MAX;

  // The order of merges; kLast for the pair at kNone.
  uint64_t key(uint32_t left) const {
    return left == kNone ? kLast : uint64_t{scratch_.merges[left].rank} << 32 | left;
  }
  bool goes_first(uint32_t left) const {
    const uint64_t own = key(left);
    return scratch_.merges[left].rank != Merge::kNoMerge && own < key(symbols_.previous(left)) &&
           own < key(symbols_.next(left));
  }
  Merge find(uint32_t left, uint32_t right) const {
    return right == kNone ? Merge{} : find_merge_(symbols_[left], symbols_[right]);
  }
  void push_if_first(uint32_t left) {
    if (left == kNone || !goes_first(left)) return;
    scratch_.heap.push_back(key(left));
    std::push_heap(scratch_.heap.begin(), scratch_.heap.end(), std::greater<>());
  }

  void merge(uint32_t left) {
    const uint32_t right = symbols_.next(left);
    const uint32_t before = symbols_.previous(left);
    const uint64_t key_before = key(before);
    const uint64_t key_after = key(right);
    symbols_.join(left, right, scratch_.merges[left].id);
    const uint32_t after = symbols_.next(left);
    scratch_.merges[left] = find(left, after);
    if (before != kNone) scratch_.merges[before] = find(before, left);
    push_if_first(left);
    push_if_first(before);
    // The pairs beyond are in the heap already, unless the pair that changed stood in their way.
    const uint32_t far = before == kNone ? kNone : symbols_.previous(before);
    if (key_before < key(far)) push_if_first(far);
    if (key_after < key(after)) push_if_first(after);
  }

  LinkedSymbols symbols_;
  size_t count_;
  const FindMerge& find_merge_;
  MergeScratch& scratch_;
};

template <typename FindMerge>
void merge_long(std::vector<Symbol>& symbols, const FindMerge& find_merge, MergeScratch& scratch) {
  LongMerger(symbols, find_merge, scratch).merge_all();
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.size == 0; });
}

}  // namespace internal

// Merges `symbols` (neighbours in order, none empty) until none may merge. find_merge(Symbol, Symbol) -> Merge must
// depend on its arguments alone.
template <typename FindMerge>
void merge_symbols(std::vector<Symbol>& symbols, const FindMerge& find_merge, MergeScratch& scratch) {
  constexpr size_t kShort = 32;
  if (symbols.size() <= kShort) {
    internal::merge_short(symbols, find_merge, scratch.merges);
  } else {
    internal::merge_long(symbols, find_merge, scratch);
  }
}

}  // namespace andiron
