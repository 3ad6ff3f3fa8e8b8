// How ops share rows among the threads of a team.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/thread_team.h"

namespace andiron {

// What a thread does in a nanosecond, roughly: for telling how much work a call is (ThreadTeam::parallel_for).
inline constexpr int64_t kElementsPerNs = 4;   // of element-wise work
inline constexpr int64_t kProductsPerNs = 32;  // multiply-adds with weights, which come from memory
inline constexpr int64_t kAttendedPerNs = 16;  // multiply-adds with keys and values

// Calls f(row) for every row, on the whole team when there is enough to share.
template <typename F>
void each_row(ThreadTeam& team, int64_t rows, int64_t cols, F f) {
  const int64_t step = std::max<int64_t>(1, rows / (4 * team.size()));
  team.parallel_for((rows + step - 1) / step, rows * cols / kElementsPerNs, [&](int64_t block, int) {
    for (int64_t i = block * step; i < std::min(rows, (block + 1) * step); ++i) f(i);
  });
}

}  // namespace andiron
