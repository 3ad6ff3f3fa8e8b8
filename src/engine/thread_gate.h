// ThreadGate: whoever answers people goes first, and whoever trains waits until they are done.
//
//   gate.enter(); ... gate.leave();               // the scheduler, while it has requests
//   if (!gate.wait_for_idle(&cancel)) return;     // training, before each piece of work
//
// Any thread. Training finishes the piece that it has begun, so chats wait as long as a piece takes, and no longer: how
// long that is, ThreadTeam::set_gate says of its regions (base/thread_team.h).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace andiron {

class ThreadGate {
 public:
  // Somebody has work that goes first. As many leave() as enter(); they may overlap. Neither ever waits: those who
  // train run at the lowest priority, and whoever waited for a lock of theirs would run at that too.
  void enter();
  void leave();

  // Returns true once nobody has entered (as a rule at once, else within 20 ms); after a look at one number, where that
  // is so already. False once `cancel` (may be null) is set, within 20 ms.
  bool wait_for_idle(const std::atomic<bool>* cancel = nullptr);

  bool is_busy() const { return entered_.load(std::memory_order_acquire) > 0; }

 private:
  std::atomic<int64_t> entered_{0};
  std::mutex mutex_;
  std::condition_variable idle_;
};

}  // namespace andiron
