// For tests only: every truncation and every single flipped bit of a small file.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace andiron {

// What `check` says of one variant of the seed: whether it was taken as a file.
using VariantCheck = std::function<bool(const std::vector<uint8_t>& variant)>;

struct VariantCounts {
  int truncations = 0;
  int truncations_taken = 0;
  int flips = 0;
  int flips_taken = 0;
};

// `step` above 1 takes that part of them only: for checks that go through files, which are slow to make.
inline VariantCounts try_every_variant(const std::vector<uint8_t>& seed, const VariantCheck& check, size_t step = 1) {
  EXPECT_TRUE(check(seed)) << "the seed itself must be good";
  EXPECT_LE(seed.size(), 16u << 10);
  VariantCounts counts;
  for (size_t size = 0; size < seed.size(); size += step) {
    // Exactly as large as its content, so that the sanitizer sees a read beyond it.
    const std::vector<uint8_t> cut(seed.begin(), seed.begin() + static_cast<ptrdiff_t>(size));
    counts.truncations += 1;
    counts.truncations_taken += check(cut) ? 1 : 0;
  }
  std::vector<uint8_t> flipped = seed;
  for (size_t i = 0; i < seed.size() * 8; i += step) {
    flipped[i / 8] = static_cast<uint8_t>(flipped[i / 8] ^ (1u << (i % 8)));
    counts.flips += 1;
    counts.flips_taken += check(flipped) ? 1 : 0;
    flipped[i / 8] = seed[i / 8];
  }
  testing::Test::RecordProperty("variants", counts.truncations + counts.flips);
  return counts;
}

}  // namespace andiron
