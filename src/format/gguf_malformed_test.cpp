// Every published way to break a GGUF reader that concerns this layer, each as a file that must be refused with a
// message that says what is wrong. Numbers are llama.cpp's issues and pull requests, or advisories.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/strings.h"
#include "base/test_folder.h"
#include "format/gguf.h"
#include "format/gguf_builder.h"

namespace andiron {
namespace {

using Bytes = GgufBuilder::Bytes;
constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

std::string error_of(const Bytes& bytes) {
  const auto contents = read_gguf(bytes, "toy.gguf");
  if (contents.ok()) return "";
  EXPECT_TRUE(contents.error().message.starts_with("toy.gguf: ")) << contents.error().message;
  return contents.error().message;
}

// The message has `expected` in it; an empty one means that the file was taken.
void expect_refused(const Bytes& bytes, std::string_view expected) {
  const std::string error = error_of(bytes);
  EXPECT_NE(error.find(expected), std::string::npos) << "expected \"" << expected << "\", got \"" << error << "\"";
}

void expect_taken(const Bytes& bytes) { EXPECT_EQ(error_of(bytes), ""); }

// One tensor of `dimensions` (innermost first) that says it has `data` bytes after it.
void expect_tensor_refused(const std::vector<uint64_t>& dimensions, uint32_t type, uint64_t offset,
                           std::string_view expected, size_t data_bytes = 64) {
  expect_refused(GgufBuilder().tensor("t", dimensions, type, offset).build(Bytes(data_bytes)), expected);
}

TEST(GgufMalformed, AnEmptyHeaderIsAFile) { expect_taken(GgufBuilder().build()); }

TEST(GgufMalformed, WrongMagic) {
  GgufBuilder builder;
  builder.magic = "FUGG";
  expect_refused(builder.build(), "not a GGUF file");
  expect_refused({}, "magic number needs 4 bytes");
}

TEST(GgufMalformed, VersionsThatAreNotRead) {
  for (const uint32_t version : {0u, 1u, 4u, 0xffffu, 0xffffffffu}) {
    GgufBuilder builder;
    builder.version = version;
    expect_refused(builder.build(), "is not supported");
  }
  for (const uint32_t version : {2u, 3u}) {
    GgufBuilder builder;
    builder.version = version;
    expect_taken(builder.u32("a", 1).build());
  }
}

TEST(GgufMalformed, BigEndian) {
  for (const uint32_t version : {0x03000000u, 0x02000000u}) {
    GgufBuilder builder;
    builder.version = version;
    expect_refused(builder.build(), "big-endian");
  }
}

TEST(GgufMalformed, HugeCountsOfTensorsAndKeys_15711) {
  for (const uint64_t count : {kHuge, kHuge / 2, uint64_t{1} << 40, uint64_t{3}}) {
    GgufBuilder tensors;
    tensors.tensors_count = count;
    expect_refused(tensors.build(), "tensors are announced");
    GgufBuilder keys;
    keys.keys_count = count;
    expect_refused(keys.build(), "keys are announced");
  }
}

TEST(GgufMalformed, LengthsThatWrap_CVE_2024_23496) {
  for (const uint64_t length : {kHuge, kHuge - 7, kHuge - 8, uint64_t{1} << 63, uint64_t{64}}) {
    GgufBuilder key;
    GgufBuilder::put(key.key("k", 8), length);  // a text of that length
    expect_refused(key.build(), "only");
    Bytes name = GgufBuilder().build();
    name.resize(24);
    name[16] = 1;  // one key
    GgufBuilder::put(name, length);
    name.resize(name.size() + 16);
    expect_refused(name, "only");
    GgufBuilder item;
    GgufBuilder::put(item.array_of("k", 8, 1), length);
    expect_refused(item.build(), "only");
    GgufBuilder tensor;
    tensor.tensors_count = 1;
    Bytes& raw = tensor.u32("x", 1).key("y", 8);
    GgufBuilder::put_text(raw, "");
    GgufBuilder::put(raw, length);  // where the tensor's name begins
    raw.resize(raw.size() + 40);
    expect_refused(tensor.build(), "only");
  }
}

TEST(GgufMalformed, ArrayCountTimesSizeWraps) {
  for (const uint32_t type : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 10u, 11u, 12u}) {
    for (const uint64_t count : {kHuge, kHuge / 4 + 1, kHuge / 8 + 1, uint64_t{1} << 61, uint64_t{1} << 22}) {
      GgufBuilder builder;
      builder.array_of("k", type, count).resize(100);
      expect_refused(builder.build(), "items in \"k\" are announced");
    }
  }
}

TEST(GgufMalformed, ManyItemsInManyArraysAreCountedTogether) {
  GgufBuilder builder;
  for (int i = 0; i < 3; ++i) builder.array<uint8_t>(format("k{}", i), 0, Bytes(4 << 20));
  expect_refused(builder.build(), "at most 0 are allowed");
}

TEST(GgufMalformed, ArraysOfArrays_F001) {
  GgufBuilder builder;
  builder.array_of("k", 9, 1).resize(100);
  expect_refused(builder.build(), "list of lists");
}

TEST(GgufMalformed, UnknownValueTypes_19856) {
  for (const uint32_t type : {13u, 14u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
    GgufBuilder builder;
    builder.key("k", type).resize(64);
    expect_refused(builder.build(), "which GGUF does not define");
    GgufBuilder array;
    array.array_of("k", type, 0);
    expect_refused(array.build(), "which GGUF does not define");
  }
}

TEST(GgufMalformed, KeysThatAreNoNames) {
  expect_refused(GgufBuilder().u32("", 1).build(), "a name of 1 to 65535");
  expect_refused(GgufBuilder().u32("a\nb", 1).build(), "a\\x0ab");
  expect_refused(GgufBuilder().u32(std::string_view("a\0b", 3), 1).build(), "printable");
  expect_refused(GgufBuilder().u32("\xff", 1).build(), "printable");
  expect_refused(GgufBuilder().u32(std::string(65536, 'k'), 1).build(), "65535");
  expect_taken(GgufBuilder().u32(std::string(65535, 'k'), 1).build());
}

TEST(GgufMalformed, TheSameKeyTwice) {
  expect_refused(GgufBuilder().u32("k", 1).u32("j", 1).u32("k", 1).build(), "\"k\" appears twice");
}

TEST(GgufMalformed, TheSameTensorTwice) {
  expect_refused(GgufBuilder().tensor("t", {8}, 0, 0).tensor("t", {8}, 0, 32).build(Bytes(64)), "\"t\" appears twice");
}

TEST(GgufMalformed, BoolsOtherThanZeroAndOne) {
  expect_refused(GgufBuilder().scalar<uint8_t>("k", 7, 2).build(), "0 or 1 is expected");
  expect_refused(GgufBuilder().array<uint8_t>("k", 7, {1, 0, 255}).build(), "0 or 1 is expected");
}

TEST(GgufMalformed, NumbersTooLargeForAnyUse) {
  expect_refused(GgufBuilder().scalar<uint64_t>("k", 10, uint64_t{1} << 63).build(), "larger than any number");
  expect_taken(GgufBuilder().scalar<uint64_t>("k", 10, (uint64_t{1} << 63) - 1).build());
}

TEST(GgufMalformed, AlignmentOfTheWrongTypeOrValue_26318) {
  const char* key = "general.alignment";
  for (const uint32_t value : {0u, 13u, 31u, 33u, 0xffffffffu}) {
    expect_refused(GgufBuilder().u32(key, value).build(), "power of two");
  }
  expect_refused(GgufBuilder().scalar<int32_t>(key, 5, 32).build(), "uint32");
  expect_refused(GgufBuilder().scalar<uint64_t>(key, 10, 32).build(), "uint32");
  expect_refused(GgufBuilder().scalar<float>(key, 6, 32).build(), "uint32");
  expect_refused(GgufBuilder().text(key, "32").build(), "uint32");
  expect_refused(GgufBuilder().array<uint32_t>(key, 4, {32}).build(), "power of two");
  // The largest power of two: the data would begin beyond the end.
  expect_refused(GgufBuilder().u32(key, 1u << 31).tensor("t", {8}, 0, 0).build(Bytes(32)), "cut short");
  for (const uint32_t value : {1u, 8u, 64u}) {
    GgufBuilder builder;
    builder.alignment = value;
    expect_taken(builder.u32(key, value).tensor("t", {8}, 0, 0).build(Bytes(32)));
  }
}

TEST(GgufMalformed, AWrongNumberOfDimensions) {
  expect_tensor_refused({}, 0, 0, "0 dimensions");
  expect_tensor_refused({1, 1, 1, 1, 1}, 0, 0, "5 dimensions");
  GgufBuilder builder;
  builder.tensors_count = 1;
  Bytes& raw = builder.key("y", 8);
  GgufBuilder::put_text(raw, "");
  GgufBuilder::put_text(raw, "t");
  GgufBuilder::put<uint32_t>(raw, 0xffffffff);
  raw.resize(raw.size() + 64);
  expect_refused(builder.build(), "4294967295 dimensions");
}

TEST(GgufMalformed, DimensionsOfZeroOrWhoseProductWraps_14595_18674) {
  expect_tensor_refused({0}, 0, 0, "a dimension is 0");
  expect_tensor_refused({8, 0}, 0, 0, "a dimension is 0");
  expect_tensor_refused({kHuge}, 0, 0, "too large");
  expect_tensor_refused({kHuge, kHuge}, 0, 0, "too large");
  expect_tensor_refused({uint64_t{1} << 32, uint64_t{1} << 32}, 0, 0, "too large");
  expect_tensor_refused({uint64_t{1} << 32, uint64_t{1} << 32, 1, 1}, 24, 0, "type 24");
  // 2^42 + 1 rows of 2^22 wrap to 2^22 in 64 bits.
  expect_tensor_refused({uint64_t{1} << 22, (uint64_t{1} << 42) + 1}, 0, 0, "too large");
  expect_tensor_refused({uint64_t{1} << 62}, 0, 0, "too large");      // its bytes wrap to 0
  expect_tensor_refused({uint64_t{1} << 60}, 8, 0, "cut short", 64);  // its bytes do not
  expect_tensor_refused({2, uint64_t{1} << 31, 2, uint64_t{1} << 31}, 0, 0, "too large");
}

TEST(GgufMalformed, RowsThatAreNotWholeBlocks) {
  expect_tensor_refused({33}, 2, 0, "not whole blocks of 32");
  expect_tensor_refused({128, 2}, 12, 0, "not whole blocks of 256");
}

TEST(GgufMalformed, TensorTypesThatAreUnknownOrUnsupported_19856) {
  for (const uint32_t type : {4u, 5u, 9u, 15u, 16u, 24u, 28u, 31u, 34u, 39u, 40u, 0x80000000u, 0xffffffffu}) {
    expect_tensor_refused({256}, type, 0, format("stored as type {}, which is not supported", type));
    expect_tensor_refused({256}, type, 0, "Q4_K");
  }
}

TEST(GgufMalformed, SummedSizesThatWrap_CVE_2026_27940) {
  GgufBuilder builder;
  const uint64_t half = 0x1fffffffffffffc0;  // as F32 just below 2^63 bytes; two of them pass 2^64
  builder.tensor("a", {half}, 0, 0).tensor("b", {half}, 0, half * 4);
  expect_refused(builder.build(Bytes(64)), "cut short");
}

TEST(GgufMalformed, OffsetsPastTheEndUnalignedOrOverlapping_CVE_2026_7482) {
  expect_tensor_refused({8}, 0, 64, "cut short");
  expect_tensor_refused({9}, 0, 32, "cut short");
  expect_tensor_refused({8}, 0, uint64_t{1} << 62, "cut short");
  expect_tensor_refused({8}, 0, kHuge - 31, "cut short");  // offset + start of data would wrap
  expect_tensor_refused({8}, 0, kHuge, "not a multiple of 32");
  expect_tensor_refused({8}, 0, 4, "not a multiple of 32");
  expect_refused(GgufBuilder().tensor("a", {9}, 0, 0).tensor("b", {8}, 0, 32).build(Bytes(64)), "overlap");
  expect_refused(GgufBuilder().tensor("a", {8}, 0, 32).tensor("b", {16}, 0, 0).build(Bytes(64)), "overlap");
  expect_refused(GgufBuilder().tensor("a", {8}, 0, 0).tensor("b", {8}, 0, 0).build(Bytes(64)), "overlap");
  expect_taken(GgufBuilder().tensor("a", {8}, 0, 32).tensor("b", {8}, 0, 0).build(Bytes(64)));
}

TEST(GgufMalformed, ManyTensorsOnOneRegion) {
  GgufBuilder builder;
  for (int i = 0; i < 5000; ++i) builder.tensor(format("t{}", i), {8}, 0, 0);
  expect_refused(builder.build(Bytes(32)), "overlap");
}

TEST(GgufMalformed, TensorNamesOfAWrongLength) {
  expect_refused(GgufBuilder().tensor("", {8}, 0, 0).build(Bytes(32)), "name of 0 bytes");
  expect_refused(GgufBuilder().tensor(std::string(65, 'n'), {8}, 0, 0).build(Bytes(32)), "name of 65 bytes");
  expect_taken(GgufBuilder().tensor(std::string(64, 'n'), {8}, 0, 0).build(Bytes(32)));
}

TEST(GgufMalformed, NotEnoughData_6774) {
  GgufBuilder builder;
  builder.tensor("t", {8}, 0, 0);
  expect_taken(builder.build(Bytes(32)));
  expect_refused(builder.build(Bytes(31)), "cut short");
  expect_refused(builder.build(), "cut short");
}

TEST(GgufMalformed, TerminalsNeverSeeTheFilesControlCharacters) {
  const std::string error = error_of(GgufBuilder().tensor("\x1b[2J", {0}, 0, 0).build(Bytes(32)));
  EXPECT_EQ(error.find('\x1b'), std::string::npos);
  EXPECT_NE(error.find("\\x1b[2J"), std::string::npos) << error;
}

// What a value means is for the model to judge, but a value of the wrong kind, or a number that is none, never
// reaches it (PR 26690; rope, eps and scale values of NaN and infinity).
TEST(GgufMalformed, ValuesOfTheWrongKindAreErrorsWhenAskedFor) {
  const TestFolder folder;
  GgufBuilder builder;
  builder.f32("nan", std::nanf("")).f32("inf", INFINITY).f32("pi", 3.5f).u32("one", 1).text("text", "x");
  builder.scalar<double>("minus_inf", 12, -INFINITY).scalar<uint8_t>("true", 7, 1);
  builder.array<int32_t>("ints", 5, {1}).array<float>("floats", 6, {1}).texts("texts", {"a"});
  builder.array<int32_t>("empty", 5, {});
  const auto opened = open_gguf(folder.write("x.gguf", builder.build()));
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const ModelSource& s = **opened;
  for (const char* key : {"nan", "inf", "minus_inf", "text", "true", "ints"}) EXPECT_FALSE(s.meta_float(key, 1).ok());
  for (const char* key : {"pi", "nan", "text", "true", "ints"}) EXPECT_FALSE(s.meta_int(key, 1).ok()) << key;
  for (const char* key : {"pi", "one", "text", "ints"}) EXPECT_FALSE(s.meta_bool(key, true).ok()) << key;
  for (const char* key : {"pi", "one", "true", "texts"}) EXPECT_FALSE(s.meta_text(key, "").ok()) << key;
  for (const char* key : {"one", "floats", "texts"}) EXPECT_FALSE(s.meta_ints(key).ok()) << key;
  for (const char* key : {"pi", "ints", "texts"}) EXPECT_FALSE(s.meta_floats(key).ok()) << key;
  for (const char* key : {"text", "ints", "floats"}) EXPECT_FALSE(s.meta_texts(key).ok()) << key;
  EXPECT_FALSE(s.meta_bools("ints").ok());
  EXPECT_EQ(*s.meta_float("one"), 1.0) << "whole numbers are numbers";
  EXPECT_FALSE(s.meta_int("absent").ok());
  EXPECT_FALSE(s.meta_float("absent").ok());
  EXPECT_FALSE(s.meta_text("absent").ok());
  EXPECT_EQ(*s.meta_int("absent", 7), 7);
  EXPECT_EQ(*s.meta_text("absent", "y"), "y");
  EXPECT_EQ(*s.meta_ints("absent"), nullptr);
  EXPECT_TRUE((*s.meta_texts("empty"))->empty()) << "an empty list is one of any kind";
}

// One row each: what the other file claims, and what is said about it.
class GgufShards : public testing::Test {
 protected:
  static Bytes shard(uint16_t number, uint16_t count, const char* tensor, int32_t tensors = 2) {
    GgufBuilder builder;
    builder.scalar("split.no", 2, number).scalar("split.count", 2, count).scalar("split.tensors.count", 5, tensors);
    if (number == 0) builder.text("general.architecture", "toy");
    builder.tensor(tensor, {8}, 0, 0);
    Bytes data(32);
    data[0] = static_cast<uint8_t>(number + 1);
    return builder.build(data);
  }
  std::string open_error(const std::string& path) const {
    const auto source = open_gguf(path);
    return source.ok() ? "" : source.error().message;
  }
  TestFolder folder_;
};

TEST_F(GgufShards, TwoPartsAreOneModel) {
  const std::string first = folder_.write("m-00001-of-00002.gguf", shard(0, 2, "a"));
  folder_.write("m-00002-of-00002.gguf", shard(1, 2, "b"));
  const auto source = open_gguf(first);
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ((*source)->files().size(), 2u);
  EXPECT_EQ(*(*source)->meta_text("general.architecture"), "toy");
  std::vector<uint8_t> scratch;
  EXPECT_EQ((*(*source)->whole(*(*source)->find_tensor("a"), scratch))[0], 1);
  EXPECT_EQ((*(*source)->whole(*(*source)->find_tensor("b"), scratch))[0], 2);
}

TEST_F(GgufShards, AMissingPart) {
  const std::string first = folder_.write("m-00001-of-00002.gguf", shard(0, 2, "a"));
  EXPECT_NE(open_error(first).find("m-00002-of-00002.gguf: cannot open"), std::string::npos) << open_error(first);
}

TEST_F(GgufShards, APartOfAnotherSet) {
  const std::string first = folder_.write("m-00001-of-00002.gguf", shard(0, 2, "a"));
  struct Case {
    Bytes second;
    const char* message;
  };
  const Case cases[] = {
      {shard(0, 2, "b"), "it is misnamed"},
      {shard(1, 3, "b"), "it is misnamed"},
      {shard(65535, 2, "b"), "it is misnamed"},
      {GgufBuilder().tensor("b", {8}, 0, 0).build(Bytes(32)), "it is misnamed"},
      {GgufBuilder().text("split.no", "1").build(), "must be a whole number"},
      {shard(1, 2, "a"), "\"a\" appears twice"},
      {Bytes(40), "not a GGUF file"},
  };
  for (const Case& c : cases) {
    folder_.write("m-00002-of-00002.gguf", c.second);
    EXPECT_NE(open_error(first).find(c.message), std::string::npos) << open_error(first);
  }
}

TEST_F(GgufShards, AWrongCountOfTensors) {
  const std::string first = folder_.write("m-00001-of-00002.gguf", shard(0, 2, "a", 3));
  folder_.write("m-00002-of-00002.gguf", shard(1, 2, "b", 3));
  EXPECT_NE(open_error(first).find("hold 2 tensors together, but 3"), std::string::npos) << open_error(first);
}

TEST_F(GgufShards, NotTheFirstPartOrNotNamedAsOne) {
  const std::string second = folder_.write("m-00002-of-00002.gguf", shard(1, 2, "b"));
  EXPECT_NE(open_error(second).find("open the one whose name ends in \"-00001-of-00002.gguf\""), std::string::npos);
  const std::string renamed = folder_.write("m.gguf", shard(0, 2, "a"));
  EXPECT_NE(open_error(renamed).find("its name must end in"), std::string::npos);
}

TEST_F(GgufShards, AnAbsurdCount) {
  const std::string first = folder_.write("m-00001-of-60000.gguf", shard(0, 60000, "a"));
  EXPECT_NE(open_error(first).find("at most 512"), std::string::npos);
  GgufBuilder negative;
  negative.scalar<int32_t>("split.count", 5, -2);
  EXPECT_NE(open_error(folder_.write("n.gguf", negative.build())).find("at most 512"), std::string::npos);
  GgufBuilder extreme;
  extreme.scalar<int64_t>("split.no", 11, std::numeric_limits<int64_t>::max()).scalar<int32_t>("split.count", 5, 2);
  EXPECT_NE(open_error(folder_.write("e.gguf", extreme.build())).find("not the first"), std::string::npos);
}

}  // namespace
}  // namespace andiron
