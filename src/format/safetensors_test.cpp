#include "format/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/strings.h"
#include "base/test_folder.h"

namespace andiron {
namespace {

// A file of this header and so many bytes of data, put together by hand.
std::vector<uint8_t> file_of(std::string_view header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::vector<uint8_t> bytes(sizeof length + header.size() + data_bytes);
  std::memcpy(bytes.data(), &length, sizeof length);
  std::copy(header.begin(), header.end(), bytes.begin() + sizeof length);
  for (size_t i = 0; i < data_bytes; ++i) bytes[sizeof length + header.size() + i] = static_cast<uint8_t>(i);
  return bytes;
}

std::string error_of(std::span<const uint8_t> bytes) {
  const auto contents = read_safetensors(bytes, "toy.safetensors");
  return contents.ok() ? "" : contents.error().message;
}

void expect_refused(std::string_view header, size_t data_bytes, std::string_view expected) {
  const std::string error = error_of(file_of(header, data_bytes));
  EXPECT_NE(error.find(expected), std::string::npos)
      << header << "\n  expected \"" << expected << "\", got \"" << error << "\"";
}

void expect_taken(std::string_view header, size_t data_bytes) {
  EXPECT_EQ(error_of(file_of(header, data_bytes)), "") << header;
}

TEST(Safetensors, HoldsTensorsOneAfterAnother) {
  const auto bytes = file_of(R"({"__metadata__": {"format": "pt"},
      "b": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [4, 16]},
      "a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
      "none": {"dtype": "I64", "shape": [5, 0], "data_offsets": [16, 16]}}   )",
                             16);
  const auto contents = read_safetensors(bytes, "x");
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  ASSERT_EQ(contents->tensors.size(), 3u);
  const SafeTensor& b = contents->tensors[0];
  EXPECT_EQ(b.name, "b");
  EXPECT_EQ(b.shape, (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(b.dtype(), DType::kBF16);
  EXPECT_EQ(b.bytes, 12u);
  EXPECT_EQ(bytes[b.offset], 4) << "the data's fifth byte";
  EXPECT_TRUE(contents->tensors[1].shape.empty());
  EXPECT_EQ(contents->tensors[2].dtype(), std::nullopt) << "known, but not one of the three that are read";
  EXPECT_EQ(contents->metadata[0], (std::pair<std::string, std::string>("format", "pt")));
}

TEST(Safetensors, WhatIsWrittenIsReadAndIsAlwaysTheSame) {
  const TestFolder folder;
  const std::vector<uint8_t> data = {0, 0, 0x80, 0x3f, 0x00, 0x3c, 0x00, 0xc0, 0x80, 0x3f};
  const std::vector<SafetensorsOut> tensors = {
      {"one \"quoted\"", DType::kF32, {1, 1}, std::span(data).first(4)},
      {"two", DType::kF16, {2}, std::span(data).subspan(4, 4)},
      {"three", DType::kBF16, {}, std::span(data).subspan(8, 2)},
      {"empty", DType::kF32, {0, 7}, {}},
      {"codes", DType::kF32, {3}, std::span(data).first(3), "U8"},
  };
  const std::vector<std::pair<std::string, std::string>> metadata = {{"format", "pt"}};
  ASSERT_TRUE(write_safetensors(folder.file("a"), tensors, metadata).ok());
  ASSERT_TRUE(write_safetensors(folder.file("b"), tensors, metadata).ok());
  EXPECT_EQ(read_bytes(folder.file("a")), read_bytes(folder.file("b")));

  const auto file = SafetensorsFile::open(folder.file("a"));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ((*file)->tensors().size(), 5u);
  EXPECT_EQ((*file)->tensors()[0].offset % 8, 0u);
  const SafeTensor& codes = *(*file)->find("codes");
  EXPECT_EQ(codes.dtype_name, "U8");
  EXPECT_EQ((*file)->bytes(codes)[2], 0x80);
  EXPECT_EQ(*(*file)->floats(*(*file)->find("one \"quoted\"")), (std::vector<float>{1}));
  EXPECT_EQ(*(*file)->floats(*(*file)->find("two")), (std::vector<float>{1, -2}));
  EXPECT_EQ(*(*file)->floats(*(*file)->find("three")), (std::vector<float>{1}));
  EXPECT_EQ((*file)->find("four"), nullptr);
  EXPECT_EQ(*(*file)->metadata("format"), "pt");
  EXPECT_EQ((*file)->metadata("other"), nullptr);
}

TEST(Safetensors, RefusesToWriteNonsense) {
  const TestFolder folder;
  const std::vector<uint8_t> data(64);
  const auto error = [&](std::vector<SafetensorsOut> tensors) {
    const Status status = write_safetensors(folder.file("x"), tensors);
    EXPECT_FALSE(std::filesystem::exists(folder.file("x")));
    return status.ok() ? "" : status.error().message;
  };
  EXPECT_NE(error({{"t", DType::kF32, {3}, std::span(data).first(11)}}).find("needs 12 bytes"), std::string::npos);
  EXPECT_NE(error({{"t", DType::kF32, {3}, std::span(data).first(3), "U7"}}).find("\"U7\" is not known"),
            std::string::npos);
  EXPECT_NE(error({{"t", DType::kQ8_0, {32}, std::span(data).first(34)}}).find("no type Q8_0"), std::string::npos);
  EXPECT_NE(error({{"t", DType::kF32, {0}, {}}, {"t", DType::kF32, {0}, {}}}).find("taken"), std::string::npos);
  EXPECT_NE(error({{"__metadata__", DType::kF32, {0}, {}}}).find("taken"), std::string::npos);
  const uint64_t huge = std::numeric_limits<uint64_t>::max();
  EXPECT_NE(error({{"t", DType::kF32, {huge, huge}, {}}}).find("too large"), std::string::npos);
}

TEST(Safetensors, TypesThatNothingReadsAreRefusedWhenTheirNumbersAreAskedFor) {
  const TestFolder folder;
  const auto bytes = file_of(R"({"t": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}})", 4);
  const auto file = SafetensorsFile::open(folder.write("x.safetensors", bytes));
  ASSERT_TRUE(file.ok());
  const auto floats = (*file)->floats((*file)->tensors()[0]);
  ASSERT_FALSE(floats.ok());
  EXPECT_NE(floats.error().message.find("\"t\" is stored as F8_E4M3; F32, F16 and BF16"), std::string::npos);
}

// The published ways to break a reader, and those that the reference library's own tests name.
TEST(SafetensorsMalformed, HeaderLength) {
  for (const uint64_t length :
       {uint64_t{0}, uint64_t{1}, uint64_t{100'000'001}, std::numeric_limits<uint64_t>::max()}) {
    std::vector<uint8_t> bytes(16, ' ');
    std::memcpy(bytes.data(), &length, sizeof length);
    EXPECT_NE(error_of(bytes).find("its header should be 2 to 100000000 bytes"), std::string::npos);
  }
  for (const uint64_t length : {uint64_t{9}, uint64_t{100'000'000}}) {
    std::vector<uint8_t> bytes(16, ' ');
    std::memcpy(bytes.data(), &length, sizeof length);
    EXPECT_NE(error_of(bytes).find("only 8 remain"), std::string::npos);
  }
  EXPECT_NE(error_of(std::vector<uint8_t>(7)).find("only 7 remain"), std::string::npos);
  expect_taken("{}", 0);
}

TEST(SafetensorsMalformed, HeaderIsNotAnObjectOfJson) {
  expect_refused(" {}", 0, "not a JSON object");
  expect_refused("[]", 0, "not a JSON object");
  expect_refused("{\"a\"}", 0, "not valid JSON");
  expect_refused("{}x", 0, "after the end");
  expect_refused(std::string_view("{}\0", 3), 0, "after the end");
  expect_refused("{\"\xff\": 1}", 0, "not UTF-8");
  expect_refused(R"({"a": [[[[1]]]]})", 0, "nested deeper");
}

TEST(SafetensorsMalformed, NamesTwice) {
  expect_refused(R"({"a": {"dtype":"U8","shape":[1],"data_offsets":[0,1]},
                     "a": {"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                 2, "\"a\" appears twice");
  expect_refused(R"({"a": {"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1, "appears twice");
}

TEST(SafetensorsMalformed, EntriesThatAreNoTensors) {
  const char* entries[] = {
      R"(1)",
      R"([])",
      R"({})",
      R"({"dtype":"U8","shape":[1]})",
      R"({"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1})",
      R"({"dtype":8,"shape":[1],"data_offsets":[0,1]})",
      R"({"dtype":"U8","shape":1,"data_offsets":[0,1]})",
      R"({"dtype":"U8","shape":[1],"data_offsets":1})",
  };
  for (const char* entry : entries) expect_refused(format(R"({{"a": {}}})", entry), 1, "expected exactly dtype");
  const char* shapes[] = {"[-1]", "[1.0]", "[\"1\"]", "[null]", "[1e0]", "[18446744073709551615]"};
  for (const char* shape : shapes) {
    expect_refused(format(R"({{"a": {{"dtype":"U8","shape":{},"data_offsets":[0,1]}}}})", shape), 1, "whole numbers");
  }
  const char* offsets[] = {"[]", "[0]", "[0,1,2]", "[-1,1]", "[0,1.5]", "[0,\"1\"]", "[0,18446744073709551616]"};
  for (const char* offset : offsets) {
    expect_refused(format(R"({{"a": {{"dtype":"U8","shape":[1],"data_offsets":{}}}}})", offset), 1,
                   "two whole numbers");
  }
}

