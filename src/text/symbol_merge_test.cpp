#include "text/symbol_merge.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

#include "base/random.h"

namespace andiron {
namespace {

using Rules = std::map<std::pair<int32_t, int32_t>, Merge>;

// The definition, step by step: find the best pair, leftmost among equals, merge it, start again.
std::vector<int32_t> merge_slowly(std::vector<int32_t> ids, const Rules& rules) {
  while (true) {
    size_t best = SIZE_MAX;
    Merge best_merge;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = rules.find({ids[i], ids[i + 1]});
      if (found == rules.end() || found->second.rank >= best_merge.rank) continue;
      best = i;
      best_merge = found->second;
    }
    if (best == SIZE_MAX) return ids;
    ids[best] = best_merge.id;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

TEST(SymbolMerge, BothWaysFollowTheDefinition) {
  const RandomStream random(7);
  uint64_t counter = 0;
  const auto below = [&](uint64_t limit) { return static_cast<int32_t>(random.bits(counter++) % limit); };
  for (int round = 0; round < 300; ++round) {
    Rules rules;
    const int letters = 2 + below(3);
    int32_t next_id = letters;
    for (int i = 0; i < 12; ++i) {
      // Few ranks, so that ties occur.
      rules[{below(static_cast<uint64_t>(next_id)), below(static_cast<uint64_t>(next_id))}] = {
          static_cast<uint32_t>(below(6)), next_id};
      ++next_id;
    }
    const auto find = [&](const Symbol& a, const Symbol& b) {
      const auto found = rules.find({a.id, b.id});
      return found == rules.end() ? Merge{} : found->second;
    };
    std::vector<int32_t> ids;
    const int length = 1 + below(120);
    for (int i = 0; i < length; ++i) ids.push_back(below(static_cast<uint64_t>(letters)));
    std::vector<Symbol> symbols;
    for (size_t i = 0; i < ids.size(); ++i) symbols.push_back({static_cast<uint32_t>(i), 1, ids[i]});
    auto others = symbols;
    MergeScratch scratch;
    internal::merge_short(symbols, find, scratch.merges);
    internal::merge_long(others, find, scratch);
    const auto ids_of = [](const std::vector<Symbol>& list) {
      std::vector<int32_t> out;
      for (const Symbol& symbol : list) out.push_back(symbol.id);
      return out;
    };
    const auto expected = merge_slowly(ids, rules);
    EXPECT_EQ(ids_of(symbols), expected);
    EXPECT_EQ(ids_of(others), expected);
    // The symbols still cover the text.
    uint32_t at = 0;
    for (const Symbol& symbol : others) {
      EXPECT_EQ(symbol.begin, at);
      at += symbol.size;
    }
    EXPECT_EQ(at, ids.size());
  }
}

// What merging takes beside its symbols: in a run of one letter only one pair at a time can be next, in text that keeps
// growing words a third of them. Ten million characters of either must not take a gigabyte.
TEST(SymbolMerge, OnlyPairsThatMayBeNextWaitInTheHeap) {
  const auto find = [](const Symbol& a, const Symbol& b) { return a.size == b.size ? Merge{a.size, a.id} : Merge{}; };
  std::vector<Symbol> symbols;
  for (uint32_t i = 0; i < 4096; ++i) symbols.push_back({i, 1, 0});
  MergeScratch scratch;
  merge_symbols(symbols, find, scratch);
  ASSERT_EQ(symbols.size(), 1u);
  EXPECT_EQ(symbols[0].size, 4096u);
  EXPECT_LE(scratch.heap.capacity(), 4u);
}

}  // namespace
}  // namespace andiron
