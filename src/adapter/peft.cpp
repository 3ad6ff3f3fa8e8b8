// PEFT folders (Hugging Face peft, docs/source/developer_guides/checkpoint.md): adapter_config.json, and
// adapter_model.safetensors with the tensors "base_model.model.MODULE.lora_A.weight" [r, k], "....lora_B.weight" [n, r]
// and, with DoRA, "....lora_magnitude_vector" [n] (some versions append ".weight").
//
// What PEFT has no member for stands in the safetensors' "__metadata__", which PEFT passes over; unknown members of
// adapter_config.json make some of its versions fail.
#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>

#include "adapter/adapter_base.h"
#include "adapter/adapter_files.h"
#include "adapter/hf_modules.h"
#include "adapter/peft_config.h"
#include "base/atomic_file.h"
#include "base/atomic_folder.h"
#include "base/mapped_file.h"
#include "base/strings.h"
#include "format/safetensors.h"

namespace andiron {

namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kKeyName = "andiron.name";
constexpr std::string_view kKeyArchitecture = "andiron.architecture";
constexpr std::string_view kKeyHeads = "andiron.heads";
constexpr std::string_view kKeyHeadsKv = "andiron.heads_kv";

enum class Part { kA, kB, kMagnitude };
struct Suffix {
  std::string_view text;
  Part part;
};
constexpr std::array<Suffix, 4> kSuffixes = {{{".lora_A.weight", Part::kA},
                                              {".lora_B.weight", Part::kB},
                                              {".lora_magnitude_vector", Part::kMagnitude},
                                              {".lora_magnitude_vector.weight", Part::kMagnitude}}};

struct Parts {
  const SafeTensor* a = nullptr;
  const SafeTensor* b = nullptr;
  const SafeTensor* magnitude = nullptr;
};

class PeftReader {
 public:
  PeftReader(std::span<const uint8_t> bytes, std::string_view source) : bytes_(bytes), source_(source) {}

  Result<Adapter> read(std::string_view config, const AdapterBase* base) {
    TRY_ASSIGN(config_, read_peft_config(config, format("{}: adapter_config.json", source_)));
    TRY_ASSIGN(contents_, read_safetensors(bytes_, source_));
    adapter_.rank = config_.rank;
    adapter_.alpha = static_cast<float>(config_.alpha);
    adapter_.rslora = config_.rslora;
    adapter_.dora = config_.dora;
    adapter_.base_name = std::move(config_.base_name);
    adapter_.target_modules = std::move(config_.target_modules);
    adapter_.extra = std::move(config_.extra);
    TRY(read_origin(base));
    TRY(gather());
    for (const auto& [module, parts] : parts_) TRY(read_matrix(module, parts));
    TRY(finish_adapter(adapter_, base, source_));
    return std::move(adapter_);
  }

 private:
  Result<uint32_t> heads_of(const std::string& text, std::string_view key) const {
    TRY_ASSIGN(const int64_t heads, parse_int(text, format("{}: \"{}\"", source_, key)));
    if (heads < 1 || heads > kAdapterHeadsMax) return make_error("{}: \"{}\" is {}", source_, key, heads);
    return static_cast<uint32_t>(heads);
  }

  // What the file says goes before what the caller says; match_base compares the two.
  Status read_origin(const AdapterBase* base) {
    if (base != nullptr) {
      adapter_.architecture = base->architecture;
      adapter_.heads = base->heads;
      adapter_.heads_kv = base->heads_kv;
    }
    for (const auto& [key, text] : contents_.metadata) {
      if (key == kKeyName) adapter_.name = in_quotes(text);
      if (key == kKeyBaseHash) adapter_.base_hash = in_quotes(text);
      if (key == kKeyArchitecture) adapter_.architecture = text;
      if (key != kKeyHeads && key != kKeyHeadsKv) continue;
      TRY_ASSIGN((key == kKeyHeads ? adapter_.heads : adapter_.heads_kv), heads_of(text, key));
    }
    return {};
  }

