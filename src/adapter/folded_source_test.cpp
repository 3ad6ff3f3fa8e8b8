#include "adapter/folded_source.h"

#include <gtest/gtest.h>

#include <cstring>

#include "adapter/adapter_fixture.h"
#include "base/test_folder.h"
#include "format/gguf.h"
#include "tensor/quantize.h"

namespace andiron {
namespace {

// A model of one matrix in Q8_0, one in F32 and a norm; the adapter changes the first.
class FoldSource : public testing::Test {
 protected:
  void SetUp() override {
    const std::vector<MetaEntry> metadata = {MetaEntry::text("general.architecture", "llama")};
    std::vector<TensorInfo> tensors = {make_tensor_info("blk.0.ffn_up.weight", DType::kQ8_0, {5, 64}, "x").value(),
                                       make_tensor_info("blk.0.ffn_down.weight", DType::kF32, {64, 5}, "x").value(),
                                       make_tensor_info("blk.0.ffn_norm.weight", DType::kF32, {64}, "x").value()};
    const std::string path = folder_.file("model.gguf");
    auto writer = GgufWriter::create(path, metadata, tensors);
    ASSERT_TRUE(writer.ok());
    const RandomStream random(3);
    uint64_t at = 0;
    for (const TensorInfo& tensor : tensors) {
      std::vector<float> values(tensor.elements);
      for (float& value : values) value = static_cast<float>(random.normal(at++));
      std::vector<uint8_t> bytes(tensor.bytes);
      for (uint64_t row = 0; row < tensor.rows(); ++row) {
        encode_row(tensor.dtype, values.data() + row * tensor.columns(),
                   bytes.data() + row * row_bytes(tensor.dtype, tensor.columns()), tensor.columns(), nullptr);
      }
      ASSERT_TRUE(writer->append(bytes).ok());
    }
    ASSERT_TRUE(writer->finish().ok());
    base_ = open_gguf(path).value();
    adapter_.architecture = "llama";
    adapter_.rank = 2;
    adapter_.alpha = 16;
    adapter_.matrices.push_back(random_matrix("blk.0.ffn_up", 5, 64, 2, 9));
    folded_ = fold_source(*base_, {{&adapter_, 0.5f}}, team_).value();
  }

  TestFolder folder_;
  ThreadTeam team_{3};
  Adapter adapter_;
  std::unique_ptr<ModelSource> base_, folded_;
};

TEST_F(FoldSource, WhatIsNotChangedStaysAsItIs) {
  ASSERT_EQ(folded_->tensors().size(), 3U);
  for (const char* name : {"blk.0.ffn_down.weight", "blk.0.ffn_norm.weight"}) {
    const TensorInfo* from = base_->find_tensor(name);
    const TensorInfo* to = folded_->find_tensor(name);
    ASSERT_NE(to, nullptr);
    EXPECT_EQ(to->dtype, from->dtype);
    std::vector<uint8_t> a, b;
    const auto x = base_->whole(*from, a), y = folded_->whole(*to, b);
    ASSERT_TRUE(x.ok() && y.ok());
    EXPECT_TRUE(std::equal(x->begin(), x->end(), y->begin(), y->end())) << name;
  }
  EXPECT_EQ(*folded_->meta_text("general.architecture"), "llama");
  EXPECT_EQ(folded_->path(), base_->path());
}

TEST_F(FoldSource, RowsOfAChangedMatrixAreTheSum) {
  const TensorInfo* from = base_->find_tensor("blk.0.ffn_up.weight");
  const TensorInfo* to = folded_->find_tensor("blk.0.ffn_up.weight");
  ASSERT_EQ(to->dtype, DType::kF32);
  ASSERT_EQ(to->shape, from->shape);
  std::vector<uint8_t> raw, scratch;
  const auto bytes = base_->whole(*from, raw).value();
  const std::vector<double> delta = dense_delta(adapter_, adapter_.matrices[0], 0.5);
  // Any cut of the rows gives the same.
  for (const auto& [first, count] : std::vector<std::pair<uint64_t, uint64_t>>{{0, 5}, {1, 3}, {4, 1}, {2, 0}}) {
    const auto rows = folded_->rows(*to, first, count, scratch);
    ASSERT_TRUE(rows.ok()) << rows.error().message;
    ASSERT_EQ(rows->size(), count * 64 * sizeof(float));
    for (uint64_t i = 0; i < count; ++i) {
      std::vector<float> w(64), got(64);
      decode_row(from->dtype, bytes.data() + (first + i) * row_bytes(from->dtype, 64), w.data(), 64);
      std::memcpy(got.data(), rows->data() + i * 64 * sizeof(float), 64 * sizeof(float));
      for (size_t j = 0; j < 64; ++j) {
        // One rounding to float of a sum in double.
        const double sum = double{w[j]} + delta[(first + i) * 64 + j];
        EXPECT_NEAR(got[j], sum, 0x1p-24 * std::abs(sum) + 1e-12);
      }
    }
  }
  EXPECT_FALSE(folded_->rows(*to, 4, 2, scratch).ok()) << "beyond the end";
}

}  // namespace
}  // namespace andiron
