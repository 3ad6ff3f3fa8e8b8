// AnswerRun: one request on its way through the scheduler to its client. Each of its answers is a request of the
// scheduler's; what they say is put together by an Exchange and written to the HttpReply, as a stream or whole.
//
//   auto run = AnswerRun::create(scheduler, reply, shape);   // on the network's thread: from now on a client that goes
//   ...                                                      // away is noticed
//   run->start(std::move(prepared), head, client);           // on a worker's thread
//   run->fail(fault);                                        // or this
//
// Nothing is written before every answer has been accepted, so that a refusal is a whole answer with a status of its
// own. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/scheduler.h"
#include "http/http.h"
#include "serve/api_exchange.h"
#include "serve/prepare.h"

namespace andiron {

class AnswerRun : public std::enable_shared_from_this<AnswerRun> {
 public:
  // `scheduler` must outlive the run; its clock starts now.
  static std::shared_ptr<AnswerRun> create(Scheduler& scheduler, std::shared_ptr<HttpReply> reply, ErrorShape shape);

  // Whether nobody waits for the answer any more: it need not be prepared.
  bool gone() const;
  void start(PreparedAnswer prepared, AnswerHead head, uint64_t client);
  // Cancels what runs and tells the client, unless the answer has ended. Afterwards nothing is written.
  void fail(const HttpFault& fault);

 private:
  class Listener;
  enum class State : uint8_t { kOpening, kOpen, kEnded };
  struct Choice {
    std::optional<Ticket> ticket;
    bool cancelled = false;  // as soon as there is a ticket
    bool ended = false;
  };

  AnswerRun(Scheduler& scheduler, std::shared_ptr<HttpReply> reply, ErrorShape shape)
      : scheduler_(scheduler), reply_(std::move(reply)), shape_(shape), begun_(std::chrono::steady_clock::now()) {}

  bool submit(const PreparedAnswer& prepared, int32_t choice, uint64_t client);
  void open();
  void on_token(int32_t choice, const TokenEvent& event);
  void on_end(int32_t choice, const Result<GenerationReport>& report);
  void leave();
  void say(std::string bytes);
  void finish_if_all_ended();
  std::vector<Ticket> end();

  Scheduler& scheduler_;
  const std::shared_ptr<HttpReply> reply_;
  const ErrorShape shape_;
  const std::chrono::steady_clock::time_point begun_;

  mutable std::mutex mutex_;
  State state_ = State::kOpening;
  std::optional<Exchange> exchange_;
  bool stream_ = false;
  std::string held_;  // to be written once it is open
  std::vector<Choice> choices_;
};

// The code of the refusal of a prompt that does not fit.
inline constexpr const char* kPromptTooLong = "context_length_exceeded";
// The answer to a queue that is full.
HttpFault busy(const Overloaded& overloaded);

}  // namespace andiron
