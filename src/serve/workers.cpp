#include "serve/workers.h"

#include <exception>
#include <utility>

namespace andiron {

Workers::Workers(int count, size_t waiting_max) : waiting_max_(waiting_max) {
  for (int i = 0; i < count; ++i) threads_.emplace_back([this] { run(); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool Workers::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= waiting_max_) return false;
    waiting_.push_back(std::move(task));
  }
  changed_.notify_one();
  return true;
}

void Workers::run() {
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      task = std::move(waiting_.front());
      waiting_.pop_front();
    }
    try {
      task();
    } catch (const std::exception&) {
      // Memory that runs out costs the one request. What the task held is given back: its reply is destroyed without an
      // answer, which is a 500.
      continue;
    }
  }
}

}  // namespace andiron
