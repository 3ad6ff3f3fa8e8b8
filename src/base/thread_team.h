// ThreadTeam: a fixed set of threads that share out loops, one after another.
//
// The caller is worker 0, and depends on nobody: what other workers have not begun when it comes to it, it does itself,
// and it waits only for what they are in the middle of. So a worker that the system does not let run, because the
// machine is busy, costs its help and nothing more. Between regions (one parallel_for each) the workers spin for some
// microseconds (a barrier then costs 0.4 us) and after that sleep, so an idle program uses no processor. When there are
// more workers than processors they sleep at once: spinning would take the time of the one who works.
// One caller at a time; a region must not start another. Passed in, never a global.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace andiron {

class ThreadTeam {
 public:
  // `workers` >= 1, the caller included; fewer where the system grants no more threads (size() tells). Workers are
  // pinned to the processors this process may use, in order, when `pin` is set and there are enough of them (the
  // caller's thread is pinned too).
  explicit ThreadTeam(int workers, bool pin = false);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  // What the caller does before every parallel_for: wait, where others go first. They wait for as long as a region that
  // has begun takes: some milliseconds as a rule where the work is a model's, and with large batches in training of
  // large models tens of milliseconds or more, for which there is no bound. Set by the caller, between regions.
  void set_gate(std::function<void()> gate) { gate_ = std::move(gate); }

  // Work that nobody has estimated is shared.
  static constexpr int64_t kWorthSharing = 2000;

  // Calls f(index, worker) once for every index in [0, count), worker in [0, size()); returns when all are done. Each
  // worker begins with its own share, the count / size() neighbours [count * worker / size(), ...), so that the same
  // indices meet the same caches each time, and then helps with what is left of the others'. `work`: what all calls
  // take together, in nanoseconds, roughly. Less than kWorthSharing is not worth a region, and the caller does it all.
  // What f throws (memory may run out) is thrown here once no worker is at it any more; some indices are then not done.
  template <typename F>
  void parallel_for(int64_t count, int64_t work, F&& f) {
    if (gate_) gate_();
    if (count <= 1 || work < kWorthSharing || threads_.empty()) {
      for (int64_t i = 0; i < count; ++i) f(i, 0);
      return;
    }
    using Callable = std::remove_reference_t<F>;
    run_region(
        count, [](void* context, int64_t index, int worker) { (*static_cast<Callable*>(context))(index, worker); },
        const_cast<void*>(static_cast<const void*>(&f)));
  }
  template <typename F>
  void parallel_for(int64_t count, F&& f) {
    parallel_for(count, kWorthSharing, f);
  }

  // How many processors this process may use (affinity and, where set, the cgroup's share).
  static int processors_available();

 private:
  using Raw = void (*)(void* context, int64_t index, int worker);

  // One worker's part of a region, on a cache line of its own.
  struct alignas(64) Share {
    // In region number E: 2E - 2 before its worker has come, 2E - 1 while the worker takes part, 2E once it has left or
    // another has opened the share in its place.
    std::atomic<uint32_t> state{0};
    // E in the upper half once the share is open; how many of its indices are taken (or more) in the lower.
    std::atomic<uint64_t> taken{0};
  };

  void run_region(int64_t count, Raw function, void* context);
  void take_indices(int worker, uint32_t region);
  void take_from(int64_t share, int worker, uint32_t region);
  void note_failure();
  void work(int worker);

  std::vector<Share> shares_;
  std::vector<std::thread> threads_;
  std::function<void()> gate_;
  bool spin_ = true;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> failed_{false};  // a call of the region at hand has thrown
  std::mutex failure_mutex_;
  std::exception_ptr failure_;  // the first that was thrown
  // The region at hand: its number, which wraps around, and what a worker reads only while it takes part. Together, so
  // that one cache line brings it all.
  alignas(64) std::atomic<uint32_t> region_{0};
  Raw function_ = nullptr;
  void* context_ = nullptr;
  int64_t count_ = 0;
};

}  // namespace andiron
