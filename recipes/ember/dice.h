// Draws one after the other from a random stream: the same row has the same draws whatever other rows are made. Two
// draws never stand in one expression: compilers evaluate arguments and operands in orders of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/random.h"

namespace andiron::ember {

class Dice {
 public:
  Dice(uint64_t seed, uint64_t stream) : stream_(seed, stream) {}

  double uniform() { return stream_.uniform(drawn_++); }
  bool chance(double part) { return uniform() < part; }
  // From 0 to below n; n is not 0.
  size_t below(size_t n) {
    ANDIRON_CHECK(n > 0);
    return static_cast<size_t>(uniform() * static_cast<double>(n));
  }
  // Both ends included.
  int between(int low, int high) { return low + static_cast<int>(below(static_cast<size_t>(int64_t{high} - low + 1))); }

  template <typename T>
  const T& pick(const std::vector<T>& of) {
    return of[below(of.size())];
  }
  template <typename T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  RandomStream stream_;
  uint64_t drawn_ = 0;
};

}  // namespace andiron::ember
