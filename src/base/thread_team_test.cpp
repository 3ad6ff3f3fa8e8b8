#include "base/thread_team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <set>
#include <vector>

namespace andiron {
namespace {

TEST(ThreadTeam, EveryWorkerRunsOnceAndTheCallerIsTheFirst) {
  for (const int size : {1, 2, 3, 8}) {
    ThreadTeam team(size);
    ASSERT_EQ(team.size(), size);
    std::vector<int> calls(static_cast<size_t>(size), 0);
    std::thread::id first;
    team.run([&](int worker) {
      calls[static_cast<size_t>(worker)] += 1;
      if (worker == 0) first = std::this_thread::get_id();
    });
    EXPECT_EQ(calls, std::vector<int>(static_cast<size_t>(size), 1));
    EXPECT_EQ(first, std::this_thread::get_id());
  }
}

TEST(ThreadTeam, EveryIndexIsVisitedOnce) {
  for (const int size : {1, 2, 5}) {
    ThreadTeam team(size);
    for (const int64_t count : {-1, 0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> visits(static_cast<size_t>(std::max<int64_t>(count, 0)));
      std::atomic<bool> good_worker{true};
      team.parallel_for(count, [&](int64_t i, int worker) {
        visits[static_cast<size_t>(i)] += 1;
        if (worker < 0 || worker >= size) good_worker = false;
      });
      for (const auto& visit : visits) EXPECT_EQ(visit, 1);
      EXPECT_TRUE(good_worker);
    }
  }
}

TEST(ThreadTeam, WhatOneRegionWroteTheNextOneSees) {
  ThreadTeam team(4);
  std::vector<int64_t> values(1000, 0);
  for (int64_t region = 1; region <= 500; ++region) {
    // Each index depends on another's value of the region before.
    std::vector<int64_t> next(values.size());
    team.parallel_for(1000, [&](int64_t i, int) {
      next[static_cast<size_t>(i)] = values[static_cast<size_t>((i * 7 + 1) % 1000)] + 1;
    });
    values = next;
    ASSERT_EQ(std::accumulate(values.begin(), values.end(), int64_t{0}), region * 1000);
  }
}

TEST(ThreadTeam, WakesAfterSleep) {
  ThreadTeam team(3);
  std::atomic<int> calls{0};
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // far longer than the workers poll
    team.run([&](int) { calls += 1; });
  }
  EXPECT_EQ(calls, 9);
}

TEST(ThreadTeam, MayBePinnedAndHaveMoreWorkersThanProcessors) {
  std::thread([] {  // its own thread: the pinning stays with it
    ThreadTeam team(ThreadTeam::processors_available(), true);
    std::atomic<int> calls{0};
    team.run([&](int) { calls += 1; });
    EXPECT_EQ(calls, team.size());
  })
      .join();
  ThreadTeam many(4 * ThreadTeam::processors_available() + 1, true);
  std::atomic<int> calls{0};
  for (int i = 0; i < 100; ++i) many.run([&](int) { calls += 1; });
  EXPECT_EQ(calls, 100 * many.size());
  EXPECT_GE(ThreadTeam::processors_available(), 1);
}

TEST(ThreadTeam, TwoTeamsWorkSideBySide) {
  std::atomic<int> calls{0};
  const auto use = [&] {
    ThreadTeam team(2);
    for (int i = 0; i < 200; ++i) team.run([&](int) { calls += 1; });
  };
  std::thread one(use), two(use);
  one.join();
  two.join();
  EXPECT_EQ(calls, 800);
}

TEST(ThreadTeam, AnUnusedTeamEnds) {
  for (int i = 0; i < 50; ++i) ThreadTeam team(4);
}

}  // namespace
}  // namespace andiron
