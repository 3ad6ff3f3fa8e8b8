#include "engine/thread_gate.h"

#include <chrono>

#include "base/check.h"

namespace andiron {

namespace {
constexpr auto kLook = std::chrono::milliseconds(20);
}  // namespace

void ThreadGate::enter() { entered_.fetch_add(1, std::memory_order_acq_rel); }

void ThreadGate::leave() {
  const int64_t before = entered_.fetch_sub(1, std::memory_order_acq_rel);
  ANDIRON_CHECK(before > 0);
  if (before > 1) return;
  // Without the lock, which a thread that trains may hold while the system lets it not run: one that is between its
  // look and its sleep misses this and looks again after kLook.
  idle_.notify_all();
}

bool ThreadGate::wait_for_idle(const std::atomic<bool>* cancel) {
  const auto cancelled = [&] { return cancel != nullptr && cancel->load(std::memory_order_relaxed); };
  if (is_busy()) {
    std::unique_lock lock(mutex_);
    while (is_busy() && !cancelled()) idle_.wait_for(lock, kLook);
  }
  return !cancelled();
}

}  // namespace andiron
