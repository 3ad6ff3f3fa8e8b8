// The configuration of a model that is trained from nothing: what is read, and what is said of mistakes.
#include "train/pretrain_config.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "base/test_folder.h"

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

TEST_F(PretrainConfigTest, EveryKeyIsRead) {
  const auto config = parse(R"([model]
name = "m"
architecture = "qwen3"
width = 64
layers = 2
heads = 4
kv_heads = 2
head_dim = 32
feed_forward = 96
context = 128
tied = false
rope_base = 5e5
norm_eps = 1e-6
[tokenizer]
file = "tokenizer.json"
[data]
seq_len = 64
loss_on = "everything"
split_long = true
[data.weights]
"a.txt" = 2
b = 0.5
[train]
tokens = 100_000
batch = 256
lr = 2e-3
min_lr = 1e-5
warmup = 0.1
schedule = "wsd"
decay = 0.3
weight_decay = 0
clip = 2
optimizer = "muon"
momentum = 0.9
beta1 = 0.8
beta2 = 0.9
epsilon = 1e-7
seed = 7
compute = "f32"
held_out = 0.1
eval_every = 5
save_every = 6
)");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->model.name, "m");
  EXPECT_EQ(config->model.shape.kv_heads, 2);
  EXPECT_EQ(config->model.shape.head_dim, 32);
  EXPECT_FALSE(config->model.shape.tied);
  EXPECT_EQ(config->model.rope_base, 5e5);
  EXPECT_EQ(config->model.norm_epsilon, 1e-6);
  EXPECT_EQ(config->model.seed, 7U);
  EXPECT_EQ(config->seq_len, 64);
  EXPECT_EQ(config->loss_on, LossOn::kEverything);
  EXPECT_TRUE(config->split_long);
  EXPECT_EQ(config->weights, (std::map<std::string, double>{{"a.txt", 2}, {"b", 0.5}}));
  EXPECT_EQ(config->tokens, 100000);
  EXPECT_EQ(config->min_lr, 1e-5);
  EXPECT_EQ(config->schedule, Schedule::Kind::kWsd);
  EXPECT_EQ(config->decay, 0.3);
  EXPECT_EQ(config->optimizer.clip_norm, 2);
  EXPECT_TRUE(config->optimizer.muon);
  EXPECT_EQ(config->optimizer.momentum, 0.9F);
  EXPECT_EQ(config->optimizer.beta1, 0.8F);
  EXPECT_EQ(config->held_out, 0.1);
  EXPECT_EQ(config->eval_every, 5);
  EXPECT_EQ(config->save_every, 6);
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
  says("steps", "compute = \"int3\"", ":10: train.compute: expected ");
  says("steps", "optimizer = \"lion\"", ":10: train.optimizer: expected \"adamw\" or \"muon\", got \"lion\"");
  says("steps", "momentum = 0.9", ":10: train.momentum: it is muon's, and the optimizer is adamw");
  says("steps", "held_out = 0.9", ":10: train.held_out: expected a number from 0 to 0.5, got 0.9");
  says("none", "[data]\nseq_len = 129", ":13: data.seq_len: the context of the model is 128, and 129 is more");
  says("none", "[modle]", ":12: there is no table [modle]; there are model, tokenizer, data, data.weights, train");
  says("none", "[data.weights]\nx = -1", ":13: data.weights.x: expected a number from 0 to 1000, got -1");
  EXPECT_TRUE(refusal("seed = 3\n" + std::string(kConfig)).starts_with(":1: \"seed\" stands in no table; there are "));
  const std::string odd = refusal(with("feed_forward", "feed_forward = 80") + "compute = \"q8_0\"\n");
  EXPECT_NE(odd.find(":12: train.compute: q8_0 has blocks of 32, and 80 inputs"), std::string::npos) << odd;
  says("width", "width = = 3", ":2: ");
  says("width", "layers = 3", ":3: ");
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
