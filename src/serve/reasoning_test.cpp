#include "serve/reasoning.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "serve/answer_splitter.h"
#include "serve/split_fixture.h"

namespace andiron {
namespace {

using Lines = std::vector<std::string>;

Lines split(const AnswerStyle& style, const std::string& prompt, std::string_view answer) {
  AnswerSplitter::Options options;
  options.prompt = prompt;
  options.dropped = {"<|im_end|>"};
  const AnswerSplitter fresh(style, options);
  const Lines whole = described(feed(fresh, answer, 0));
  for (uint32_t seed = 1; seed < 20; ++seed) EXPECT_EQ(described(feed(fresh, answer, seed)), whole) << seed << answer;
  return whole;
}

const AnswerStyle kThink = {{"<think>", "</think>"}, {}};

TEST(Reasoning, IsSplitOff) {
  EXPECT_EQ(split(kThink, "", "<think>\nHm.\n\nSo.\n</think>\n\nYes."), (Lines{"think:Hm.\n\nSo.", "text:Yes."}));
  EXPECT_EQ(split(kThink, "..<think>\n", "Hm.</think>Yes <think>no</think>"),
            (Lines{"think:Hm.", "text:Yes <think>no</think>"}));
  EXPECT_EQ(split(kThink, "", "\n<think></think>Yes"), Lines{"text:Yes"});
  EXPECT_EQ(split(kThink, "<think>\n", "Hm.</think>Yes<|im_end|>"), (Lines{"think:Hm.", "text:Yes"}));
}

TEST(Reasoning, TextWithoutItStays) {
  for (const char* text : {"Yes.", " <thin", "<thinking>", "a <think>b</think>", "<", "\n\n"}) {
    EXPECT_EQ(split(kThink, "", text), Lines{std::string("text:") + text});
    EXPECT_EQ(split({}, "<think>", text), Lines{std::string("text:") + text});
  }
}

TEST(Reasoning, AnAnswerThatEndsWithin) {
  EXPECT_EQ(split(kThink, "", "<think>a </thi"), Lines{"think:a </thi"});
  EXPECT_EQ(split(kThink, "<think>", "a \n"), Lines{"think:a \n"});
}

TEST(Reasoning, PromptsThatOpenIt) {
  const ReasoningStyle style = {"<think>", "</think>"};
  EXPECT_TRUE(opens_reasoning("<|assistant|><think>", style));
  EXPECT_TRUE(opens_reasoning("<|assistant|><think>\n", style));
  EXPECT_FALSE(opens_reasoning("<|assistant|><think>\n</think>", style));
  EXPECT_FALSE(opens_reasoning("<think>a</think><|assistant|>", style));
  EXPECT_FALSE(opens_reasoning("", style));
  EXPECT_FALSE(opens_reasoning("<think>", {}));
  EXPECT_TRUE(
      opens_reasoning("Here are my reasoning steps:\n", {"Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]"}));
}

TEST(Reasoning, MarksOfTemplates) {
  const auto close = [](std::string_view source) { return find_reasoning_style(source).close; };
  EXPECT_EQ(close("{{ '<think>' }}{{ '</think>' }}"), "</think>");
  EXPECT_EQ(close("[THINK] [/THINK]"), "[/THINK]");
  EXPECT_EQ(close("<seed:think></seed:think>"), "</seed:think>");
  EXPECT_EQ(close("<|START_THINKING|><|END_THINKING|>"), "<|END_THINKING|>");
  EXPECT_EQ(close("nothing"), "");
}

TEST(Reasoning, PossibleMarks) {
  EXPECT_EQ(possible_mark("ab<th", {"<think>"}), 3u);
  EXPECT_EQ(possible_mark("ab<think>", {"<think>"}), 0u);
  EXPECT_EQ(possible_mark("<<", {"<think>", "<<x"}), 2u);
  EXPECT_EQ(possible_mark("", {"<think>"}), 0u);
}

}  // namespace
}  // namespace andiron
