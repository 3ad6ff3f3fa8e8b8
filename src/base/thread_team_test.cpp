#include "base/thread_team.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <new>
#include <numeric>
#include <thread>
#include <vector>

#include "base/test_sanitizers.h"

namespace andiron {
namespace {

// Runs one region in which every worker takes part: nobody leaves before all have come.
void meet(
    ThreadTeam& team, const std::function<void(int worker)>& f = [](int) {}) {
  std::atomic<int> here{0};
  team.parallel_for(team.size(), [&](int64_t, int worker) {
    f(worker);
    for (++here; here < team.size();) std::this_thread::yield();
  });
}

TEST(ThreadTeam, AllWorkersTakePartAndTheCallerIsTheFirst) {
  for (const int size : {1, 2, 3, 8}) {
    ThreadTeam team(size);
    ASSERT_EQ(team.size(), size);
    std::vector<int> calls(static_cast<size_t>(size), 0);
    std::thread::id first;
    meet(team, [&](int worker) {
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

TEST(ThreadTeam, EveryRegionWaitsAtTheGate) {
  for (const int size : {1, 3}) {
    ThreadTeam team(size);
    int passed = 0;
    std::thread::id who;
    team.set_gate([&] {
      ++passed;
      who = std::this_thread::get_id();
    });
    std::atomic<int> late{0};
    for (const int64_t count : {0, 1, 2, 100}) {
      const int before = passed;
      team.parallel_for(count, [&](int64_t, int) { late += passed != before + 1; });
      team.parallel_for(count, 1, [&](int64_t, int) { late += passed != before + 2; });
    }
    EXPECT_EQ(late, 0);
    EXPECT_EQ(passed, 8);
    EXPECT_EQ(who, std::this_thread::get_id());
    team.set_gate(nullptr);
    team.parallel_for(10, [](int64_t, int) {});
    EXPECT_EQ(passed, 8);
  }
}

TEST(ThreadTeam, WhatACallThrowsComesToTheCaller) {
  for (const int size : {1, 2, 4}) {
    ThreadTeam team(size);
    for (int thrower = 0; thrower < size; ++thrower) {
      std::atomic<int> here{0}, at_work{0};
      try {
        team.parallel_for(size, [&](int64_t, int worker) {
          ++at_work;
          for (++here; here < size;) std::this_thread::yield();
          if (worker != thrower) std::this_thread::yield();
          --at_work;
          if (worker == thrower) throw std::bad_alloc();
        });
        ADD_FAILURE() << "nothing was thrown";
      } catch (const std::bad_alloc&) {
        EXPECT_EQ(at_work, 0) << "the region is over";
      }
      std::atomic<int> calls{0};
      team.parallel_for(100, [&](int64_t, int) { ++calls; });
      EXPECT_EQ(calls, 100) << "the team goes on";
    }
    // All of them at once: one is told of.
    EXPECT_THROW(team.parallel_for(100, [](int64_t, int) { throw std::bad_alloc(); }), std::bad_alloc);
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

TEST(ThreadTeam, LittleWorkStaysWithTheCaller) {
  ThreadTeam team(4);
  meet(team);  // so that the others are awake and would come
  const auto caller = std::this_thread::get_id();
  for (int region = 0; region < 20; ++region) {
    int64_t next = 0;
    bool alone = true;
    team.parallel_for(50, ThreadTeam::kWorthSharing - 1, [&](int64_t i, int worker) {
      alone = alone && worker == 0 && std::this_thread::get_id() == caller && i == next++;
      std::this_thread::yield();
    });
    ASSERT_TRUE(alone);
    ASSERT_EQ(next, 50);
  }
}

// A worker that the system does not run is played by one that sits in a signal handler.
std::atomic<bool> g_sits{false}, g_may_go_on{false};
void sit(int) {
  g_sits = true;
  while (!g_may_go_on) sched_yield();
}

TEST(ThreadTeam, AWorkerThatDoesNotRunIsNotWaitedFor) {
  // It holds signals back until the thread calls something that it knows, which one that sleeps may never do.
  if (kThreadSanitizer) GTEST_SKIP() << "the thread sanitizer does not deliver a signal to a worker that sleeps";
  struct sigaction action {
  }, before{};
  action.sa_handler = sit;
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  for (int round = 0; round < 20; ++round) {
    ThreadTeam team(3);
    pthread_t threads[3];
    meet(team, [&](int worker) { threads[worker] = pthread_self(); });
    g_sits = g_may_go_on = false;
    ASSERT_EQ(pthread_kill(threads[2], SIGUSR1), 0);
    while (!g_sits) sched_yield();
    for (int region = 0; region < 100; ++region) {  // none of which would end if it were waited for
      std::atomic<int> calls{0};
      std::atomic<bool> came{false};
      team.parallel_for(30, [&](int64_t, int worker) {
        ++calls;
        if (worker == 2) came = true;
      });
      ASSERT_EQ(calls, 30);
      ASSERT_FALSE(came);
    }
    g_may_go_on = true;
    meet(team);  // and it is with us again
  }
  sigaction(SIGUSR1, &before, nullptr);
}

// A worker caught in the middle of an index keeps that one only.
TEST(ThreadTeam, OthersDoTheRestOfAShare) {
  ThreadTeam team(2);
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> others{0};
    std::atomic<bool> came{false};
    team.parallel_for(20, [&](int64_t, int worker) {
      if (worker == 0) {
        // Not before the worker has begun an index: a share that is claimed and not yet open is its own.
        while (!came) std::this_thread::yield();
        ++others;
        return;
      }
      came = true;
      while (others < 19) std::this_thread::yield();
    });
    ASSERT_EQ(others, 19);
  }
}

TEST(ThreadTeam, EachWorkerBeginsWithItsOwnShare) {
  ThreadTeam team(4);
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> here{0};
    int64_t first[4] = {-1, -1, -1, -1};
    team.parallel_for(42, [&](int64_t i, int worker) {
      if (first[worker] >= 0) return;
      first[worker] = i;
      for (++here; here < 4;) std::this_thread::yield();
    });
    for (int64_t worker = 0; worker < 4; ++worker) EXPECT_EQ(first[worker], 42 * worker / 4);
  }
}

TEST(ThreadTeam, WakesAfterSleep) {
  ThreadTeam team(3);
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // far longer than the workers poll
    meet(team);
  }
}

TEST(ThreadTeam, MayBePinnedAndHaveMoreWorkersThanProcessors) {
  std::thread([] {  // its own thread: the pinning stays with it
    ThreadTeam team(ThreadTeam::processors_available(), true);
    meet(team);
  })
      .join();
  ThreadTeam many(4 * ThreadTeam::processors_available() + 1, true);
  for (int i = 0; i < 10; ++i) meet(many);
  EXPECT_GE(ThreadTeam::processors_available(), 1);
}

TEST(ThreadTeam, TwoTeamsWorkSideBySide) {
  std::atomic<int> calls{0};
  const auto use = [&] {
    ThreadTeam team(2);
    for (int i = 0; i < 200; ++i) team.parallel_for(3, [&](int64_t, int) { calls += 1; });
  };
  std::thread one(use), two(use);
  one.join();
  two.join();
  EXPECT_EQ(calls, 1200);
}

TEST(ThreadTeam, AnUnusedTeamEnds) {
  for (int i = 0; i < 50; ++i) ThreadTeam team(4);
}

}  // namespace
}  // namespace andiron
