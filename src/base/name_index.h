// NameIndex: where each of many names is, without a hash table.
//
// Names come from files, and whoever makes a file can choose names that collide in any hash that is not secret: a
// table of them then takes quadratic time. Sorting takes n log n whatever the names are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace andiron {

class NameIndex {
 public:
  NameIndex() = default;
  // At most 2^32 names; what they view must outlive the index.
  explicit NameIndex(std::vector<std::string_view> names) : names_(std::move(names)), order_(names_.size()) {
    std::iota(order_.begin(), order_.end(), uint32_t{0});
    std::sort(order_.begin(), order_.end(), [&](uint32_t a, uint32_t b) {
      const int order = names_[a].compare(names_[b]);
      return order != 0 ? order < 0 : a < b;
    });
  }

  // The position of `name` in the list given to the constructor (the first, where it is there more than once).
  std::optional<size_t> find(std::string_view name) const {
    const auto found = std::lower_bound(order_.begin(), order_.end(), name,
                                        [&](uint32_t i, std::string_view wanted) { return names_[i] < wanted; });
    if (found == order_.end() || names_[*found] != name) return std::nullopt;
    return *found;
  }

  // A name that is there more than once, if there is one.
  std::optional<std::string_view> duplicate() const {
    const auto found = std::adjacent_find(order_.begin(), order_.end(),
                                          [&](uint32_t a, uint32_t b) { return names_[a] == names_[b]; });
    if (found == order_.end()) return std::nullopt;
    return names_[*found];
  }

 private:
  std::vector<std::string_view> names_;
  std::vector<uint32_t> order_;
};

}  // namespace andiron
