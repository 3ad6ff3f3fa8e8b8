// For tests only: reads the shared vocabularies.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "text/tokenizer.h"
#include "text/tokenizer_metadata.h"

namespace andiron {

inline std::string shared_data(std::string_view path) {
  return std::string(ANDIRON_SOURCE_DIR "/../shared/data/").append(path);
}

// The file's bytes; "" when there is none.
inline std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

// GGUF metadata in maps: as little of the format as the vocabularies need.
class TestMetadata : public MetadataReader {
 public:
  // Values as metadata_from_spec gives them.
  explicit TestMetadata(const std::vector<std::pair<std::string, MetadataValue>>& entries) {
    for (const auto& [key, value] : entries) put(key, value);
  }
  explicit TestMetadata(std::string file) : file_(std::move(file)) {}

  // Parses the header of the GGUF file given to the constructor.
  Status parse() {
    ByteReader in({reinterpret_cast<const uint8_t*>(file_.data()), file_.size()}, "test vocabulary");
    TRY(in.take(16, "magic, version, tensor count"));
    TRY_ASSIGN(const auto count, in.read<uint64_t>("key count"));
    for (uint64_t i = 0; i < count; ++i) {
      TRY_ASSIGN(const auto key, read_text(in));
      TRY_ASSIGN(const auto type, in.read<uint32_t>("type"));
      TRY(read_value(in, std::string(key), type));
    }
    return {};
  }

  void put(const std::string& key, const MetadataValue& value) {
    if (const auto* flag = std::get_if<bool>(&value)) integers_[key] = {*flag ? 1 : 0};
    if (const auto* number = std::get_if<int64_t>(&value)) integers_[key] = {*number};
    if (const auto* text = std::get_if<std::string>(&value)) own_texts_[key] = {*text};
    if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) own_texts_[key] = *texts;
    if (const auto* list = std::get_if<std::vector<int32_t>>(&value)) integers_[key].assign(list->begin(), list->end());
    if (const auto* list = std::get_if<std::vector<float>>(&value)) floats_[key].assign(list->begin(), list->end());
    const auto own = own_texts_.find(key);
    if (own != own_texts_.end()) texts_[key].assign(own->second.begin(), own->second.end());
  }
  void erase(const std::string& key) {
    integers_.erase(key);
    texts_.erase(key);
    floats_.erase(key);
  }

  std::optional<std::string_view> text(std::string_view key) const override {
    const auto* list = texts(key);
    if (list == nullptr || list->size() != 1) return std::nullopt;
    return list->front();
  }
  std::optional<int64_t> integer(std::string_view key) const override {
    const auto* list = integers(key);
    if (list == nullptr || list->size() != 1) return std::nullopt;
    return list->front();
  }
  std::optional<bool> boolean(std::string_view key) const override {
    const auto value = integer(key);
    if (!value) return std::nullopt;
    return *value != 0;
  }
  const std::vector<std::string_view>* texts(std::string_view key) const override { return find(texts_, key); }
  const std::vector<int64_t>* integers(std::string_view key) const override { return find(integers_, key); }
  const std::vector<double>* floats(std::string_view key) const override { return find(floats_, key); }

 private:
  template <typename T>
  static const T* find(const std::map<std::string, T>& map, std::string_view key) {
    const auto found = map.find(std::string(key));
    return found == map.end() ? nullptr : &found->second;
  }

  static Result<std::string_view> read_text(ByteReader& in) {
    TRY_ASSIGN(const auto size, in.read<uint64_t>("text size"));
    return in.take_text(size, "text");
  }

  Status read_value(ByteReader& in, const std::string& key, uint32_t type) {
    constexpr uint32_t kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7, kString = 8, kArray = 9;
    uint64_t count = 1;
    if (type == kArray) {
      TRY_ASSIGN(type, in.read<uint32_t>("item type"));
      TRY_ASSIGN(count, in.read<uint64_t>("item count"));
    }
    for (uint64_t i = 0; i < count; ++i) {
      if (type == kString) {
        TRY_ASSIGN(const auto text, read_text(in));
        texts_[key].push_back(text);
      } else if (type == kFloat32) {
        TRY_ASSIGN(const auto value, in.read<float>("value"));
        floats_[key].push_back(value);
      } else if (type == kBool) {
        TRY_ASSIGN(const auto value, in.read<uint8_t>("value"));
        integers_[key].push_back(value);
      } else if (type == kUint32 || type == kInt32) {
        TRY_ASSIGN(const auto value, in.read<int32_t>("value"));
        integers_[key].push_back(value);
      } else {
        return make_error("type {} does not occur in the vocabularies", type);
      }
    }
    return {};
  }

  std::string file_;
  std::map<std::string, std::vector<std::string>> own_texts_;
  std::map<std::string, std::vector<std::string_view>> texts_;
  std::map<std::string, std::vector<int64_t>> integers_;
  std::map<std::string, std::vector<double>> floats_;
};

// The spec in a shared GGUF file.
inline Result<TokenizerSpec> spec_of_file(const std::string& path) {
  TestMetadata metadata(read_whole(path));
  TRY(metadata.parse());
  return spec_from_metadata(metadata, path);
}

}  // namespace andiron
