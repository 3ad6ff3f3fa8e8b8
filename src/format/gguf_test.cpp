#include "format/gguf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>

#include "base/test_folder.h"
#include "format/gguf_builder.h"

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

// Reading the lost part would end the process; here it reads as zeros, and the source says so.
TEST(GgufFile, AFileCutShortWhileInUseIsAnErrorNotADeath) {
  const TestFolder folder;
  constexpr uint64_t kRows = 64, kColumns = 4096;
  GgufBuilder builder;
  builder.text("general.architecture", "toy").texts("toy.names", {"a", "b"}).tensor("t", {kColumns, kRows}, 0, 0);
  const auto bytes = builder.build(std::vector<uint8_t>(kRows * kColumns * 4, 1));
  for (int i = 0; i < 20; ++i) {
    const std::string path = folder.write("x.gguf", bytes);
    const auto source = open_gguf(path);
    ASSERT_TRUE(source.ok()) << source.error().message;
    EXPECT_TRUE((*source)->check_intact().ok());
    std::filesystem::resize_file(path, bytes.size() * static_cast<size_t>(i) / 20);
    std::vector<uint8_t> scratch;
    const TensorInfo& tensor = *(*source)->find_tensor("t");
    for (uint64_t row = 0; row < kRows; ++row) {
      const auto data = (*source)->rows(tensor, row, 1, scratch);
      ASSERT_TRUE(data.ok());
      for (const uint8_t byte : *data) ASSERT_LE(byte, 1);
    }
    EXPECT_EQ((*(*source)->meta_texts("toy.names"))->size(), 2u);
    const Status status = (*source)->check_intact();
    ASSERT_FALSE(status.ok()) << "cut to " << i << " twentieths";
    EXPECT_NE(status.error().message.find("cut short while in use"), std::string::npos);
    (*source)->drop(tensor);
  }
}

TEST(GgufFile, RowsOfAnyTypeAndTensorsOfAnyNameAreChecked) {
  const TestFolder folder;
  GgufBuilder builder;
  builder.alignment = 1;
  builder.u32("general.alignment", 1).tensor("f", {2, 3}, 0, 0).tensor("q", {64, 2}, 8, 25).tensor("h", {3}, 1, 161);
  std::vector<uint8_t> data(167);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint8_t>(i);
  const auto source = open_gguf(folder.write("x.gguf", builder.build(data)));
  ASSERT_TRUE(source.ok()) << source.error().message;
  struct Case {
    const char* tensor;
    uint64_t first, count;
    std::vector<uint8_t> expected_ends;  // the first byte and the last; empty: refused, or nothing to read
    bool refused;
  };
  const Case cases[] = {
      {"f", 0, 3, {0, 23}, false},    {"f", 1, 1, {8, 15}, false},
      {"f", 3, 0, {}, false},         {"f", 3, 1, {}, true},
      {"f", 4, 0, {}, true},          {"f", 1, UINT64_MAX, {}, true},
      {"f", UINT64_MAX, 2, {}, true}, {"q", 1, 1, {25 + 68, 160}, false},
      {"h", 0, 1, {161, 166}, false},
  };
  std::vector<uint8_t> scratch;
  for (const Case& c : cases) {
    const auto rows = (*source)->rows(*(*source)->find_tensor(c.tensor), c.first, c.count, scratch);
    ASSERT_EQ(rows.ok(), !c.refused) << c.tensor << " " << c.first << " " << c.count;
    if (!rows.ok() || rows->empty()) continue;
    EXPECT_EQ((std::vector<uint8_t>{rows->front(), rows->back()}), c.expected_ends);
    const size_t alignment = c.tensor[0] == 'f' ? 4 : 2;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(rows->data()) % alignment, 0u) << "whatever the file's own alignment";
  }
  const TensorInfo stranger{"stranger", DType::kF32, {1}, 1, 4};
  EXPECT_FALSE((*source)->whole(stranger, scratch).ok());
  (*source)->drop(stranger);
}

}  // namespace
}  // namespace andiron
