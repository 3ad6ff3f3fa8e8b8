// What the scheduler does with beginnings that it has read before. That the bits are the same, with and without, in
// either format and with adapters, is in scheduler_test.cpp too.
#include <filesystem>

#include "engine/scheduler_fixture.h"

namespace andiron {
namespace {

namespace fs = std::filesystem;

class SchedulerPrefixTest : public SchedulerTest {
 protected:
  SchedulerOptions on_disk(const std::string& base_hash = "base") const {
    SchedulerOptions options;
    options.context = 500;
    options.prefix_folder = prefixes_;
    options.base_hash = base_hash;
    return options;
  }
  std::vector<std::string> files() const {
    std::vector<std::string> paths;
    for (const auto& entry : fs::directory_iterator(prefixes_)) paths.push_back(entry.path().string());
    return paths;
  }

  std::string prefixes_ = folder_.file("prefixes");
};

TEST_F(SchedulerPrefixTest, WhatWasReadOnceIsShared) {
  open();
  const auto scheduler = this->scheduler({.context = 500});
  const auto prompt = random_tokens(200);
  const GenerationRequest first = request(prompt, 100);
  const HeardAnswer answer = ask(*scheduler, first);
  EXPECT_EQ(answer.report->prompt_reused, 0);
  EXPECT_GT(scheduler->stats().prefix_bytes, 0U);

  const HeardAnswer again = ask(*scheduler, first);
  EXPECT_EQ(again.report->prompt_reused, 192);
  expect_same(again, answer, "the same prompt");

  // The conversation goes on: of the answer, all but the token said last was read.
  const auto whole = joined(joined(prompt, answer.tokens), random_tokens(10, 2));
  const GenerationRequest next = request(whole, 10);
  const HeardAnswer more = ask(*scheduler, next);
  EXPECT_EQ(more.report->prompt_reused, 299 / 64 * 64);
  expect_same(more, alone(next, {.context = 500}), "the next turn");

  // A token is always computed; another beginning is another text.
  const GenerationRequest exact = request(std::vector<int32_t>(prompt.begin(), prompt.begin() + 128), 5);
  const HeardAnswer shorter = ask(*scheduler, exact);
  EXPECT_EQ(shorter.report->prompt_reused, 64);
  expect_same(shorter, alone(exact, {.context = 500}), "a prompt of whole blocks");
  auto changed = prompt;
  changed[70] = changed[70] == 300 ? 301 : 300;
  const GenerationRequest other = request(changed, 5);
  const HeardAnswer different = ask(*scheduler, other);
  EXPECT_EQ(different.report->prompt_reused, 64);
  expect_same(different, alone(other, {.context = 500}), "another prompt");
  EXPECT_EQ(scheduler->stats().prompt_reused, 192U + 256 + 64 + 64);
}

TEST_F(SchedulerPrefixTest, AdaptersHaveTheirOwn) {
  open();
  const auto scheduler = this->scheduler({.context = 500});
  GenerationRequest asked = request(random_tokens(150), 5);
  EXPECT_EQ(ask(*scheduler, asked).report->prompt_reused, 0);
  asked.adapters = random_stack(*model_, 1, folder_, alone_team_);
  const HeardAnswer wanted = alone(asked, {.context = 500});
  for (int i = 0; i < 2; ++i) {  // without a name nobody can know them again
    const HeardAnswer heard = ask(*scheduler, asked);
    EXPECT_EQ(heard.report->prompt_reused, 0);
    expect_same(heard, wanted, "unnamed");
  }
  for (const int64_t reused : {0, 128}) {
    asked.adapters_key = "one";
    const HeardAnswer heard = ask(*scheduler, asked);
    EXPECT_EQ(heard.report->prompt_reused, reused);
    expect_same(heard, wanted, "named");
  }
}

// Whoever comes while the prompt is being read waits for it, block by block, however the clients share the steps.
TEST_F(SchedulerPrefixTest, OfManyWithOnePromptOneReadsIt) {
  open();
  for (const uint64_t clients : {1, 4}) {
    const auto scheduler = this->scheduler({.context = 500, .sequences = 5, .chunk = 30});
    const auto prompt = random_tokens(300);
    std::vector<std::shared_ptr<AnswerListener>> listeners;
    std::vector<GenerationRequest> requests;
    for (uint64_t i = 0; i < 4; ++i) {
      requests.push_back(request(prompt, 8, i % clients));
      requests.back().options.sampling.temperature = 1;
      requests.back().options.sampling.seed = i;
      listeners.push_back(std::make_shared<AnswerListener>());
      ticket_of(scheduler->submit(requests.back(), listeners.back()));
    }
    for (size_t i = 0; i < 4; ++i) {
      expect_same(listeners[i]->wait(), alone(requests[i], {.context = 500}), "answer " + std::to_string(i));
    }
    EXPECT_EQ(scheduler->stats().prompt_reused, 3 * 256U) << clients << " clients";
    EXPECT_EQ(scheduler->stats().prompt_tokens, 4 * 300U);
  }
}

TEST_F(SchedulerPrefixTest, TheDiskHasItAfterARestart) {
  open();
  const GenerationRequest asked = request(random_tokens(200), 20);
  const HeardAnswer wanted = alone(asked, {.context = 500});
  for (const int64_t reused : {0, 192, 192}) {
    const auto scheduler = this->scheduler(on_disk());
    const HeardAnswer heard = ask(*scheduler, asked);
    EXPECT_EQ(heard.report->prompt_reused, reused);
    expect_same(heard, wanted, "after a restart");
  }
  EXPECT_EQ(files().size(), 3U);
  {
    SchedulerOptions other = on_disk("another base");
    EXPECT_EQ(ask(*this->scheduler(other), asked).report->prompt_reused, 0);
    other = on_disk();
    other.kv_format = kKvQ8_0;
    EXPECT_EQ(ask(*this->scheduler(other), asked).report->prompt_reused, 0);
  }
  EXPECT_EQ(ask(*this->scheduler(on_disk()), asked).report->prompt_reused, 192);
}

TEST_F(SchedulerPrefixTest, WhatIsForgottenIsGone) {
  open();
  const GenerationRequest asked = request(random_tokens(200), 20);
  const HeardAnswer wanted = alone(asked, {.context = 500});
  const auto scheduler = this->scheduler(on_disk());
  for (int i = 0; i < 2; ++i) {
    const HeardAnswer heard = ask(*scheduler, asked);
    EXPECT_EQ(heard.report->prompt_reused, 0);
    expect_same(heard, wanted, "after it was forgotten");
    scheduler->forget_prefixes();
    EXPECT_EQ(files().size(), 0U);
    EXPECT_EQ(scheduler->stats().prefix_bytes, 0U);
  }
}

TEST_F(SchedulerPrefixTest, DamagedFilesAreReadAnew) {
  open();
  const GenerationRequest asked = request(random_tokens(200), 20);
  const HeardAnswer wanted = alone(asked, {.context = 500});
  ask(*this->scheduler(on_disk()), asked);
  const auto paths = files();
  ASSERT_EQ(paths.size(), 3U);
  for (const std::string& path : paths) {
    std::vector<uint8_t> bytes = read_bytes(path);
    bytes[bytes.size() / 2] ^= 1;
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
  }
  for (const int64_t reused : {0, 192}) {
    const auto scheduler = this->scheduler(on_disk());
    const HeardAnswer heard = ask(*scheduler, asked);
    EXPECT_EQ(heard.report->prompt_reused, reused);
    expect_same(heard, wanted, "damaged, then whole again");
  }
}

// More text than memory may keep: what is kept serves, and the limit holds.
TEST_F(SchedulerPrefixTest, ASmallCacheKeepsBeginnings) {
  open();
  const uint64_t block = 64 * model_->kv_bytes_per_position(kKvF16);
  const auto scheduler = this->scheduler({.context = 500, .prefix_bytes = 3 * block});
  const GenerationRequest asked = request(random_tokens(400), 5);
  const HeardAnswer wanted = alone(asked, {.context = 500});
  for (const int64_t reused : {0, 128, 128}) {
    const HeardAnswer heard = ask(*scheduler, asked);
    EXPECT_EQ(heard.report->prompt_reused, reused);
    expect_same(heard, wanted, "a small cache");
    EXPECT_LE(scheduler->stats().prefix_bytes, 3 * block);
  }
}

}  // namespace
}  // namespace andiron
