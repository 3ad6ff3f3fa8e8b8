// What the scheduler promises: each answer has the bits that it would have alone, whatever else runs; clients get their
// share; whoever goes leaves nothing behind.
#include "engine/scheduler.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/random.h"
#include "engine/scheduler_fixture.h"
#include "engine/thread_gate.h"

namespace andiron {
namespace {

// Requests of many kinds: lengths, beginnings in common, adapters, ways to choose and ways to end.
class ManyRequestsTest : public SchedulerTest {
 protected:
  void make_requests(size_t count) {
    const std::shared_ptr<const AdapterStack> stacks[] = {nullptr, random_stack(*model_, 1, folder_, alone_team_),
                                                          random_stack(*model_, 2, folder_, alone_team_)};
    const auto beginning = random_tokens(150, 99);
    const auto digits = grammar_of("root ::= \"a\" [0-9]{2,12} \"z\"", *tokenizer_);
    const RandomStream random(5);
    for (size_t i = 0; i < count; ++i) {
      const size_t length = 1 + static_cast<size_t>(random.uniform(2 * i) * 120);
      const auto own = random_tokens(length, 100 + i / 2);  // two have each
      GenerationRequest made = request(i % 3 == 0 ? own : joined(beginning, own), 4 + static_cast<int64_t>(i) % 20);
      made.client = i % 5;
      made.adapters = stacks[i % 4 % 3];
      made.adapters_key = made.adapters != nullptr ? "stack " + std::to_string(i % 4 % 3) : "";
      if (i % 2 == 1) {
        made.options.sampling.temperature = 0.8;
        made.options.sampling.seed = i;
        made.options.ignore_end = false;
      }
      if (i % 6 == 5) made.options.grammar = digits;
      if (i % 4 == 2) made.options.stop = {"a", "e"};
      made.options.logprobs_top = static_cast<int32_t>(i % 3) - 1;
      requests_.push_back(std::move(made));
    }
  }
  // All at once, from four threads.
  std::vector<HeardAnswer> ask_all(Scheduler& scheduler) {
    std::vector<std::shared_ptr<AnswerListener>> listeners(requests_.size());
    for (auto& listener : listeners) listener = std::make_shared<AnswerListener>();
    std::vector<std::thread> threads;
    for (size_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (size_t i = t; i < requests_.size(); i += 4) ticket_of(scheduler.submit(requests_[i], listeners[i]));
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::vector<HeardAnswer> heard;
    for (const auto& listener : listeners) heard.push_back(listener->wait());
    return heard;
  }

  std::vector<GenerationRequest> requests_;
};

TEST_F(ManyRequestsTest, EachIsAnsweredAsAlone) {
  open();
  make_requests(24);
  for (const KvFormat format : {kKvF16, kKvQ8_0}) {
    std::vector<HeardAnswer> wanted;
    for (const GenerationRequest& request : requests_) {
      wanted.push_back(alone(request, {.context = 400, .kv_format = format}));
    }
    for (const uint64_t prefix_bytes : {uint64_t{0}, uint64_t{20} << 20}) {
      for (const int64_t chunk : {1, 50, 300}) {
        const auto scheduler = this->scheduler({.context = 400,
                                                .kv_format = format,
                                                .sequences = chunk == 50 ? 3 : 8,
                                                .chunk = chunk,
                                                .prefix_bytes = prefix_bytes});
        const auto heard = ask_all(*scheduler);
        for (size_t i = 0; i < heard.size(); ++i) {
          expect_same(heard[i], wanted[i], "request " + std::to_string(i) + ", chunk " + std::to_string(chunk));
          ASSERT_TRUE(heard[i].report.has_value());
          EXPECT_EQ(heard[i].report->prompt_tokens, std::ssize(requests_[i].prompt));
          if (prefix_bytes == 0) {
            EXPECT_EQ(heard[i].report->prompt_reused, 0);
          }
        }
        expect_idle(*scheduler);
        EXPECT_EQ(scheduler->stats().prompt_reused > 0, prefix_bytes > 0);
      }
    }
  }
}

// Twice the answers, half of them given up at any moment: those have a beginning of what they would have got.
TEST_F(ManyRequestsTest, WhoeverGoesLeavesNothingBehind) {
  open();
  make_requests(24);
  std::vector<HeardAnswer> wanted;
  for (const GenerationRequest& request : requests_) wanted.push_back(alone(request, {.context = 400}));
  const auto scheduler = this->scheduler({.context = 400, .sequences = 4, .chunk = 20});
  const RandomStream random(3);
  uint64_t cancelled = 0;
  for (uint64_t round = 0; round < 4; ++round) {
    std::vector<std::shared_ptr<AnswerListener>> listeners;
    std::vector<Ticket> tickets;
    Barrier first_token;
    for (const GenerationRequest& request : requests_) {
      const bool is_first = tickets.empty();
      listeners.push_back(std::make_shared<AnswerListener>([&first_token, is_first](size_t before) {
        if (is_first && before == 0) first_token.pass();
      }));
      tickets.push_back(ticket_of(scheduler->submit(request, listeners.back())));
    }
    // One that waits for a place for certain, however little of the processor this thread gets; the others by chance.
    first_token.wait_until_reached();
    scheduler->cancel(tickets.back());
    first_token.open();
    for (uint64_t i = 0; i < tickets.size(); ++i) {
      for (auto spin = static_cast<int>(random.uniform(100 * round + i) * 50); spin > 0; --spin) {
        std::this_thread::yield();
      }
      if (random.uniform(1000 + 100 * round + i) < 0.5) scheduler->cancel(tickets[i]);
    }
    scheduler->cancel(0);
    scheduler->cancel(tickets.back() + 1000);
    for (size_t i = 0; i < listeners.size(); ++i) {
      const HeardAnswer heard = listeners[i]->wait();
      ASSERT_TRUE(heard.report.has_value()) << heard.error;
      if (heard.report->reason != FinishReason::kCancelled) {
        expect_same(heard, wanted[i], "request " + std::to_string(i));
        continue;
      }
      ++cancelled;
      ASSERT_LE(heard.tokens.size(), wanted[i].tokens.size());
      EXPECT_TRUE(std::equal(heard.tokens.begin(), heard.tokens.end(), wanted[i].tokens.begin()));
      EXPECT_EQ(heard.report->tokens, std::ssize(heard.tokens));
    }
    expect_idle(*scheduler);
    EXPECT_EQ(scheduler->stats().cancelled, cancelled);
  }
  EXPECT_GE(cancelled, 4U);
}

// Only the step at hand goes on with an answer that is given up, whether it answers already or its prompt is being
// read: in the next one its place is another's. What stats() says during a step is of those before it.
TEST_F(SchedulerTest, ThePlaceOfWhoeverGoesIsFreeInTheNextStep) {
  open();
  for (const bool has_begun : {true, false}) {
    Barrier first_token, second_token;
    uint64_t steps_at_next = 0;
    const auto scheduler = this->scheduler({.context = 300, .sequences = 2, .chunk = 2});
    const auto answering = std::make_shared<AnswerListener>([&](size_t before) {
      if (before == 0) first_token.pass();
      if (before == 1) second_token.pass();
    });
    const auto reading = std::make_shared<AnswerListener>();
    const auto next = std::make_shared<AnswerListener>([&](size_t before) {
      if (before == 0) steps_at_next = scheduler->stats().steps;
    });
    const Ticket first = ticket_of(scheduler->submit(request(random_tokens(5, 1), 40, 1), answering));
    first_token.wait_until_reached();
    const Ticket second = ticket_of(scheduler->submit(request(random_tokens(200, 2), 5, 2), reading));
    first_token.open();
    second_token.wait_until_reached();
    ASSERT_EQ(scheduler->stats().running, 2);
    ticket_of(scheduler->submit(request(random_tokens(1, 3), 2, 3), next));
    const uint64_t steps_before = scheduler->stats().steps;
    scheduler->cancel(has_begun ? first : second);
    second_token.open();
    EXPECT_EQ(next->wait().tokens.size(), 2U);
    EXPECT_EQ(steps_at_next, steps_before + 1) << "its prompt of one token and its first token take one step";
    const HeardAnswer gone = (has_begun ? answering : reading)->wait();
    ASSERT_TRUE(gone.report.has_value()) << gone.error;
    EXPECT_EQ(gone.report->reason, FinishReason::kCancelled);
    EXPECT_EQ(gone.tokens.size(), has_begun ? 2U : 0U);
    EXPECT_EQ((has_begun ? reading : answering)->wait().tokens.size(), has_begun ? 5U : 40U);
    expect_idle(*scheduler);
    EXPECT_EQ(scheduler->stats().cancelled, 1U);
  }
}

class CountedListener : public AnswerListener {
 public:
  CountedListener(std::atomic<int>& ended, std::function<void(size_t)> on_each)
      : AnswerListener(std::move(on_each)), ended_(ended) {}
  void on_end(Result<GenerationReport> report) override {
    ++ended_;
    AnswerListener::on_end(std::move(report));
  }

