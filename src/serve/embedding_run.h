// EmbeddingRun: the texts of one request on their way through the scheduler to vectors, and to the client.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/json.h"
#include "engine/scheduler.h"
#include "http/http.h"

namespace andiron {

class EmbeddingRun : public std::enable_shared_from_this<EmbeddingRun> {
 public:
  // What the client gets, of the vectors in order.
  using Body = std::function<Json(std::span<const std::vector<float>> vectors, int64_t prompt_tokens)>;

  // On the network's thread. `scheduler` must outlive the run.
  static std::shared_ptr<EmbeddingRun> create(Scheduler& scheduler, std::shared_ptr<HttpReply> reply, ErrorShape shape,
                                              Body body);

  // The others from any thread.
  bool gone() const;
  // `texts`: at least one, each of at least one token.
  void start(std::vector<std::vector<int32_t>> texts, std::shared_ptr<const AdapterStack> adapters, uint64_t client);
  void fail(const HttpFault& fault);

 private:
  EmbeddingRun(Scheduler& scheduler, std::shared_ptr<HttpReply> reply, ErrorShape shape, Body body)
      : scheduler_(scheduler), reply_(std::move(reply)), shape_(shape), body_(std::move(body)) {}

  bool submit_next();
  void on_done(size_t index, Result<std::vector<float>> vector);
  std::vector<Ticket> end();
  void cancel(const std::vector<Ticket>& tickets);

  Scheduler& scheduler_;
  const std::shared_ptr<HttpReply> reply_;
  const ErrorShape shape_;
  const Body body_;

  mutable std::mutex mutex_;
  bool ended_ = false;
  std::vector<std::vector<int32_t>> texts_;
  size_t next_ = 0;  // of these
  std::shared_ptr<const AdapterStack> adapters_;
  uint64_t client_ = 0;
  std::vector<std::vector<float>> vectors_;
  std::vector<Ticket> tickets_;
  size_t missing_ = 0;
  int64_t prompt_tokens_ = 0;
};

}  // namespace andiron
