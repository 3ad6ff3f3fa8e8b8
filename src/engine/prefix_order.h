// PrefixOrder: in which order blocks of prefixes were used last.
//
// A block without those before it serves nobody. So each stands behind its parent, however often it is used itself, and
// whoever takes the last one away takes the end of a text.
#pragma once

#include <cstdint>
#include <iterator>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>

namespace andiron {

class PrefixOrder {
 public:
  PrefixOrder() = default;
  PrefixOrder(PrefixOrder&&) = default;
  PrefixOrder& operator=(PrefixOrder&&) = default;

  // A key, new or known, was used: it comes right behind its parent, or in front of all where that is not here. Use a
  // text's first block first. Throws std::bad_alloc for a new key; then nothing has changed.
  void use(const std::string& key, const std::string& parent, uint64_t bytes) {
    const auto before = entries_.find(parent);
    const auto at = before == entries_.end() ? order_.begin() : std::next(before->second);
    const auto known = entries_.find(key);
    if (known != entries_.end()) {
      order_.splice(at, order_, known->second);
      bytes_ -= std::exchange(known->second->bytes, bytes);
    } else {
      std::list<Entry> made(1, Entry{key, bytes});
      entries_.emplace(key, made.begin());
      order_.splice(at, made);
    }
    bytes_ += bytes;
  }
  void forget(const std::string& key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    bytes_ -= found->second->bytes;
    order_.erase(found->second);
    entries_.erase(found);
  }

  bool holds(const std::string& key) const { return entries_.contains(key); }
  bool empty() const { return order_.empty(); }
  uint64_t bytes() const { return bytes_; }
  // Requires !empty().
  const std::string& last() const { return order_.back().key; }
  // From the one used last to the first.
  template <typename F>
  void for_each(F f) const {
    for (const Entry& entry : order_) f(entry.key);
  }

 private:
  struct Entry {
    std::string key;
    uint64_t bytes;
  };
  std::list<Entry> order_;
  std::unordered_map<std::string, std::list<Entry>::iterator> entries_;
  uint64_t bytes_ = 0;
};

}  // namespace andiron
