// TextList: many short texts in one block of memory, by index. A vocabulary of 150,000 tokens in two allocations.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace andiron {

class TextList {
 public:
  static constexpr size_t kBytesMax = UINT32_MAX;

  size_t size() const { return ends_.size(); }
  bool empty() const { return ends_.empty(); }
  // Views last until the list is changed or destroyed. i < size().
  std::string_view operator[](size_t i) const {
    const size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(bytes_).substr(begin, ends_[i] - begin);
  }
  // Past kBytesMax in all, texts come out empty: whoever reads from a file checks the sum first.
  void push_back(std::string_view text) {
    if (text.size() <= kBytesMax - bytes_.size()) bytes_ += text;
    ends_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
  void reserve(size_t count, size_t bytes) {
    ends_.reserve(count);
    bytes_.reserve(bytes);
  }
  size_t bytes() const { return bytes_.size(); }
  bool operator==(const TextList&) const = default;

 private:
  std::string bytes_;
  std::vector<uint32_t> ends_;
};

}  // namespace andiron
