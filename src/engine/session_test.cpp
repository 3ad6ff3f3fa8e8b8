#include "engine/session.h"

#include <atomic>
#include <cmath>
#include <regex>
#include <set>

#include "engine/allocation_fixture.h"
#include "engine/engine_fixture.h"
#include "model/random_stack.h"

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

// But for the cache's pages, one for 64 positions: what is counted lies in one of them, guesses included. Nor do the
// adapters that an answer wears allocate.
TEST_F(SessionTest, ADecodedTokenAllocatesNothing) {
  open();
  auto one = session();
  one->wear(random_stack(*model_, 1, folder_, team_));
  PromptLookup lookup;
  for (DraftSource* draft : {static_cast<DraftSource*>(nullptr), static_cast<DraftSource*>(&lookup)}) {
    ASSERT_TRUE(one->prefill(random_tokens(66), {}).ok());
    GenerateOptions options = greedy(60);
    options.draft = draft;
    options.stop = {"something that does not come"};
    options.sampling.temperature = 1;  // the longer way through the sampler
    options.sampling.repetition_penalty = 1.1;
    int64_t seen = 0;
    const auto report = one->generate(options, [&](const TokenEvent&) {
      // The first tokens may grow what is reused afterwards.
      if (++seen == 10) g_counting = true;
      if (seen == 40) g_counting = false;
      return true;
    });
    g_counting = false;
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(g_allocations.exchange(0), 0) << (draft == nullptr ? "plain" : "with prompt lookup");
  }
}

struct Answered {
  std::string text;
  std::vector<int32_t> tokens;
  GenerateReport report;
};

// Guesses the tokens of an answer that is known; every third of them wrong.
class KnownGuesses : public DraftSource {
 public:
  explicit KnownGuesses(std::vector<int32_t> prompt_and_answer) : known_(std::move(prompt_and_answer)) {}
  Result<std::span<const int32_t>> propose(std::span<const int32_t> tokens, int64_t count) override {
    guesses_.assign(known_.begin() + std::min(std::ssize(tokens), std::ssize(known_)), known_.end());
    guesses_.resize(std::min(static_cast<size_t>(count), guesses_.size()));
    for (size_t i = 0; i < guesses_.size(); ++i) {
      if ((tokens.size() + i) % 3 == 0) guesses_[i] = (guesses_[i] + 1) % 300;
    }
    return std::span<const int32_t>(guesses_);
  }

 private:
  std::vector<int32_t> known_, guesses_;
};

class GrammarSessionTest : public SessionTest {
 protected:
  Answered answer(Session& session, const GenerateOptions& options) {
    Answered out;
    EXPECT_TRUE(session.prefill(prompt_, {}).ok());
    const auto report = session.generate(options, [&](const TokenEvent& event) {
      out.text += event.text;
      if (event.token >= 0) out.tokens.push_back(event.token);
      return true;
    });
    EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message);
    if (report.ok()) out.report = *report;
    return out;
  }
  void open_and_ask() {
    open();
    prompt_ = random_tokens(20);
  }

  std::vector<int32_t> prompt_;
};

// A random model says anything; under a grammar it says what that allows, and ends where that ends. The same with
// guesses, right and wrong ones; another seed says something else.
TEST_F(GrammarSessionTest, AnswersMatchTheGrammar) {
  open_and_ask();
  const auto session = this->session();
  GenerateOptions options;
  options.grammar = grammar_of("root ::= (\"ba\" [0-9]{2,3} \";\"){3} \"\\u00e4\"", *tokenizer_);
  std::set<std::string> texts;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    options.sampling.seed = seed;
    options.draft = nullptr;
    const Answered plain = answer(*session, options);
    EXPECT_EQ(plain.report.reason, FinishReason::kStop);
    EXPECT_TRUE(std::regex_match(plain.text, std::regex("(ba[0-9]{2,3};){3}\u00e4"))) << plain.text;
    EXPECT_EQ(answer(*session, options).tokens, plain.tokens);
    texts.insert(plain.text);

    PromptLookup lookup;
    options.draft = &lookup;
    EXPECT_EQ(answer(*session, options).tokens, plain.tokens);
    std::vector<int32_t> known = prompt_;
    known.insert(known.end(), plain.tokens.begin(), plain.tokens.end());
    KnownGuesses guesses(known);
    options.draft = &guesses;
    const Answered guessed = answer(*session, options);
    EXPECT_EQ(guessed.tokens, plain.tokens);
    EXPECT_GT(guessed.report.draft_accepted, 0);
    EXPECT_LT(guessed.report.draft_accepted, guessed.report.drafted);
    EXPECT_LT(guessed.report.runs, guessed.report.tokens - 1);
  }
  EXPECT_GT(texts.size(), 5U);
}

// The token that ends an answer is as likely as can be: it comes as soon as the grammar lets it, and no sooner.
TEST_F(GrammarSessionTest, TheEndComesOnlyWhereTheGrammarMayEnd) {
  open_and_ask();
  const auto session = this->session();
  GenerateOptions options;
  int32_t end = 0;
  while (!tokenizer_->is_end_of_generation(end)) ++end;
  options.sampling.logit_bias.push_back({end, 1000.0F});
  for (const auto& [grammar, text] : {std::pair{"root ::= [0-9]{3,9}", "[0-9]{3}"}, {"root ::= \"x\"*", ""}}) {
    options.grammar = grammar_of(grammar, *tokenizer_);
    const Answered one = answer(*session, options);
    EXPECT_TRUE(std::regex_match(one.text, std::regex(text))) << one.text;
    ASSERT_FALSE(one.tokens.empty());
    EXPECT_EQ(one.tokens.back(), end);
    EXPECT_EQ(one.report.reason, FinishReason::kStop);
  }
  // Where nothing can follow, the model is not asked for that token; an answer cut short says so.
  options.grammar = grammar_of("root ::= [0-9]{3}", *tokenizer_);
  EXPECT_EQ(answer(*session, options).text.size(), 3U);
  EXPECT_FALSE(tokenizer_->is_end_of_generation(answer(*session, options).tokens.back()));
  options.grammar = grammar_of("root ::= \"\"", *tokenizer_);
  EXPECT_EQ(answer(*session, options).report.tokens, 0);
  options.grammar = grammar_of("root ::= [0-9]{3}", *tokenizer_);
  options.tokens_max = 1;
  EXPECT_EQ(answer(*session, options).report.reason, FinishReason::kLength);
}

TEST_F(SessionTest, AGrammarAndIgnoreEndExcludeOneAnother) {
  open();
  const auto session = this->session();
  ASSERT_TRUE(session->prefill(random_tokens(3), {}).ok());
  GenerateOptions options = greedy(3);
  options.grammar = grammar_of("root ::= \"a\"", *tokenizer_);
  EXPECT_FALSE(session->generate(options, {}).ok());
}

// The bias forbids the only token that the grammar allows.
TEST_F(SessionTest, NothingLeftToChooseIsAnError) {
  open();
  const auto session = this->session();
  ASSERT_TRUE(session->prefill(random_tokens(3), {}).ok());
  GenerateOptions options;
  options.grammar = grammar_of("root ::= \"\\x01\"", *tokenizer_);
  for (int32_t token = 0; token < tokenizer_->vocab_size(); ++token) {
    if (tokenizer_->piece(token) == "\x01") options.sampling.logit_bias.push_back({token, -INFINITY});
  }
  ASSERT_FALSE(options.sampling.logit_bias.empty());
  const auto report = session->generate(options, {});
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message.find("that the grammar allows"), std::string::npos) << report.error().message;
}

}  // namespace
}  // namespace andiron
