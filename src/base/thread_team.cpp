#include "base/thread_team.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <fstream>
#include <string>
#include <utility>

#include "base/check.h"

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

ThreadTeam::ThreadTeam(int workers, bool pin) : shares_(static_cast<size_t>(workers)) {
  const auto processors = allowed_processors();
  spin_ = workers <= processors_available();
  const bool enough = pin && static_cast<size_t>(workers) <= processors.size();
  if (enough) pin_thread(pthread_self(), processors[0]);
  threads_.reserve(shares_.size() - 1);  // nothing may fail between two threads that run
  for (int worker = 1; worker < workers; ++worker) {
    try {
      threads_.emplace_back([this, worker] { work(worker); });
    } catch (const std::exception&) {  // a limit on threads or memory: go on with those there are
      break;
    }
    if (enough) pin_thread(threads_.back().native_handle(), processors[static_cast<size_t>(worker)]);
  }
}

ThreadTeam::~ThreadTeam() {
  stopping_.store(true, std::memory_order_relaxed);
  region_.fetch_add(1);
  region_.notify_all();
  for (auto& thread : threads_) thread.join();
}

namespace {
uint32_t absent(uint32_t region) { return 2 * region - 2; }
uint32_t present(uint32_t region) { return 2 * region - 1; }
uint32_t closed(uint32_t region) { return 2 * region; }
uint64_t nothing_taken(uint32_t region) { return uint64_t{region} << 32; }
}  // namespace

void ThreadTeam::run_region(int64_t count, Raw function, void* context) {
  ANDIRON_CHECK(count < UINT32_MAX / 2);
  function_ = function;
  context_ = context;
  count_ = count;
  const uint32_t region = region_.load(std::memory_order_relaxed) + 1;
  shares_[0].taken.store(nothing_taken(region), std::memory_order_relaxed);
  // Sequentially consistent, as notify_all looks whether anyone waits: that look must not come first.
  region_.exchange(region);
  region_.notify_all();
  take_indices(0, region);
  // Every index is taken, and every worker has come or found its share opened without it.
  for (size_t worker = 1; worker < static_cast<size_t>(size()); ++worker) {
    const std::atomic<uint32_t>& state = shares_[worker].state;
    while (state.load(std::memory_order_acquire) == present(region)) wait_for_change(state, present(region), spin_);
  }
  if (!failed_.load(std::memory_order_relaxed)) return;
  failed_.store(false, std::memory_order_relaxed);
  std::rethrow_exception(std::exchange(failure_, nullptr));
}

// Called while an exception is handled. It goes to the caller: of a worker's own thread nobody would catch it.
void ThreadTeam::note_failure() {
  const std::lock_guard lock(failure_mutex_);
  if (!failure_) failure_ = std::current_exception();
  failed_.store(true, std::memory_order_relaxed);
}

// Takes indices until none are left: of the worker's own share first, then of those that follow it in a circle.
void ThreadTeam::take_indices(int worker, uint32_t region) {
  const int64_t workers = size();
  take_from(worker, worker, region);
  if (worker != 0 && count_ <= workers) return;  // what others have not begun of so few, the caller does
  for (int64_t i = 1; i < workers; ++i) {
    const int64_t share = worker + i < workers ? worker + i : worker + i - workers;
    std::atomic<uint32_t>& state = shares_[static_cast<size_t>(share)].state;
    uint32_t expected = absent(region);
    if (share != 0 && state.load(std::memory_order_acquire) == expected &&
        state.compare_exchange_strong(expected, closed(region), std::memory_order_acquire)) {
      shares_[static_cast<size_t>(share)].taken.store(nothing_taken(region), std::memory_order_relaxed);
    }
    take_from(share, worker, region);
  }
}

// A share that is not yet open has been claimed by a worker that is about to take all of it.
void ThreadTeam::take_from(int64_t share, int worker, uint32_t region) {
  std::atomic<uint64_t>& taken = shares_[static_cast<size_t>(share)].taken;
  const int64_t begin = count_ * share / size();
  const auto indices = static_cast<uint64_t>(count_ * (share + 1) / size() - begin);
  const uint64_t open = nothing_taken(region);
  // The look before the taking leaves the cache line where it is when nothing is left.
  while (taken.load(std::memory_order_relaxed) - open < indices) {
    const uint64_t index = taken.fetch_add(1, std::memory_order_relaxed) - open;
    if (index >= indices) return;
    if (failed_.load(std::memory_order_relaxed)) continue;  // the rest is taken and left undone
    try {
      function_(context_, begin + static_cast<int64_t>(index), worker);
    } catch (...) {
      note_failure();
    }
  }
}

void ThreadTeam::work(int worker) {
  Share& share = shares_[static_cast<size_t>(worker)];
  uint32_t region = 0;
  while (true) {
    wait_for_change(region_, region, spin_);
    region = region_.load(std::memory_order_acquire);  // earlier ones went by without this worker
    if (stopping_.load(std::memory_order_relaxed)) return;
    uint32_t expected = absent(region);
    if (!share.state.compare_exchange_strong(expected, present(region), std::memory_order_acquire)) continue;
    share.taken.store(nothing_taken(region), std::memory_order_relaxed);
    take_indices(worker, region);
    share.state.exchange(closed(region));  // sequentially consistent, for notify_one
    share.state.notify_one();
  }
}

}  // namespace andiron
