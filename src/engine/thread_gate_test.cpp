#include "engine/thread_gate.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace andiron {
namespace {

TEST(ThreadGate, IsOpenUntilSomebodyEnters) {
  ThreadGate gate;
  EXPECT_FALSE(gate.is_busy());
  EXPECT_TRUE(gate.wait_for_idle());
  gate.enter();
  EXPECT_TRUE(gate.is_busy());
  gate.leave();
  EXPECT_TRUE(gate.wait_for_idle());
}

TEST(ThreadGate, WaitsUntilTheLastHasLeft) {
  ThreadGate gate;
  gate.enter();
  gate.enter();
  std::atomic<int> left{0};
  std::thread trainer([&] {
    EXPECT_TRUE(gate.wait_for_idle());
    EXPECT_EQ(left.load(), 2);
  });
  left = 1;
  gate.leave();
  std::this_thread::yield();
  left = 2;
  gate.leave();
  trainer.join();
}

TEST(ThreadGate, ACancelledWaitEnds) {
  ThreadGate gate;
  gate.enter();
  std::atomic<bool> cancel{false};
  std::thread trainer([&] { EXPECT_FALSE(gate.wait_for_idle(&cancel)); });
  cancel = true;
  trainer.join();
  EXPECT_FALSE(gate.wait_for_idle(&cancel));
}

// Many who come and go: a trainer between them always gets on in the end.
TEST(ThreadGate, NoWakingIsLost) {
  ThreadGate gate;
  std::vector<std::thread> chats;
  for (int i = 0; i < 4; ++i) {
    chats.emplace_back([&] {
      for (int k = 0; k < 2000; ++k) {
        gate.enter();
        gate.leave();
      }
    });
  }
  for (int k = 0; k < 200; ++k) EXPECT_TRUE(gate.wait_for_idle());
  for (std::thread& chat : chats) chat.join();
  EXPECT_FALSE(gate.is_busy());
}

}  // namespace
}  // namespace andiron
