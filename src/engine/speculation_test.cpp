#include "engine/speculation.h"

#include "engine/engine_fixture.h"

namespace andiron {
namespace {

std::vector<int32_t> guesses(PromptLookup& lookup, const std::vector<int32_t>& tokens, int64_t count) {
  const auto found = lookup.propose(tokens, count);
  EXPECT_TRUE(found.ok());
  return {found->begin(), found->end()};
}

TEST(PromptLookup, TakesWhatFollowedTheLongestMatch) {
  PromptLookup lookup(2, 8);
  struct Case {
    const char* what;
    std::vector<int32_t> tokens, expected;
  };
  const std::vector<Case> cases = {
      {"a text without repetition", {1, 2, 3, 4}, {}},
      {"one token is too short a match", {1, 2, 3, 1}, {}},
      {"two are enough", {1, 2, 3, 4, 1, 2}, {3, 4, 1}},
      {"the longer match wins over the later", {7, 1, 2, 5, 9, 1, 2, 6, 7, 1, 2}, {5, 9, 1}},
      {"of equal ones the later wins", {1, 2, 5, 1, 2, 6, 1, 2}, {6, 1, 2}},
      {"a match may overlap the end", {4, 4, 4, 4}, {4}},
      {"one token alone", {1}, {}},
  };
  for (const Case& c : cases) EXPECT_EQ(guesses(lookup, c.tokens, 3), c.expected) << c.what;
}

TEST(PromptLookup, StaysInStepWhenAWordIsReplaced) {
  PromptLookup lookup(2, 8);
  std::vector<int32_t> tokens = {11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 99, 11, 12, 13, 14, 15, 16, 17};
  EXPECT_EQ(guesses(lookup, tokens, 2), (std::vector<int32_t>{18, 19}));
  tokens.push_back(50);  // in place of 18
  EXPECT_EQ(guesses(lookup, tokens, 2), (std::vector<int32_t>{19, 20}));
  for (const int32_t other : {51, 52, 53}) tokens.push_back(other);
  EXPECT_EQ(guesses(lookup, tokens, 2), (std::vector<int32_t>{11, 12})) << "four of eight agree";
  tokens.push_back(54);
  EXPECT_EQ(guesses(lookup, tokens, 2), std::vector<int32_t>()) << "another text by now";
}

TEST(DraftLength, FillsOnePassAndGoesBeyondOnlyAfterSuccess) {
  DraftLength length;
  const int64_t usual = length.next();
  EXPECT_EQ(usual, kStreamTokensMax - 1);
  length.record(usual, usual);
  EXPECT_EQ(length.next(), usual) << "one success may be luck";
  length.record(usual, usual);
  EXPECT_EQ(length.next(), kDraftTokensMax);
  length.record(kDraftTokensMax, kDraftTokensMax - 1);
  EXPECT_EQ(length.next(), usual);
  length.record(usual, 1);
  EXPECT_LT(length.next(), usual);
  length.record(0, 0);
  EXPECT_LT(length.next(), usual) << "no guess says nothing";
  length.record(length.next(), length.next());
  EXPECT_EQ(length.next(), usual);
}

// A source that is right, wrong or silent by turns.
class Scripted : public DraftSource {
 public:
  Scripted(std::vector<int32_t> truth, size_t prompt) : truth_(std::move(truth)), prompt_(prompt) {}
  Result<std::span<const int32_t>> propose(std::span<const int32_t> tokens, int64_t count) override {
    guesses_.clear();
    const size_t at = tokens.size() - prompt_;
    const int64_t right = static_cast<int64_t>(turn_ % 5);
    if (turn_++ % 4 == 3) return std::span<const int32_t>();
    for (int64_t i = 0; i < count; ++i) {
      const size_t place = at + static_cast<size_t>(i);
      const int32_t token = place < truth_.size() ? truth_[place] : 5;
      guesses_.push_back(i < right ? token : token ^ 1);
    }
    return std::span<const int32_t>(guesses_);
  }

