// Every family against the reference: tiny random models, odd sizes, everything a family has switched on; and a small
// trained one against what other programs make of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "base/atomic_file.h"
#include "base/test_folder.h"
#include "kernels/dispatch.h"
#include "model/forward.h"
#include "model/reference_model.h"
#include "model/tiny_model.h"

namespace andiron {
namespace {

struct Case {
  std::string name;
  std::function<void(TinyModel&)> set;
  int64_t capacity = 64;
};

std::vector<bool> every(int64_t blocks, int64_t period) {
  std::vector<bool> windowed;
  for (int64_t i = 0; i < blocks; ++i) windowed.push_back(period == 0 || (i + 1) % period != 0);
  return windowed;
}

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const std::vector<Case>& cases() {
  static const std::vector<Case> list = {
      {"llama", [](TinyModel&) {}},
      {"llama_tied_one_kv_head", [](TinyModel& m) { m.tied = true, m.kv_heads = 1, m.heads = 3, m.head_dim = 48; }},
      {"llama_all_kv_heads_odd_widths",
       [](TinyModel& m) { m.width = 50, m.kv_heads = m.heads = 5, m.inner = 37, m.vocabulary = 101; }},
      {"llama_heads_of_8", [](TinyModel& m) { m.head_dim = 8, m.heads = 8, m.kv_heads = 4; }},
      {"llama_heads_of_20", [](TinyModel& m) { m.head_dim = 20, m.heads = 3, m.kv_heads = 1; }},
      {"llama_3_divisors", [](TinyModel& m) { m.divisors = {1, 1, 1, 1.5, 2.5, 8, 8, 8}; }},
      {"llama_linear", [](TinyModel& m) { m.scaling = "linear", m.factor = 4; }},
      {"llama_yarn", [](TinyModel& m) { m.scaling = "yarn", m.factor = 8, m.original_context = 32, m.head_dim = 32; }},
      {"llama_window_mistral", [](TinyModel& m) { m.window = 5, m.windowed = every(2, 0); }},
      {"qwen2", [](TinyModel& m) { m.architecture = "qwen2", m.biases = true, m.tied = true, m.head_dim = 32; }},
      {"qwen2_yarn",
       [](TinyModel& m) {
         m.architecture = "qwen2", m.biases = true, m.scaling = "yarn", m.factor = 4, m.original_context = 64;
         m.rope_base = 1e6;
       }},
      {"qwen3", [](TinyModel& m) { m.architecture = "qwen3", m.head_dim = 32, m.width = 80; }},
      {"qwen3_tied_96", [](TinyModel& m) { m.architecture = "qwen3", m.head_dim = 96, m.heads = 2, m.tied = true; }},
      {"qwen3moe", [](TinyModel& m) { m.architecture = "qwen3moe", m.experts = 6, m.experts_used = 2, m.inner = 40; }},
      {"qwen3moe_all_used",
       [](TinyModel& m) { m.architecture = "qwen3moe", m.experts = 3, m.experts_used = 3, m.width = 33; }},
      {"gemma2",
       [](TinyModel& m) {
         m.architecture = "gemma2", m.tied = true, m.blocks = 4, m.window = 6, m.windowed = every(4, 2);
         m.score_cap = 5, m.logit_cap = 3, m.head_dim = 32;
       }},
      {"gemma3",
       [](TinyModel& m) {
         m.architecture = "gemma3", m.tied = true, m.blocks = 7, m.window = 5, m.windowed = every(7, 6);
         m.rope_base = 1e6, m.rope_base_local = 1e4, m.scaling = "linear", m.factor = 8;
       }},
      {"gemma3_without_window",
       [](TinyModel& m) { m.architecture = "gemma3", m.tied = true, m.kv_heads = 1, m.rope_base = 1e6; }},
      {"phi3", [](TinyModel& m) { m.architecture = "phi3", m.fused = true, m.inner = 44, m.head_dim = 96; }},
      {"phi3_partial_rotation_window",
       [](TinyModel& m) {
         m.architecture = "phi3", m.fused = true, m.head_dim = 32, m.rope_dimensions = 24, m.window = 9;
         m.windowed = every(2, 0);
       }},
      {"phi3_short",
       [](TinyModel& m) {
         m.architecture = "phi3", m.fused = true, m.original_context = 64, m.attention_factor = 1.19;
         m.divisors_short = {1, 1.05, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6}, m.divisors_long = {1, 2, 3, 4, 5, 6, 7, 8};
       },
       64},
      {"phi3_long",
       [](TinyModel& m) {
         m.architecture = "phi3", m.fused = true, m.original_context = 64, m.attention_factor = 1.19;
         m.divisors_short = {1, 1.05, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6}, m.divisors_long = {1, 2, 3, 4, 5, 6, 7, 8};
       },
       65},
      {"llama_q4_0", [](TinyModel& m) { m.dtype = DType::kQ4_0; }},
      {"llama_q8_0", [](TinyModel& m) { m.dtype = DType::kQ8_0; }},
      {"llama_f16", [](TinyModel& m) { m.dtype = DType::kF16; }},
      {"llama_bf16", [](TinyModel& m) { m.dtype = DType::kBF16; }},
      {"llama_q4_k",
       [](TinyModel& m) {
         m.dtype = DType::kQ4_K;
         m.width = 256;
         m.inner = 256;
         m.heads = 16;
       }},
      {"llama_q6_k",
       [](TinyModel& m) {
         m.dtype = DType::kQ6_K;
         m.width = 256;
         m.inner = 256;
         m.heads = 16;
       }},
      {"qwen3moe_q4_0",
       [](TinyModel& m) {
         m.architecture = "qwen3moe", m.experts = 6, m.experts_used = 2, m.inner = 32;
         m.dtype = DType::kQ4_0;
       }},
  };
  return list;
}

std::vector<int32_t> some_tokens(int64_t count, int64_t vocabulary) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>((7 * i * i + 3 * i + 1) % vocabulary));
  return tokens;
}

