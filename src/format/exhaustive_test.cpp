// Every truncation and every single flipped bit of small files: each gives an error or a source that works, never a
// crash. (Run under the address and undefined-behaviour sanitizers, where a read out of bounds is a failure.)
#include <gtest/gtest.h>

#include <algorithm>

#include "base/strings.h"
#include "base/test_folder.h"
#include "base/test_variants.h"
#include "format/gguf.h"
#include "format/gguf_builder.h"
#include "format/hf_config.h"
#include "format/hf_source.h"
#include "format/safetensors.h"

namespace andiron {
namespace {

using Bytes = std::vector<uint8_t>;

// A little model: every kind of metadata, five kinds of tensor.
Bytes gguf_seed() {
  GgufBuilder builder;
  builder.text("general.architecture", "llama").u32("general.alignment", 32).u32("llama.block_count", 1);
  builder.f32("llama.rope.freq_base", 10000.0f).scalar<uint8_t>("a.bool", 7, 1).scalar<int8_t>("a.i8", 1, -1);
  builder.scalar<uint16_t>("a.u16", 2, 1).scalar<int64_t>("a.i64", 11, -1).scalar<double>("a.f64", 12, 1);
  builder.texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "a", "b"});
  builder.array<float>("tokenizer.ggml.scores", 6, {0, 0, 0, -1, -2});
  builder.array<int32_t>("tokenizer.ggml.token_type", 5, {2, 3, 3, 1, 1}).array<uint8_t>("a.bools", 7, {1, 0});
  builder.tensor("token_embd.weight", {32, 5}, 8, 0).tensor("output_norm.weight", {32}, 0, 192);
  builder.tensor("blk.0.attn_q.weight", {32, 4}, 2, 320).tensor("blk.0.ffn_up.weight", {8, 2, 2}, 1, 416);
  builder.tensor("blk.0.ffn_down.weight", {256}, 14, 480);
  return builder.build(Bytes(480 + 210 + 14));
}

// Every type of tensor, in a file of version 2.
Bytes gguf_types_seed() {
  GgufBuilder builder;
  builder.version = 2;
  uint64_t offset = 0;
  for (const DTypeInfo& info : all_dtypes()) {
    const uint64_t columns = std::max(32u, info.block_elements);
    builder.tensor(info.name, {columns, 2}, static_cast<uint32_t>(info.dtype), offset);
    offset += (row_bytes(info.dtype, columns) * 2 + 31) / 32 * 32;
  }
  return builder.build(Bytes(offset, 1));
}

bool is_readable(const Bytes& variant) {
  const auto contents = read_gguf(variant, "variant.gguf");
  if (!contents.ok()) {
    EXPECT_FALSE(contents.error().message.empty());
    return false;
  }
  uint64_t sum = 0;
  for (size_t i = 0; i < contents->tensors.size(); ++i) {
    const TensorInfo& tensor = contents->tensors[i];
    for (const uint8_t byte : std::span(variant).subspan(contents->offsets[i], tensor.bytes)) sum += byte;
  }
  for (const MetaEntry& entry : contents->metadata) {
    if (const auto* texts = std::get_if<MetaValue::Texts>(&entry.value.value)) {
      for (const auto text : *texts) sum += text.size() + (text.empty() ? 0 : static_cast<uint8_t>(text.back()));
    }
  }
  return sum < UINT64_MAX;
}

TEST(Exhaustive, Gguf) {
  const VariantCounts counts = try_every_variant(gguf_seed(), is_readable);
  // The last tensor's 14 bytes of padding are nobody's; without them it is still a whole model.
  EXPECT_EQ(counts.truncations_taken, 14);
  EXPECT_GT(counts.flips_taken, 0) << "a weight with a flipped bit cannot be told from another weight";
}

TEST(Exhaustive, GgufOfEveryTensorType) {
  const VariantCounts counts = try_every_variant(gguf_types_seed(), is_readable);
  EXPECT_EQ(counts.truncations_taken, 0) << "the last tensor has no padding";
}

constexpr std::string_view kSafetensorsHeader =
    R"({"__metadata__":{"format":"pt"},"model.embed_tokens.weight":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]},)"
    R"("model.layers.0.self_attn.q_proj.weight":{"dtype":"BF16","shape":[4,4],"data_offsets":[32,64]},)"
    R"("model.norm.weight":{"dtype":"F16","shape":[4],"data_offsets":[64,72]}}    )";

