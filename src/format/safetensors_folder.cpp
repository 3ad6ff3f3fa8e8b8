// The weights of a folder, in one file or in the shards that an index names.
#include <algorithm>
#include <map>

#include "base/atomic_file.h"
#include "base/json.h"
#include "base/strings.h"
#include "format/safetensors.h"

namespace andiron {

namespace {

constexpr uint64_t kIndexBytesMax = 64 << 20;
constexpr uint64_t kIndexValuesMax = 500'000;
constexpr size_t kShardsMax = 512;

// A file directly inside the folder: no separators of any system, no "..", no hidden file.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name.front() != '.' && name.ends_with(".safetensors") &&
         name.find_first_of("/\\:") == std::string_view::npos &&
         std::all_of(name.begin(), name.end(), [](char c) { return static_cast<uint8_t>(c) >= 0x20 && c != 0x7f; });
}

Result<SafetensorsFolder> open_single(const std::string& path) {
  SafetensorsFolder out;
  TRY_ASSIGN(auto file, SafetensorsFile::open(path));
  for (const SafeTensor& tensor : file->tensors()) out.tensors.push_back({file.get(), &tensor});
  out.files.push_back(std::move(file));
  out.paths.push_back(path);
  return out;
}

Result<SafetensorsFolder> open_indexed(const std::string& folder, const std::string& index_path) {
  TRY_ASSIGN(const std::string text, read_text_file(index_path, kIndexBytesMax));
  TRY_ASSIGN(const auto map, read_safetensors_index(text, index_path));
  SafetensorsFolder out;
  out.paths.push_back(index_path);
  std::map<std::string_view, const SafetensorsFile*> opened;
  for (const auto& [tensor_name, file_name] : map) {
    auto [found, is_new] = opened.try_emplace(file_name, nullptr);
    if (is_new) {
      if (opened.size() > kShardsMax) return make_error("{}: names more than {} files", index_path, kShardsMax);
      TRY_ASSIGN(auto file, SafetensorsFile::open(fmt::format("{}/{}", folder, file_name)));
      found->second = file.get();
      out.paths.push_back(file->path());
      out.files.push_back(std::move(file));
    }
    const SafeTensor* tensor = found->second->find(tensor_name);
    if (tensor == nullptr) {
      return make_error("{}: has no tensor \"{}\", though {} says so; the two do not belong together",
                        found->second->path(), in_quotes(tensor_name), index_path);
    }
    out.tensors.push_back({found->second, tensor});
  }
  return out;
}

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> read_safetensors_index(std::string_view text,
                                                                                std::string_view source) {
  TRY_ASSIGN(const Json index, parse_json(text, source, {.depth = 8, .values = kIndexValuesMax}));
  const Json& map = index.member("weight_map");
  if (!map.is_object()) return make_error("{}: \"weight_map\", an object, is expected", source);
  std::vector<std::pair<std::string, std::string>> out;
  out.reserve(map.members().size());
  for (const auto& [tensor, file] : map.members()) {
    if (!file.is_string() || !is_plain_name(file.as_string())) {
      return make_error(
          "{}: tensor \"{}\" is said to be in {}; the name of a .safetensors file in the same folder is "
          "expected",
          source, in_quotes(tensor), file.is_string() ? in_quotes(file.as_string()) : "something not a name");
    }
    out.emplace_back(tensor, file.as_string());
  }
  return out;
}

Result<SafetensorsFolder> open_safetensors_folder(const std::string& folder) {
  const std::string single = folder + "/model.safetensors";
  const std::string index = single + ".index.json";
  if (file_exists(single)) return open_single(single);
  if (file_exists(index)) return open_indexed(folder, index);
  if (file_exists(folder + "/pytorch_model.bin") || file_exists(folder + "/pytorch_model.bin.index.json")) {
    return make_error(
        "{}: holds its weights as pickle (.bin), which can run code and is never opened; get the model as safetensors",
        folder);
  }
  return make_error("{}: has neither model.safetensors nor model.safetensors.index.json", folder);
}

}  // namespace andiron
