// The gradient of every family's every parameter against the complex step over the reference.
#include <gtest/gtest.h>

#include <string_view>

#include "kernels/kernels_fixture.h"
#include "model/gradient_fixture.h"

namespace andiron {
namespace {

const std::vector<GradientCase>& cases() {
  static const std::vector<GradientCase> list = {
      {"llama", [](TinyModel&) {}},
      {"llama_tied_heads_of_8", [](TinyModel& m) { m.tied = true, m.head_dim = 8; }},
      {"llama_heads_of_20", [](TinyModel& m) { m.head_dim = 20, m.heads = 3, m.kv_heads = 1; }},
      {"llama_window_three_layers",
       [](TinyModel& m) {
         m.blocks = 3, m.window = 4, m.windowed = {true, true, true};
       }},
      {"llama_yarn", [](TinyModel& m) { m.scaling = "yarn", m.factor = 8, m.original_context = 32; }},
      {"llama_f16", [](TinyModel& m) { m.dtype = DType::kF16; }},
      {"qwen2", [](TinyModel& m) { m.architecture = "qwen2", m.biases = true, m.tied = true; }},
      {"qwen3", [](TinyModel& m) { m.architecture = "qwen3", m.head_dim = 32, m.heads = 2, m.kv_heads = 1; }},
      {"qwen3moe", [](TinyModel& m) { m.architecture = "qwen3moe", m.experts = 5, m.experts_used = 2, m.inner = 19; }},
      {"qwen3moe_all_used",
       [](TinyModel& m) { m.architecture = "qwen3moe", m.experts = 3, m.experts_used = 3, m.inner = 17; }},
      {"gemma2",
       [](TinyModel& m) {
         m.architecture = "gemma2", m.tied = true, m.window = 4, m.windowed = {true, false};
         m.score_cap = 5, m.logit_cap = 3;
       }},
      {"gemma3",
       [](TinyModel& m) {
         m.architecture = "gemma3", m.tied = true, m.blocks = 6, m.width = 20, m.inner = 13, m.window = 5;
         m.windowed = {true, true, true, true, true, false}, m.rope_base = 1e6, m.rope_base_local = 1e4;
         m.scaling = "linear", m.factor = 8, m.heads = 2, m.kv_heads = 1;
       }},
      {"phi3",
       [](TinyModel& m) {
         m.architecture = "phi3", m.fused = true, m.head_dim = 32, m.heads = 2, m.kv_heads = 1;
         m.rope_dimensions = 24;
       }},
  };
  return list;
}

// Quantised: adapters only. Reference and forward round the same numbers to int8, unless one lies so near the middle
// between two that float arithmetic moves it across, which changes everything behind it by a part in a thousand: the
// seeds are ones where none does.
const std::vector<GradientCase>& quantised_cases() {
  static const std::vector<GradientCase> list = {
      {"llama_q8_0", [](TinyModel& m) { m.dtype = DType::kQ8_0, m.width = m.inner = 32; }},
      {"llama_q4_0", [](TinyModel& m) { m.dtype = DType::kQ4_0, m.width = m.inner = 32; }},
      {"qwen3moe_q8_0",
       [](TinyModel& m) {
         m.architecture = "qwen3moe", m.experts = 4, m.experts_used = 2, m.dtype = DType::kQ8_0;
         m.width = m.inner = 32;
       }},
  };
  return list;
}

double norm(std::span<const float> x) {
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(sum);
}

// What float arithmetic may have changed, as a share of the gradient's length: some sixty roundings stand one behind
// another in a layer, there and back (norms, sums of some thirty products, exponentials), and as many in the head.
double tolerance(const TinyModel& tiny) { return 60 * 0x1p-24 * static_cast<double>(tiny.blocks + 1); }

void expect_slopes(Learner& s, double share) {
  const Batch batch = make_batch(s.tiny, {9, 1, 5});
  s.zero_gradients();
  const double loss = run_pass(*s.make_pass(16), batch).loss;
  ReferenceLoss reference(s, batch);
  const double expected = reference.loss().real();
  EXPECT_NEAR(loss, expected, share * expected);
  for (size_t i = 0; i < s.parameters.size(); ++i) {
    const Parameter& p = s.parameters[i];
    const auto size = static_cast<size_t>(p.size());
    const double length = norm({p.gradient, size});
    for (uint64_t d = 0; d < 4; ++d) {
      const RandomStream random(9, i * 100 + d);
      std::vector<double> direction(size);
      if (d < 2) {
        for (size_t j = 0; j < size; ++j) direction[j] = random.normal(j);
      } else {  // a single number
        direction[static_cast<size_t>(random.uniform(0) * static_cast<double>(size))] = 1;
      }
      double got = 0;
      for (size_t j = 0; j < size; ++j) got += direction[j] * static_cast<double>(p.gradient[j]);
      const double want = reference.slope(p, direction);
      EXPECT_NEAR(got, want, share * length) << p.name << ", direction " << d;
    }
  }
  EXPECT_TRUE(reference.cache_is_rounded());
}

class Gradients : public testing::TestWithParam<GradientCase> {};

TEST_P(Gradients, OfAllNumbers) {
  Learner s(small_model(GetParam()), best_kernels(), 2);
  s.train_all();
  expect_slopes(s, tolerance(s.tiny));
}

TEST_P(Gradients, OfAnAdapter) {
  Learner s(small_model(GetParam()), best_kernels(), 2);
  s.train_adapter(adapter_for(*s.model, 3, false));
  expect_slopes(s, tolerance(s.tiny));
}

TEST_P(Gradients, OfAnAdapterWithMagnitudes) {
  Learner s(small_model(GetParam()), best_kernels(), 2);
  s.train_adapter(adapter_for(*s.model, 2, true), 0.75F);
  expect_slopes(s, tolerance(s.tiny));
}

INSTANTIATE_TEST_SUITE_P(All, Gradients, testing::ValuesIn(cases()),
                         [](const auto& instance) { return instance.param.name; });

class QuantisedGradients : public testing::TestWithParam<GradientCase> {};

// Gradients meet quantised weights in whole numbers (kernel_table.h). Half a step of the largest of a block, at random,
// is 1 / (2 root 3 127) of it for weights and gradients alike; the largest of some thirty normal numbers is below
// three of their lengths. Nine products stand one behind another, whose errors add up by their
// squares, and a direction of normal numbers may show three times that.
TEST_P(QuantisedGradients, OfAnAdapter) {
  Learner s(small_model(GetParam()), best_kernels(), 2);
  s.train_adapter(adapter_for(*s.model, 3, false));
  const double product = 3 * std::hypot(1.0, 1.0) / (2 * std::sqrt(3.0) * kGradientMax);
  expect_slopes(s, tolerance(s.tiny) + 3 * std::sqrt(9.0) * product);
}

INSTANTIATE_TEST_SUITE_P(All, QuantisedGradients, testing::ValuesIn(quantised_cases()),
                         [](const auto& instance) { return instance.param.name; });

// AMX multiplies gradients and weights that are rounded to bf16: a product is off by one part in 256. Nine of them
// stand one behind another, whose errors add up by their squares, and a direction of normal numbers may show three
// times that. Without AMX its kernels work on a model of the tiles, of which there is one for all threads.
TEST(AmxGradients, AreNear) {
  int checked = 0;
  for (const KernelTable& table : all_tables()) {
    if (std::string_view(table.name) != "amx") continue;
    Learner s(small_model({"llama", [](TinyModel&) {}}), table, 1);
    s.train_all();
    expect_slopes(s, 3 * 3.0 / 256);
    ++checked;
  }
  if (checked == 0) GTEST_SKIP() << "this machine has neither AMX nor AVX-512, which the model of its tiles needs";
}

}  // namespace
}  // namespace andiron
