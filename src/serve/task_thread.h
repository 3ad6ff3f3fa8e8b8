// TaskThread: one thread for what waits for the disk, so that the network's thread need not.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace andiron {

class TaskThread {
 public:
  // At most `waiting_max` tasks wait behind the one that runs.
  explicit TaskThread(size_t waiting_max);
  // Waits for the task that runs; those that wait are destroyed without having run. Not to be called by a task.
  ~TaskThread();
  TaskThread(const TaskThread&) = delete;
  TaskThread& operator=(const TaskThread&) = delete;

  // False, and nothing is kept, where too many wait. Tasks run in the order in which they came, one at a time; one that
  // runs out of memory ends there, and the next one runs. Any thread, tasks too.
  bool post(std::function<void()> task);

 private:
  void run();

  const size_t waiting_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool stopping_ = false;
  std::thread thread_;  // begins last
};

}  // namespace andiron