 private:
  std::atomic<int>& ended_;
};

// Twenty of one client, three of which have all the places when another's short request comes: one of them rests.
TEST_F(SchedulerTest, ManyRequestsOfOneClientDoNotKeepAnotherWaiting) {
  open();
  Barrier first_token, tenth_token;
  std::atomic<int> ended{0};
  int ended_before = -1;
  const auto scheduler = this->scheduler({.context = 300, .sequences = 3, .chunk = 64});
  std::vector<GenerationRequest> requests;
  std::vector<std::shared_ptr<CountedListener>> many;
  for (uint64_t i = 0; i < 20; ++i) {
    requests.push_back(request(random_tokens(70, i), 60, 1));
    many.push_back(std::make_shared<CountedListener>(ended, [&, i](size_t before) {
      if (i == 0 && before == 0) first_token.pass();
      if (i == 0 && before == 9) tenth_token.pass();
    }));
    ticket_of(scheduler->submit(requests.back(), many.back()));
    if (i == 0) first_token.wait_until_reached();
  }
  first_token.open();
  tenth_token.wait_until_reached();
  EXPECT_EQ(scheduler->stats().running, 3);
  const auto short_request = request(random_tokens(50, 1000), 5, 2);
  const auto one = std::make_shared<AnswerListener>([&](size_t before) {
    if (before == 4) ended_before = ended;
  });
  ticket_of(scheduler->submit(short_request, one));
  tenth_token.open();
  expect_same(one->wait(), alone(short_request, {.context = 300}), "the short one");
  EXPECT_EQ(ended_before, 0) << "it takes 6 steps, and the first of the others has 50 before it";
  for (size_t i = 0; i < many.size(); ++i) {
    expect_same(many[i]->wait(), alone(requests[i], {.context = 300}), "long one " + std::to_string(i));
  }
  expect_idle(*scheduler);
}

// 70 tokens begin a second page of 64 positions. One of two of a client rests when another's comes, and keeps its own.
TEST_F(SchedulerTest, KeysAndValuesOfThoseThatRunAndRestAreCounted) {
  open();
  Barrier first_token, other_token;
  const auto scheduler = this->scheduler({.context = 300, .sequences = 2, .prefix_bytes = 0});
  const uint64_t page = 64 * model_->kv_bytes_per_position(kKvF16);
  EXPECT_EQ(scheduler->stats().kv_bytes, 0U);
  const auto stops_at = [](Barrier& barrier) {
    return std::make_shared<AnswerListener>([&barrier](size_t before) {
      if (before == 0) barrier.pass();
    });
  };
  const auto first = stops_at(first_token), other = stops_at(other_token);
  ticket_of(scheduler->submit(request(random_tokens(70, 1), 40, 1), first));
  first_token.wait_until_reached();
  ticket_of(scheduler->submit(request(random_tokens(70, 2), 40, 1), other));
  first_token.open();
  other_token.wait_until_reached();
  EXPECT_EQ(scheduler->stats().kv_bytes, 2 * page) << "of the first, until the step at hand is done";
  uint64_t of_three = 0;
  const auto third = std::make_shared<AnswerListener>([&](size_t before) {
    if (before == 1) of_three = scheduler->stats().kv_bytes;
  });
  ticket_of(scheduler->submit(request(random_tokens(10, 3), 3, 2), third));
  other_token.open();
  third->wait();
  EXPECT_EQ(of_three, (2 + 2 + 1) * page);
  first->wait();
  other->wait();
  EXPECT_EQ(scheduler->stats().kv_bytes, 0U);
}

TEST_F(SchedulerTest, AFullQueueSaysWhenToComeAgain) {
  open();
  Barrier barrier;
  const auto scheduler = this->scheduler({.context = 300, .sequences = 1, .queue = 4});
  const auto submit = [&](uint64_t client) {
    return scheduler->submit(request(random_tokens(10), 3, client), std::make_shared<AnswerListener>());
  };
  const auto first = std::make_shared<AnswerListener>([&](size_t) { barrier.pass(); });
  ticket_of(scheduler->submit(request(random_tokens(10), 3, 1), first));
  barrier.wait_until_reached();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(std::holds_alternative<Ticket>(submit(1)));
  EXPECT_TRUE(std::holds_alternative<Overloaded>(submit(1))) << "the last place is for somebody else";
  EXPECT_TRUE(std::holds_alternative<Ticket>(submit(2)));
  const auto refused = submit(3);
  ASSERT_TRUE(std::holds_alternative<Overloaded>(refused));
  EXPECT_GE(std::get<Overloaded>(refused).retry_after_s, 1);
  EXPECT_LE(std::get<Overloaded>(refused).retry_after_s, 600);
  EXPECT_EQ(scheduler->stats().refused, 2U);
  EXPECT_EQ(scheduler->stats().waiting, 4);
  barrier.open();
  first->wait();
}

TEST_F(SchedulerTest, WhatCannotBeAnsweredIsRefusedAtOnceAndSaysWhy) {
  open();
  const auto scheduler = this->scheduler({.context = 32});
  const auto error_of = [&](const GenerationRequest& request) {
    const auto submitted = scheduler->submit(request, std::make_shared<AnswerListener>());
    const auto* error = std::get_if<Error>(&submitted);
    return error != nullptr ? error->message : "";
  };
  const std::string too_long = error_of(request(random_tokens(40), 1));
  for (const char* part : {"40", "32", "by 9 tokens"}) {
    EXPECT_NE(too_long.find(part), std::string::npos) << too_long;
  }
  EXPECT_NE(error_of(request({}, 1)), "");
  EXPECT_NE(error_of(request({1, 512}, 1)).find("512"), std::string::npos);
  EXPECT_NE(error_of(request({1, -1}, 1)).find("-1"), std::string::npos);
  GenerationRequest wrong = request({1}, 1);
  wrong.options.sampling.top_p = 7;
  EXPECT_NE(error_of(wrong).find("top_p"), std::string::npos);
  wrong = request({1}, 1);
  wrong.options.grammar = grammar_of("root ::= \"a\"", *tokenizer_);
  EXPECT_NE(error_of(wrong), "") << "ignore_end";
  const auto embedded = scheduler->embed(random_tokens(33), nullptr, 1, [](const auto&) { ADD_FAILURE(); });
  EXPECT_TRUE(std::holds_alternative<Error>(embedded));
  EXPECT_EQ(ask(*scheduler, request(random_tokens(31), 5)).report->reason, FinishReason::kContext);
  expect_idle(*scheduler);
}

// A bias forbids all that the grammar allows.
TEST_F(SchedulerTest, TheErrorOfOneEndsThatOneOnly) {
  open();
  const auto scheduler = this->scheduler({.context = 300});
  GenerationRequest bad = request(random_tokens(20), 5);
  bad.options.ignore_end = false;
  bad.options.grammar = grammar_of("root ::= \"\\x01\"", *tokenizer_);
  for (int32_t token = 0; token < tokenizer_->vocab_size(); ++token) {
    if (tokenizer_->piece(token) == "\x01") bad.options.sampling.logit_bias.push_back({token, -INFINITY});
  }
  const GenerationRequest good = request(random_tokens(20), 30);
  const auto first = std::make_shared<AnswerListener>(), second = std::make_shared<AnswerListener>();
  ticket_of(scheduler->submit(good, first));
  const HeardAnswer wrong = ask(*scheduler, bad);
  ticket_of(scheduler->submit(good, second));
  EXPECT_NE(wrong.error.find("that the grammar allows"), std::string::npos) << wrong.error;
  const HeardAnswer wanted = alone(good, {.context = 300});
  expect_same(first->wait(), wanted, "before");
  expect_same(second->wait(), wanted, "after");
  expect_idle(*scheduler);
}

TEST_F(SchedulerTest, TheEndOfTheSchedulerIsHeardByAll) {
  open();
  auto scheduler = this->scheduler({.context = 500, .sequences = 2});
  Barrier barrier;
  std::vector<std::shared_ptr<AnswerListener>> listeners;
  for (uint64_t i = 0; i < 10; ++i) {
    listeners.push_back(std::make_shared<AnswerListener>([&, i](size_t) {
      if (i == 0) barrier.pass();
    }));
    ticket_of(scheduler->submit(request(random_tokens(20, i), -1), listeners.back()));
  }
  std::atomic<bool> embedding_ended{false};
  ticket_of(scheduler->embed(random_tokens(20), nullptr, 1, [&](const Result<std::vector<float>>& embedding) {
    EXPECT_FALSE(embedding.ok());
    embedding_ended = true;
  }));
  barrier.wait_until_reached();
  std::thread opener([&] { barrier.open(); });
  scheduler.reset();
  opener.join();
  EXPECT_TRUE(embedding_ended);
  for (const auto& listener : listeners) {
    ASSERT_TRUE(listener->has_ended());
    const HeardAnswer heard = listener->wait();
    ASSERT_TRUE(heard.report.has_value()) << heard.error;
    // On a slow machine the first may have come to their ends.
    EXPECT_TRUE(heard.report->reason == FinishReason::kCancelled || heard.report->reason == FinishReason::kContext);
  }
}

// A listener may ask for more, and give up others.
TEST_F(SchedulerTest, ListenersMaySubmitAndCancel) {
  open();
  const auto scheduler = this->scheduler({.context = 300, .sequences = 2});
  const auto endless = std::make_shared<AnswerListener>();
  const Ticket endless_ticket = ticket_of(scheduler->submit(request(random_tokens(9), -1), endless));
  const auto second = std::make_shared<AnswerListener>();
  const auto first = std::make_shared<AnswerListener>([&](size_t before) {
    if (before == 3) ticket_of(scheduler->submit(request(random_tokens(5), 2), second));
    if (before == 4) scheduler->cancel(endless_ticket);
  });
  ticket_of(scheduler->submit(request(random_tokens(7), 8), first));
  EXPECT_EQ(first->wait().tokens.size(), 8U);
  EXPECT_EQ(second->wait().tokens.size(), 2U);
  EXPECT_NE(endless->wait().report->reason, FinishReason::kLength);
  expect_idle(*scheduler);
}

TEST_F(SchedulerTest, AnAnswerOfNoTokensEnds) {
  open();
  const auto scheduler = this->scheduler({.context = 300});
  const HeardAnswer none = ask(*scheduler, request(random_tokens(9), 0));
  EXPECT_EQ(none.report->reason, FinishReason::kLength);
  EXPECT_EQ(none.report->tokens, 0);
  GenerationRequest nothing = request(random_tokens(9), 5);
  nothing.options.ignore_end = false;
  nothing.options.grammar = grammar_of("root ::= \"\"", *tokenizer_);
  EXPECT_EQ(ask(*scheduler, nothing).report->reason, FinishReason::kStop);
}

TEST_F(SchedulerTest, EmbeddingsAreMeansOfHiddenStates) {
  open();
  const auto stack = random_stack(*model_, 1, folder_, alone_team_);
  const auto tokens = random_tokens(90);
  // Straight from the definition, in one run.
  const auto wanted_with = [&](const AdapterStack* worn) {
    ThreadTeam team(1);
    const auto forward = Forward::create(*model_, kernels_, team).value();
    auto cache = KvCache::create(*model_, 300).value();
    const Sequence sequence = {&cache, tokens, LogitRows::kHidden, worn != nullptr ? &worn->deltas() : nullptr};
    EXPECT_TRUE(forward->run({&sequence, 1}).ok());
    const Rows hidden = forward->hidden(0);
    std::vector<double> mean(static_cast<size_t>(hidden.cols));
    double square = 0;
    for (size_t d = 0; d < mean.size(); ++d) {
      for (int64_t i = 0; i < hidden.rows; ++i) mean[d] += static_cast<double>(hidden.row(i)[d]) / 90;
      square += mean[d] * mean[d];
    }
    for (double& x : mean) x /= std::sqrt(square);
    return mean;
  };
  const auto scheduler = this->scheduler({.context = 300, .sequences = 3, .chunk = 16});
  const auto answer = std::make_shared<AnswerListener>();
  ticket_of(scheduler->submit(request(random_tokens(40), 50), answer));
  const auto embed = [&](const std::shared_ptr<const AdapterStack>& worn) {
    std::vector<float> embedding;
    Barrier arrived;
    ticket_of(scheduler->embed(tokens, worn, 7, [&](Result<std::vector<float>> result) {
      EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
      if (result.ok()) embedding = std::move(result).value();
      arrived.open();
    }));
    arrived.pass();
    return embedding;
  };
  const auto plain = embed(nullptr);
  for (const auto& worn : {std::shared_ptr<const AdapterStack>(), stack}) {
    const auto got = embed(worn);
    const auto wanted = wanted_with(worn.get());
    ASSERT_EQ(got.size(), wanted.size());
    double square = 0;
    for (size_t d = 0; d < got.size(); ++d) {
      EXPECT_NEAR(static_cast<double>(got[d]), wanted[d], 1e-7) << "rounded to a float below 1";
      square += static_cast<double>(got[d]) * static_cast<double>(got[d]);
    }
    EXPECT_NEAR(square, 1, 1e-5);
    EXPECT_EQ(got == plain, worn == nullptr);
  }
  answer->wait();
  EXPECT_EQ(scheduler->stats().prompt_reused, 0U);
}

TEST_F(SchedulerTest, TheGateIsClosedWhileAnythingRuns) {
  open();
  ThreadGate gate;
  Barrier barrier;
  {
    const auto scheduler = this->scheduler({.context = 300, .gate = &gate});
    EXPECT_FALSE(gate.is_busy());
    const auto listener = std::make_shared<AnswerListener>([&](size_t) { barrier.pass(); });
    ticket_of(scheduler->submit(request(random_tokens(5), 3), listener));
    EXPECT_TRUE(gate.is_busy());
    barrier.wait_until_reached();
    EXPECT_TRUE(gate.is_busy());
    barrier.open();
    EXPECT_TRUE(gate.wait_for_idle());
    EXPECT_TRUE(listener->has_ended());
    ticket_of(scheduler->submit(request(random_tokens(5), -1), std::make_shared<AnswerListener>()));
  }
  EXPECT_FALSE(gate.is_busy()) << "a scheduler that ends leaves";
}

TEST_F(SchedulerTest, OptionsAreChecked) {
  open();
  const auto error_of = [&](const SchedulerOptions& options) {
    const auto made = Scheduler::create(model_, *tokenizer_, kernels_, team_, options);
    return made.ok() ? "" : made.error().message;
  };
  EXPECT_NE(error_of({.context = -1}), "");
  EXPECT_NE(error_of({.sequences = 0}), "");
  EXPECT_NE(error_of({.chunk = 0}), "");
  EXPECT_NE(error_of({.queue = 0}), "");
  EXPECT_NE(error_of({.chunk = int64_t{1} << 40}), "");
  EXPECT_NE(error_of({.context = int64_t{1} << 40}), "");
  EXPECT_NE(error_of({.prefix_folder = folder_.file("p")}), "") << "no hash that names the model";
  EXPECT_NE(error_of({.prefix_bytes = 0, .prefix_folder = folder_.file("p"), .base_hash = "x"}), "");
  EXPECT_EQ(this->scheduler({.context = 77})->context(), 77);
  EXPECT_EQ(this->scheduler()->context(), 512) << "the trained one, where memory holds it";
}

}  // namespace
}  // namespace andiron
