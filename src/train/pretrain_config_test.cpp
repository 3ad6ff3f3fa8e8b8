// The configuration of a model that is trained from nothing: what is read, and what is said of mistakes.
#include "train/pretrain_config.h"

#include <gtest/gtest.h>

#include <set>

#include "base/strings.h"
#include "base/test_folder.h"
#include "train/pretrain_config_keys.h"

namespace andiron {
namespace {

constexpr const char* kConfig = R"([model]
width = 64
layers = 2
heads = 4
feed_forward = 96
context = 128
[tokenizer]
file = "tokenizer.json"
[train]
steps = 10
batch = 256
)";

class PretrainConfigTest : public testing::Test {
 protected:
  PretrainConfigTest() { folder_.write("tokenizer.json", "{}"); }

  // The line with `key` (or, of a table that is to be added, none) replaced.
  std::string with(const std::string& key, const std::string& line) const {
    std::string out = kConfig;
    const size_t at = out.find(key + " =");
    if (at == std::string::npos) return out + line + "\n";
    return out.replace(at, out.find('\n', at) - at, line);
  }
  Result<PretrainConfig> parse(const std::string& text) const {
    return parse_pretrain_config(text, folder_.file("a.toml"));
  }
  std::string refusal(const std::string& text) const {
    const auto config = parse(text);
    if (config.ok()) return "";
    const std::string& message = config.error().message;
    const std::string file = folder_.file("a.toml");
    EXPECT_TRUE(message.starts_with(file)) << message;
    return message.substr(std::min(message.size(), file.size()));
  }

  TestFolder folder_;
};

TEST_F(PretrainConfigTest, WhatIsLeftOutHasUsualValues) {
  const auto config = parse(kConfig);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->model.shape.architecture, "llama");
  EXPECT_EQ(config->model.shape.head_dim, 16);
  EXPECT_EQ(config->model.shape.kv_heads, 4);
  EXPECT_TRUE(config->model.shape.tied);
  EXPECT_EQ(config->model.tokenizer, folder_.file("tokenizer.json"));
  EXPECT_EQ(config->seq_len, 128);
  EXPECT_EQ(config->steps, 10);
  EXPECT_FALSE(config->tokens);
  EXPECT_FALSE(config->min_lr);
  EXPECT_EQ(config->optimizer.beta2, 0.95F);
}

// Each key, changed, changes what it is called in the JSON that tells runs apart, and there is no other there.
TEST_F(PretrainConfigTest, EveryKeyIsRead) {
  const auto base = parse(config_text());
  ASSERT_TRUE(base.ok()) << base.error().message;
  const Json before = pretrain_config_json(*base);
  std::set<std::string_view> names, expected;
  for (const auto& [name, value] : before.members()) names.insert(name);
  for (const ConfigKey& key : kConfigKeys) {
    if (key.json.empty()) continue;
    expected.insert(key.json);
    const auto changed = parse(config_text(key.json));
    ASSERT_TRUE(changed.ok()) << changed.error().message;
    const Json after = pretrain_config_json(*changed);
    EXPECT_NE(before.member(key.json).dump(), after.member(key.json).dump()) << key.json;
  }
  EXPECT_EQ(names, expected);
}

// What changes no number.
TEST_F(PretrainConfigTest, TheOtherKeysAreReadToo) {
  folder_.write("chat.jinja", "{{ 1 }}");
  const auto config = parse(with("width", "width = 64\nname = \"m\"\nlicense = \"MIT\"") + "save_every = 6\n");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->model.name, "m");
  EXPECT_EQ(config->model.license, "MIT");
  EXPECT_EQ(config->save_every, 6);
  const auto chat = parse(with("file", "file = \"tokenizer.json\"\ntemplate = \"chat.jinja\""));
  ASSERT_TRUE(chat.ok()) << chat.error().message;
  EXPECT_EQ(chat->model.chat_template, folder_.file("chat.jinja"));
}