Bytes safetensors_seed() {
  Bytes bytes;
  GgufBuilder::put<uint64_t>(bytes, kSafetensorsHeader.size());
  bytes.insert(bytes.end(), kSafetensorsHeader.begin(), kSafetensorsHeader.end());
  bytes.resize(bytes.size() + 72, 1);
  return bytes;
}

TEST(Exhaustive, Safetensors) {
  const VariantCounts counts = try_every_variant(safetensors_seed(), [](const Bytes& variant) {
    const auto contents = read_safetensors(variant, "variant.safetensors");
    if (!contents.ok()) return false;
    uint64_t sum = 0;
    for (const SafeTensor& tensor : contents->tensors) {
      for (const uint8_t byte : std::span(variant).subspan(tensor.offset, tensor.bytes)) sum += byte;
    }
    return sum < UINT64_MAX;
  });
  EXPECT_EQ(counts.truncations_taken, 0) << "no part of a file is a file";
}

constexpr std::string_view kConfig =
    R"({"architectures":["LlamaForCausalLM"],"hidden_size":4,"num_hidden_layers":1,"intermediate_size":6,
"num_attention_heads":2,"num_key_value_heads":2,"max_position_embeddings":64,"rms_norm_eps":1e-5,"vocab_size":2,
"rope_theta":5e5,"rope_scaling":{"rope_type":"llama3","factor":8.0,"original_max_position_embeddings":32}})";

// Writes the variant as one file of a folder, opens the folder and reads every tensor.
VariantCheck as_file_of(const TestFolder& folder, std::string name) {
  return [&folder, name](const Bytes& variant) {
    folder.write(name, variant);
    const auto source = open_hf_folder(folder.path());
    if (!source.ok()) return false;
    std::vector<uint8_t> scratch;
    for (const TensorInfo& tensor : (*source)->tensors()) {
      const auto bytes = (*source)->whole(tensor, scratch);
      EXPECT_TRUE(bytes.ok() && bytes->size() == tensor.bytes);
    }
    return true;
  };
}

// Coprime to 8, so that every bit of a byte has its turn.
constexpr size_t kFileStep = 17;

Bytes bytes_of(std::string_view text) { return Bytes(text.begin(), text.end()); }
std::string_view text_of(const Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

TEST(Exhaustive, HuggingFaceConfig) {
  const VariantCounts counts = try_every_variant(bytes_of(kConfig), [](const Bytes& variant) {
    const auto json = parse_json(text_of(variant), "config.json");
    if (!json.ok()) return false;
    const auto config = read_hf_config(*json, "config.json");
    if (!config.ok()) return false;
    EXPECT_TRUE(config->blocks >= 1 && config->heads >= 1 && config->heads_kv >= 1);
    return true;
  });
  EXPECT_EQ(counts.truncations_taken, 0);
  const TestFolder folder;
  folder.write("model.safetensors", safetensors_seed());
  try_every_variant(bytes_of(kConfig), as_file_of(folder, "config.json"), kFileStep);
}

TEST(Exhaustive, HuggingFaceWeights) {
  const TestFolder folder;
  folder.write("config.json", kConfig);
  const VariantCounts counts =
      try_every_variant(safetensors_seed(), as_file_of(folder, "model.safetensors"), kFileStep);
  EXPECT_EQ(counts.truncations_taken, 0);
}

TEST(Exhaustive, HuggingFaceIndex) {
  std::string index = R"({"metadata":{"total_size":72},"weight_map":{)";
  for (const char* name :
       {"model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "model.norm.weight"}) {
    if (index.back() != '{') index += ',';
    index += format(R"("{}":"model-00001-of-00001.safetensors")", name);
  }
  const Bytes seed = bytes_of(index + "}}");
  const VariantCounts counts = try_every_variant(seed, [](const Bytes& variant) {
    const auto map = read_safetensors_index(text_of(variant), "index");
    if (!map.ok()) return false;
    for (const auto& [tensor, file] : *map) EXPECT_EQ(file.find('/'), std::string::npos) << tensor;
    return true;
  });
  EXPECT_EQ(counts.truncations_taken, 0);
  const TestFolder folder;
  folder.write("config.json", kConfig);
  folder.write("model-00001-of-00001.safetensors", safetensors_seed());
  try_every_variant(seed, as_file_of(folder, "model.safetensors.index.json"), kFileStep);
}

}  // namespace
}  // namespace andiron
