#include "serve/task_thread.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <new>
#include <vector>

namespace andiron {
namespace {

TEST(TaskThread, RunsTasksInTheirOrder) {
  std::vector<int> order;
  std::promise<void> done;
  TaskThread thread(100);
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(thread.post([&order, i] { order.push_back(i); }));
  }
  ASSERT_TRUE(thread.post([&] { done.set_value(); }));
  done.get_future().wait();
  ASSERT_EQ(order.size(), 50U);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(TaskThread, TakesNoMoreThanMayWait) {
  std::promise<void> begun, go_on;
  TaskThread thread(2);
  ASSERT_TRUE(thread.post([&] {
    begun.set_value();
    go_on.get_future().wait();
  }));
  begun.get_future().wait();
  EXPECT_TRUE(thread.post([] {}));
  EXPECT_TRUE(thread.post([] {}));
  EXPECT_FALSE(thread.post([] {})) << "the one that runs does not wait, two do";
  go_on.set_value();
}

TEST(TaskThread, WhatWaitsAtTheEndIsDestroyedWithoutRunning) {
  std::promise<void> begun, go_on;
  auto held = std::make_shared<int>(0);
  bool ran = false;
  {
    TaskThread thread(2);
    ASSERT_TRUE(thread.post([&] {
      begun.set_value();
      go_on.get_future().wait();
    }));
    ASSERT_TRUE(thread.post([&ran, held] { ran = true; }));
    begun.get_future().wait();
    // The thread's end is asked for while the first task still runs, or after it: the second may run only in the
    // latter case, and is gone in both.
    go_on.set_value();
  }
  EXPECT_EQ(held.use_count(), 1) << (ran ? "it ran" : "it did not");
}

TEST(TaskThread, ATaskWithoutMemoryEndsAlone) {
  std::promise<void> done;
  TaskThread thread(2);
  ASSERT_TRUE(thread.post([] { throw std::bad_alloc(); }));
  ASSERT_TRUE(thread.post([&] { done.set_value(); }));
  done.get_future().wait();
}

TEST(TaskThread, TasksMayPostTasks) {
  std::promise<void> done;
  TaskThread thread(1);
  ASSERT_TRUE(thread.post([&] { EXPECT_TRUE(thread.post([&] { done.set_value(); })); }));
  done.get_future().wait();
}

}  // namespace
}  // namespace andiron
