// What a scheduler makes of memory that runs out: whoever gets none ends alone.
#include <algorithm>
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

}  // namespace
}  // namespace andiron
