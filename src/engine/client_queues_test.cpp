#include "engine/client_queues.h"

#include <gtest/gtest.h>

#include <map>
#include <new>
#include <utility>
#include <vector>

#include "engine/allocation_fixture.h"

namespace andiron {
namespace {

std::unique_ptr<SchedulerJob> job(uint64_t client, Ticket ticket, bool begun = false) {
  GenerationRequest request;
  request.client = client;
  auto made = std::make_unique<SchedulerJob>(std::move(request), nullptr);
  made->ticket = ticket;
  made->begun = begun;
  return made;
}

int64_t none(uint64_t) { return 0; }

// Takes as `next` says until nothing waits; the tickets.
std::vector<Ticket> take_all(ClientQueues& queues, std::map<uint64_t, int64_t> places = {}) {
  std::vector<Ticket> order;
  while (const auto client = queues.next([&](uint64_t id) { return places[id]; })) {
    order.push_back(queues.take(*client)->ticket);
    ++places[*client];
  }
  return order;
}

TEST(ClientQueues, ClientsTakeTurns) {
  ClientQueues queues(100);
  for (Ticket ticket = 1; ticket <= 4; ++ticket) queues.push(job(7, ticket));
  queues.push(job(8, 11));
  queues.push(job(9, 21));
  queues.push(job(8, 12));
  EXPECT_EQ(queues.size(), 7);
  EXPECT_EQ(take_all(queues), (std::vector<Ticket>{1, 11, 21, 2, 12, 3, 4}));
  EXPECT_TRUE(queues.empty());
  EXPECT_FALSE(queues.next(none));
}

TEST(ClientQueues, WhoHasFewestPlacesIsNext) {
  ClientQueues queues(100);
  for (Ticket ticket = 1; ticket <= 3; ++ticket) queues.push(job(7, ticket));
  for (Ticket ticket = 11; ticket <= 13; ++ticket) queues.push(job(8, ticket));
  EXPECT_EQ(take_all(queues, {{7, 2}}), (std::vector<Ticket>{11, 12, 1, 13, 2, 3}));
}

TEST(ClientQueues, WhatRestsComesFirstAndTakesNoRoom) {
  ClientQueues queues(1);
  queues.push(job(7, 1));
  EXPECT_FALSE(queues.has_room(7));
  EXPECT_FALSE(queues.has_room(8));
  queues.push(job(7, 2, true));
  EXPECT_EQ(queues.resting(), 1);
  EXPECT_EQ(queues.size(), 2);
  EXPECT_EQ(queues.take(7)->ticket, 2U);
  EXPECT_EQ(queues.take(7)->ticket, 1U);
  queues.push(job(7, 3, true));
  EXPECT_TRUE(queues.has_room(7));
}

TEST(ClientQueues, TheLastQuarterOfTheRoomIsForNewcomers) {
  ClientQueues queues(8);
  Ticket ticket = 0;
  while (queues.has_room(7)) queues.push(job(7, ++ticket));
  EXPECT_EQ(ticket, 6U);
  EXPECT_TRUE(queues.has_room(8));
  queues.push(job(8, 11));
  EXPECT_FALSE(queues.has_room(8));
  queues.push(job(9, 21, true));
  EXPECT_TRUE(queues.has_room(9)) << "what rests is not new";
  queues.push(job(9, 22));
  EXPECT_FALSE(queues.has_room(10));
}

TEST(ClientQueues, AnyCanBeTakenOut) {
  ClientQueues queues(100);
  for (Ticket ticket = 1; ticket <= 3; ++ticket) queues.push(job(7, ticket));
  queues.push(job(8, 11));
  EXPECT_EQ(queues.remove(5), nullptr);
  EXPECT_EQ(queues.remove(2)->ticket, 2U);
  EXPECT_EQ(queues.remove(11)->ticket, 11U);
  EXPECT_EQ(queues.remove(11), nullptr);
  EXPECT_EQ(take_all(queues), (std::vector<Ticket>{1, 3}));
}

// Each allocation in turn fails: a job of a client who is new here, and one that rests.
TEST(ClientQueues, WithoutMemoryNothingChanges) {
  for (const bool begun : {false, true}) {
    auto waits = job(8, 11, begun);
    for (int64_t failures = 0; waits != nullptr; ++failures) {
      ASSERT_LT(failures, 100);
      ClientQueues queues(100);
      queues.push(job(7, 1));
      t_allocations_left = failures;
      try {
        queues.push(std::move(waits));
      } catch (const std::bad_alloc&) {
        ASSERT_NE(waits, nullptr) << "still the caller's";
      }
      t_allocations_left = -1;
      EXPECT_EQ(queues.size(), waits == nullptr ? 2 : 1);
      EXPECT_EQ(queues.resting(), waits == nullptr && begun ? 1 : 0);
      EXPECT_EQ(take_all(queues), waits == nullptr ? (std::vector<Ticket>{1, 11}) : (std::vector<Ticket>{1}));
    }
  }
}

}  // namespace
}  // namespace andiron
