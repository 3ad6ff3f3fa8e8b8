#include "adapter/adapter_base.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "adapter/adapter_fixture.h"
#include "base/test_folder.h"
#include "format/gguf.h"

namespace andiron {
namespace {

const std::string kTinystories = ANDIRON_SOURCE_DIR "/../shared/data/models/tinystories-656k";

// A model of few tensors, each filled with the byte of its place in the list.
class ModelFile {
 public:
  ModelFile() {
    add("token_embd.weight", {10, 32});
    add("blk.0.attn_norm.weight", {32});
    add("blk.0.ffn_up.weight", {40, 32});
    add("blk.0.attn_q.weight", {32, 32});
    add("blk.10.attn_k.weight", {16, 32});
    add("blk.2.attn_k.weight", {16, 32});
    add("blk.0.ffn_up_exps.weight", {2, 8, 32});
    add("blk.0.ffn_gate_inp.weight", {4, 32});
    add("output.weight", {10, 32});
  }
  void add(std::string name, std::vector<uint64_t> shape, DType dtype = DType::kQ8_0) {
    tensors.push_back(make_tensor_info(std::move(name), shape.size() == 1 ? DType::kF32 : dtype, shape, "x").value());
    bytes.emplace_back(tensors.back().bytes, static_cast<uint8_t>(tensors.size()));
  }
  std::unique_ptr<ModelSource> open() {
    const std::string path = folder.file(std::to_string(count_++) + ".gguf");
    auto writer = GgufWriter::create(path, metadata, tensors);
    EXPECT_TRUE(writer.ok());
    for (const auto& b : bytes) EXPECT_TRUE(writer->append(b).ok());
    EXPECT_TRUE(writer->finish().ok());
    return open_gguf(path).value();
  }
  std::string hash() { return hash_base(*open()).value(); }

  TestFolder folder;
  std::vector<MetaEntry> metadata = {MetaEntry::text("general.architecture", "llama"),
                                     MetaEntry::text("general.name", "toy"),
                                     MetaEntry::u32("llama.attention.head_count", 4)};
  std::vector<TensorInfo> tensors;
  std::vector<std::vector<uint8_t>> bytes;

 private:
  int count_ = 0;
};

TEST(AdapterBase, ListsWhatAdaptersMayChangeInOrder) {
  ModelFile file;
  const auto base = describe_base(*file.open());
  ASSERT_TRUE(base.ok()) << base.error().message;
  std::vector<std::string> names;
  for (const AdapterLayer& layer : base->layers) names.push_back(layer.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"blk.0.attn_q", "blk.0.ffn_up", "blk.2.attn_k", "blk.10.attn_k", "output"}));
  EXPECT_EQ(base->find("blk.0.ffn_up")->n, 40) << "outputs";
  EXPECT_EQ(base->find("blk.0.ffn_up")->k, 32) << "inputs";
  EXPECT_EQ(base->name, "toy");
  EXPECT_EQ(base->architecture, "llama");
  EXPECT_EQ(base->heads, 4u);
  EXPECT_EQ(base->heads_kv, 4u) << "unless another number is given";
  EXPECT_EQ(base->hash.size(), 32u);
  EXPECT_EQ(base->hash, file.hash());
}

TEST(AdapterBase, RefusesModelsThatAreNotKnown) {
  ModelFile file;
  file.metadata[2] = MetaEntry::u32("llama.attention.head_count", 0);
  EXPECT_FALSE(describe_base(*file.open()).ok());
  file.metadata[0] = MetaEntry::text("general.architecture", "gpt2");
  const auto base = describe_base(*file.open());
  ASSERT_FALSE(base.ok());
  expect_says(base.error().message, {"gpt2"});
}

// The first and the last row are among those that are read.
TEST(AdapterBase, TheHashTellsModelsApartAndNotFiles) {
  ModelFile file;
  const std::string hash = file.hash();
  {
    ModelFile reordered;
    std::reverse(reordered.tensors.begin(), reordered.tensors.end());
    std::reverse(reordered.bytes.begin(), reordered.bytes.end());
    reordered.metadata.push_back(MetaEntry::text("general.license", "mit"));
    EXPECT_EQ(reordered.hash(), hash) << "the order of the file and its metadata are no weights";
  }
  {
    ModelFile renamed;
    renamed.tensors[2].name = "blk.1.ffn_up.weight";
    EXPECT_NE(renamed.hash(), hash);
  }
  {
    ModelFile reshaped;  // the same bytes in other rows
    reshaped.tensors[2].shape = {20, 64};
    EXPECT_NE(reshaped.hash(), hash);
  }
  for (size_t i = 0; i < file.bytes.size(); ++i) {
    for (const bool is_last : {false, true}) {
      ModelFile changed;
      (is_last ? changed.bytes[i].back() : changed.bytes[i].front()) ^= 1;
      EXPECT_NE(changed.hash(), hash) << changed.tensors[i].name;
    }
  }
}

// Fine-tunes and number formats differ everywhere, so eight rows are enough to tell them apart.
TEST(AdapterBase, AFineTuneOfTheWholeModelHasAnotherHash) {
  ModelFile file;
  const std::string hash = file.hash();
  for (uint8_t& byte : file.bytes[3]) byte ^= 0x40;
  EXPECT_NE(file.hash(), hash);
}

TEST(AdapterBase, ATrainedModelIsDescribed) {
  if (!std::filesystem::exists(kTinystories)) GTEST_SKIP() << kTinystories << " is absent";
  const auto source = open_model_source(kTinystories);
  ASSERT_TRUE(source.ok()) << source.error().message;
  const auto base = describe_base(**source);
  ASSERT_TRUE(base.ok()) << base.error().message;
  ASSERT_FALSE(base->layers.empty());
  EXPECT_EQ(base->layers.front().name, "blk.0.attn_q");
  for (const AdapterLayer& layer : base->layers) EXPECT_GT(std::min(layer.n, layer.k), 0) << layer.name;
}

}  // namespace
}  // namespace andiron