  Status gather() {
    for (const SafeTensor& tensor : contents_.tensors) {
      const std::string_view name = tensor.name;
      const auto suffix = std::find_if(kSuffixes.begin(), kSuffixes.end(), [&](const Suffix& s) {
        return name.starts_with(kPrefix) && name.ends_with(s.text) && name.size() > kPrefix.size() + s.text.size();
      });
      if (suffix == kSuffixes.end()) {
        return make_error(
            "{}: holds \"{}\": only low-rank changes to linear layers (lora_A, lora_B and "
            "lora_magnitude_vector) are supported, no embeddings, norms, biases or whole modules",
            source_, in_quotes(name));
      }
      const std::string_view module = name.substr(kPrefix.size(), name.size() - kPrefix.size() - suffix->text.size());
      Parts& parts = parts_[std::string(module)];
      const SafeTensor*& part = suffix->part == Part::kA   ? parts.a
                                : suffix->part == Part::kB ? parts.b
                                                           : parts.magnitude;
      if (part != nullptr) return make_error("{}: \"{}\" is there in two spellings", source_, in_quotes(name));
      part = &tensor;
    }
    return {};
  }

  Status read_matrix(const std::string& module, const Parts& parts) {
    const auto missing = [&](std::string_view there, std::string_view lacking) {
      return make_error("{}: \"{}\" has {} but no {}; the file is incomplete", source_, in_quotes(module), there,
                        lacking);
    };
    if (parts.a == nullptr) return missing(parts.b == nullptr ? "a magnitude" : "lora_B", "lora_A");
    if (parts.b == nullptr) return missing("lora_A", "lora_B");
    if (adapter_.dora && parts.magnitude == nullptr) return missing("use_dora", "lora_magnitude_vector");
    if (!adapter_.dora && parts.magnitude != nullptr) return missing("lora_magnitude_vector", "use_dora");
    TRY_ASSIGN(HfModule names, module_to_layer(adapter_, module, source_));
    AdapterMatrix matrix;
    TRY(read_sizes(module, parts, matrix));
    TRY_ASSIGN(matrix.a, floats(*parts.a));
    TRY_ASSIGN(matrix.b, floats(*parts.b));
    TRY_ASSIGN(matrix.b, turn_rows(names, std::move(matrix.b), matrix.n, RowOrder::kGguf, source_));
    if (parts.magnitude != nullptr) {
      TRY_ASSIGN(matrix.magnitude, floats(*parts.magnitude));
      TRY_ASSIGN(matrix.magnitude, turn_rows(names, std::move(matrix.magnitude), matrix.n, RowOrder::kGguf, source_));
    }
    matrix.alpha = static_cast<float>(config_.alpha_pattern.find(module).value_or(config_.alpha));
    matrix.layer = std::move(names.layer);
    adapter_.matrices.push_back(std::move(matrix));
    return {};
  }

  Status read_sizes(const std::string& module, const Parts& parts, AdapterMatrix& out) const {
    const auto &a = parts.a->shape, &b = parts.b->shape;
    if (a.size() != 2 || b.size() != 2 || a[0] != b[1]) {
      return make_error("{}: \"{}\": lora_A is {} and lora_B is {}; r x inputs and outputs x r are expected", source_,
                        in_quotes(module), shape_text(parts.a->shape), shape_text(parts.b->shape));
    }
    const double rank = config_.rank_pattern.find(module).value_or(static_cast<double>(config_.rank));
    if (static_cast<double>(a[0]) != rank) {
      return make_error("{}: \"{}\": lora_A is {}, but adapter_config.json says that its rank is {}", source_,
                        in_quotes(module), shape_text(parts.a->shape), rank);
    }
    if (parts.magnitude != nullptr && parts.magnitude->shape != std::vector<uint64_t>{b[0]}) {
      return make_error("{}: \"{}\": lora_magnitude_vector is {}, lora_B is {}", source_, in_quotes(module),
                        shape_text(parts.magnitude->shape), shape_text(parts.b->shape));
    }
    out.r = static_cast<int64_t>(a[0]);  // the bytes are there: none of these is near overflowing
    out.k = static_cast<int64_t>(a[1]);
    out.n = static_cast<int64_t>(b[0]);
    return {};
  }

