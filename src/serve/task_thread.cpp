#include "serve/task_thread.h"

#include <exception>
#include <utility>

namespace andiron {

TaskThread::TaskThread(size_t waiting_max) : waiting_max_(waiting_max), thread_([this] { run(); }) {}

TaskThread::~TaskThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

bool TaskThread::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= waiting_max_) return false;
    waiting_.push_back(std::move(task));
  }
  changed_.notify_one();
  return true;
}

void TaskThread::run() {
  while (true) {
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
      // What it held is given back as the stack unwinds: whoever waits for an answer is told so by its HttpReply.
    }
  }
}

}  // namespace andiron
