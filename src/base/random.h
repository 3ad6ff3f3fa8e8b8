// Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As
// Easy as 1, 2, 3", SC 2011). The value depends only on (seed, stream, counter), never on what was
// drawn before or by whom: so a seed gives the same text anywhere in a batch.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace andiron {

// One Philox block: 4 words from a 128-bit counter and a 64-bit key.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

class RandomStream {
 public:
  // Streams with different (seed, stream) are independent.
  explicit RandomStream(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  uint64_t bits(uint64_t counter) const;
  // Uniform in [0, 1), 53 bits.
  double uniform(uint64_t counter) const { return static_cast<double>(bits(counter) >> 11) * 0x1p-53; }
  // Normal with mean 0 and variance 1 (Box-Muller on one block).
  double normal(uint64_t counter) const;

  uint64_t seed() const { return seed_; }

 private:
  uint64_t seed_;
  uint64_t stream_;
};

// Fisher and Yates.
template <typename T>
void shuffle(std::vector<T>& items, const RandomStream& random) {
  for (size_t i = items.size(); i > 1; --i) {
    const auto j = static_cast<size_t>(random.uniform(i) * static_cast<double>(i));
    std::swap(items[i - 1], items[j]);
  }
}

}  // namespace andiron
