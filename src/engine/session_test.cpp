#include "engine/session.h"

#include <atomic>
#include <cstdlib>
#include <new>

#include "engine/engine_fixture.h"

// Counts allocations while a test asks for it.
namespace {
std::atomic<bool> g_counting{false};
std::atomic<int64_t> g_allocations{0};
}  // namespace

// Not inlined: GCC would see free() meet a pointer from new, not knowing that this new is malloc().
__attribute__((noinline)) void* operator new(std::size_t size) {
  if (g_counting.load(std::memory_order_relaxed)) g_allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
// The library's sorts ask for memory this way, and give it back to the delete below.
__attribute__((noinline)) void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (g_counting.load(std::memory_order_relaxed)) g_allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size);
}
__attribute__((noinline)) void operator delete(void* memory) noexcept { std::free(memory); }
__attribute__((noinline)) void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace andiron {
namespace {

class SessionTest : public EngineTest {
 protected:
  GenerateOptions greedy(int64_t tokens) const {
    GenerateOptions options;
    options.sampling.temperature = 0;
    options.tokens_max = tokens;
    options.ignore_end = true;
    return options;
  }
  // What the session generates after `prompt`.
  std::vector<int32_t> answer(Session& session, std::span<const int32_t> prompt, const GenerateOptions& options) {
    const auto prefill = session.prefill(prompt, {});
    EXPECT_TRUE(prefill.ok()) << (prefill.ok() ? "" : prefill.error().message);
    std::vector<int32_t> tokens;
    report_ = generate(session, options, tokens);
    return tokens;
  }
  GenerateReport generate(Session& session, const GenerateOptions& options, std::vector<int32_t>& tokens) {
    const auto report = session.generate(options, [&](const TokenEvent& event) {
      if (event.token >= 0) tokens.push_back(event.token);
      return true;
    });
    EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message);
    return *report;
  }

  GenerateReport report_;
};

TEST_F(SessionTest, ComputesOnlyWhatAPromptChanges) {
  open();
  auto one = session();
  const auto prompt = random_tokens(60);
  answer(*one, prompt, greedy(8));

  auto longer = std::vector<int32_t>(one->tokens().begin(), one->tokens().end());
  const auto more = random_tokens(20, 2);
  longer.insert(longer.end(), more.begin(), more.end());
  const auto prefill = one->prefill(longer, {});
  ASSERT_TRUE(prefill.ok());
  EXPECT_EQ(prefill->tokens, 88);
  EXPECT_EQ(prefill->reused, 67);  // all but the token that was sampled last and never run
  std::vector<int32_t> continued;
  generate(*one, greedy(8), continued);

  auto fresh = session();
  EXPECT_EQ(answer(*fresh, longer, greedy(8)), continued);
}

TEST_F(SessionTest, APromptThatIsWhollyCachedStillGivesLogits) {
  open();
  auto one = session();
  const auto prompt = random_tokens(30);
  const auto first = answer(*one, prompt, greedy(5));
  const auto again = one->prefill(prompt, {});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->reused, 29);
  std::vector<int32_t> second;
  generate(*one, greedy(5), second);
  EXPECT_EQ(first, second);
}

TEST_F(SessionTest, TheChunkOfAPromptDoesNotMatter) {
  open("tiny-odd", "q8_0");
  const auto prompt = random_tokens(100);
  auto whole = session();
  const auto expected = answer(*whole, prompt, greedy(10));
  for (const int64_t chunk : {1, 7, 64}) {
    auto cut = session({.context = 0, .kv_format = kKvF16, .chunk = chunk});
    EXPECT_EQ(answer(*cut, prompt, greedy(10)), expected) << "chunk " << chunk;
  }
}

TEST_F(SessionTest, RefusesWhatDoesNotFitAndSaysTheNumbers) {
  open();
  auto small = session({.context = 32, .kv_format = kKvF16, .chunk = 16});
  const auto refused = small->prefill(random_tokens(40), {});
  ASSERT_FALSE(refused.ok());
  for (const char* part : {"40", "32", "by 9 tokens"}) {
    EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
  }
  EXPECT_FALSE(small->prefill({}, {}).ok());
  EXPECT_FALSE(small->generate(greedy(1), {}).ok()) << "nothing was prefilled";
  EXPECT_TRUE(small->prefill(random_tokens(31), {}).ok());
}

TEST_F(SessionTest, EndsWhereTheContextEnds) {
  open();
  auto small = session({.context = 32, .kv_format = kKvF16, .chunk = 16});
  const auto tokens = answer(*small, random_tokens(20), greedy(-1));
  EXPECT_EQ(tokens.size(), 12u);
  EXPECT_EQ(report_.reason, FinishReason::kContext);
}

