#include "text/pre_token_counter.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>

#include "base/thread_team.h"

namespace andiron {
namespace {

using Counts = std::map<std::string, int64_t>;

Counts as_map(const PreTokenCounts& counts) {
  Counts out;
  for (size_t i = 0; i < counts.texts.size(); ++i) {
    if (i > 0) {
      EXPECT_LT(counts.texts[i - 1], counts.texts[i]);
    }
    out[std::string(counts.texts[i])] = counts.counts[i];
  }
  return out;
}

Counts count(std::string_view text, const BpeTrainOptions& options) {
  auto counter = PreTokenCounter::create(options, 1).value();
  counter.add(text, 0);
  return as_map(counter.take().value());
}

TEST(PreTokenCounter, CountsWhatThePreTokenizerSplits) {
  EXPECT_EQ(count("It's 12, it's 12!", {.pre = "qwen2"}),
            (Counts{{"It", 1}, {"'s", 2}, {" ", 2}, {"1", 2}, {"2", 2}, {",", 1}, {" it", 1}, {"!", 1}}));
  EXPECT_EQ(count("It's 12, it's 12!", {.pre = "gpt-2"}),
            (Counts{{"It", 1}, {"'s", 2}, {" 12", 2}, {",", 1}, {" it", 1}, {"!", 1}}));
  EXPECT_EQ(count("", {}), Counts{});
  EXPECT_EQ(count("\xff\xfe", {}), (Counts{{"\xff\xfe", 1}}));  // any bytes
}

TEST(PreTokenCounter, SpecialTokensAreCutOut) {
  const BpeTrainOptions options{.special_tokens = {"<|end|>", "<|", "<|user|>"}};
  EXPECT_EQ(count("Hi<|end|><|user|>Hi <|x", options), (Counts{{"Hi", 2}, {" ", 1}, {"x", 1}}));
  EXPECT_EQ(count("<|end|>", options), Counts{});
  EXPECT_EQ(count("<|END|>", {.special_tokens = {"<|end|>"}}), (Counts{{"<|", 1}, {"END", 1}, {"|>", 1}}));
}

TEST(PreTokenCounter, TheSameForAnyDivisionOfWork) {
  std::string words;
  for (int i = 0; i < 300; ++i) words += " word" + std::to_string(i * i % 97) + (i % 7 == 0 ? "\n" : ",");
  const Counts expected = count(words + words, {});
  for (const int workers : {1, 2, 3}) {
    auto counter = PreTokenCounter::create({}, workers).value();
    counter.add(words, 0);
    counter.add(words, workers - 1);
    EXPECT_EQ(as_map(counter.take().value()), expected);
    EXPECT_EQ(as_map(counter.take().value()), Counts{});  // nothing is left
  }
  ThreadTeam team(3);
  auto counter = PreTokenCounter::create({}, team.size()).value();
  team.parallel_for(20, [&](int64_t, int worker) { counter.add(words, worker); });
  Counts many = expected;
  for (auto& [text, times] : many) times *= 10;
  EXPECT_EQ(as_map(counter.take().value()), many);
}

}  // namespace
}  // namespace andiron