  Result<std::vector<float>> floats(const SafeTensor& tensor) const {
    return floats_of(tensor, bytes_.subspan(tensor.offset, tensor.bytes), source_);
  }

  std::span<const uint8_t> bytes_;
  std::string_view source_;
  PeftConfig config_;
  SafetensorsContents contents_;
  std::map<std::string, Parts> parts_;  // by module; a map, because names come from the file
  Adapter adapter_;
};

struct OutFile {
  std::vector<SafetensorsOut> tensors;
  std::vector<std::vector<uint8_t>> bytes;
};

Status add_tensor(OutFile& out, const HfModule& names, Part part, std::span<const float> values,
                  std::vector<uint64_t> shape, DType dtype, const std::string& folder) {
  const auto suffix = std::find_if(kSuffixes.begin(), kSuffixes.end(), [&](const Suffix& s) { return s.part == part; });
  std::string name = format("{}{}{}", kPrefix, names.module, suffix->text);
  TRY_ASSIGN(std::vector<uint8_t> bytes, narrow_elements(dtype, values, format("{}: \"{}\"", folder, name)));
  out.tensors.push_back({std::move(name), dtype, std::move(shape), bytes});  // a move keeps where a vector's bytes lie
  out.bytes.push_back(std::move(bytes));
  return {};
}

Status add_matrix(OutFile& out, const HfModule& names, const AdapterMatrix& m, DType dtype, const std::string& folder) {
  const auto n = static_cast<uint64_t>(m.n), k = static_cast<uint64_t>(m.k), r = static_cast<uint64_t>(m.r);
  TRY(add_tensor(out, names, Part::kA, m.a, {r, k}, dtype, folder));
  TRY_ASSIGN(const auto b, turn_rows(names, m.b, m.n, RowOrder::kHuggingFace, folder));
  TRY(add_tensor(out, names, Part::kB, b, {n, r}, dtype, folder));
  if (m.magnitude.empty()) return {};
  TRY_ASSIGN(const auto magnitude, turn_rows(names, m.magnitude, m.n, RowOrder::kHuggingFace, folder));
  return add_tensor(out, names, Part::kMagnitude, magnitude, {n}, dtype, folder);
}

std::vector<std::pair<std::string, std::string>> origin_of(const Adapter& adapter) {
  std::vector<std::pair<std::string, std::string>> out = {
      {"format", "pt"}};  // without it transformers refuses the file
  const auto add = [&](std::string_view key, std::string value) { out.emplace_back(key, std::move(value)); };
  add(kKeyArchitecture, adapter.architecture);
  if (adapter.heads != 0) add(kKeyHeads, format("{}", adapter.heads));
  if (adapter.heads_kv != 0) add(kKeyHeadsKv, format("{}", adapter.heads_kv));
  if (!adapter.name.empty()) add(kKeyName, adapter.name);
  if (!adapter.base_hash.empty()) add(kKeyBaseHash, adapter.base_hash);
  return out;
}

}  // namespace

Result<Adapter> read_peft(std::string_view config, std::span<const uint8_t> weights, const AdapterBase* base,
                          std::string_view source) {
  return PeftReader(weights, source).read(config, base);
}

Status write_peft(const Adapter& adapter, const std::string& folder, DType dtype, std::span<const TextFile> beside,
                  Existing existing) {
  TRY(check_adapter(adapter, folder));
  OutFile out;
  std::vector<std::string> modules;
  for (const AdapterMatrix& matrix : adapter.matrices) {
    TRY_ASSIGN(HfModule names, layer_to_module(adapter, matrix.layer, folder));
    TRY(add_matrix(out, names, matrix, dtype, folder));
    modules.push_back(std::move(names.module));
  }
  TRY_ASSIGN(AtomicFolder files, AtomicFolder::create(folder));
  TRY(write_safetensors(files.file(kPeftWeights), out.tensors, origin_of(adapter)));
  TRY(write_text_file(files.file(kPeftConfig), write_peft_config(adapter, modules).dump(2) + "\n"));
  for (const TextFile& file : beside) TRY(write_text_file(files.file(file.name), file.text));
  return files.commit(existing);
}

}  // namespace andiron