 private:
  std::vector<int32_t> truth_;
  size_t prompt_, turn_ = 0;
  std::vector<int32_t> guesses_;
};

class SpeculationTest : public EngineTest {
 protected:
  std::vector<int32_t> answer(const std::vector<int32_t>& prompt, GenerateOptions options, DraftSource* draft) {
    auto one = session();
    EXPECT_TRUE(one->prefill(prompt, {}).ok());
    options.draft = draft;
    std::vector<int32_t> tokens;
    const auto report = one->generate(options, [&](const TokenEvent& event) {
      if (event.token >= 0) tokens.push_back(event.token);
      return true;
    });
    EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message);
    report_ = *report;
    return tokens;
  }
  GenerateReport report_;
};

TEST_F(SpeculationTest, GuessesChangeNothingButTheNumberOfRuns) {
  for (const char* mix : {"q4_0", "f32", "q4_k_m"}) {
    open("tiny", mix);
    const auto prompt = random_tokens(40);
    for (const double temperature : {0.0, 1.0}) {
      GenerateOptions options;
      options.sampling.temperature = temperature;
      options.sampling.seed = 3;
      options.sampling.repetition_penalty = 1.2;
      options.tokens_max = 80;
      options.ignore_end = true;
      const auto plain = answer(prompt, options, nullptr);
      ASSERT_EQ(plain.size(), 80u);
      EXPECT_EQ(report_.runs, 79);

      Scripted scripted(plain, prompt.size());
      EXPECT_EQ(answer(prompt, options, &scripted), plain) << mix << ", temperature " << temperature;
      EXPECT_LT(report_.runs, 79);
      EXPECT_GT(report_.draft_accepted, 0);
      EXPECT_GT(report_.drafted, report_.draft_accepted);

      PromptLookup lookup(1);
      EXPECT_EQ(answer(prompt, options, &lookup), plain) << mix << ", temperature " << temperature;
    }
  }
}

TEST_F(SpeculationTest, AModelThatGuessesForItselfIsAlwaysRight) {
  open("tiny", "q8_0");
  const auto prompt = random_tokens(30);
  GenerateOptions options;
  options.sampling.temperature = 0;
  options.tokens_max = 60;
  options.ignore_end = true;
  const auto plain = answer(prompt, options, nullptr);
  auto draft = DraftModel::create(model_, kernels_, team_, 512);
  ASSERT_TRUE(draft.ok()) << draft.error().message;
  EXPECT_EQ(answer(prompt, options, draft->get()), plain);
  EXPECT_EQ(report_.draft_accepted, report_.drafted);
}

// "tiny-odd" has 400 tokens, "tiny" 512.
TEST_F(SpeculationTest, ADraftModelIsSilentAboutATokenItLacks) {
  open("tiny", "q8_0");
  auto draft = DraftModel::create(load(write_model("tiny-odd", "q8_0")), kernels_, team_, 256);
  ASSERT_TRUE(draft.ok()) << draft.error().message;
  for (const auto& tokens : {std::vector<int32_t>{1, 300, 450}, {450, 300}, {1, 300, -1}}) {
    const auto none = (*draft)->propose(tokens, 4);
    ASSERT_TRUE(none.ok()) << none.error().message;
    EXPECT_TRUE(none->empty());
  }
  EXPECT_TRUE((*draft)->propose(std::vector<int32_t>{1, 300, 399}, 4).ok());
}

TEST_F(SpeculationTest, ADraftModelGuessesOnlyWhatItIsSureOf) {
  open("tiny", "q8_0");
  const auto other = load(write_model("tiny", "q8_0", /*seed=*/2));
  auto draft = DraftModel::create(other, kernels_, team_, 512);
  ASSERT_TRUE(draft.ok()) << draft.error().message;
  GenerateOptions options;
  options.sampling.temperature = 0;
  options.tokens_max = 40;
  options.ignore_end = true;
  const auto prompt = random_tokens(30);
  EXPECT_EQ(answer(prompt, options, draft->get()), answer(prompt, options, nullptr));
}

}  // namespace
}  // namespace andiron
