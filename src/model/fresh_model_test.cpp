// Models of random weights: every dense family loads them, and the numbers are what the header says.
#include "model/fresh_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/strings.h"
#include "base/test_folder.h"
#include "model/model.h"
#include "model/tokenizer_source.h"
#include "text/tokenizer.h"

namespace andiron {
namespace {

// A byte-level tokenizer of four tokens.
constexpr const char* kTokenizer = R"({"version": "1.0", "added_tokens": [
  {"id": 3, "content": "<|end|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
  "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
  "post_processor": null, "decoder": {"type": "ByteLevel"},
  "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})";

class FreshModelTest : public testing::Test {
 protected:
  FreshModelTest() {
    model_.shape.layers = 8, model_.shape.width = 48, model_.shape.heads = 4, model_.shape.kv_heads = 2;
    model_.shape.head_dim = 16, model_.shape.feed_forward = 80;
    model_.name = "fresh";
    model_.context = 64;
    model_.tokenizer = folder_.write("tokenizer.json", kTokenizer);
    model_.seed = 5;
  }
  std::unique_ptr<ModelSource> source() {
    auto made = make_fresh_source(model_, "fresh");
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
    return made.ok() ? std::move(*made) : nullptr;
  }
  static std::vector<float> numbers(const ModelSource& source, const std::string& name) {
    std::vector<uint8_t> scratch;
    const auto bytes = source.whole(*source.find_tensor(name), scratch);
    std::vector<float> out(bytes->size() / sizeof(float));
    std::memcpy(out.data(), bytes->data(), bytes->size());
    return out;
  }

  TestFolder folder_;
  FreshModel model_;
};

TEST_F(FreshModelTest, TheLicenseIsKeptWhereOneIsSaid) {
  EXPECT_FALSE(source()->meta_text("general.license").ok());
  model_.license = "Apache-2.0";
  EXPECT_EQ(source()->meta_text("general.license").value(), "Apache-2.0");
}

TEST_F(FreshModelTest, EveryDenseFamilyLoads) {
  LoadOptions options;
  options.cache.enabled = false;
  for (const char* architecture : {"llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"}) {
    model_.shape.architecture = architecture;
    for (const bool tied : {true, false}) {
      model_.shape.tied = tied;
      const auto model = Model::load(source(), options);
      ASSERT_TRUE(model.ok()) << architecture << ": " << model.error().message;
      const ModelConfig& config = (*model)->config();
      EXPECT_EQ(config.architecture, architecture);
      EXPECT_EQ(config.blocks, 8);
      EXPECT_EQ(config.vocabulary, 4);
      EXPECT_EQ(config.context, 64);
      EXPECT_EQ(config.kv_heads, 2);
      EXPECT_FLOAT_EQ(config.attention_scale, 0.25F);
      EXPECT_EQ((*model)->source().find_tensor("output.weight") == nullptr, tied);
    }
  }
  model_.shape.architecture = "qwen3moe";
  EXPECT_NE(make_fresh_source(model_, "fresh").error().message.find("\"qwen3moe\" is not one of those without experts"),
            std::string::npos);
}

TEST_F(FreshModelTest, NumbersAreNormalAndOfTheSeed) {
  const auto fresh = source();
  for (const auto& [name, deviation] : {std::pair("blk.3.attn_q.weight", 0.02),
                                        {"blk.3.ffn_up.weight", 0.02},
                                        {"blk.3.attn_output.weight", 0.005},
                                        {"blk.3.ffn_down.weight", 0.005}}) {
    double sum = 0, squares = 0;
    const auto values = numbers(*fresh, name);
    for (const float value : values) sum += value, squares += static_cast<double>(value) * value;
    // The standard errors of mean and deviation are deviation / sqrt(n) and deviation / sqrt(2 n): four of each.
    const auto n = static_cast<double>(values.size());
    EXPECT_NEAR(sum / n, 0, 4 * deviation / std::sqrt(n)) << name;
    EXPECT_NEAR(std::sqrt(squares / n), deviation, 4 * deviation / std::sqrt(2 * n)) << name;
  }
  EXPECT_EQ(numbers(*fresh, "output_norm.weight"), std::vector<float>(48, 1.0F));
  const auto before = numbers(*fresh, "blk.1.attn_q.weight");
  EXPECT_NE(before, numbers(*fresh, "blk.2.attn_q.weight"));
  model_.shape.layers = 4;  // other tensors change nothing
  EXPECT_EQ(before, numbers(*source(), "blk.1.attn_q.weight"));
  model_.seed = 6;
  EXPECT_NE(before, numbers(*source(), "blk.1.attn_q.weight"));
  model_.shape.architecture = "qwen2";
  EXPECT_EQ(numbers(*source(), "blk.0.attn_k.bias"), std::vector<float>(32, 0.0F));
}

// Any part of a tensor is what it is in the whole.
TEST_F(FreshModelTest, RowsAreTheSameInAnyPiece) {
  const auto fresh = source();
  const TensorInfo& tensor = *fresh->find_tensor("blk.0.attn_q.weight");
  const auto all = numbers(*fresh, tensor.name);
  std::vector<uint8_t> scratch;
  const auto bytes = fresh->rows(tensor, 5, 2, scratch);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(std::memcmp(bytes->data(), all.data() + 5 * 48, bytes->size()), 0);
}

TEST_F(FreshModelTest, HasTheTokenizerAndItsTemplate) {
  folder_.write("tokenizer_config.json", R"({"eos_token": "<|end|>", "chat_template": "theirs"})");
  const auto template_of = [&] { return tokenizer_spec(*source()).value().chat_template; };
  const auto tokenizer = Tokenizer::create(tokenizer_spec(*source()).value());
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(tokenizer->eos(), 3);
  EXPECT_EQ(tokenizer->encode("ab"), (std::vector<int32_t>{2}));
  EXPECT_EQ(template_of(), "theirs");
  folder_.write("chat_template.jinja", "its own");
  EXPECT_EQ(template_of(), "its own");
  model_.chat_template = folder_.write("mine.jinja", "mine");
  EXPECT_EQ(template_of(), "mine");
  folder_.write("other.tokenizer.json", kTokenizer);
  model_.chat_template = "";
  model_.tokenizer = folder_.file("other.tokenizer.json");
  EXPECT_EQ(template_of(), "") << "companions of another tokenizer";
}

}  // namespace
}  // namespace andiron
