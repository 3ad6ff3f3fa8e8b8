#include "format/gguf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>

namespace andiron {
namespace {

const std::string kData = ANDIRON_SOURCE_DIR "/../shared/data";

TEST(GgufFile, ATrainedModelOpensAndItsNumbersAreRight) {
  const std::string path = kData + "/models/stories260K/stories260K.f32.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is absent";
  const auto source = open_gguf(path);
  ASSERT_TRUE(source.ok()) << source.error().message;
  const ModelSource& model = **source;
  EXPECT_EQ(*model.meta_text("general.architecture"), "llama");
  // The shape of karpathy's stories260K: 5 layers, 8 heads of which 4 hold keys, width 64, vocabulary 512.
  EXPECT_EQ(*model.meta_int("llama.block_count"), 5);
  EXPECT_EQ(*model.meta_int("llama.embedding_length"), 64);
  EXPECT_EQ(*model.meta_int("llama.attention.head_count"), 8);
  EXPECT_EQ(*model.meta_int("llama.attention.head_count_kv"), 4);
  EXPECT_NEAR(*model.meta_float("llama.attention.layer_norm_rms_epsilon"), 1e-5, 1e-9);
  EXPECT_EQ((*model.meta_texts("tokenizer.ggml.tokens"))->size(), 512u);
  EXPECT_EQ((*model.meta_floats("tokenizer.ggml.scores"))->size(), 512u);

  const TensorInfo* key = model.find_tensor("blk.0.attn_k.weight");
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(key->shape, (std::vector<uint64_t>{32, 64}));
  EXPECT_EQ(key->dtype, DType::kF32);

  // A row in the middle of a tensor is the same bytes as in the whole of it.
  std::vector<uint8_t> scratch;
  const TensorInfo* embedding = model.find_tensor("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  const auto all = model.whole(*embedding, scratch);
  const auto row = model.rows(*embedding, 300, 1, scratch);
  ASSERT_TRUE(all.ok() && row.ok());
  ASSERT_EQ(row->size(), 256u);
  EXPECT_EQ(std::memcmp(row->data(), all->data() + 300 * 256, 256), 0);
  EXPECT_TRUE(scratch.empty()) << "nothing is copied";
  EXPECT_TRUE(model.check_intact().ok());
  EXPECT_FALSE(model.rows(*embedding, 512, 1, scratch).ok());
  EXPECT_FALSE(model.side_file("tokenizer.json").ok());
}

TEST(GgufFile, VocabulariesWithoutWeightsOpen) {
  const std::string folder = kData + "/tokenizers/vocab";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is absent";
  int opened = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    const auto source = open_gguf(entry.path().string());
    ASSERT_TRUE(source.ok()) << source.error().message;
    const auto tokens = (*source)->meta_texts("tokenizer.ggml.tokens");
    ASSERT_TRUE(tokens.ok());
    EXPECT_GT((*tokens)->size(), 20000u) << entry.path();
    ++opened;
  }
  EXPECT_GT(opened, 0);
}

}  // namespace
}  // namespace andiron
