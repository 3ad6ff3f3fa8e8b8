// GGUF adapters. Files in llama.cpp's form (convert_lora_to_gguf.py) are built by hand, without the library's writer.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "adapter/adapter_fixture.h"
#include "base/test_folder.h"
#include "format/gguf.h"
#include "format/gguf_builder.h"

namespace andiron {
namespace {

using Bytes = GgufBuilder::Bytes;
constexpr uint32_t kF32 = 0, kQ8 = 8, kQ4 = 2;

GgufBuilder header(std::string_view type = "adapter", std::string_view method = "lora") {
  GgufBuilder out;
  out.text("general.architecture", "llama").text("general.type", type).text("adapter.type", method);
  return out;
}

// Numbers that count up, padded to the alignment.
Bytes counting(size_t count) {
  Bytes out;
  for (size_t i = 0; i < count; ++i) GgufBuilder::put(out, static_cast<float>(i));
  while (out.size() % 32 != 0) out.push_back(0);
  return out;
}

std::string refusal(const GgufBuilder& builder, size_t floats) {
  return error_of(read_gguf_adapter(builder.build(counting(floats)), nullptr, "x.gguf"));
}

TEST(GgufAdapter, AFileOfLlamaCppIsRead) {
  GgufBuilder file = header();
  file.f32("adapter.lora.alpha", 6).text("general.name", "a name");
  file.tensor("blk.0.attn_q.weight.lora_a", {4, 2}, kF32, 0);   // innermost first: k, r
  file.tensor("blk.0.attn_q.weight.lora_b", {2, 3}, kF32, 32);  // r, n
  const auto adapter = read_gguf_adapter(file.build(counting(14)), nullptr, "x.gguf");
  ASSERT_TRUE(adapter.ok()) << adapter.error().message;
  ASSERT_EQ(adapter->matrices.size(), 1u);
  const AdapterMatrix& m = adapter->matrices[0];
  EXPECT_EQ(m.layer, "blk.0.attn_q");
  EXPECT_EQ(std::make_tuple(m.n, m.k, m.r), std::make_tuple(3, 4, 2));
  EXPECT_EQ(m.a, (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(m.b, (std::vector<float>{8, 9, 10, 11, 12, 13})) << "rows stay as they are: both are GGUF's";
  EXPECT_EQ(adapter->scaling(m), 3);
  EXPECT_EQ(adapter->name, "a name");
  EXPECT_EQ(adapter->architecture, "llama");
}

// llama-adapter.h, get_scale.
TEST(GgufAdapter, WithoutAlphaTheScaleIsOne) {
  for (const bool is_zero : {false, true}) {
    GgufBuilder file = header();
    if (is_zero) file.f32("adapter.lora.alpha", 0);
    file.tensor("output.weight.lora_a", {4, 2}, kF32, 0).tensor("output.weight.lora_b", {2, 4}, kF32, 32);
    const auto adapter = read_gguf_adapter(file.build(counting(16)), nullptr, "x.gguf");
    ASSERT_TRUE(adapter.ok()) << adapter.error().message;
    EXPECT_EQ(adapter->scaling(adapter->matrices[0]), 1);
  }
}

TEST(GgufAdapter, EightBitNumbersAreRead) {
  GgufBuilder file = header();
  file.tensor("output.weight.lora_a", {32, 1}, kQ8, 0).tensor("output.weight.lora_b", {1, 2}, kF32, 64);
  Bytes data;
  GgufBuilder::put<uint16_t>(data, 0x3800);  // 0.5
  for (int i = 0; i < 32; ++i) GgufBuilder::put(data, static_cast<int8_t>(i - 16));
  data.resize(64);
  const Bytes rest = counting(2);
  data.insert(data.end(), rest.begin(), rest.end());
  const auto adapter = read_gguf_adapter(file.build(data), nullptr, "x.gguf");
  ASSERT_TRUE(adapter.ok()) << adapter.error().message;
  EXPECT_EQ(adapter->matrices[0].a[0], -8);
  EXPECT_EQ(adapter->matrices[0].a[31], 7.5f);
}

TEST(GgufAdapter, RefusesWhatItCannotHonourAndSaysWhat) {
  const auto with_pair = [](GgufBuilder file, const std::string& layer) {
    file.tensor(layer + ".weight.lora_a", {4, 2}, kF32, 0).tensor(layer + ".weight.lora_b", {2, 4}, kF32, 32);
    return file;
  };
  EXPECT_EQ(refusal(with_pair(header(), "blk.3.ffn_gate"), 16), "");
  expect_says(refusal(with_pair(header("model"), "output"), 16), {"is no adapter", "model"});
  expect_says(refusal(with_pair(header("adapter", "control_vector"), "output"), 16), {"control_vector"});
  expect_says(refusal(with_pair(header(), "token_embd"), 16), {"token_embd", "embeddings"});
  expect_says(refusal(with_pair(header(), "blk.0.ffn_up_exps"), 16), {"ffn_up_exps"});
  expect_says(refusal(with_pair(header(), "blk.00.attn_q"), 16), {"blk.00.attn_q"});
  expect_says(refusal(with_pair(header().f32("adapter.lora.alpha", NAN), "output"), 16), {"adapter.lora.alpha"});
  expect_says(refusal(with_pair(header().u32("adapter.lora.alpha", 3), "output"), 16), {"adapter.lora.alpha"});
  expect_says(refusal(with_pair(header().array<uint32_t>("adapter.alora.invocation_tokens", 4, {1}), "output"), 16),
              {"activated LoRA"});
  expect_says(refusal(with_pair(header().u32("llama.attention.head_count", 0), "output"), 16), {"head_count"});
  expect_says(refusal(header().tensor("output.weight.lora_a", {4, 2}, kF32, 0), 8),
              {"output", ".lora_a", "no .lora_b"});
  expect_says(refusal(header().tensor("output.weight.lora_b", {4, 2}, kF32, 0), 8), {"no .lora_a"});
  expect_says(refusal(header().tensor("blk.0.attn_norm.weight", {8}, kF32, 0), 8), {"blk.0.attn_norm.weight"});
  expect_says(refusal(header(), 0), {"changes no layer"});
  GgufBuilder shapes = header();
  shapes.tensor("output.weight.lora_a", {4, 2}, kF32, 0).tensor("output.weight.lora_b", {3, 2}, kF32, 32);
  expect_says(refusal(shapes, 14), {"2 x 4", "2 x 3"});
  GgufBuilder quantised = header();
  quantised.tensor("output.weight.lora_a", {32, 1}, kQ4, 0).tensor("output.weight.lora_b", {1, 2}, kF32, 32);
  expect_says(refusal(quantised, 16), {"Q4_0"});
}

TEST(GgufAdapter, KeysAreThoseOfLlamaCpp) {
  const TestFolder folder;
  Adapter adapter = tiny_adapter(1);
  ASSERT_TRUE(write_gguf_adapter(adapter, folder.file("x.gguf")).ok());
  const auto file = open_gguf(folder.file("x.gguf"));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ((*file)->meta_text("general.type").value(), "adapter");
  EXPECT_EQ((*file)->meta_text("general.architecture").value(), "llama");
  EXPECT_EQ((*file)->meta_text("adapter.type").value(), "lora");
  EXPECT_EQ((*file)->meta_float("adapter.lora.alpha").value(), 16);
  const TensorInfo* a = (*file)->find_tensor("blk.1.ffn_down.weight.lora_a");
  const TensorInfo* b = (*file)->find_tensor("blk.1.ffn_down.weight.lora_b");
  ASSERT_NE(a, nullptr);
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(a->shape, (std::vector<uint64_t>{3, 10})) << "r x inputs";
  EXPECT_EQ(b->shape, (std::vector<uint64_t>{12, 3})) << "outputs x r";
}

TEST(GgufAdapter, ThereAndBackFromPeftToTheLastBit) {
  for (const char* architecture : {"llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"}) {
    const TestFolder folder;
    ASSERT_TRUE(write_peft(tiny_adapter(7, architecture), folder.file("peft")).ok());
    const auto from_peft = read_adapter(folder.file("peft"));
    ASSERT_TRUE(from_peft.ok()) << from_peft.error().message;
    ASSERT_TRUE(write_gguf_adapter(*from_peft, folder.file("x.gguf")).ok());
    const auto from_gguf = read_adapter(folder.file("x.gguf"));
    ASSERT_TRUE(from_gguf.ok()) << from_gguf.error().message;
    expect_same_matrices(*from_gguf, *from_peft);
    ASSERT_TRUE(write_peft(*from_gguf, folder.file("again")).ok());
    EXPECT_EQ(read_bytes(folder.file("peft/adapter_model.safetensors")),
              read_bytes(folder.file("again/adapter_model.safetensors")));
    EXPECT_EQ(read_bytes(folder.file("peft/adapter_config.json")),
              read_bytes(folder.file("again/adapter_config.json")));
  }
}

// GGUF has one alpha and no rank stabilisation.
TEST(GgufAdapter, TheScaleIsRightWhateverTheAlphas) {
  const TestFolder folder;
  Adapter adapter = tiny_adapter(8);
  adapter.rslora = true;
  adapter.matrices[1] = random_matrix("blk.0.attn_k", 8, 12, 5, 3);
  adapter.matrices[2].alpha = -4;
  adapter.matrices[3].alpha = 0;
  ASSERT_TRUE(write_gguf_adapter(adapter, folder.file("x.gguf")).ok());
  const auto back = read_adapter(folder.file("x.gguf"));
  ASSERT_TRUE(back.ok()) << back.error().message;
  for (size_t i = 0; i < adapter.matrices.size(); ++i) {
    const auto expected = dense_delta(adapter, adapter.matrices[i]);
    const auto got = dense_delta(*back, back->matrices[i]);
    // Alpha, the factor on b and b itself are each rounded once, as are the two scalings.
    double largest = 0;
    for (const double v : expected) largest = std::max(largest, std::abs(v));
    for (size_t j = 0; j < got.size(); ++j) EXPECT_NEAR(got[j], expected[j], 5 * 0x1p-24 * 8 * largest) << i;
  }
}

TEST(GgufAdapter, AllZeroAlphasStayNothing) {
  const TestFolder folder;
  Adapter adapter = tiny_adapter(8);
  for (AdapterMatrix& m : adapter.matrices) m.alpha = 0;
  ASSERT_TRUE(write_gguf_adapter(adapter, folder.file("x.gguf")).ok());
  const auto back = read_adapter(folder.file("x.gguf"));
  ASSERT_TRUE(back.ok()) << back.error().message;
  for (const AdapterMatrix& m : back->matrices) {
    for (const double v : dense_delta(*back, m)) EXPECT_EQ(v, 0);
  }
}

TEST(GgufAdapter, DoraCannotBeHeld) {
  const TestFolder folder;
  const Status written = write_gguf_adapter(tiny_adapter(1, "llama", true), folder.file("x.gguf"));
  ASSERT_FALSE(written.ok());
  expect_says(written.error().message, {"DoRA"});
  EXPECT_FALSE(std::filesystem::exists(folder.file("x.gguf")));
}

// A file of llama.cpp's own does not say how many heads the model has.
TEST(GgufAdapter, WithoutHeadsLlamaNeedsTheModelToBecomePeft) {
  Adapter adapter = tiny_adapter(9);
  adapter.heads = adapter.heads_kv = 0;
  const TestFolder folder;
  ASSERT_TRUE(write_gguf_adapter(adapter, folder.file("x.gguf")).ok());
  const auto alone = read_adapter(folder.file("x.gguf"));
  ASSERT_TRUE(alone.ok()) << alone.error().message;
  const Status refused = write_peft(*alone, folder.file("peft"));
  ASSERT_FALSE(refused.ok());
  expect_says(refused.error().message, {"heads", "give the model"});
  const AdapterBase base = base_of(tiny_adapter(9));
  const auto with = read_adapter(folder.file("x.gguf"), &base);
  ASSERT_TRUE(with.ok()) << with.error().message;
  EXPECT_TRUE(write_peft(*with, folder.file("peft")).ok());
}

}  // namespace
}  // namespace andiron
