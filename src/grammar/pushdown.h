// Pushdown: follows an automaton byte by byte.
//
// A configuration is everything a text may stand at: a set of (state, stack, times in the loop). Stacks share their
// tails and configurations are numbered, so that what was found out about one (where a byte leads) is remembered: text
// that stays within so many configurations costs one look-up a byte. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "grammar/automaton.h"

namespace andiron {

class Pushdown {
 public:
  struct Item {
    uint32_t state;
    uint32_t stack;
    uint32_t count = 0;  // how many times the loop of `state` has begun
    bool operator==(const Item&) const = default;
    bool operator<(const Item& other) const {
      return std::tie(state, stack, count) < std::tie(other.state, other.stack, other.count);
    }
  };
  static constexpr uint32_t kEmptyStack = 0;
  static constexpr uint32_t kDead = 0;  // the configuration of a text that does not match

  // The automaton must outlive it.
  explicit Pushdown(const Automaton& automaton);

  uint32_t start();
  // One state, whose rule was called from nowhere. Only what it reads itself counts, not what it calls. In a loop it is
  // not known how many times there were: the count starts from kUnknownCount, and allows everything.
  uint32_t alone(uint32_t state);
  static constexpr uint32_t kUnknownCount = uint32_t{1} << 31;
  // Where the end of the rule that was called with this stack leads. stack != kEmptyStack.
  uint32_t after(uint32_t stack);
  uint32_t next(uint32_t configuration, uint8_t byte) {
    const uint32_t known = nexts_[configuration][byte];
    return known != kUnknown ? known : find_next(configuration, byte);
  }

  // States that read a byte, with their stacks; sorted.
  std::span<const Item> items(uint32_t configuration) const {
    const Configuration& one = configurations_[configuration];
    return std::span(items_).subspan(one.items, one.count);
  }
  // The text may end here.
  bool accepts(uint32_t configuration) const { return configurations_[configuration].accepts; }

  // Some configuration had more than kItemsMax items, or there were more of them than kMostBytes hold, and was taken
  // for dead.
  bool overflowed() const { return overflowed_; }
  static constexpr size_t kItemsMax = 2000;

  // Forgets all but one configuration, which gets a new number, where the rest takes more than kForgetBytes.
  uint32_t trim(uint32_t configuration);
  // How often it has forgotten: numbers given before mean nothing after.
  uint32_t generation() const { return generation_; }

 private:
  static constexpr uint32_t kUnknown = UINT32_MAX;
  static constexpr size_t kForgetBytes = 32 << 20;
  // What one mask may take beyond that: a grammar whose every token leads elsewhere is not followed further.
  static constexpr size_t kMostBytes = 256 << 20;
  struct Configuration {
    uint32_t items = 0;
    uint32_t count = 0;
    bool accepts = false;
  };
  struct Frame {
    uint32_t target;  // the state to come back to
    uint32_t parent;
  };

  void clear();
  size_t bytes() const;
  uint32_t find_next(uint32_t configuration, uint8_t byte);
  bool allows(const Item& item, const ByteEdge& edge) const;
  void follow(const Item& item, const ByteEdge& edge);
  uint32_t push(uint32_t target, uint32_t parent);
  void add(Item item);
  uint32_t close();
  uint32_t number(std::vector<Item>& items, bool accepts);
  uint32_t copy_stack(const std::vector<Frame>& frames, uint32_t stack);

  const Automaton& automaton_;
  std::vector<Frame> frames_;  // by stack
  std::unordered_map<uint64_t, uint32_t> stacks_;
  std::vector<Item> items_;
  std::vector<Configuration> configurations_;
  std::vector<std::array<uint32_t, 256>> nexts_;
  std::unordered_multimap<uint64_t, uint32_t> numbers_;
  uint32_t generation_ = 0;
  bool overflowed_ = false;

  // The configuration that is being made.
  std::vector<Item> open_, kept_;
  struct ItemHash {
    size_t operator()(const Item& item) const;
  };
  std::unordered_set<Item, ItemHash> met_;
};

}  // namespace andiron