TEST(SafetensorsMalformed, RangesAndShapes) {
  const auto tensor = [](const char* dtype, const char* shape, const char* offsets) {
    return format(R"({{"a": {{"dtype":"{}","shape":{},"data_offsets":{}}}}})", dtype, shape, offsets);
  };
  expect_refused(tensor("U8", "[1]", "[1,0]"), 1, "it lies at 1 to 0");
  expect_refused(tensor("U8", "[2]", "[0,2]"), 1, "cut short");
  expect_refused(tensor("U8", "[1]", "[9223372036854775806,9223372036854775807]"), 1, "cut short");
  expect_refused(tensor("F32", "[1]", "[0,3]"), 3, "need 4 bytes, but 3");
  expect_refused(tensor("F32", "[2]", "[0,4]"), 4, "need 8 bytes, but 4");
  expect_refused(tensor("F99", "[1]", "[0,4]"), 4, "\"F99\" is not known");
  expect_refused(tensor("U8", "[4294967296,4294967296]", "[0,0]"), 0, "too large");
  expect_refused(tensor("F32", "[4611686018427387904]", "[0,0]"), 0, "too large");  // its bits wrap to 0
  expect_refused(tensor("F4", "[3]", "[0,1]"), 1, "whole bytes");
  expect_taken(tensor("F4", "[4]", "[0,2]"), 2);
  expect_refused(tensor("U8", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, "too many dimensions");
}

TEST(SafetensorsMalformed, GapsOverlapsAndBytesThatBelongToNothing) {
  const auto two = [](const char* first, const char* second) {
    return format(R"({{"a": {{"dtype":"U8","shape":[2],"data_offsets":{}}},
                       "b": {{"dtype":"U8","shape":[2],"data_offsets":{}}}}})",
                  first, second);
  };
  expect_taken(two("[0,2]", "[2,4]"), 4);
  expect_taken(two("[2,4]", "[0,2]"), 4);
  expect_refused(two("[0,2]", "[1,3]"), 3, "overlap");
  expect_refused(two("[0,2]", "[0,2]"), 2, "overlap");
  expect_refused(two("[0,2]", "[3,5]"), 5, "leave a gap");
  expect_refused(two("[1,3]", "[3,5]"), 5, "leave a gap");
  expect_refused(two("[0,2]", "[2,4]"), 5, "the rest belongs to nothing");
  expect_refused("{}", 1, "the rest belongs to nothing");
}

