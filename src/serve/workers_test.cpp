#include "serve/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <new>
#include <vector>

namespace andiron {
namespace {

TEST(Workers, RunsTasksInTheirOrder) {
  std::vector<int> order;
  std::promise<void> done;
  Workers thread(1, 100);
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(thread.post([&order, i] { order.push_back(i); }));
  }
  ASSERT_TRUE(thread.post([&] { done.set_value(); }));
  done.get_future().wait();
  ASSERT_EQ(order.size(), 50U);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(Workers, TakesNoMoreThanMayWait) {
  std::promise<void> begun, go_on;
  Workers thread(1, 2);
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

TEST(Workers, WhatWaitsAtTheEndIsDestroyedWithoutRunning) {
  std::promise<void> begun, go_on;
  auto held = std::make_shared<int>(0);
  bool ran = false;
  {
    Workers thread(1, 2);
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

TEST(Workers, ATaskWithoutMemoryEndsAlone) {
  std::promise<void> done;
  Workers thread(1, 2);
  ASSERT_TRUE(thread.post([] { throw std::bad_alloc(); }));
  ASSERT_TRUE(thread.post([&] { done.set_value(); }));
  done.get_future().wait();
}

TEST(Workers, SeveralRunAtOnceAndAnyNumberMayWait) {
  std::promise<void> first, second, all;
  std::future<void> first_runs = first.get_future(), second_runs = second.get_future();
  std::atomic<int> left{1000};
  Workers workers(2);
  // Each waits for the other: neither ends unless both run.
  ASSERT_TRUE(workers.post([&] {
    first.set_value();
    second_runs.wait();
  }));
  ASSERT_TRUE(workers.post([&] {
    second.set_value();
    first_runs.wait();
  }));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(workers.post([&] {
      if (--left == 0) all.set_value();
    }));
  }
  all.get_future().wait();
}

TEST(Workers, TasksMayPostTasks) {
  std::promise<void> done;
  Workers thread(1, 1);
  ASSERT_TRUE(thread.post([&] { EXPECT_TRUE(thread.post([&] { done.set_value(); })); }));
  done.get_future().wait();
}

}  // namespace
}  // namespace andiron
