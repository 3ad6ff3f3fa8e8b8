#include "base/thread_team.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <system_error>

namespace andiron {

namespace {

// 20 to 100 us of polling, as long as the processor makes its pause: longer than the gap between two regions of one
// token, much shorter than anyone notices.
constexpr int kSpins = 2000;

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `value` differs from `old`.
void wait_for_change(const std::atomic<uint32_t>& value, uint32_t old, bool spin) {
  for (int i = 0; spin && i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause_briefly();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

std::vector<int> allowed_processors() {
  std::vector<int> processors;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(static_cast<size_t>(i), &set)) processors.push_back(i);
    }
  }
  return processors;
}

void pin_thread(pthread_t thread, int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(processor), &set);
  pthread_setaffinity_np(thread, sizeof set, &set);
}

}  // namespace

namespace {
int count_processors() {
  int count = std::max(1, static_cast<int>(allowed_processors().size()));
  // cgroup v2: "quota period" in microseconds, or "max period".
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0) {
    const double share = std::strtod(quota.c_str(), nullptr) / period;
    if (share > 0) count = std::min(count, std::max(1, static_cast<int>(std::ceil(share))));
  }
  return count;
}
}  // namespace

int ThreadTeam::processors_available() {
  // Asked once: pinning the caller's thread narrows what the kernel reports afterwards.
  static const int count = count_processors();
  return count;
}

ThreadTeam::ThreadTeam(int workers, bool pin) {
  const auto processors = allowed_processors();
  spin_ = workers <= processors_available();
  const bool enough = pin && static_cast<size_t>(workers) <= processors.size();
  if (enough) pin_thread(pthread_self(), processors[0]);
  for (int worker = 1; worker < workers; ++worker) {
    try {
      threads_.emplace_back([this, worker] { work(worker); });
    } catch (const std::system_error&) {  // a limit on threads or memory: go on with those there are
      break;
    }
    if (enough) pin_thread(threads_.back().native_handle(), processors[static_cast<size_t>(worker)]);
  }
}

ThreadTeam::~ThreadTeam() {
  stopping_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void ThreadTeam::run_raw(Raw function, void* context) {
  if (threads_.empty()) {
    function(context, 0);
    return;
  }
  function_ = function;
  context_ = context;
  working_.store(static_cast<uint32_t>(threads_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  function(context, 0);
  for (uint32_t left; (left = working_.load(std::memory_order_acquire)) != 0;) wait_for_change(working_, left, spin_);
}

void ThreadTeam::work(int worker) {
  uint32_t seen = 0;
  while (true) {
    wait_for_change(epoch_, seen, spin_);
    ++seen;
    if (stopping_.load(std::memory_order_relaxed)) return;
    function_(context_, worker);
    if (working_.fetch_sub(1, std::memory_order_acq_rel) == 1) working_.notify_one();
  }
}

}  // namespace andiron
