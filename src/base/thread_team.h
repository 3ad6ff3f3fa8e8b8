// ThreadTeam: a fixed set of threads that run one function together, then wait for the next.
//
// The caller is worker 0. Between regions the others spin for some microseconds (a barrier then costs
// 0.4 us) and after that sleep, so an idle program uses no processor. When there are more workers than
// processors they sleep at once: spinning would take the time of the one who works.
// One caller at a time; a region must not start another. Passed in, never a global.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
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

  // Calls f(worker) once on every worker, worker in [0, size()); returns when all have.
  template <typename F>
  void run(F&& f) {
    using Callable = std::remove_reference_t<F>;
    run_raw([](void* context, int worker) { (*static_cast<Callable*>(context))(worker); },
            const_cast<void*>(static_cast<const void*>(&f)));
  }

  // Calls f(index, worker) once for every index in [0, count), spread over the workers as they come free.
  template <typename F>
  void parallel_for(int64_t count, F&& f) {
    if (count <= 0) return;
    if (count == 1 || size() == 1) {
      for (int64_t i = 0; i < count; ++i) f(i, 0);
      return;
    }
    next_.store(0, std::memory_order_relaxed);
    run([&](int worker) {
      for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count;) f(i, worker);
    });
  }

  // How many processors this process may use (affinity and, where set, the cgroup's share).
  static int processors_available();

 private:
  using Raw = void (*)(void* context, int worker);
  void run_raw(Raw function, void* context);
  void work(int worker);

  std::vector<std::thread> threads_;
  bool spin_ = true;
  Raw function_ = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<uint32_t> epoch_{0};    // a new region has begun
  alignas(64) std::atomic<uint32_t> working_{0};  // workers not yet done with it
  alignas(64) std::atomic<int64_t> next_{0};      // parallel_for's next index
  std::atomic<bool> stopping_{false};
};

}  // namespace andiron
