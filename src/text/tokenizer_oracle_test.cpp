// Our own texts with the ids that @huggingface/tokenizers 0.2.0 gives for them (tokenizer_oracle_vectors.jsonl), for
// the vocabularies that are shared. Each line names some of: smollm and tinystories (tokenizer.json), qwen2 and
// llama-bpe (GGUF; the oracle read the tokenizer.json of Qwen3 and Llama 3.1, which have the same vocabularies).
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/strings.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"
#include "text/vocab_test_files.h"

namespace andiron {
namespace {

Result<TokenizerSpec> shared_spec(const std::string& name) {
  if (name == "smollm") {
    return spec_from_tokenizer_json(read_whole(shared_data("tokenizers/smollm.tokenizer.json")), "", name);
  }
  if (name == "tinystories") {
    const std::string folder = shared_data("models/tinystories-656k/");
    return spec_from_tokenizer_json(read_whole(folder + "tokenizer.json"), read_whole(folder + "tokenizer_config.json"),
                                    name, read_whole(folder + "special_tokens_map.json"));
  }
  return spec_of_file(shared_data(format("tokenizers/vocab/ggml-vocab-{}.gguf", name)));
}

std::vector<Json> oracle_lines() {
  std::vector<Json> out;
  std::istringstream lines(read_whole(ANDIRON_SOURCE_DIR "/src/text/tokenizer_oracle_vectors.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    auto json = parse_json(line, "tokenizer_oracle_vectors.jsonl");
    EXPECT_TRUE(json.ok());
    if (json.ok()) out.push_back(std::move(*json));
  }
  return out;
}

// Checks every vector of `name`; returns how many there were.
int check(const Tokenizer& tokenizer, const std::string& name) {
  int count = 0;
  for (const Json& line : oracle_lines()) {
    const Json* ids = line.find(name);
    if (ids == nullptr) continue;
    std::vector<int32_t> expected;
    for (const Json& id : ids->items()) expected.push_back(static_cast<int32_t>(id.as_int()));
    const std::string& text = line.find("text")->as_string();
    EXPECT_EQ(tokenizer.encode(text, {.add_special = false, .parse_special = true}), expected) << in_quotes(text);
    ++count;
  }
  return count;
}

class TokenizerOracle : public testing::TestWithParam<const char*> {};

TEST_P(TokenizerOracle, AgreesOnEveryText) {
  const std::string name = GetParam();
  const std::string folder = shared_data(name == "tinystories" ? "models/tinystories-656k" : "tokenizers");
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is absent";
  auto spec = shared_spec(name);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  const auto tokenizer = Tokenizer::create(*spec);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_GE(check(*tokenizer, name), 140);

  // The same tokenizer after a journey through GGUF metadata.
  const TestMetadata metadata(metadata_from_spec(*spec));
  auto again = spec_from_metadata(metadata, name);
  ASSERT_TRUE(again.ok()) << again.error().message;
  const auto tokenizer_again = Tokenizer::create(std::move(*again));
  ASSERT_TRUE(tokenizer_again.ok()) << tokenizer_again.error().message;
  EXPECT_GE(check(*tokenizer_again, name), 140);
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerOracle, testing::Values("smollm", "tinystories", "qwen2", "llama-bpe"));

// A program that reads only a SentencePiece model's scores, not its merges, must get the same ids.
TEST(TokenizerOracle, ScoresSayTheSameAsMerges) {
  const std::string folder = shared_data("models/tinystories-656k");
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is absent";
  auto spec = shared_spec("tinystories");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  spec->merge_left = {};
  spec->merge_right = {};
  const auto tokenizer = Tokenizer::create(std::move(*spec));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_GE(check(*tokenizer, "tinystories"), 140);
}

}  // namespace
}  // namespace andiron