// The largest difference of any logit after any token, over the largest logit.
double worst_difference(const TinyModel& tiny, int64_t capacity, const std::string& path) {
  LoadOptions options;
  options.cache.enabled = false;
  const auto model = Model::load(path, options);
  if (!model.ok()) {
    ADD_FAILURE() << model.error().message;
    return INFINITY;
  }
  ThreadTeam team(2);
  auto cache = KvCache::create(**model, capacity).value();
  const auto forward = Forward::create(**model, *select_kernels().value(), team).value();
  const auto tokens = some_tokens(24, tiny.vocabulary);
  const Sequence sequence = {&cache, tokens, LogitRows::kAll};
  const Status status = forward->run({&sequence, 1});
  if (!status.ok()) {
    ADD_FAILURE() << status.error().message;
    return INFINITY;
  }
  ReferenceModel<double> reference(tiny, cache.pages(), capacity);
  const Rows logits = forward->logits();
  double difference = 0, largest = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto expected = reference.next(tokens[i]);
    for (size_t v = 0; v < expected.size(); ++v) {
      largest = std::max(largest, std::fabs(expected[v]));
      difference =
          std::max(difference, std::fabs(expected[v] - static_cast<double>(logits.row(static_cast<int64_t>(i))[v])));
    }
  }
  EXPECT_TRUE(reference.cache_is_rounded());
  return difference / largest;
}

class FamiliesTest : public testing::TestWithParam<Case> {};

TEST_P(FamiliesTest, MatchesTheReference) {
  const TestFolder folder;
  TinyModel tiny;
  GetParam().set(tiny);
  tiny.build();
  const std::string path = folder.file("model.gguf");
  ASSERT_TRUE(tiny.write(path).ok());
  const double worst = worst_difference(tiny, GetParam().capacity, path);
  EXPECT_LT(worst, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(All, FamiliesTest, testing::ValuesIn(cases()),
                         [](const auto& instance) { return instance.param.name; });

// llama2.c's 260K-parameter story teller, whose continuation llama2.c and llama.cpp agree on (see the data's README).
TEST(Stories260K, TellsItsStory) {
  const std::string folder = ANDIRON_SOURCE_DIR "/../shared/data/models/stories260K/";
  if (!file_exists(folder)) GTEST_SKIP() << folder << " is not there";
  const auto model = Model::load(folder + "stories260K.f32.gguf", {}).value();
  const std::string expected = read_text_file(folder + "expected_greedy_200.txt").value();
  const auto pieces = *model->source().meta_texts("tokenizer.ggml.tokens").value();
  for (const Isa isa : available_isas()) {
    ThreadTeam team(2);
    auto cache = KvCache::create(*model, 256).value();
    const auto runner = Forward::create(*model, kernels_of(isa), team).value();
    std::string story;
    for (int32_t token = 1, i = 0; i < 200; ++i) {
      const Sequence sequence = {&cache, {&token, 1}, LogitRows::kLast};
      ASSERT_TRUE(runner->run({&sequence, 1}).ok());
      const float* logits = runner->logits().data;
      token = static_cast<int32_t>(std::max_element(logits, logits + model->config().vocabulary) - logits);
      std::string piece(pieces[static_cast<size_t>(token)]);
      if (piece == "<0x0A>") piece = "\n";
      for (size_t at; (at = piece.find("\u2581")) != std::string::npos;) piece.replace(at, 3, " ");
      story += piece;
    }
    EXPECT_EQ(story.substr(1), expected) << isa_name(isa);  // a story begins with a space that the text does not show
  }
}

}  // namespace
}  // namespace andiron
