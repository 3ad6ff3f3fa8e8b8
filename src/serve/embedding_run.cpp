#include "serve/embedding_run.h"

#include <utility>

#include "http/errors.h"
#include "serve/answer_run.h"

namespace andiron {

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

void EmbeddingRun::start(std::vector<std::vector<int32_t>> texts, const std::shared_ptr<const AdapterStack>& adapters,
                         uint64_t client) {
  {
    const std::lock_guard lock(mutex_);
    vectors_.resize(texts.size());
    missing_ = texts.size();
    for (const auto& text : texts) prompt_tokens_ += static_cast<int64_t>(text.size());
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    const size_t tokens = texts[i].size();
    const Submitted submitted = scheduler_.embed(
        std::move(texts[i]), adapters, client,
        [run = shared_from_this(), i](Result<std::vector<float>> vector) { run->on_done(i, std::move(vector)); });
    if (const auto* overloaded = std::get_if<Overloaded>(&submitted)) return fail(busy(*overloaded));
    if (const auto* error = std::get_if<Error>(&submitted)) {
      const bool too_long = static_cast<int64_t>(tokens) > scheduler_.context();
      return fail({400, error->message, "input", too_long ? kPromptTooLong : "invalid_value", {}});
    }
    const Ticket ticket = std::get<Ticket>(submitted);
    bool ended = false;
    {
      const std::lock_guard lock(mutex_);
      ended = ended_;
      if (!ended) tickets_.push_back(ticket);
    }
    if (ended) return scheduler_.cancel(ticket);
  }
}

void EmbeddingRun::on_done(size_t index, Result<std::vector<float>> vector) {
  if (!vector.ok()) return fail({500, vector.error().message, "", "engine_error", {}});
  const std::lock_guard lock(mutex_);
  if (ended_) return;
  vectors_[index] = std::move(*vector);
  if (--missing_ > 0) return;
  reply_->send(200, "application/json", body_(vectors_, prompt_tokens_).dump());
  end();
}

}  // namespace andiron
