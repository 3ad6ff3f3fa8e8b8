#include "ops/tape.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace andiron {

void Tape::insert(Range range) {
  const auto place = std::upper_bound(ranges_.begin(), ranges_.end(), range.data,
                                      [](const float* data, const Range& other) { return data < other.data; });
  ANDIRON_CHECK(place == ranges_.begin() || std::prev(place)->data + std::prev(place)->count <= range.data);
  ANDIRON_CHECK(place == ranges_.end() || range.data + range.count <= place->data);
  ranges_.insert(place, range);
}

void Tape::track(const float* data, int64_t count) {
  if (count == 0) return;
  own_.emplace_back(data, Buffer<float>(static_cast<size_t>(count), Pages::kLarge));
  insert({data, count, own_.back().second.data()});
}

void Tape::track(const float* data, int64_t count, float* gradient) {
  if (count > 0) insert({data, count, gradient});
}

void Tape::forget(const float* data) {
  std::erase_if(ranges_, [&](const Range& range) { return range.data == data; });
  std::erase_if(own_, [&](const auto& own) { return own.first == data; });
}

float* Tape::gradient(const float* data) const {
  auto place = std::upper_bound(ranges_.begin(), ranges_.end(), data,
                                [](const float* at, const Range& other) { return at < other.data; });
  if (place == ranges_.begin()) return nullptr;
  --place;
  return data < place->data + place->count ? place->gradient + (data - place->data) : nullptr;
}

void* Tape::allocate(size_t bytes) {
  // Small enough that little is left over at the end, large enough that the system is rarely asked. In usual pages: of
  // large ones each of some hundred blocks would waste a part, and what is kept is read from end to end.
  constexpr size_t kBlockBytes = 16 << 20, kAlignment = Buffer<uint8_t>::kAlignment;
  const size_t size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  while (block_ < blocks_.size() && used_ + size > blocks_[block_].size()) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) blocks_.emplace_back(std::max(size, kBlockBytes));
  void* out = blocks_[block_].data() + used_;
  used_ += size;
  kept_ += size;
  return out;
}

Rows Tape::keep(Rows x) {
  Rows out = {room<float>(x.rows * x.cols), x.rows, x.cols, x.cols};
  for (int64_t i = 0; i < x.rows; ++i) std::memcpy(out.row(i), x.row(i), static_cast<size_t>(x.cols) * sizeof(float));
  return out;
}

void Tape::backward(Ops& ops) {
  for (size_t i = steps_.size(); i-- > 0;) steps_[i].run(steps_[i].step, ops);
  clear();
}

void Tape::clear() {
  steps_.clear();
  block_ = used_ = 0;
  kept_ = 0;
}

uint64_t Tape::bytes() const {
  uint64_t sum = 0;
  for (const auto& block : blocks_) sum += block.size();
  for (const auto& own : own_) sum += own.second.size() * sizeof(float);
  return sum;
}

}  // namespace andiron
