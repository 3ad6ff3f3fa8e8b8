// What a scheduler makes of memory: beginnings in common are there once, and whoever gets none ends alone.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/allocation_fixture.h"
#include "engine/scheduler_fixture.h"

namespace andiron {
namespace {

// One answers; when it has said its first token, two come who share a prompt.
class SchedulerMemoryTest : public SchedulerTest {
 protected:
  struct Round {
    std::vector<HeardAnswer> heard;
    bool has_failed = true;  // an allocation
    uint64_t steps = 0;
  };

  void make_requests() {
    open();
    const auto prompt = random_tokens(300, 2);
    requests_ = {request(random_tokens(62, 1), 6, 1), request(prompt, 5, 2), request(prompt, 5, 3)};
    for (const GenerationRequest& request : requests_) wanted_.push_back(alone(request, {.context = 400}));
  }

  // After the first one's token `token`, until its next, so many allocations succeed and then one fails. On the
  // scheduler's thread, which does all but the work of kernels.
  Round ask_all(size_t token, int64_t allocations) {
    Barrier barrier;
    Round round;
    const auto scheduler = this->scheduler({.context = 400, .sequences = 4, .chunk = 128});
    std::vector<std::shared_ptr<AnswerListener>> listeners = {
        std::make_shared<AnswerListener>([&](size_t before) {
          if (before == 0) barrier.pass();
          if (before == token) t_allocations_left = allocations;
          if (before == token + 1) round.has_failed = std::exchange(t_allocations_left, -1) < 0;
        }),
        std::make_shared<AnswerListener>(), std::make_shared<AnswerListener>()};
    ticket_of(scheduler->submit(requests_[0], listeners[0]));
    barrier.wait_until_reached();
    for (const size_t i : {1, 2}) ticket_of(scheduler->submit(requests_[i], listeners[i]));
    barrier.open();
    for (const auto& listener : listeners) round.heard.push_back(listener->wait());
    round.steps = scheduler->stats().steps;
    expect_idle(*scheduler);
    return round;
  }

  // Two of one client answer and five more of it wait. With the first one's third token those five are cancelled, and
  // the third request comes from somebody else, who gets the second one's place; from there on, as ask_all().
  Round change_places(int64_t allocations) {
    Barrier barrier;
    Round round;
    const auto scheduler = this->scheduler({.context = 400, .sequences = 2, .chunk = 128});
    std::vector<std::shared_ptr<AnswerListener>> listeners, waiting(5);
    std::vector<Ticket> tickets;
    listeners.push_back(std::make_shared<AnswerListener>([&](size_t before) {
      if (before == 0) barrier.pass();
      if (before == 2) {
        for (const Ticket ticket : tickets) scheduler->cancel(ticket);
        ticket_of(scheduler->submit(requests_[2], listeners[2]));
        t_allocations_left = allocations;
      }
      if (before == 3) round.has_failed = std::exchange(t_allocations_left, -1) < 0;
    }));
    for (int i = 0; i < 2; ++i) listeners.push_back(std::make_shared<AnswerListener>());
    ticket_of(scheduler->submit(requests_[0], listeners[0]));
    barrier.wait_until_reached();
    ticket_of(scheduler->submit(requests_[1], listeners[1]));
    for (auto& listener : waiting) {
      listener = std::make_shared<AnswerListener>();
      tickets.push_back(ticket_of(scheduler->submit(requests_[1], listener)));
    }
    barrier.open();
    for (const auto& listener : listeners) round.heard.push_back(listener->wait());
    for (const auto& listener : waiting) EXPECT_TRUE(listener->wait().tokens.empty());
    expect_idle(*scheduler);
    return round;
  }

  // Whom there was no memory for; nobody: -1. What it had said till then is what it would have said.
  int64_t expect_one_error_at_most(const Round& round, const std::string& what) const {
    int64_t failed = -1;
    for (size_t i = 0; i < wanted_.size(); ++i) {
      const HeardAnswer& heard = round.heard[i];
      if (heard.error.empty()) {
        expect_same(heard, wanted_[i], what + ", answer " + std::to_string(i));
        continue;
      }
      EXPECT_EQ(failed, -1) << what << ": more than one has ended";
      EXPECT_NE(heard.error.find("no memory"), std::string::npos) << heard.error;
      const std::vector<int32_t>& whole = wanted_[i].tokens;
      EXPECT_LT(heard.tokens.size(), whole.size()) << what;
      const auto common = std::min(std::ssize(heard.tokens), std::ssize(whole));
      EXPECT_EQ(heard.tokens, std::vector<int32_t>(whole.begin(), whole.begin() + common)) << what;
      failed = static_cast<int64_t>(i);
    }
    return failed;
  }

