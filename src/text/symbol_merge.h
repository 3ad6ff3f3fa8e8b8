// The merging at the heart of both byte-pair encoders: of all neighbours that may merge, the pair of best rank goes
// first, among equals the leftmost, until none is left (R. Sennrich et al., 2016, section 3.2).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
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
  struct Candidate {
    uint64_t key;  // rank << 32 | left: the order in which merges happen
    uint32_t right;
    uint32_t size;  // of both together: symbols only grow, so it tells whether the candidate still stands
    int32_t id;
  };
  std::vector<Merge> merges;
  std::vector<uint32_t> next;
  std::vector<uint32_t> previous;
  std::vector<Candidate> heap;
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

// O(n log n) in the number of symbols: a heap of candidates over a linked list.
template <typename FindMerge>
void merge_long(std::vector<Symbol>& symbols, const FindMerge& find_merge, MergeScratch& scratch) {
  using Candidate = MergeScratch::Candidate;
  constexpr uint32_t kNone = UINT32_MAX;
  const auto later = [](const Candidate& a, const Candidate& b) { return a.key > b.key; };
  const auto count = static_cast<uint32_t>(symbols.size());
  auto& heap = scratch.heap;
  heap.clear();
  scratch.next.resize(count);
  scratch.previous.resize(count);
  for (uint32_t i = 0; i < count; ++i) {
    scratch.previous[i] = i == 0 ? kNone : i - 1;
    scratch.next[i] = i + 1 == count ? kNone : i + 1;
  }
  const auto candidate = [&](uint32_t left, uint32_t right, bool heaped) {
    const Merge merge = find_merge(symbols[left], symbols[right]);
    if (merge.rank == Merge::kNoMerge) return;
    heap.push_back({uint64_t{merge.rank} << 32 | left, right, symbols[left].size + symbols[right].size, merge.id});
    if (heaped) std::push_heap(heap.begin(), heap.end(), later);
  };
  for (uint32_t i = 0; i + 1 < count; ++i) candidate(i, i + 1, false);
  std::make_heap(heap.begin(), heap.end(), later);

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Candidate top = heap.back();
    heap.pop_back();
    const auto left = static_cast<uint32_t>(top.key);
    if (symbols[left].size == 0 || symbols[top.right].size == 0) continue;
    if (symbols[left].size + symbols[top.right].size != top.size) continue;
    symbols[left].size = top.size;
    symbols[left].id = top.id;
    symbols[top.right].size = 0;
    const uint32_t after = scratch.next[top.right];
    scratch.next[left] = after;
    if (after != kNone) scratch.previous[after] = left;
    if (scratch.previous[left] != kNone) candidate(scratch.previous[left], left, true);
    if (after != kNone) candidate(left, after, true);
  }
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
