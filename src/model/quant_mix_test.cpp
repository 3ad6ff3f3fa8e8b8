#include "model/quant_mix.h"

#include <gtest/gtest.h>

namespace andiron {
namespace {

TensorInfo tensor(const std::string& name, std::vector<uint64_t> shape, DType dtype = DType::kF32) {
  auto info = make_tensor_info(name, dtype, std::move(shape), "test");
  EXPECT_TRUE(info.ok());
  return std::move(info).value();
}

DType planned(const std::string& type, const TensorInfo& info, const QuantContext& context, bool pure = false) {
  const auto found = quant_type_from_name(type);
  EXPECT_TRUE(found.ok()) << (found.ok() ? "" : found.error().message);
  return plan_tensor(info, *found, context, pure).dtype;
}

constexpr QuantContext kDense = {.layers = 32, .heads_per_kv_head = 1};

TEST(QuantMix, NamesAreFoundInAnyCase) {
  EXPECT_EQ(quant_type_from_name("q4_k_m")->name, "Q4_K_M");
  EXPECT_EQ(quant_type_from_name("Q4_K")->name, "Q4_K_M");
  EXPECT_EQ(quant_type_from_name("bf16")->base, DType::kBF16);
  const auto wrong = quant_type_from_name("Q9_Z");
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.error().message.find("Q4_K_M"), std::string::npos) << wrong.error().message;
}

TEST(QuantMix, SmallTensorsKeepTheirNumbers) {
  EXPECT_EQ(planned("Q4_0", tensor("blk.0.attn_norm.weight", {256}), kDense), DType::kF32);
  EXPECT_EQ(planned("Q4_0", tensor("blk.0.attn_q.bias", {256}), kDense), DType::kF32);
  EXPECT_EQ(planned("Q4_0", tensor("blk.0.ffn_gate_inp.weight", {8, 256}), kDense), DType::kF32);
  EXPECT_EQ(planned("Q4_0", tensor("rope_freqs.weight", {32}), kDense), DType::kF32);
}

// What llama.cpp makes of a Llama of 32 layers.
TEST(QuantMix, RecipesSpendMoreBitsWhereErrorsCost) {
  struct Case {
    const char *type, *name;
    DType expected;
  };
  for (const Case& c : std::vector<Case>{
           {"Q4_0", "blk.5.attn_q.weight", DType::kQ4_0},
           {"Q4_0", "output.weight", DType::kQ6_K},
           {"Q4_0", "token_embd.weight", DType::kQ4_0},
           {"Q8_0", "output.weight", DType::kQ8_0},
           {"F16", "output.weight", DType::kF16},
           {"Q4_K_M", "blk.0.attn_v.weight", DType::kQ6_K},
           {"Q4_K_M", "blk.4.attn_v.weight", DType::kQ4_K},
           {"Q4_K_M", "blk.6.ffn_down.weight", DType::kQ6_K},
           {"Q4_K_M", "blk.28.ffn_down.weight", DType::kQ6_K},
           {"Q4_K_M", "blk.6.ffn_up.weight", DType::kQ4_K},
           {"Q4_K_S", "blk.3.attn_v.weight", DType::kQ5_K},
           {"Q4_K_S", "blk.4.attn_v.weight", DType::kQ4_K},
           {"Q3_K_M", "blk.2.attn_v.weight", DType::kQ4_K},
           {"Q3_K_M", "blk.1.ffn_down.weight", DType::kQ5_K},
           {"Q3_K_M", "blk.9.attn_output.weight", DType::kQ4_K},
           {"Q3_K_S", "blk.9.attn_output.weight", DType::kQ3_K},
           {"Q2_K", "blk.9.ffn_down.weight", DType::kQ3_K},
           {"Q5_K_M", "blk.31.attn_v.weight", DType::kQ6_K},
       }) {
    EXPECT_EQ(planned(c.type, tensor(c.name, {512, 512}), kDense), c.expected) << c.type << " " << c.name;
  }
}

TEST(QuantMix, ATiedEmbeddingIsTheHead) {
  QuantContext tied = kDense;
  tied.tied_head = true;
  EXPECT_EQ(planned("Q4_K_M", tensor("token_embd.weight", {512, 512}), tied), DType::kQ6_K);
  EXPECT_EQ(planned("Q4_K_M", tensor("token_embd.weight", {512, 512}), kDense), DType::kQ4_K);
}

TEST(QuantMix, PureMeansOneFormat) {
  EXPECT_EQ(planned("Q4_K_M", tensor("output.weight", {512, 512}), kDense, true), DType::kQ4_K);
  EXPECT_EQ(planned("Q4_K_M", tensor("blk.0.attn_v.weight", {512, 512}), kDense, true), DType::kQ4_K);
}

TEST(QuantMix, RowsThatDoNotFitFallBackAndSaySo) {
  struct Case {
    const char* type;
    uint64_t columns;
    DType expected;
  };
  for (const Case& c : std::vector<Case>{{"Q4_K_S", 576, DType::kQ5_0},
                                         {"Q5_K_S", 576, DType::kQ5_1},
                                         {"Q6_K", 576, DType::kQ8_0},
                                         {"Q3_K_S", 576, DType::kIQ4_NL},
                                         {"Q2_K", 576, DType::kIQ4_NL},
                                         {"IQ4_XS", 576, DType::kIQ4_NL},
                                         {"Q4_0", 172, DType::kF16},
                                         {"Q4_K_S", 172, DType::kF16}}) {
    const auto type = quant_type_from_name(c.type);
    const TensorPlan plan = plan_tensor(tensor("blk.9.ffn_up.weight", {64, c.columns}), *type, kDense);
    EXPECT_EQ(plan.dtype, c.expected) << c.type << " " << c.columns;
    EXPECT_EQ(plan.fell_back_from, type->base) << c.type << " " << c.columns;
  }
}

}  // namespace
}  // namespace andiron