  std::vector<GenerationRequest> requests_;
  std::vector<HeardAnswer> wanted_;
};

// Each allocation of the step in which both begin fails in turn.
TEST_F(SchedulerMemoryTest, WhoeverCannotBeginEndsAlone) {
  make_requests();
  std::vector<int64_t> ended = {0, 0, 0};
  for (int64_t allocations = 0;; ++allocations) {
    ASSERT_LT(allocations, 1000);
    const Round round = ask_all(0, allocations);
    const int64_t failed = expect_one_error_at_most(round, "allocation " + std::to_string(allocations));
    if (failed >= 0) ++ended[static_cast<size_t>(failed)];
    if (!round.has_failed) break;
  }
  EXPECT_GT(ended[1], 0);
  EXPECT_GT(ended[2], 0);
}

// The same of a step in which the first needs a second page, for its 65th position; the second a third one; and the
// third takes the second's second one.
TEST_F(SchedulerMemoryTest, WithoutMemoryForPagesAnAnswerEndsAlone) {
  make_requests();
  std::vector<int64_t> without_pages = {0, 0, 0};
  int64_t unharmed = 0;
  for (int64_t allocations = 0;; ++allocations) {
    ASSERT_LT(allocations, 1000);
    const std::string what = "allocation " + std::to_string(allocations);
    const Round round = ask_all(2, allocations);
    const int64_t failed = expect_one_error_at_most(round, what);
    if (!round.has_failed) {
      EXPECT_EQ(failed, -1) << what;
      break;
    }
    if (failed < 0) {
      ++unharmed;
      continue;
    }
    const auto index = static_cast<size_t>(failed);
    if (round.heard[index].error.find("no memory for a context of") == std::string::npos) continue;
    ++without_pages[index];
    // The third does not wait for what the second does not read: 3 steps until the failure, in that one 128 tokens of
    // its prompt, in the next the 44 that are left and its first token, and 4 steps for the others.
    if (failed == 1) {
      EXPECT_EQ(round.steps, 9U) << what;
    }
  }
  EXPECT_GT(without_pages[0], 0);
  EXPECT_GT(without_pages[1], 0);
  EXPECT_EQ(without_pages[2], 0) << "what it cannot take, or keep, is computed";
  EXPECT_GT(unharmed, 0);
}

TEST_F(SchedulerMemoryTest, WithoutMemoryToChangePlacesOthersGoOn) {
  make_requests();
  requests_[1].client = requests_[0].client;
  for (int64_t allocations = 0;; ++allocations) {
    ASSERT_LT(allocations, 1000);
    const Round round = change_places(allocations);
    expect_one_error_at_most(round, "allocation " + std::to_string(allocations));
    if (!round.has_failed) break;
  }
}

// What of this program is in memory; 0 where the system does not tell.
int64_t resident_bytes() {
  std::ifstream rollup("/proc/self/smaps_rollup");
  for (std::string word; rollup >> word;) {
    int64_t kib = 0;
    if (word == "Rss:" && rollup >> kib) return kib << 10;
  }
  return 0;
}

// Eight at once, of whom one has read the prompt. Copies of it would take twice the bound; a page for the end of each,
// and what else an answer needs, is a tenth of it.
TEST_F(SchedulerTest, ABeginningInCommonIsInMemoryOnce) {
  if (resident_bytes() == 0) GTEST_SKIP() << "the system does not tell how much memory a program has";
  open();
  constexpr int64_t kPages = 40, kOthers = 7;
  const auto page = static_cast<int64_t>(64 * model_->kv_bytes_per_position(kKvF16));
  const GenerationRequest asked = request(random_tokens(64 * kPages + 10), 20);
  Barrier first_token, all_answer;
  const auto scheduler = this->scheduler({.context = 3000, .sequences = kOthers + 1});
  std::vector<std::shared_ptr<AnswerListener>> listeners = {std::make_shared<AnswerListener>([&](size_t before) {
    if (before == 0) first_token.pass();
    if (before == 10) all_answer.pass();
  })};
  ticket_of(scheduler->submit(asked, listeners[0]));
  first_token.wait_until_reached();
  const int64_t one = resident_bytes();
  for (int64_t i = 0; i < kOthers; ++i) {
    listeners.push_back(std::make_shared<AnswerListener>());
    ticket_of(scheduler->submit(asked, listeners.back()));
  }
  first_token.open();
  all_answer.wait_until_reached();
  const int64_t all = resident_bytes();
  EXPECT_EQ(scheduler->stats().running, kOthers + 1);
  EXPECT_EQ(scheduler->stats().prompt_reused, static_cast<uint64_t>(64 * kPages * kOthers));
  EXPECT_LT(all - one, kOthers * kPages * page / 2);
  all_answer.open();
  const HeardAnswer wanted = alone(asked, {.context = 3000});
  for (const auto& listener : listeners) expect_same(listener->wait(), wanted, "with others");
}

}  // namespace
}  // namespace andiron
