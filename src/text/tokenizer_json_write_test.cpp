#include "text/tokenizer_json_write.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "base/random.h"
#include "text/bpe_trainer.h"
#include "text/chat_prompt.h"
#include "text/pre_token_counter.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_metadata.h"
#include "text/vocab_test_files.h"

namespace andiron {
namespace {

using Ids = std::vector<int32_t>;

constexpr std::string_view kText =
    "Once upon a time there was a hearth, and upon the hearth there was a fire. The fire was small, but it was "
    "'there'.\n"
    "\"What's there?\" asked the cat. \"There's a fire, there's the hearth\", said the dog 42 times.\n\n  Then: "
    "nothing.\n";
constexpr std::string_view kTemplate =
    "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>' }}{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}";

struct Trained {
  PreTokenCounts counts;
  BpeTrainer trainer;
};

Trained train(const BpeTrainOptions& options) {
  auto counter = PreTokenCounter::create(options, 1).value();
  counter.add(kText, 0);
  PreTokenCounts counts = counter.take().value();
  BpeTrainer trainer = BpeTrainer::create(counts, options).value();
  while (trainer.merge_next()) {
  }
  return {std::move(counts), std::move(trainer)};
}

const BpeTrainOptions kChat{
    .vocab_size = 290,
    .special_tokens = {"<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|pad|>"}};

TokenizerSpec chat_spec() {
  TokenizerSpec spec = train(kChat).trainer.spec();
  spec.bos = 0;
  spec.eos = 1;
  spec.pad = 5;
  spec.add_bos = true;
  spec.chat_template = kTemplate;
  return spec;
}

TokenizerSpec read_back(const TokenizerSpec& spec) {
  const auto files = tokenizer_files_from_spec(spec);
  EXPECT_TRUE(files.ok());
  auto again = spec_from_tokenizer_json(files->tokenizer_json, files->config_json, spec.source);
  EXPECT_TRUE(again.ok()) << again.error().message;
  return std::move(*again);
}

void expect_same(const TokenizerSpec& a, const TokenizerSpec& b) {
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.types, b.types);
  EXPECT_EQ(a.merge_left, b.merge_left);
  EXPECT_EQ(a.merge_right, b.merge_right);
  EXPECT_EQ(a.rules, b.rules);
  EXPECT_EQ(a.bos, b.bos);
  EXPECT_EQ(a.eos, b.eos);
  EXPECT_EQ(a.pad, b.pad);
  EXPECT_EQ(a.unk, b.unk);
  EXPECT_EQ(a.add_bos, b.add_bos);
  EXPECT_EQ(a.add_eos, b.add_eos);
  EXPECT_EQ(a.pre, b.pre);
  EXPECT_EQ(a.stages, b.stages);
  EXPECT_EQ(a.byte_level, b.byte_level);
  EXPECT_EQ(a.ignore_merges, b.ignore_merges);
  EXPECT_EQ(a.fuse_unknown, b.fuse_unknown);
  EXPECT_EQ(a.normalizations, b.normalizations);
  EXPECT_EQ(a.space_prefix, b.space_prefix);
  EXPECT_EQ(a.chat_template, b.chat_template);
}

TEST(TokenizerJsonWrite, ReadBackItIsTheSameTokenizer) {
  expect_same(chat_spec(), read_back(chat_spec()));
  TokenizerSpec both = chat_spec();
  both.add_eos = true;
  expect_same(both, read_back(both));
  // Names of every kind of stages: one pattern, several, digit triples, merges ignored.
  for (const char* pre :
       {"gpt-2", "smollm", "falcon", "default", "llama-bpe", "gpt-4o", "deepseek-llm", "deepseek-v3"}) {
    SCOPED_TRACE(pre);
    const TokenizerSpec spec = train({.vocab_size = 300, .pre = pre}).trainer.spec();
    expect_same(spec, read_back(spec));
  }
}

TEST(TokenizerJsonWrite, ThroughGgufItIsTheSameTokenizer) {
  const TokenizerSpec spec = read_back(chat_spec());
  const TestMetadata metadata(metadata_from_spec(spec));
  EXPECT_EQ(metadata.text("tokenizer.ggml.model"), "gpt2");
  EXPECT_EQ(metadata.text("tokenizer.ggml.pre"), "qwen2");
  EXPECT_EQ(metadata.integer("tokenizer.ggml.bos_token_id"), 0);
  EXPECT_EQ(metadata.integer("tokenizer.ggml.eos_token_id"), 1);
  EXPECT_EQ(metadata.integer("tokenizer.ggml.padding_token_id"), 5);
  EXPECT_EQ(metadata.boolean("tokenizer.ggml.add_bos_token"), true);
  EXPECT_EQ(metadata.text("tokenizer.chat_template"), kTemplate);
  const auto again = spec_from_metadata(metadata, "trained");
  ASSERT_TRUE(again.ok()) << again.error().message;
  expect_same(spec, *again);
}

TEST(TokenizerJsonWrite, EncodesAsTheTrainerDid) {
  const Trained trained = train(kChat);
  const auto tokenizer = Tokenizer::create(read_back(trained.trainer.spec())).value();
  int64_t tokens = 0;
  for (size_t i = 0; i < trained.counts.texts.size(); ++i) {
    const Ids ids = tokenizer.encode(trained.counts.texts[i]);
    EXPECT_EQ(ids, trained.trainer.segmentation(i)) << trained.counts.texts[i];
    tokens += static_cast<int64_t>(ids.size()) * trained.counts.counts[i];
  }
  EXPECT_EQ(static_cast<int64_t>(tokenizer.encode(kText).size()), tokens);
  EXPECT_EQ(trained.trainer.tokens(), tokens);
}

TEST(TokenizerJsonWrite, AnyBytesComeBack) {
  const auto tokenizer = Tokenizer::create(read_back(chat_spec())).value();
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(all)), all);
  const RandomStream random(11);
  for (uint64_t i = 0; i < 200; ++i) {
    std::string bytes(random.bits(i << 32) % 60, '\0');
    for (size_t k = 0; k < bytes.size(); ++k) bytes[k] = static_cast<char>(random.bits((i << 32) + k + 1));
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(bytes)), bytes);
  }
}

