#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"
#include "base/strings.h"
#include "text/pre_names.h"

namespace andiron {
namespace {

std::string pieces(const std::vector<PreStage>& stages, std::string_view text) {
  const auto pre_tokenizer = PreTokenizer::create(stages, "test");
  if (!pre_tokenizer.ok()) return pre_tokenizer.error().message;
  std::vector<TextSpan> spans;
  pre_tokenizer->split(text, [&](TextSpan span) { spans.push_back(span); });
  std::string out;
  for (const TextSpan& span : spans) {
    if (!out.empty()) out += '|';
    out += text.substr(span.begin, span.end - span.begin);
  }
  return out;
}

PreStage stage(const char* pattern, PreStage::Behavior behavior, bool invert = false) {
  PreStage out;
  out.pattern = pattern;
  out.behavior = behavior;
  out.invert = invert;
  return out;
}

// The example of Hugging Face's documentation of SplitDelimiterBehavior, "the-final--countdown" cut at "-".
TEST(PreTokenizer, BehaviorsAreThoseOfSplit) {
  using Behavior = PreStage::Behavior;
  const std::string_view text = "the-final--countdown";
  EXPECT_EQ(pieces({stage("-", Behavior::kRemoved)}, text), "the|final|countdown");
  EXPECT_EQ(pieces({stage("-", Behavior::kIsolated)}, text), "the|-|final|-|-|countdown");
  EXPECT_EQ(pieces({stage("-", Behavior::kMergedWithPrevious)}, text), "the-|final-|-|countdown");
  EXPECT_EQ(pieces({stage("-", Behavior::kMergedWithNext)}, text), "the|-final|-|-countdown");
  EXPECT_EQ(pieces({stage("-", Behavior::kContiguous)}, text), "the|-|final|--|countdown");
  EXPECT_EQ(pieces({stage("[a-z]+", Behavior::kRemoved, true)}, text), "the|final|countdown");
}

TEST(PreTokenizer, StagesRunOnWhatEarlierOnesLeft) {
  EXPECT_EQ(pieces({}, "as it is"), "as it is");
  EXPECT_EQ(pieces({}, ""), "");
  const auto isolated = PreStage::Behavior::kIsolated;
  EXPECT_EQ(pieces({stage("\\p{N}", isolated), stage("a+", isolated)}, "aa12ba"), "aa|1|2|b|a");
  // A look-ahead sees no further than its piece.
  EXPECT_EQ(pieces({stage("b", isolated), stage("a(?!b)", isolated)}, "xab"), "x|a|b");
}

TEST(PreTokenizer, DigitsInThreesFromTheRight) {
  PreStage triples;
  triples.kind = PreStage::Kind::kDigitTriples;
  EXPECT_EQ(pieces({triples}, "1234567"), "1|234|567");
  EXPECT_EQ(pieces({triples}, "123456"), "123|456");
  EXPECT_EQ(pieces({triples}, "ab123 45"), "ab|123 45");
  PreStage before_end;
  before_end.kind = PreStage::Kind::kDigitTriplesBeforeEnd;
  EXPECT_EQ(pieces({before_end}, "a 1234567!"), "a |1|234|567|!");
  EXPECT_EQ(pieces({before_end}, "1234567kg 12"), "1234567kg |12");
  EXPECT_EQ(pieces({before_end}, "x12345"), "x|12|345");
}

struct NamedCase {
  const char* name;
  const char* text;
  const char* expected;
};

// Hand-derived from the published patterns: what sets each family apart.
TEST(PreTokenizer, NamedFamiliesSplitAsPublished) {
  const NamedCase cases[] = {
      {"gpt-2", "Hello, it's  12345 days\n\n", "Hello|,| it|'s| | 12345| days|\n\n"},
      {"gpt-2", "IT'S", "IT|'|S"},
      {"smollm", "in 123 days", "in| |1|2|3| days"},
      {"llama-bpe", "IT'S 12345 days!\n x", "IT|'S| |123|45| days|!\n| x"},
      {"qwen2", "a 123\r\n\r\n b", "a| |1|2|3|\r\n\r\n| b"},
      {"qwen2", "e\u0301t\u0301e", "e|\u0301t|\u0301e"},
      {"qwen35", "e\u0301t\u0301e", "e\u0301t\u0301e"},
      {"gpt-4o", "camelCase HTTPServer don't", "camel|Case| HTTPServer| don't"},
      {"tekken", "camelCase don't 12", "camel|Case| don|'t| |1|2"},
      {"deepseek-v3", "12345 don't \u4e2d\u6587abc", "123|45| don|'t| |\u4e2d\u6587|abc"},
      {"deepseek-llm", "a 123\n\nb", "a| |123|\n|\n|b"},
      {"deepseek-coder", "f(x) 12", "f|(|x|)| |1|2"},
      {"falcon", "a...b 12345", "a|...|b| |123|45"},
      {"bloom", "Hi, you", "Hi|,| you"},
      {"tiny_aya", "1234567", "1|234|567"},
      {"exaone-moe", "one two", "one two"},
      {"gemma4", "a b\n\nc", "a b|\n\n|c"},
  };
  for (const NamedCase& c : cases) {
    const PreFacts* facts = find_pre_tokenizer(c.name);
    ASSERT_NE(facts, nullptr) << c.name;
    EXPECT_EQ(pieces(facts->stages, c.text), c.expected) << c.name;
  }
}

constexpr const char* kNames[] = {"default",      "gpt-2",
                                  "phi-2",        "jina-v2-es",
                                  "roberta-bpe",  "mpt",
                                  "olmo",         "smollm",
                                  "starcoder",    "refact",
                                  "command-r",    "falcon",
                                  "llama-bpe",    "llama3",
                                  "llama-v3",     "dbrx",
                                  "chatglm-bpe",  "glm4",
                                  "qwen2",        "deepseek-r1-qwen",
                                  "stablelm2",    "qwen35",
                                  "minicpm5",     "ufakzeka",
                                  "seed-coder",   "bailingmoe",
                                  "exaone-moe",   "jais-2",
                                  "laguna",       "gpt-4o",
                                  "llama4",       "granite-embed-multi-97m",
                                  "tekken",       "tiny_aya",
                                  "youtu",        "deepseek-v3",
                                  "deepseek-llm", "deepseek-coder",
                                  "spark2_5",     "bloom",
                                  "viking",       "superbpe",
                                  "gemma4"};

TEST(PreTokenizer, EveryNameCompilesAndLosesNothing) {
  const RandomStream random(11);
  const std::string_view alphabet[] = {"a",    "B",        "\u00e9", "\u0301", "'s",     "'LL",    "1",
                                       "23",   "\u0663",   " ",      "  ",     "\n",     "\r\n",   "\t",
                                       "!",    "...",      "\u3002", "\u4e2d", "\u3042", "\uac00", "\U0001f600",
                                       "\xff", "\xe4\xb8", "\u00a0", "_",      "/"};
  for (const char* name : kNames) {
    const PreFacts* facts = find_pre_tokenizer(name);
    ASSERT_NE(facts, nullptr) << name;
    const auto pre_tokenizer = PreTokenizer::create(facts->stages, name);
    ASSERT_TRUE(pre_tokenizer.ok()) << pre_tokenizer.error().message;
    std::vector<TextSpan> spans;
    for (uint64_t round = 0; round < 50; ++round) {
      std::string text;
      for (uint64_t i = 0; i < 40; ++i) text += alphabet[random.bits(round << 8 | i) % std::size(alphabet)];
      spans.clear();
      pre_tokenizer->split(text, [&](TextSpan span) { spans.push_back(span); });
      size_t at = 0;
      for (const TextSpan& span : spans) {
        EXPECT_EQ(span.begin, at) << name;
        EXPECT_LT(span.begin, span.end) << name;
        at = span.end;
      }
      EXPECT_EQ(at, text.size()) << name;
    }
  }
}

TEST(PreTokenizer, StagesFindTheirNameAgain) {
  EXPECT_EQ(name_pre_tokenizer(find_pre_tokenizer("starcoder")->stages, false), "smollm");
  EXPECT_EQ(name_pre_tokenizer(find_pre_tokenizer("llama3")->stages, true), "llama-bpe");
  EXPECT_EQ(name_pre_tokenizer(find_pre_tokenizer("llama3")->stages, false), "dbrx");
  EXPECT_EQ(name_pre_tokenizer({}, false), "");
  EXPECT_EQ(find_pre_tokenizer("no such name"), nullptr);
  EXPECT_EQ(find_pre_tokenizer(""), find_pre_tokenizer("default"));
}

TEST(PreTokenizer, RefusesTooManyStagesAndBadPatterns) {
  EXPECT_NE(pieces(std::vector<PreStage>(17), "x").find("17 steps"), std::string::npos);
  EXPECT_NE(pieces({stage("(?<=a)b", PreStage::Behavior::kIsolated)}, "x").find("(?<=a)b"), std::string::npos);
}

}  // namespace
}  // namespace andiron
