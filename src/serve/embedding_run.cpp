#include "serve/embedding_run.h"

#include <new>
#include <utility>

#include "http/errors.h"
#include "serve/answer_run.h"

namespace andiron {

namespace {

// The scheduler's queue has less room than a request may have texts.
constexpr int kTextsAtOnce = 16;

}  // namespace

std::shared_ptr<EmbeddingRun> EmbeddingRun::create(Scheduler& scheduler, std::shared_ptr<HttpReply> reply,
                                                   ErrorShape shape, Body body) {
  std::shared_ptr<EmbeddingRun> run(new EmbeddingRun(scheduler, std::move(reply), shape, std::move(body)));
  run->reply_->on_gone([weak = std::weak_ptr<EmbeddingRun>(run)] {
    const auto alive = weak.lock();
    if (alive == nullptr) return;
    std::vector<Ticket> tickets;
    {
      const std::lock_guard lock(alive->mutex_);
      tickets = alive->end();
    }
    alive->cancel(tickets);
  });
  return run;
}

bool EmbeddingRun::gone() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

// Under mutex_. Tickets of texts that are done already are cancelled in vain.
std::vector<Ticket> EmbeddingRun::end() {
  ended_ = true;
  return std::exchange(tickets_, {});
}

void EmbeddingRun::cancel(const std::vector<Ticket>& tickets) {
  for (const Ticket ticket : tickets) scheduler_.cancel(ticket);
}

void EmbeddingRun::fail(const HttpFault& fault) {
  std::vector<Ticket> tickets;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    send_error(*reply_, shape_, fault);
    tickets = end();
  }
  cancel(tickets);
}

void EmbeddingRun::start(std::vector<std::vector<int32_t>> texts, std::shared_ptr<const AdapterStack> adapters,
                         uint64_t client) {
  {
    const std::lock_guard lock(mutex_);
    texts_ = std::move(texts);
    adapters_ = std::move(adapters);
    client_ = client;
    vectors_.resize(texts_.size());
    missing_ = texts_.size();
    for (const auto& text : texts_) prompt_tokens_ += static_cast<int64_t>(text.size());
  }
  try {
    for (int i = 0; i < kTextsAtOnce; ++i) {
      if (!submit_next()) return;
    }
  } catch (const std::bad_alloc&) {  // those that were submitted hold the run
    fail({503, "the server has no memory left for this request"});
  }
}

// False where no text is left, or the run has ended.
bool EmbeddingRun::submit_next() {
  std::vector<int32_t> text;
  size_t index = 0;
  {
    const std::lock_guard lock(mutex_);
    if (ended_ || next_ == texts_.size()) return false;
    index = next_++;
    text = std::move(texts_[index]);
  }
  const auto tokens = static_cast<int64_t>(text.size());
  const Submitted submitted = scheduler_.embed(
      std::move(text), adapters_, client_,
      [run = shared_from_this(), index](Result<std::vector<float>> vector) { run->on_done(index, std::move(vector)); });
  if (const auto* overloaded = std::get_if<Overloaded>(&submitted)) {
    fail(busy(*overloaded));
    return false;
  }
  if (const auto* error = std::get_if<Error>(&submitted)) {
    const bool too_long = tokens > scheduler_.context();
    fail({400, error->message, "input", too_long ? kPromptTooLong : "invalid_value", {}});
    return false;
  }
  const Ticket ticket = std::get<Ticket>(submitted);
  bool ended = false;
  {
    const std::lock_guard lock(mutex_);
    ended = ended_;
    if (!ended) tickets_.push_back(ticket);
  }
  if (ended) scheduler_.cancel(ticket);
  return !ended;
}

void EmbeddingRun::on_done(size_t index, Result<std::vector<float>> vector) {
  if (!vector.ok()) return fail({500, vector.error().message, "", "engine_error", {}});
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    vectors_[index] = std::move(*vector);
    if (--missing_ == 0) {
      reply_->send(200, "application/json", body_(vectors_, prompt_tokens_).dump());
      end();
      return;
    }
  }
  submit_next();
}

}  // namespace andiron
