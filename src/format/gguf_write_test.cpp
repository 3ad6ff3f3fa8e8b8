#include <gtest/gtest.h>

#include <cstring>

#include "base/test_folder.h"
#include "format/gguf.h"
#include "format/gguf_builder.h"

namespace andiron {
namespace {

std::vector<uint8_t> counting_bytes(size_t count) {
  std::vector<uint8_t> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(i * 7 + 1);
  return bytes;
}

std::vector<TensorInfo> two_tensors() {
  return {{"a.weight", DType::kF32, {3, 5}}, {"b.weight", DType::kQ8_0, {2, 32}}};
}

TEST(GgufWriter, WritesTheBytesThatTheSpecificationAsksFor) {
  const TestFolder folder;
  const std::vector<MetaEntry> metadata = {
      MetaEntry::text("general.architecture", "toy"),
      MetaEntry::u32("toy.block_count", 7),
      MetaEntry::f32("toy.eps", 0.5),
      MetaEntry::boolean("toy.flag", true),
      MetaEntry::i32s("toy.types", {1, -2}),
      MetaEntry::f32s("toy.scores", {-1.5}),
      MetaEntry::booleans("toy.mask", {true, false}),
      MetaEntry::texts("toy.tokens", {"x", "", "\xff"}),
      {"toy.i8", MetaType::kInt8, {int64_t{-128}}},
      {"toy.u64", MetaType::kUint64, {int64_t{1} << 62}},
      {"toy.f64", MetaType::kFloat64, {0.1}},
  };
  const auto a = counting_bytes(60), b = counting_bytes(68);
  auto writer = GgufWriter::create(folder.file("out.gguf"), metadata, two_tensors());
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  for (const uint8_t byte : a) ASSERT_TRUE(writer->append(std::span(&byte, 1)).ok()) << "in parts of any size";
  ASSERT_TRUE(writer->append(b).ok());
  ASSERT_TRUE(writer->finish().ok());

  GgufBuilder expected;
  expected.text("general.architecture", "toy").u32("toy.block_count", 7).f32("toy.eps", 0.5f);
  expected.scalar<uint8_t>("toy.flag", 7, 1);
  expected.array<int32_t>("toy.types", 5, {1, -2}).array<float>("toy.scores", 6, {-1.5f});
  expected.array<uint8_t>("toy.mask", 7, {1, 0}).texts("toy.tokens", {"x", "", "\xff"});
  expected.scalar<int8_t>("toy.i8", 1, -128).scalar<uint64_t>("toy.u64", 10, uint64_t{1} << 62);
  expected.scalar<double>("toy.f64", 12, 0.1);
  expected.tensor("a.weight", {5, 3}, 0, 0).tensor("b.weight", {32, 2}, 8, 64);
  std::vector<uint8_t> data = a;
  data.resize(64);
  data.insert(data.end(), b.begin(), b.end());
  data.resize(160);
  EXPECT_EQ(read_bytes(folder.file("out.gguf")), expected.build(data));
}

TEST(GgufWriter, WhatIsReadCanBeWrittenAgainByteForByte) {
  const TestFolder folder;
  GgufBuilder builder;
  builder.alignment = 64;
  builder.text("general.architecture", "toy").u32("toy.x", 1);
  builder.tensor("t", {4}, 0, 0).tensor("s", {4}, 0, 64);
  auto bytes = builder.build(counting_bytes(128));
  // The writer puts the alignment first.
  GgufBuilder aligned;
  aligned.alignment = 64;
  aligned.u32("general.alignment", 64).text("general.architecture", "toy").u32("toy.x", 1);
  aligned.tensor("t", {4}, 0, 0).tensor("s", {4}, 0, 64);
  auto data = counting_bytes(16);
  data.resize(64);
  const auto second = counting_bytes(16);
  data.insert(data.end(), second.begin(), second.end());
  data.resize(128);
  bytes = aligned.build(data);

  const auto source = open_gguf(folder.write("in.gguf", bytes));
  ASSERT_TRUE(source.ok()) << source.error().message;
  std::vector<TensorInfo> tensors((*source)->tensors().begin(), (*source)->tensors().end());
  auto writer = GgufWriter::create(folder.file("out.gguf"), (*source)->metadata(), tensors, 64);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  std::vector<uint8_t> scratch;
  for (const TensorInfo& tensor : (*source)->tensors()) {
    ASSERT_TRUE(writer->append(*(*source)->whole(tensor, scratch)).ok());
  }
  ASSERT_TRUE(writer->finish().ok());
  EXPECT_EQ(read_bytes(folder.file("out.gguf")), bytes);
}

TEST(GgufWriter, AShardsKeysAreNotRepeated) {
  const TestFolder folder;
  const std::vector<MetaEntry> metadata = {MetaEntry::u32("split.count", 3), MetaEntry::u32("toy.x", 1)};
  auto writer = GgufWriter::create(folder.file("out.gguf"), metadata, {});
  ASSERT_TRUE(writer.ok() && writer->finish().ok());
  const auto source = open_gguf(folder.file("out.gguf"));
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ((*source)->metadata().size(), 1u);
}

TEST(GgufWriter, RefusesWhatItCannotWrite) {
  const TestFolder folder;
  const std::string path = folder.file("out.gguf");
  const std::vector<MetaEntry> too_big = {{"x", MetaType::kUint8, {int64_t{256}}}};
  const std::vector<MetaEntry> negative = {{"x", MetaType::kUint32, {int64_t{-1}}}};
  const std::vector<MetaEntry> mistyped = {{"x", MetaType::kText, {1.5}}};
  const std::vector<MetaEntry> twice = {MetaEntry::u32("x", 1), MetaEntry::u32("x", 2)};
  for (const auto& metadata : {too_big, negative, mistyped, twice}) {
    EXPECT_FALSE(GgufWriter::create(path, metadata, {}).ok());
  }
  const std::vector<TensorInfo> zero = {{"t", DType::kF32, {0}}};
  const std::vector<TensorInfo> half_block = {{"t", DType::kQ4_0, {33}}};
  const std::vector<TensorInfo> same_name = {{"t", DType::kF32, {1}}, {"t", DType::kF32, {1}}};
  const std::vector<TensorInfo> long_name = {{std::string(65, 't'), DType::kF32, {1}}};
  for (const auto& tensors : {zero, half_block, same_name, long_name}) {
    EXPECT_FALSE(GgufWriter::create(path, {}, tensors).ok());
  }
  EXPECT_FALSE(GgufWriter::create(path, {}, {}, 24).ok());
  EXPECT_FALSE(GgufWriter::create(folder.file("no/such/folder.gguf"), {}, {}).ok());
}

TEST(GgufWriter, AnUnfinishedFileNeverAppears) {
  const TestFolder folder;
  const std::string path = folder.write("out.gguf", "what was there");
  {
    auto writer = GgufWriter::create(path, {}, two_tensors());
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->append(counting_bytes(10)).ok());
    EXPECT_FALSE(writer->append(counting_bytes(51)).ok()) << "more than the tensor lacks";
    EXPECT_FALSE(writer->finish().ok());
  }
  const auto kept = read_bytes(path);
  EXPECT_EQ(std::string(kept.begin(), kept.end()), "what was there");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

}  // namespace
}  // namespace andiron
