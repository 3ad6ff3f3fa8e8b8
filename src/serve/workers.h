// A few threads for what is too slow for the network's thread: templates, tokens, grammars, files, the store.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

namespace andiron {

class Workers {
 public:
  static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

  // At most `waiting_max` tasks wait behind those that run. Where there is no limit here, each task holds a reply, and
  // Limit::kRequests lets no more in: a request counts as long as its reply is held.
  explicit Workers(int count, size_t waiting_max = kNoLimit);
  // Waits for the tasks that run; those that wait are destroyed without having run. Not to be called by a task.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // False, and nothing is kept, where too many wait. Tasks begin in the order of the calls, with one worker one after
  // another; one that runs out of memory ends there, and the next one runs. Any thread, tasks too.
  bool post(std::function<void()> task);

 private:
  void run();

  const size_t waiting_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace andiron