TEST(SafetensorsMalformed, ManyNamesOnOneRegion) {
  std::string header = "{";
  for (int i = 0; i < 20000; ++i) {
    header += format(R"({}"t{}":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", i == 0 ? "" : ",", i);
  }
  expect_refused(header + "}", 4, "overlap");
}

TEST(SafetensorsMalformed, AHeaderOfNothingButNumbersStaysSmall) {
  std::string header = "{\"a\":[0";
  for (int i = 0; i < 500'000; ++i) header += ",0";
  expect_refused(header + "]}", 0, "more than 500000 values");
}

TEST(SafetensorsMalformed, MetadataThatIsNotText) {
  expect_refused(R"({"__metadata__": 1})", 0, "not an object");
  expect_refused(R"({"__metadata__": {"a": 1}})", 0, "\"a\", which is not a text");
}

TEST(SafetensorsIndex, NamesFilesOfItsOwnFolderOnly) {
  const char* names[] = {"/etc/a.safetensors",  "../a.safetensors", "x/a.safetensors", "x\\\\a.safetensors",
                         "C:a.safetensors",     ".a.safetensors",   "a.bin",           "",
                         "a\\u0000.safetensors"};
  for (const char* name : names) {
    const auto index = read_safetensors_index(format(R"({{"weight_map": {{"t": "{}"}}}})", name), "index");
    ASSERT_FALSE(index.ok()) << name;
    EXPECT_NE(index.error().message.find("in the same folder"), std::string::npos) << index.error().message;
  }
  for (const char* text : {"{}", R"({"weight_map": []})", R"({"weight_map": {"t": 1}})", "[]", "{"}) {
    EXPECT_FALSE(read_safetensors_index(text, "index").ok()) << text;
  }
}

TEST(SafetensorsIndex, JoinsShards) {
  const TestFolder folder;
  const std::string one = R"({"a": {"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  const std::string two = R"({"b": {"dtype":"U8","shape":[2],"data_offsets":[0,2]},
                              "unlisted": {"dtype":"U8","shape":[1],"data_offsets":[2,3]}})";
  folder.write("model-1.safetensors", file_of(one, 1));
  folder.write("model-2.safetensors", file_of(two, 3));
  const std::string index = "model.safetensors.index.json";
  folder.write(index, R"({"metadata": {"total_size": 3},
                          "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})");
  const auto joined = open_safetensors_folder(folder.path());
  ASSERT_TRUE(joined.ok()) << joined.error().message;
  ASSERT_EQ(joined->tensors.size(), 2u);
  EXPECT_EQ(joined->tensors[1].tensor->bytes, 2u);
  EXPECT_EQ(joined->paths.size(), 3u);

  const auto error = [&](const char* text) {
    folder.write(index, text);
    const auto opened = open_safetensors_folder(folder.path());
    return opened.ok() ? "" : opened.error().message;
  };
  EXPECT_NE(error(R"({"weight_map": {"c": "model-1.safetensors"}})").find("do not belong together"), std::string::npos);
  EXPECT_NE(error(R"({"weight_map": {"a": "model-3.safetensors"}})").find("cannot open"), std::string::npos);
}

TEST(SafetensorsFolder, PickleIsNeverOpened) {
  const TestFolder folder;
  EXPECT_NE(open_safetensors_folder(folder.path()).error().message.find("has neither"), std::string::npos);
  folder.write("pytorch_model.bin", "\x80\x02}q\x00.");
  EXPECT_NE(open_safetensors_folder(folder.path()).error().message.find("never opened"), std::string::npos);
}

}  // namespace
}  // namespace andiron
