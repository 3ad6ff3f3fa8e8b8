#include "data/choices.h"

#include <gtest/gtest.h>

#include "base/test_folder.h"
#include "data/byte_tokenizer.h"
#include "data/encode.h"

namespace andiron {
namespace {

class LoadChoices : public testing::Test {
 protected:
  Result<ChoiceSet> load(std::string_view text, int64_t seq_len = 200) {
    return load_choices({folder_.write("quiz.jsonl", text)}, tokenizer_, "model", seq_len);
  }
  // What is trained of a row, spelt out.
  std::string answer_of(const TokenRow& row) const {
    std::vector<int32_t> tokens;
    for (size_t i = 0; i < row.tokens.size(); ++i) {
      if (row.trained[i] != 0) tokens.push_back(row.tokens[i]);
    }
    return tokenizer_.decode(tokens, true);
  }

  TestFolder folder_;
  Tokenizer tokenizer_ = byte_tokenizer();
};

TEST_F(LoadChoices, AQuestionIsARowForEachChoice) {
  const auto set = load(
      "{\"question\": \"A tree?\", \"choices\": [\"cat\", \"oak\", \"rain\"], \"answer\": \"oak\"}\n"
      "{\"messages\": [{\"role\": \"user\", \"content\": \"2 + 2?\"}], \"choices\": [\"4\", \"5\"], \"answer\": 0}\n"
      "{\"prompt\": \"Hi\", \"chosen\": \"Hello.\", \"rejected\": \"Go away.\"}\n");
  ASSERT_TRUE(set.ok()) << set.error().message;
  ASSERT_EQ(set->questions.size(), 3U);
  ASSERT_EQ(set->rows.rows.size(), 7U);
  const std::string end = "<|im_end|>";
  const std::string expected[] = {"cat", "oak", "rain", "4", "5", "Hello.", "Go away."};
  for (size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(answer_of(set->rows.rows[i]), expected[i] + end) << "the answer and its end, and nothing of the prompt";
  }
  const size_t first[] = {0, 3, 5}, count[] = {3, 2, 2}, right[] = {1, 0, 0};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(set->questions[i].first, first[i]);
    EXPECT_EQ(set->questions[i].count, count[i]);
    EXPECT_EQ(set->questions[i].right, right[i]);
  }
  EXPECT_EQ(set->report.rows_used, 3);
}

// As load_data makes of the same conversation: what is measured is what would be trained.
TEST_F(LoadChoices, RowsAreThoseOfTraining) {
  const auto set = load("{\"question\": \"A tree?\", \"choices\": [\"oak\", \"cat\"], \"answer\": 0}\n");
  ASSERT_TRUE(set.ok()) << set.error().message;
  const auto encoder = ExampleEncoder::create(tokenizer_, "model", {});
  Example example;
  example.kind = Example::Kind::kCompletion;
  example.prompt = "A tree?";
  example.completion = "oak";
  const auto trained = encoder->encode(example);
  ASSERT_TRUE(trained.ok());
  EXPECT_EQ(set->rows.rows[0].tokens, trained->rows[0].tokens);
  EXPECT_EQ(set->rows.rows[0].trained, trained->rows[0].trained);
}

TEST_F(LoadChoices, WhatCannotBeUsedIsCounted) {
  const std::string good = "{\"question\": \"A tree?\", \"choices\": [\"oak\", \"cat\"], \"answer\": 0}\n";
  const auto set =
      load(good + good + "{\"question\": \"q\", \"choices\": [\"x\"], \"answer\": 0}\n" +
           "{\"question\": \"q\", \"choices\": [\"x\", \"" + std::string(300, 'y') + "\"], \"answer\": 0}\n");
  ASSERT_TRUE(set.ok()) << set.error().message;
  EXPECT_EQ(set->questions.size(), 1U);
  EXPECT_EQ(set->report.duplicates(), 1);
  ASSERT_EQ(set->report.bad(), 1);
  EXPECT_EQ(set->report.files[0].bad.examples[0].line, 3);
  EXPECT_EQ(set->report.too_long.count, 1) << "all choices of a question, or none";
  EXPECT_EQ(set->report.too_long.examples[0].line, 4);
}

TEST_F(LoadChoices, NothingLeftIsAnErrorThatSaysWhy) {
  const auto set = load("{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}]}\n");
  ASSERT_FALSE(set.ok());
  EXPECT_NE(set.error().message.find("there is no question with choices"), std::string::npos) << set.error().message;
  EXPECT_NE(set.error().message.find("quiz.jsonl:1: \"choices\" is not a list"), std::string::npos)
      << set.error().message;
}

}  // namespace
}  // namespace andiron