TEST(TokenizerJsonWrite, SpecialTokensAreWholeOrMereText) {
  const auto tokenizer = Tokenizer::create(read_back(chat_spec())).value();
  EXPECT_EQ(tokenizer.encode("<|user|><|end|>", {.parse_special = true}), (Ids{0, 3, 1}));
  for (const int32_t id : tokenizer.encode("<|user|>", {.add_special = false})) EXPECT_GT(id, 5);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("<|user|>")), "<|user|>");
  EXPECT_TRUE(tokenizer.is_end_of_generation(1));
}

TEST(TokenizerJsonWrite, TheChatTemplateWritesTheTokens) {
  const auto tokenizer = Tokenizer::create(read_back(chat_spec())).value();
  const auto chat = ChatPrompt::create(tokenizer, "test");
  ASSERT_TRUE(chat.ok()) << chat.error().message;
  const auto messages =
      parse_json(R"([{"role": "system", "content": "a"}, {"role": "user", "content": "b<|end|>"}])", "");
  const auto prompt = chat->render(*messages);
  ASSERT_TRUE(prompt.ok()) << prompt.error().message;
  EXPECT_EQ(prompt->text, "<|begin|><|system|>a<|end|><|user|>b<|end|><|end|><|assistant|>");
  Ids expected = {0, 2, tokenizer.id("a"), 1, 3, tokenizer.id("b")};
  for (const int32_t id : tokenizer.encode("b<|end|>", {.add_special = false})) {
    if (id != tokenizer.id("b")) expected.push_back(id);
  }
  expected.insert(expected.end(), {1, 4});
  EXPECT_EQ(chat->tokens(*prompt), expected);
}

TEST(TokenizerJsonWrite, ConfigSaysWhatOtherReadersAsk) {
  const auto files = tokenizer_files_from_spec(chat_spec());
  const Json config = parse_json(files->config_json, "config").value();
  EXPECT_EQ(config.member("bos_token").text_or(""), "<|begin|>");
  EXPECT_EQ(config.member("eos_token").text_or(""), "<|end|>");
  EXPECT_EQ(config.member("pad_token").text_or(""), "<|pad|>");
  EXPECT_EQ(config.member("chat_template").text_or(""), kTemplate);
  EXPECT_EQ(config.member("added_tokens_decoder").member("5").member("content").text_or(""), "<|pad|>");
  const Json json = parse_json(files->tokenizer_json, "tokenizer").value();
  EXPECT_EQ(json.member("added_tokens").items().size(), 6U);
  EXPECT_TRUE(json.member("added_tokens").items()[5].member("special").bool_or(false));
  EXPECT_EQ(json.member("model").member("vocab").members().size(), 290U);
  EXPECT_EQ(json.member("model").member("merges").items().size(), 290U - 256U - 6U);
  EXPECT_EQ(json.member("decoder").member("type").text_or(""), "ByteLevel");
}

TEST(TokenizerJsonWrite, WhatItCannotWriteItRefuses) {
  TokenizerSpec spec = chat_spec();
  spec.normalizations.push_back(Normalization::kNfc);
  EXPECT_FALSE(tokenizer_files_from_spec(spec).ok());
  spec = chat_spec();
  spec.model = TokenizerModel::kSentencePiece;
  EXPECT_FALSE(tokenizer_files_from_spec(spec).ok());
}

}  // namespace
}  // namespace andiron
