// For tests only: what the tests of this layer allocate through new, counted or refused. A program has one operator
// new; theirs is in allocation_test.cpp.
#pragma once

#include <atomic>
#include <cstdint>

namespace andiron {

// How many, on all threads, while g_counting says so.
inline std::atomic<bool> g_counting{false};
inline std::atomic<int64_t> g_allocations{0};
// On this thread so many more succeed, then one fails, then all succeed again; below 0: none fails.
inline constinit thread_local int64_t t_allocations_left = -1;
// Likewise of all threads together but those that say here that they are spared.
inline std::atomic<int64_t> g_allocations_left{-1};
inline constinit thread_local bool t_spared = false;

}  // namespace andiron
