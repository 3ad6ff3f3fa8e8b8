// For tests only: a scheduler on a small model, what its listeners hear, and what a session alone would have said.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "engine/engine_fixture.h"
#include "engine/scheduler.h"
#include "model/random_stack.h"

namespace andiron {

// All that can be known of an answer.
struct HeardAnswer {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;  // of each token: its own, then those of the most likely
  std::string text;
  std::optional<GenerationReport> report;  // or
  std::string error;

  void hear(const TokenEvent& event) {
    text += event.text;
    if (event.token >= 0) tokens.push_back(event.token);
    if (event.logprobs == nullptr) return;
    logprobs.push_back(event.logprobs->chosen.logprob);
    for (const TokenLogprob& top : event.logprobs->top) logprobs.push_back(top.logprob);
  }
};

class AnswerListener : public GenerationListener {
 public:
  // Called on the scheduler's thread for every token, with how many there were before.
  explicit AnswerListener(std::function<void(size_t)> on_each = {}) : on_each_(std::move(on_each)) {}

  void on_token(const TokenEvent& event) override {
    size_t before = 0;
    {
      const std::lock_guard lock(mutex_);
      EXPECT_FALSE(ended_) << "a token after the end";
      before = heard_.tokens.size();
      heard_.hear(event);
    }
    if (on_each_) on_each_(before);
  }
  void on_end(Result<GenerationReport> report) override {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(ended_) << "a second end";
    ended_ = true;
    if (report.ok()) {
      heard_.report = std::move(report).value();
    } else {
      heard_.error = report.error().message;
    }
    end_.notify_all();
  }

  HeardAnswer wait() {
    std::unique_lock lock(mutex_);
    end_.wait(lock, [&] { return ended_; });
    return heard_;
  }
  bool has_ended() {
    const std::lock_guard lock(mutex_);
    return ended_;
  }

 private:
  std::function<void(size_t)> on_each_;
  std::mutex mutex_;
  std::condition_variable end_;
  HeardAnswer heard_;
  bool ended_ = false;
};

// Stops whoever comes by until it is opened: a listener that stops the scheduler's thread, so that a test knows where
// it stands.
class Barrier {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    reached_ = true;
    change_.notify_all();
    change_.wait(lock, [&] { return open_; });
  }
  void wait_until_reached() {
    std::unique_lock lock(mutex_);
    change_.wait(lock, [&] { return reached_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    change_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable change_;
  bool reached_ = false, open_ = false;
};

class SchedulerTest : public EngineTest {
 protected:
  std::unique_ptr<Scheduler> scheduler(const SchedulerOptions& options = {}) {
    auto made = Scheduler::create(model_, *tokenizer_, kernels_, team_, options);
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
    return std::move(made).value();
  }
  // One that says `tokens` tokens, the most likely each time.
  GenerationRequest request(std::vector<int32_t> prompt, int64_t tokens, uint64_t client = 1) const {
    GenerationRequest made;
    made.prompt = std::move(prompt);
    made.options.sampling.temperature = 0;
    made.options.tokens_max = tokens;
    made.options.ignore_end = true;
    made.options.logprobs_top = 1;
    made.client = client;
    return made;
  }
  static Ticket ticket_of(const Submitted& submitted) {
    const auto* error = std::get_if<Error>(&submitted);
    EXPECT_TRUE(std::holds_alternative<Ticket>(submitted)) << (error != nullptr ? error->message : "overloaded");
    return std::holds_alternative<Ticket>(submitted) ? std::get<Ticket>(submitted) : 0;
  }
  static HeardAnswer ask(Scheduler& scheduler, const GenerationRequest& request) {
    const auto listener = std::make_shared<AnswerListener>();
    if (ticket_of(scheduler.submit(request, listener)) == 0) return {};
    return listener->wait();
  }
  // What a session says, in which nothing was before.
  HeardAnswer alone(const GenerationRequest& request, const SessionOptions& options = {}) {
    auto made = Session::create(model_, *tokenizer_, kernels_, alone_team_, options);
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
    Session* session = made->get();
    session->wear(request.adapters);
    HeardAnswer heard;
    const auto prefill = session->prefill(request.prompt, {});
    EXPECT_TRUE(prefill.ok()) << (prefill.ok() ? "" : prefill.error().message);
    const auto report = session->generate(request.options, [&](const TokenEvent& event) {
      heard.hear(event);
      return true;
    });
    if (!report.ok()) {
      heard.error = report.error().message;
      return heard;
    }
    heard.report =
        GenerationReport{.reason = report->reason, .stop_string = report->stop_string, .tokens = report->tokens};
    return heard;
  }
  static void expect_same(const HeardAnswer& heard, const HeardAnswer& wanted, const std::string& what) {
    EXPECT_EQ(heard.tokens, wanted.tokens) << what;
    EXPECT_EQ(heard.logprobs, wanted.logprobs) << what;
    EXPECT_EQ(heard.text, wanted.text) << what;
    EXPECT_EQ(heard.error, wanted.error) << what;
    ASSERT_EQ(heard.report.has_value(), wanted.report.has_value()) << what;
    if (!heard.report) return;
    EXPECT_EQ(heard.report->reason, wanted.report->reason) << what;
    EXPECT_EQ(heard.report->stop_string, wanted.report->stop_string) << what;
    EXPECT_EQ(heard.report->tokens, wanted.report->tokens) << what;
  }
  static void expect_idle(const Scheduler& scheduler) {
    EXPECT_EQ(scheduler.stats().running, 0);
    EXPECT_EQ(scheduler.stats().waiting, 0);
  }
  static std::vector<int32_t> joined(std::vector<int32_t> first, const std::vector<int32_t>& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
  }

  ThreadTeam alone_team_{1};  // team_ is the scheduler's
};

}  // namespace andiron
