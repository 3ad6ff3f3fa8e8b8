#include "serve/answer_run.h"

#include <new>
#include <utility>

#include "base/strings.h"
#include "http/errors.h"

namespace andiron {

// Of one answer. It holds the run until the scheduler lets go of it.
class AnswerRun::Listener : public GenerationListener {
 public:
  Listener(std::shared_ptr<AnswerRun> run, int32_t choice) : run_(std::move(run)), choice_(choice) {}
  void on_token(const TokenEvent& event) override { run_->on_token(choice_, event); }
  void on_end(Result<GenerationReport> report) override { run_->on_end(choice_, report); }

 private:
  std::shared_ptr<AnswerRun> run_;
  int32_t choice_;
};

namespace {

// Where the prompt stands in a request of this kind.
const char* prompt_field(Api api) {
  switch (api) {
    case Api::kOpenAiCompletion:
    case Api::kOllamaGenerate: return "prompt";
    case Api::kOpenAiResponse: return "input";
    case Api::kOpenAiChat:
    case Api::kAnthropic:
    case Api::kOllamaChat: break;
  }
  return "messages";
}

ChoiceReport choice_report(const GenerationReport& report) {
  return {report.reason, report.stop_string, report.prompt_tokens, report.prompt_reused,
          report.tokens, report.prompt_ms,   report.decode_ms};
}

}  // namespace

HttpFault busy(const Overloaded& overloaded) {
  HttpFault fault = {
      429,
      format("the server is busy: as many requests wait as may; come again in {} s", overloaded.retry_after_s),
      "",
      "overloaded",
      {}};
  fault.headers = {{"retry-after", std::to_string(overloaded.retry_after_s)}};
  return fault;
}

std::shared_ptr<AnswerRun> AnswerRun::create(Scheduler& scheduler, std::shared_ptr<HttpReply> reply, ErrorShape shape) {
  std::shared_ptr<AnswerRun> run(new AnswerRun(scheduler, std::move(reply), shape));
  run->reply_->on_gone([weak = std::weak_ptr<AnswerRun>(run)] {
    if (const auto alive = weak.lock()) alive->leave();
  });
  return run;
}

bool AnswerRun::gone() const {
  const std::lock_guard lock(mutex_);
  return state_ == State::kEnded;
}

// Under mutex_: whatever comes now is dropped; what is still to be cancelled.
std::vector<Ticket> AnswerRun::end() {
  state_ = State::kEnded;
  std::vector<Ticket> tickets;
  for (Choice& choice : choices_) {
    if (choice.ticket && !choice.ended && !choice.cancelled) tickets.push_back(*choice.ticket);
    choice.cancelled = true;
  }
  held_.clear();
  return tickets;
}

void AnswerRun::leave() {
  std::vector<Ticket> tickets;
  {
    const std::lock_guard lock(mutex_);
    tickets = end();
  }
  for (const Ticket ticket : tickets) scheduler_.cancel(ticket);
}

void AnswerRun::fail(const HttpFault& fault) {
  std::vector<Ticket> tickets;
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kEnded) return;
    if (state_ == State::kOpen && stream_) {
      reply_->write(error_event(shape_, exchange_->content_type(), fault));
      reply_->end();
    } else {
      send_error(*reply_, shape_, fault);
    }
    tickets = end();
  }
  for (const Ticket ticket : tickets) scheduler_.cancel(ticket);
}

void AnswerRun::start(PreparedAnswer prepared, AnswerHead head, uint64_t client) {
  const int32_t each = prepared.exchange.ask.choices;
  int64_t prompt_tokens = 0;
  for (const PreparedPrompt& prompt : prepared.prompts) prompt_tokens += static_cast<int64_t>(prompt.tokens.size());
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kEnded) return;
    prepared.exchange.head = std::move(head);
    stream_ = prepared.exchange.ask.stream;
    exchange_.emplace(prepared.exchange);
    choices_.resize(static_cast<size_t>(exchange_->choices()));
    held_ = exchange_->begin(prompt_tokens);
  }
  const int32_t count = static_cast<int32_t>(prepared.prompts.size()) * each;
  try {
    for (int32_t choice = 0; choice < count; ++choice) {
      if (!submit(prepared, choice, client)) return;
    }
    open();
  } catch (const std::bad_alloc&) {  // those that were submitted hold the run
    fail({503, "the server has no memory left for this request"});
  }
}

