#include "format/hf_source.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <unordered_map>

#include "base/atomic_file.h"
#include "base/byte_reader.h"
#include "base/json.h"
#include "base/strings.h"
#include "format/elements.h"
#include "format/hf_config.h"
#include "format/hf_names.h"
#include "format/hf_texts.h"
#include "format/safetensors.h"

namespace andiron {

namespace {

constexpr uint64_t kConfigBytesMax = 4 << 20;
constexpr uint64_t kSideFileBytesMax = 256 << 20;  // the largest tokenizer.json known is some 40 MB

// What side_file() may give: names, so that no path can be asked for.
constexpr std::array<std::string_view, 8> kSideFiles = {
    "config.json",     "generation_config.json", "special_tokens_map.json", "tokenizer.json",
    "tokenizer.model", "tokenizer_config.json",  "added_tokens.json",       "chat_template.json",
};

// How one tensor comes about.
struct Recipe {
  std::vector<SafetensorsFolder::Entry> parts;  // one; or one for each expert; none when computed
  std::vector<float> values;                    // of a computed tensor
  DType stored = DType::kF32;                   // of the parts
  uint32_t interleaved_heads = 0;               // not 0: rows are interleaved within each of so many heads
  bool is_shifted = false;                      // 1 is added to each element
};

class HfSource : public ModelSource {
 public:
  explicit HfSource(const std::string& folder) : ModelSource(folder) {}

