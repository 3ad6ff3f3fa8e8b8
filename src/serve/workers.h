// A few threads for what is too slow for the network's thread: templates, tokens, grammars, adapters' files.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace andiron {

class Workers {
 public:
  explicit Workers(int count);
  // Finishes what has begun; what waits is dropped.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Begun in the order of the calls. Any thread. How many wait is bounded by Limit::kRequests, which lets no more in.
  void post(std::function<void()> work);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace andiron
