// llama.cpp's own vectors for its vocabularies: the ids came from each model's original tokenizer.
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "base/strings.h"
#include "text/tokenizer.h"
#include "text/vocab_test_files.h"

namespace andiron {
namespace {

constexpr const char* kVocabularies[] = {"bert-bge", "deepseek-llm", "falcon", "gpt-2",  "llama-bpe", "llama-spm",
                                         "mpt",      "phi-3",        "qwen2",  "qwen35", "refact"};

class TokenizerVectors : public testing::TestWithParam<const char*> {};

TEST_P(TokenizerVectors, EveryTextGivesTheOriginalIds) {
  const std::string path = shared_data(format("tokenizers/vocab/ggml-vocab-{}.gguf", GetParam()));
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is absent";
  auto spec = spec_of_file(path);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  const auto tokenizer = Tokenizer::create(std::move(*spec));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;

  const std::string texts = read_whole(path + ".inp");
  std::istringstream answers(read_whole(path + ".out"));
  constexpr std::string_view kDivider = "\n__ggml_vocab_test__\n";
  std::string line;
  size_t at = 0;
  for (; std::getline(answers, line);) {
    const size_t end = std::min(texts.find(kDivider, at), texts.size());
    const std::string_view text = std::string_view(texts).substr(at, end - at);
    at = std::min(end + kDivider.size(), texts.size());
    std::istringstream numbers(line);
    std::vector<int32_t> expected;
    for (int32_t id = 0; numbers >> id;) expected.push_back(id);
    EXPECT_EQ(tokenizer->encode(text, {.add_special = false}), expected) << in_quotes(text);
  }
  EXPECT_EQ(at, texts.size());
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerVectors, testing::ValuesIn(kVocabularies));

}  // namespace
}  // namespace andiron
