#include "grammar/pushdown.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/keyed_hash.h"

namespace andiron {

namespace {

uint64_t pair_of(uint32_t a, uint32_t b) { return static_cast<uint64_t>(a) << 32 | b; }

}  // namespace

size_t Pushdown::ItemHash::operator()(const Item& item) const {
  return static_cast<size_t>(keyed_hash(keyed_hash(pair_of(item.state, item.stack)) ^ item.count));
}

Pushdown::Pushdown(const Automaton& automaton) : automaton_(automaton) { clear(); }

void Pushdown::clear() {
  frames_.assign(1, {0, kEmptyStack});
  stacks_.clear();
  items_.clear();
  configurations_.clear();
  nexts_.clear();
  numbers_.clear();
  std::vector<Item> none;
  number(none, false);
  nexts_[kDead].fill(kDead);
}

uint32_t Pushdown::start() {
  add({automaton_.start(), kEmptyStack});
  return close();
}

uint32_t Pushdown::alone(uint32_t state) {
  std::vector<Item> items = {{state, kEmptyStack, automaton_.loop(state) != nullptr ? kUnknownCount : 0}};
  return number(items, false);
}

uint32_t Pushdown::after(uint32_t stack) {
  ANDIRON_CHECK(stack != kEmptyStack);
  add({frames_[stack].target, frames_[stack].parent});
  return close();
}

uint32_t Pushdown::find_next(uint32_t configuration, uint8_t byte) {
  for (size_t i = 0; i < configurations_[configuration].count; ++i) {
    const Item item = items_[configurations_[configuration].items + i];
    for (const ByteEdge& edge : automaton_.bytes(item.state)) {
      if (byte > edge.last) continue;
      if (byte >= edge.first) follow(item, edge);
      break;
    }
  }
  const uint32_t found = close();
  nexts_[configuration][byte] = found;
  return found;
}

// Whether the times that the loop has begun let it go this way.
bool Pushdown::allows(const Item& item, const ByteEdge& edge) const {
  if (edge.action == ByteEdge::Action::kNone || item.count >= kUnknownCount) return true;
  const CountedLoop& loop = *automaton_.loop(item.state);
  return edge.action == ByteEdge::Action::kLeave ? item.count >= loop.min : item.count < loop.max;
}

void Pushdown::follow(const Item& item, const ByteEdge& edge) {
  if (!allows(item, edge)) return;
  uint32_t count = item.count;
  if (edge.action == ByteEdge::Action::kLeave) {
    count = 0;
  } else if (edge.action == ByteEdge::Action::kCount) {
    const CountedLoop& loop = *automaton_.loop(item.state);
    const bool enough = count == loop.min && loop.max == GrammarNode::kUnbounded;  // more are as good as enough
    if (!enough) ++count;
  }
  add({edge.target, item.stack, count});
}

uint32_t Pushdown::push(uint32_t target, uint32_t parent) {
  if (automaton_.is_last(target)) return parent;
  const auto [found, fresh] = stacks_.try_emplace(pair_of(target, parent), static_cast<uint32_t>(frames_.size()));
  if (fresh) frames_.push_back({target, parent});
  return found->second;
}

void Pushdown::add(Item item) {
  if (met_.insert(item).second) open_.push_back(item);
}

// Follows calls and returns from what was added until a byte must be read.
uint32_t Pushdown::close() {
  bool accepts = false;
  while (!open_.empty()) {
    const Item item = open_.back();
    open_.pop_back();
    if (met_.size() > kItemsMax) {
      overflowed_ = true;
      open_.clear();
      kept_.clear();
      accepts = false;
      break;
    }
    const auto bytes = automaton_.bytes(item.state);
    if (std::any_of(bytes.begin(), bytes.end(), [&](const ByteEdge& edge) { return allows(item, edge); })) {
      kept_.push_back(item);
    }
    for (const CallEdge& call : automaton_.calls(item.state)) add({call.start, push(call.target, item.stack)});
    const CountedLoop* loop = automaton_.loop(item.state);
    if (!automaton_.is_final(item.state) || (loop != nullptr && item.count < loop->min)) continue;
    if (item.stack == kEmptyStack) {
      accepts = true;
    } else {
      add({frames_[item.stack].target, frames_[item.stack].parent});
    }
  }
  met_.clear();
  std::sort(kept_.begin(), kept_.end());
  const uint32_t found = number(kept_, accepts);
  kept_.clear();
  return found;
}

uint32_t Pushdown::number(std::vector<Item>& items, bool accepts) {
  uint64_t hash = accepts ? 1 : 0;
  for (const Item& item : items) hash = keyed_hash(hash ^ ItemHash()(item));
  const auto [begin, end] = numbers_.equal_range(hash);
  for (auto at = begin; at != end; ++at) {
    const auto known = this->items(at->second);
    const bool same = std::equal(known.begin(), known.end(), items.begin(), items.end());
    if (same && this->accepts(at->second) == accepts) return at->second;
  }
  if (bytes() > kMostBytes) {
    overflowed_ = true;
    return kDead;
  }
  const auto fresh = static_cast<uint32_t>(configurations_.size());
  configurations_.push_back({static_cast<uint32_t>(items_.size()), static_cast<uint32_t>(items.size()), accepts});
  items_.insert(items_.end(), items.begin(), items.end());
  nexts_.emplace_back().fill(kUnknown);
  numbers_.emplace(hash, fresh);
  return fresh;
}

size_t Pushdown::bytes() const {
  return nexts_.size() * sizeof(nexts_[0]) + frames_.size() * 64 + items_.size() * sizeof(Item);
}

uint32_t Pushdown::trim(uint32_t configuration) {
  if (bytes() < kForgetBytes) return configuration;
  std::vector<Item> items(this->items(configuration).begin(), this->items(configuration).end());
  const bool accepted = accepts(configuration);
  const std::vector<Frame> frames = std::move(frames_);
  clear();
  ++generation_;
  for (Item& item : items) item.stack = copy_stack(frames, item.stack);
  std::sort(items.begin(), items.end());
  return number(items, accepted);
}

uint32_t Pushdown::copy_stack(const std::vector<Frame>& frames, uint32_t stack) {
  std::vector<uint32_t> targets;
  for (; stack != kEmptyStack; stack = frames[stack].parent) targets.push_back(frames[stack].target);
  for (size_t i = targets.size(); i-- > 0;) stack = push(targets[i], stack);
  return stack;
}

}  // namespace andiron
