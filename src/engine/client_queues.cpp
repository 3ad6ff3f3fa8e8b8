#include "engine/client_queues.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace andiron {

bool ClientQueues::has_room(uint64_t client) const {
  if (fresh_ < room_ - room_ / 4) return true;
  const auto known = std::find_if(clients_.begin(), clients_.end(), [&](const Client& c) { return c.id == client; });
  const bool has_none = known == clients_.end() || known->jobs.back()->begun;
  return fresh_ < room_ && has_none;
}

void ClientQueues::push(std::unique_ptr<SchedulerJob>&& job) {
  const uint64_t id = job->request.client;
  const bool rests = job->begun;
  const int64_t pages = job->pages();
  std::list<Client> fresh;  // among the others once its job is in it: nobody's turn is one of whom nothing waits
  auto at = std::find_if(clients_.begin(), clients_.end(), [&](const Client& c) { return c.id == id; });
  if (at == clients_.end()) at = fresh.insert(fresh.end(), Client{id, {}});
  if (rests) {
    at->jobs.push_front(std::move(job));
  } else {
    at->jobs.push_back(std::move(job));
  }
  clients_.splice(clients_.end(), fresh);
  (rests ? resting_ : fresh_) += 1;
  resting_pages_ += pages;
}

std::optional<uint64_t> ClientQueues::next(const std::function<int64_t(uint64_t)>& places) const {
  std::optional<uint64_t> best;
  int64_t fewest = 0;
  for (const Client& client : clients_) {
    const int64_t has = places(client.id);
    if (best && has >= fewest) continue;
    best = client.id;
    fewest = has;
  }
  return best;
}

std::unique_ptr<SchedulerJob> ClientQueues::take(std::list<Client>::iterator client, const Jobs::iterator& job) {
  std::unique_ptr<SchedulerJob> taken = std::move(*job);
  client->jobs.erase(job);
  (taken->begun ? resting_ : fresh_) -= 1;
  resting_pages_ -= taken->pages();
  if (client->jobs.empty()) clients_.erase(client);
  return taken;
}

std::unique_ptr<SchedulerJob> ClientQueues::take(uint64_t client) {
  const auto at = std::find_if(clients_.begin(), clients_.end(), [&](const Client& c) { return c.id == client; });
  ANDIRON_CHECK(at != clients_.end());
  clients_.splice(clients_.end(), clients_, at);
  return take(at, at->jobs.begin());
}

std::unique_ptr<SchedulerJob> ClientQueues::remove(Ticket ticket) {
  for (auto client = clients_.begin(); client != clients_.end(); ++client) {
    const auto job = std::find_if(client->jobs.begin(), client->jobs.end(),
                                  [&](const auto& waiting) { return waiting->ticket == ticket; });
    if (job != client->jobs.end()) return take(client, job);
  }
  return nullptr;
}

}  // namespace andiron
