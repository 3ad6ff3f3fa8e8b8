#include "format/hf_names.h"

#include <gtest/gtest.h>

namespace andiron {
namespace {

HfConfig config_of(std::string_view gguf) {
  HfConfig config;
  config.family = find_hf_family(gguf);
  config.blocks = 12;
  config.experts = 4;
  return config;
}

TEST(HfNames, EveryNameComesBackAsItWas) {
  const struct {
    std::string_view gguf;
    std::vector<std::string_view> modules;
  } kFamilies[] = {
      {"llama", {"self_attn.q_proj", "self_attn.k_proj", "mlp.gate_proj", "mlp.up_proj", "post_attention_layernorm"}},
      {"qwen2", {"self_attn.v_proj", "self_attn.o_proj", "mlp.down_proj", "input_layernorm"}},
      {"qwen3", {"self_attn.q_norm", "self_attn.k_norm", "self_attn.q_proj"}},
      {"qwen3moe", {"mlp.gate", "self_attn.q_proj"}},
      {"gemma2", {"pre_feedforward_layernorm", "post_feedforward_layernorm", "post_attention_layernorm"}},
      {"gemma3", {"self_attn.q_norm", "mlp.up_proj"}},
      {"phi3", {"self_attn.qkv_proj", "mlp.gate_up_proj", "mlp.down_proj"}},
  };
  for (const auto& family : kFamilies) {
    const HfConfig config = config_of(family.gguf);
    ASSERT_NE(config.family, nullptr) << family.gguf;
    std::vector<std::string> names = {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"};
    for (const auto module : family.modules) {
      names.push_back("model.layers.11." + std::string(module) + ".weight");
      names.push_back("model.layers.0." + std::string(module) + ".bias");
    }
    for (const std::string& name : names) {
      const auto there = translate_hf_name(config, name, "x");
      ASSERT_TRUE(there.ok()) << there.error().message;
      const auto back = translate_gguf_name(*config.family, there->gguf, "x");
      ASSERT_TRUE(back.ok()) << back.error().message;
      EXPECT_EQ(back->hf, name) << family.gguf;
      EXPECT_EQ(back->role, there->role) << name;
    }
  }
}

TEST(HfNames, NamesWithoutACounterpartAreRefused) {
  const HfFamily& llama = *find_hf_family("llama");
  for (const char* name : {"blk.0.attn_qkv.weight", "blk.0.attn_q", "blk.00.attn_q.weight", "blk.512.attn_q.weight",
                           "blk.0.ffn_up_exps.weight", "rope_freqs.weight", "blk..attn_q.weight", ".weight", ""}) {
    EXPECT_FALSE(translate_gguf_name(llama, name, "x").ok()) << name;
  }
  EXPECT_EQ(find_hf_family("gpt2"), nullptr);
}

TEST(HfNames, OnlyLlamaInterleavesAndOnlyQAndK) {
  const HfFamily& llama = *find_hf_family("llama");
  EXPECT_EQ(interleaved_heads(llama, HfRole::kQuery, 9, 3), 9u);
  EXPECT_EQ(interleaved_heads(llama, HfRole::kKey, 9, 3), 3u);
  EXPECT_EQ(interleaved_heads(llama, HfRole::kPlain, 9, 3), 0u);
  EXPECT_EQ(interleaved_heads(*find_hf_family("qwen2"), HfRole::kQuery, 9, 3), 0u);
}

}  // namespace
}  // namespace andiron