  Status open() {
    const std::string config_path = path() + "/config.json";
    TRY_ASSIGN(const std::string text, read_text_file(config_path, kConfigBytesMax));
    TRY_ASSIGN(const Json config, parse_json(text, config_path, {.depth = 16, .values = 100'000}));
    TRY_ASSIGN(config_, read_hf_config(config, config_path));
    TRY_ASSIGN(folder_, open_safetensors_folder(path()));
    files_ = folder_.paths;
    files_.insert(files_.begin(), config_path);

    std::vector<TensorInfo> tensors;
    TRY(add_computed(tensors));
    TRY(add_stored(tensors));
    TRY(check_vocabulary(tensors));
    TRY(check_intact());
    TRY_ASSIGN(std::vector<MetaEntry> metadata, read_hf_texts(path(), texts_));
    metadata.insert(metadata.begin(), MetaEntry::text("general.type", "model"));
    metadata.insert(metadata.begin(), MetaEntry::text("general.architecture", config_.family->gguf));
    for (MetaEntry& entry : config_.metadata) metadata.push_back(std::move(entry));
    return set_contents(std::move(metadata), std::move(tensors));
  }

  Result<std::span<const uint8_t>> rows(const TensorInfo& tensor, uint64_t first, uint64_t count,
                                        std::vector<uint8_t>& scratch) const override {
    TRY_ASSIGN(const size_t index, check_rows(tensor, first, count));
    const TensorInfo& own = tensors()[index];
    const Recipe& recipe = recipes_[index];
    const uint64_t stride = row_bytes(own.dtype, own.columns());
    if (recipe.parts.empty()) {
      const auto* values = reinterpret_cast<const uint8_t*>(recipe.values.data());
      return std::span(values + first * stride, count * stride);
    }
    if (own.shape.size() == 1) return widened(recipe, own, count, scratch);
    return matrix_rows(recipe, own, first, count, scratch);
  }

  void drop(const TensorInfo& tensor) const override {
    const auto index = check_rows(tensor, 0, 0);
    if (!index.ok()) return;
    for (const auto& [file, part] : recipes_[*index].parts) {
      const auto bytes = file->bytes(*part);
      file->file().drop_pages(bytes.data(), bytes.size());
    }
  }

  Status check_intact() const override {
    for (const auto& file : folder_.files) TRY(file->file().check_intact());
    return {};
  }

  Result<std::string> side_file(std::string_view name) const override {
    const bool known = std::find(kSideFiles.begin(), kSideFiles.end(), name) != kSideFiles.end();
    if (!known) return ModelSource::side_file(name);
    return read_text_file(path() + "/" + std::string(name), kSideFileBytesMax);
  }

 private:
  Status add_computed(std::vector<TensorInfo>& tensors) {
    for (HfComputedTensor& computed : config_.computed) {
      TRY_ASSIGN(TensorInfo info, make_tensor_info(computed.name, DType::kF32, {computed.values.size()}, path()));
      tensors.push_back(std::move(info));
      recipes_.emplace_back().values = std::move(computed.values);
    }
    return {};
  }

  Status add_stored(std::vector<TensorInfo>& tensors) {
    const bool has_embedding = std::any_of(folder_.tensors.begin(), folder_.tensors.end(), [](const auto& entry) {
      return entry.tensor->name.ends_with("embed_tokens.weight");
    });
    std::unordered_map<std::string, size_t> stacks;  // index in `tensors` of each stack of experts
    for (const SafetensorsFolder::Entry& entry : folder_.tensors) {
      TRY_ASSIGN(HfName name, translate_hf_name(config_, entry.tensor->name, entry.file->path()));
      if (name.role == HfRole::kIgnored) continue;
      // A tied output is a copy of the embedding, or stands for it; some files keep the one, some the other.
      if (config_.tied && name.gguf == "output.weight") {
        if (has_embedding) continue;
        name.gguf = "token_embd.weight";
      }
      if (name.role == HfRole::kExpert) {
        TRY(add_expert(name, entry, stacks, tensors));
        continue;
      }
      TRY_ASSIGN(Recipe recipe, make_recipe(name, entry));
      TRY(check_heads(recipe, *entry.tensor, entry.file->path()));
      const DType dtype = entry.tensor->shape.size() <= 1 ? DType::kF32 : recipe.stored;
      TRY_ASSIGN(TensorInfo info,
                 make_tensor_info(std::move(name.gguf), dtype, entry.tensor->shape, entry.file->path()));
      tensors.push_back(std::move(info));
      recipes_.push_back(std::move(recipe));
    }
    return check_stacks(tensors);
  }

  Result<Recipe> make_recipe(const HfName& name, const SafetensorsFolder::Entry& entry) const {
    Recipe recipe;
    const auto dtype = entry.tensor->dtype();
    if (!dtype) {
      return make_error("{}: tensor \"{}\" is stored as {}; F32, F16 and BF16 are supported", entry.file->path(),
                        in_quotes(entry.tensor->name), entry.tensor->dtype_name);
    }
    recipe.parts = {entry};
    recipe.stored = *dtype;
    recipe.interleaved_heads = interleaved_heads(*config_.family, name.role, config_.heads, config_.heads_kv);
    recipe.is_shifted = config_.family->shifts_norms && name.role == HfRole::kNorm;
    if (recipe.is_shifted && entry.tensor->shape.size() != 1) {
      return make_error("{}: tensor \"{}\" should have one dimension", entry.file->path(),
                        in_quotes(entry.tensor->name));
    }
    return recipe;
  }

  static Status check_heads(const Recipe& recipe, const SafeTensor& tensor, const std::string& file) {
    if (recipe.interleaved_heads == 0) return {};
    const uint64_t rows = tensor.shape.empty() ? 0 : tensor.shape[0];
    if (tensor.shape.size() <= 2 && rows != 0 && rows % (uint64_t{2} * recipe.interleaved_heads) == 0) return {};
    return make_error("{}: tensor \"{}\" with {} rows cannot be split into {} heads of pairs", file,
                      in_quotes(tensor.name), rows, recipe.interleaved_heads);
  }

  Status add_expert(const HfName& name, const SafetensorsFolder::Entry& entry,
                    std::unordered_map<std::string, size_t>& stacks, std::vector<TensorInfo>& tensors) {
    const SafeTensor& tensor = *entry.tensor;
    const auto [found, is_new] = stacks.try_emplace(name.gguf, tensors.size());
    if (is_new) {
      TRY_ASSIGN(Recipe recipe, make_recipe(name, entry));
      if (tensor.shape.size() != 2) {
        return make_error("{}: tensor \"{}\" should be a matrix", entry.file->path(), in_quotes(tensor.name));
      }
      const std::vector<uint64_t> shape = {config_.experts, tensor.shape[0], tensor.shape[1]};
      TRY_ASSIGN(TensorInfo info, make_tensor_info(name.gguf, recipe.stored, shape, entry.file->path()));
      recipe.parts.assign(config_.experts, {nullptr, nullptr});
      tensors.push_back(std::move(info));
      recipes_.push_back(std::move(recipe));
    }
    const TensorInfo& stack = tensors[found->second];
    Recipe& recipe = recipes_[found->second];
    if (tensor.dtype() != recipe.stored || tensor.shape.size() != 2 || tensor.shape[0] != stack.shape[1] ||
        tensor.shape[1] != stack.shape[2]) {
      return make_error("{}: tensor \"{}\" differs in shape or type from the other experts", entry.file->path(),
                        in_quotes(tensor.name));
    }
    if (recipe.parts[name.expert].tensor != nullptr) {
      return make_error("{}: expert {} of \"{}\" appears twice", path(), name.expert, name.gguf);
    }
    recipe.parts[name.expert] = entry;
    return {};
  }

  Status check_stacks(const std::vector<TensorInfo>& tensors) const {
    for (size_t i = 0; i < tensors.size(); ++i) {
      const auto& parts = recipes_[i].parts;
      for (size_t e = 0; e < parts.size(); ++e) {
        if (parts[e].tensor != nullptr) continue;
        return make_error("{}: expert {} of {} is missing from \"{}\"", path(), e, parts.size(), tensors[i].name);
      }
    }
    return {};
  }

  Status check_vocabulary(const std::vector<TensorInfo>& tensors) {
    for (const TensorInfo& tensor : tensors) {
      if (tensor.name != "token_embd.weight") continue;
      const uint64_t rows = tensor.shape[0];
      if (tensor.shape.size() != 2 || rows > INT32_MAX || (config_.vocabulary != 0 && rows != config_.vocabulary)) {
        return make_error("{}: the embedding has {} rows, but config.json says the vocabulary has {}", path(), rows,
                          config_.vocabulary);
      }
      config_.metadata.push_back(
          MetaEntry::u32(format("{}.vocab_size", config_.family->gguf), static_cast<uint32_t>(rows)));
      return {};
    }
    return make_error("{}: has no embedding (model.embed_tokens.weight)", path());
  }

  // One-dimensional tensors: to F32, shifted and interleaved as the recipe says. There is one row.
  Result<std::span<const uint8_t>> widened(const Recipe& recipe, const TensorInfo& own, uint64_t count,
                                           std::vector<uint8_t>& scratch) const {
    if (count == 0) return std::span<const uint8_t>();
    const auto& [file, part] = recipe.parts[0];
    std::vector<float> values(own.elements);
    widen_elements(recipe.stored, file->bytes(*part), values);
    scratch.resize(own.bytes);
    const uint64_t per_head = recipe.interleaved_heads == 0 ? 1 : own.elements / recipe.interleaved_heads;
    for (uint64_t i = 0; i < own.elements; ++i) {
      const uint64_t from = recipe.interleaved_heads == 0 ? i : interleaved_from(i, per_head);
      const float value = values[from] + (recipe.is_shifted ? 1.0f : 0.0f);
      std::memcpy(scratch.data() + i * sizeof value, &value, sizeof value);
    }
    return std::span<const uint8_t>(scratch);
  }

  Result<std::span<const uint8_t>> matrix_rows(const Recipe& recipe, const TensorInfo& own, uint64_t first,
                                               uint64_t count, std::vector<uint8_t>& scratch) const {
    const uint64_t stride = row_bytes(own.dtype, own.columns());
    const uint64_t part_rows = own.rows() / recipe.parts.size();
    const auto row_at = [&](uint64_t row) {
      const auto& [file, part] = recipe.parts[row / part_rows];
      return file->bytes(*part).subspan(row % part_rows * stride, stride);
    };
    const bool is_one_run =
        count > 0 && recipe.interleaved_heads == 0 && first / part_rows == (first + count - 1) / part_rows;
    if (is_one_run) {
      const uint8_t* begin = row_at(first).data();
      const size_t alignment = dtype_info(own.dtype).block_bytes;
      if (reinterpret_cast<uintptr_t>(begin) % alignment == 0) return std::span(begin, count * stride);
    }
    scratch.resize(count * stride);
    const uint64_t per_head = recipe.interleaved_heads == 0 ? 1 : own.rows() / recipe.interleaved_heads;
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t row = recipe.interleaved_heads == 0 ? first + i : interleaved_from(first + i, per_head);
      std::memcpy(scratch.data() + i * stride, row_at(row).data(), stride);
    }
    return std::span<const uint8_t>(scratch);
  }

  HfConfig config_;
  SafetensorsFolder folder_;
  std::vector<Recipe> recipes_;    // one for each of tensors()
  std::deque<std::string> texts_;  // what the texts of the metadata view; a deque, so that they stay where they are
};

}  // namespace

Result<std::unique_ptr<ModelSource>> open_hf_folder(const std::string& folder) {
  std::string path = folder;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  auto source = std::make_unique<HfSource>(path);
  TRY(source->open());
  return std::unique_ptr<ModelSource>(std::move(source));
}

}  // namespace andiron
