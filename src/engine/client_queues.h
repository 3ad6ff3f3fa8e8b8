// ClientQueues: requests that wait for a place in the batch, a queue for each client.
//
// Whoever has the fewest places gets the next one; among equals the one whose turn it is. Within a queue, what rests
// (has run and had to give its place away) comes first, then who came first.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>

#include "engine/scheduler_job.h"

namespace andiron {

class ClientQueues {
 public:
  // `room`: new requests that may wait in all, at least 1.
  explicit ClientQueues(int64_t room) : room_(room) {}

  // The last quarter of the room is for clients of whom nothing new waits yet.
  bool has_room(uint64_t client) const;
  // Where memory runs out, the job stays the caller's and nothing has changed.
  void push(std::unique_ptr<SchedulerJob>&& job);

  // Whose turn it is; nobody's when nothing waits. `places`: how many a client has now.
  std::optional<uint64_t> next(const std::function<int64_t(uint64_t)>& places) const;
  // The first of a client of whom something waits; after that it is the turn of the others.
  std::unique_ptr<SchedulerJob> take(uint64_t client);
  // Null: no such ticket here.
  std::unique_ptr<SchedulerJob> remove(Ticket ticket);

  bool empty() const { return clients_.empty(); }
  int64_t size() const { return fresh_ + resting_; }
  int64_t resting() const { return resting_; }
  int64_t resting_pages() const { return resting_pages_; }  // SchedulerJob::pages() of those that rest

 private:
  using Jobs = std::deque<std::unique_ptr<SchedulerJob>>;
  struct Client {
    uint64_t id;
    Jobs jobs;  // those that rest first
  };
  std::unique_ptr<SchedulerJob> take(std::list<Client>::iterator client, const Jobs::iterator& job);

  int64_t room_, fresh_ = 0, resting_ = 0, resting_pages_ = 0;
  std::list<Client> clients_;  // whoever has something waiting, in turn
};

}  // namespace andiron