// False where it is refused, which the client has been told, and where the client has gone.
bool AnswerRun::submit(const PreparedAnswer& prepared, int32_t choice, uint64_t client) {
  const AnswerAsk& ask = prepared.exchange.ask;
  const PreparedPrompt& prompt = prepared.prompts[static_cast<size_t>(choice / ask.choices)];
  GenerationRequest request;
  request.prompt = prompt.tokens;
  request.options = prepared.generate;
  request.options.sampling.seed += static_cast<uint64_t>(choice);
  request.options.strip_first_space = prompt.begins_text;
  request.adapters = prepared.worn.stack;
  request.adapters_key = prepared.worn.key;
  request.client = client;
  const Submitted submitted =
      scheduler_.submit(std::move(request), std::make_shared<Listener>(shared_from_this(), choice));
  if (const auto* overloaded = std::get_if<Overloaded>(&submitted)) {
    fail(busy(*overloaded));
    return false;
  }
  if (const auto* error = std::get_if<Error>(&submitted)) {
    const bool too_long = static_cast<int64_t>(prompt.tokens.size()) >= scheduler_.context();
    fail(refuse(too_long ? prompt_field(ask.api) : "", too_long ? kPromptTooLong : "invalid_value", "{}",
                error->message));
    return false;
  }
  const Ticket ticket = std::get<Ticket>(submitted);
  bool cancelled = false;
  {
    const std::lock_guard lock(mutex_);
    choices_[static_cast<size_t>(choice)].ticket = ticket;
    cancelled = choices_[static_cast<size_t>(choice)].cancelled;
  }
  if (cancelled) scheduler_.cancel(ticket);
  return !gone();
}

void AnswerRun::open() {
  const std::lock_guard lock(mutex_);
  if (state_ == State::kEnded) return;
  state_ = State::kOpen;
  if (stream_) reply_->begin_stream(exchange_->content_type());
  say(std::exchange(held_, {}));
  finish_if_all_ended();
}

// Under mutex_.
void AnswerRun::say(std::string bytes) {
  if (bytes.empty()) return;
  if (state_ == State::kOpen) {
    reply_->write(std::move(bytes));
  } else {
    held_ += bytes;
  }
}

// Under mutex_.
void AnswerRun::finish_if_all_ended() {
  if (state_ != State::kOpen || !exchange_->finished()) return;
  const std::chrono::duration<double, std::milli> total = std::chrono::steady_clock::now() - begun_;
  std::string last = exchange_->finish(total.count());
  if (stream_) {
    say(std::move(last));
    reply_->end();
  } else {
    reply_->send(200, exchange_->content_type(), std::move(last));
  }
  state_ = State::kEnded;
}

void AnswerRun::on_token(int32_t choice, const TokenEvent& event) {
  std::optional<Ticket> enough;
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kEnded) return;
    say(exchange_->on_token(choice, event));
    Choice& one = choices_[static_cast<size_t>(choice)];
    if (exchange_->done(choice) && !std::exchange(one.cancelled, true)) enough = one.ticket;
  }
  if (enough) scheduler_.cancel(*enough);
}

void AnswerRun::on_end(int32_t choice, const Result<GenerationReport>& report) {
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kEnded) return;
    choices_[static_cast<size_t>(choice)].ended = true;
    if (report.ok()) {
      say(exchange_->on_end(choice, choice_report(*report)));
      return finish_if_all_ended();
    }
  }
  fail({500, report.error().message, "", "engine_error", {}});
}

}  // namespace andiron