TEST_F(SessionTest, EndsAfterAsManyTokensAsAskedFor) {
  open();
  auto one = session();
  EXPECT_EQ(answer(*one, random_tokens(5), greedy(3)).size(), 3u);
  EXPECT_EQ(report_.reason, FinishReason::kLength);
  EXPECT_EQ(answer(*one, random_tokens(5), greedy(0)).size(), 0u);
  EXPECT_EQ(report_.reason, FinishReason::kLength);
}

TEST_F(SessionTest, StopStringsEndTheTextBeforeThem) {
  open();
  auto one = session();
  std::string text;
  const auto prompt = random_tokens(5);
  ASSERT_TRUE(one->prefill(prompt, {}).ok());
  ASSERT_TRUE(one->generate(greedy(20), [&](const TokenEvent& e) { return text += e.text, true; }).ok());
  ASSERT_GT(text.size(), 8u);
  GenerateOptions options = greedy(20);
  options.stop = {text.substr(4, 3)};
  std::string stopped;
  ASSERT_TRUE(one->prefill(prompt, {}).ok());
  const auto report = one->generate(options, [&](const TokenEvent& e) { return stopped += e.text, true; });
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->reason, FinishReason::kStopString);
  EXPECT_EQ(report->stop_string, options.stop[0]);
  EXPECT_EQ(stopped, text.substr(0, text.find(options.stop[0])));
}

TEST_F(SessionTest, CanBeCancelledWhileReadingAndWhileAnswering) {
  open();
  auto one = session({.context = 0, .kv_format = kKvF16, .chunk = 16});
  std::atomic<bool> cancel{false};
  const auto prompt = random_tokens(100);
  const auto half = one->prefill(prompt, {&cancel, [&](int64_t done, int64_t) { cancel = done >= 32; }});
  ASSERT_TRUE(half.ok());
  EXPECT_TRUE(half->cancelled);
  EXPECT_EQ(one->tokens().size(), 32u);
  EXPECT_FALSE(one->generate(greedy(1), {}).ok());

  cancel = false;
  const auto whole = one->prefill(prompt, {&cancel, {}});
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->reused, 32);
  GenerateOptions options = greedy(50);
  options.cancel = &cancel;
  int64_t seen = 0;
  const auto report = one->generate(options, [&](const TokenEvent&) {
    cancel = ++seen == 5;
    return true;
  });
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->reason, FinishReason::kCancelled);
  EXPECT_EQ(report->tokens, 5);
}

TEST_F(SessionTest, TheSameSeedGivesTheSameText) {
  open();
  auto one = session();
  GenerateOptions options = greedy(30);
  options.sampling.temperature = 1;
  options.sampling.seed = 11;
  const auto first = answer(*one, random_tokens(10), options);
  EXPECT_EQ(answer(*one, random_tokens(10), options), first);
  options.sampling.seed = 12;
  EXPECT_NE(answer(*one, random_tokens(10), options), first);
}

TEST_F(SessionTest, GivesLogProbabilitiesWhenAsked) {
  open();
  auto one = session();
  GenerateOptions options = greedy(3);
  options.logprobs_top = 4;
  ASSERT_TRUE(one->prefill(random_tokens(10), {}).ok());
  int64_t events = 0;
  ASSERT_TRUE(one->generate(options,
                            [&](const TokenEvent& event) {
                              if (event.token < 0) return true;
                              EXPECT_NE(event.logprobs, nullptr);
                              EXPECT_EQ(event.logprobs->top.size(), 4u);
                              EXPECT_EQ(event.logprobs->top[0].token, event.token) << "greedy";
                              ++events;
                              return true;
                            })
                  .ok());
  EXPECT_EQ(events, 3);
}

TEST_F(SessionTest, ADecodedTokenAllocatesNothing) {
  open();
  auto one = session();
  PromptLookup lookup;
  for (DraftSource* draft : {static_cast<DraftSource*>(nullptr), static_cast<DraftSource*>(&lookup)}) {
    ASSERT_TRUE(one->prefill(random_tokens(40), {}).ok());
    GenerateOptions options = greedy(60);
    options.draft = draft;
    options.stop = {"something that does not come"};
    options.sampling.temperature = 1;  // the longer way through the sampler
    options.sampling.repetition_penalty = 1.1;
    int64_t seen = 0;
    const auto report = one->generate(options, [&](const TokenEvent&) {
      // The first tokens may grow what is reused afterwards.
      if (++seen == 10) g_counting = true;
      if (seen == 50) g_counting = false;
      return true;
    });
    g_counting = false;
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(g_allocations.exchange(0), 0) << (draft == nullptr ? "plain" : "with prompt lookup");
  }
}

}  // namespace
}  // namespace andiron