TEST_F(PretrainConfigTest, MistakesAreNamedWithTheirLine) {
  const auto says = [&](const std::string& key, const std::string& line, const std::string& expected) {
    const std::string message = refusal(with(key, line));
    EXPECT_TRUE(message.starts_with(expected)) << message;
  };
  says("width", "width = \"wide\"", ":2: model.width: expected a whole number from 8 to 1048576, got \"wide\"");
  says("width", "width = 64.5", ":2: model.width: expected a whole number from 8 to 1048576, got 64.5");
  says("width", "width = [64]", ":2: model.width: expected a whole number from 8 to 1048576, got a list");
  says("width", "width = 0", ":2: model.width: expected a whole number from 8 to 1048576, got 0");
  says("width", "", ":1: model.width: is missing");
  says("width", "width = 65", ":4: model.heads: a width of 65 cannot be split over 4 heads; say head_dim");
  says("width", "width = 36", ":4: model.heads: heads of 9 numbers cannot be rotated in pairs");
  says("heads", "heads = 4\nkv_heads = 3", ":5: model.kv_heads: 4 heads cannot share 3 key heads evenly");
  says("width", "wdith = 64", ":1: model.width: is missing");
  says("context", "context = 128\ncontxt = 3",
       ":7: model.contxt: there is no such key; there are architecture, name, ");
  says("context", "context = 128\narchitecture = \"mamba\"",
       ":7: model.architecture: the architecture \"mamba\" is not one of those without experts: llama, qwen2, qwen3");
  says("file", "file = \"none.json\"", ":8: tokenizer.file: there is no " + folder_.file("none.json"));
  says("file", "file = 3", ":8: tokenizer.file: expected a text in quotes, got 3");
  says("steps", "steps = 10\ntokens = 5", ":10: train.steps: tokens, epochs and steps exclude each other");
  says("batch", "batch = 100", ":11: train.batch: a step of 100 tokens has not room for one sequence of 128");
  says("steps", "schedule = \"steep\"", ":10: train.schedule: schedule \"steep\": expected cosine, linear");
  says("steps", "min_lr = 1", ":10: train.min_lr: 1 is more than lr, 0.001");
  says("steps", "steps = 2_000_000_000_000",
       ":10: train.steps: expected a whole number from 1 to 1099511627776, got 2000000000000");
  says("steps", "tokens = 2_000_000_000_000", ":10: train.tokens: expected a whole number from 1 to 1099511627776");
  says("steps", "compute = \"int3\"", ":10: train.compute: expected ");
  says("steps", "optimizer = \"lion\"", ":10: train.optimizer: expected \"adamw\" or \"muon\", got \"lion\"");
  says("steps", "momentum = 0.9", ":10: train.momentum: it is muon's, and the optimizer is adamw");
  says("steps", "held_out = 0.9", ":10: train.held_out: expected a number from 0 to 0.5, got 0.9");
  says("none", "[data]\nseq_len = 129", ":13: data.seq_len: the context of the model is 128, and 129 is more");
  says("none", "[modle]", ":12: there is no table [modle]; there are model, tokenizer, data, data.weights, train");
  says("none", "[data]\nprompt_weight = 1.5", ":13: data.prompt_weight: expected a number from 0 to 1, got 1.5");
  says("none", "[data]\nprompt_weight = -0.1", ":13: data.prompt_weight: expected a number from 0 to 1, got -0.1");
  says("none", "[data]\nprompt_weight = 0.1\nloss_on = \"everything\"",
       ":13: data.prompt_weight: it is for loss_on = \"answers\", and that is \"everything\"");
  says("none", "[data.weights]\nx = -1", ":13: data.weights.x: expected a number from 0 to 1000, got -1");
  EXPECT_TRUE(refusal("seed = 3\n" + std::string(kConfig)).starts_with(":1: \"seed\" stands in no table; there are "));
  const std::string odd = refusal(with("feed_forward", "feed_forward = 80") + "compute = \"q8_0\"\n");
  EXPECT_NE(odd.find(":12: train.compute: q8_0 has blocks of 32, and 80 inputs"), std::string::npos) << odd;
  says("width", "width = = 3", ":2: ");
  says("width", "layers = 3", ":3: ");
}

// A key of many dots is as many tables in tables.
TEST_F(PretrainConfigTest, DeepKeysAreRefused) {
  const auto deep = [](size_t bytes) {
    std::string key = "a";
    while (key.size() + 6 < bytes) key += ".a";
    return key + " = 1";
  };
  const std::string header = "[" + deep(40).substr(0, 33) + "]";
  for (const std::string& text : {deep(60 << 10), deep(16 << 10), deep(40), header, "a = { " + deep(15 << 10) + " }",
                                  std::string(kConfig) + "x = { " + deep(40) + " }"}) {
    const auto config = parse(text);
    EXPECT_FALSE(config.ok()) << text.size();
  }
  EXPECT_NE(refusal(deep(60 << 10)).find("larger than the 16.0 KiB allowed here"), std::string::npos);
  EXPECT_NE(refusal(deep(16 << 10)).find("tables in tables, more than 8 deep"), std::string::npos);
}

// No text makes it read beyond its end or say nothing.
TEST_F(PretrainConfigTest, EveryCutAndEveryFlipIsRefusedOrRead) {
  const std::string text = kConfig;
  for (size_t i = 0; i < text.size(); ++i) {
    for (const std::string& broken : {text.substr(0, i), text.substr(0, i) + char(text[i] ^ 0x15) + text.substr(i + 1),
                                      text.substr(0, i) + char(text[i] ^ 0x80) + text.substr(i + 1)}) {
      const auto config = parse(broken);
      if (config.ok()) continue;
      EXPECT_TRUE(config.error().message.starts_with(folder_.file("a.toml"))) << config.error().message;
    }
  }
}

}  // namespace
}  // namespace andiron
