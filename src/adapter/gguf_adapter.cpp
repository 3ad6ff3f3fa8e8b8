// GGUF adapters: llama.cpp's convert_lora_to_gguf.py writes them, its src/llama-adapter.cpp reads them.
//
// "general.type" is "adapter", "adapter.type" "lora", "adapter.lora.alpha" one number for all (the scale is alpha / r;
// 0 or none means 1). A layer has the tensors "blk.0.attn_q.weight.lora_a" [r, k] and "....lora_b" [n, r], rows in
// GGUF's order. Keys of our own, which llama.cpp passes over: the number of heads under the model's own keys, so that
// the rows can be turned for PEFT, and the hash of the base.
#include <algorithm>
#include <cmath>
#include <map>

#include "adapter/adapter_base.h"
#include "adapter/adapter_files.h"
#include "base/strings.h"
#include "format/gguf.h"
#include "tensor/quantize.h"

namespace andiron {

namespace {

constexpr std::string_view kSuffixA = ".weight.lora_a";
constexpr std::string_view kSuffixB = ".weight.lora_b";
constexpr std::string_view kKeyBaseName = "general.base_model.0.name";

class GgufAdapterReader {
 public:
  GgufAdapterReader(std::span<const uint8_t> bytes, std::string_view source) : bytes_(bytes), source_(source) {}

  Result<Adapter> read(const AdapterBase* base) {
    TRY_ASSIGN(contents_, read_gguf(bytes_, source_));
    TRY(read_keys());
    TRY(gather());
    for (const auto& [layer, parts] : parts_) TRY(read_matrix(layer, parts));
    if (adapter_.matrices.empty()) return make_error("{}: changes no layer", source_);
    adapter_.rank = adapter_.matrices.front().r;
    adapter_.alpha = adapter_.matrices.front().alpha;
    if (base != nullptr && adapter_.heads == 0) adapter_.heads = base->heads;
    if (base != nullptr && adapter_.heads_kv == 0) adapter_.heads_kv = base->heads_kv;
    TRY(finish_adapter(adapter_, base, source_));
    return std::move(adapter_);
  }

 private:
  struct Parts {
    const TensorInfo* a = nullptr;
    const TensorInfo* b = nullptr;
  };

  const MetaValue* find(std::string_view key) const {
    const auto found = std::find_if(contents_.metadata.begin(), contents_.metadata.end(),
                                    [&](const MetaEntry& entry) { return entry.key == key; });
    return found == contents_.metadata.end() ? nullptr : &found->value;
  }

  std::string text_of(std::string_view key) const {
    const MetaValue* value = find(key);
    const auto* text = value == nullptr ? nullptr : std::get_if<std::string_view>(&value->value);
    return text == nullptr ? "" : std::string(*text);
  }

  Result<uint32_t> heads_of(std::string_view name) const {
    const std::string key = format("{}.attention.{}", adapter_.architecture, name);
    const MetaValue* value = find(key);
    if (value == nullptr) return uint32_t{0};
    const auto* heads = std::get_if<int64_t>(&value->value);
    if (heads == nullptr || *heads < 1 || *heads > kAdapterHeadsMax) {
      return make_error("{}: \"{}\" should be a whole number from 1 to {}", source_, in_quotes(key), kAdapterHeadsMax);
    }
    return static_cast<uint32_t>(*heads);
  }

  Status read_keys() {
    if (text_of("general.type") != "adapter") {
      return make_error("{}: is no adapter: its general.type is \"{}\"", source_, in_quotes(text_of("general.type")));
    }
    if (text_of("adapter.type") != "lora") {
      return make_error("{}: adapter.type is \"{}\"; lora is supported", source_, in_quotes(text_of("adapter.type")));
    }
    if (find("adapter.alora.invocation_tokens") != nullptr) {
      return make_error("{}: acts only after certain tokens (activated LoRA), which is not supported", source_);
    }
    adapter_.architecture = text_of("general.architecture");
    adapter_.name = in_quotes(text_of("general.name"));
    adapter_.base_name = text_of(kKeyBaseName);
    adapter_.base_hash = in_quotes(text_of(kKeyBaseHash));
    TRY_ASSIGN(adapter_.heads, heads_of("head_count"));
    TRY_ASSIGN(adapter_.heads_kv, heads_of("head_count_kv"));
    const MetaValue* alpha = find("adapter.lora.alpha");
    if (alpha == nullptr) return {};
    const auto* number = std::get_if<double>(&alpha->value);
    if (number == nullptr || !std::isfinite(*number)) {
      return make_error("{}: adapter.lora.alpha should be a number", source_);
    }
    alpha_ = static_cast<float>(*number);
    return {};
  }

  Status gather() {
    for (size_t i = 0; i < contents_.tensors.size(); ++i) {
      const TensorInfo& tensor = contents_.tensors[i];
      const std::string_view name = tensor.name;
      const bool is_a = name.ends_with(kSuffixA);
      if (!is_a && !name.ends_with(kSuffixB)) {
        return make_error(
            "{}: holds \"{}\": only low-rank changes to linear layers (.lora_a and .lora_b) are supported", source_,
            in_quotes(name));
      }
      const std::string layer(name.substr(0, name.size() - kSuffixA.size()));
      if (layer_order(layer) < 0) {
        return make_error(
            "{}: \"{}\" is not a layer that an adapter can change here; linear layers that are no experts "
            "are, embeddings are not",
            source_, in_quotes(layer));
      }
      (is_a ? parts_[layer].a : parts_[layer].b) = &tensor;
    }
    return {};
  }

  Status read_matrix(const std::string& layer, const Parts& parts) {
    if (parts.a == nullptr || parts.b == nullptr) {
      return make_error("{}: \"{}\" has .lora_{} but no .lora_{}; the file is incomplete", source_, layer,
                        parts.a == nullptr ? 'b' : 'a', parts.a == nullptr ? 'a' : 'b');
    }
    const auto &a = parts.a->shape, &b = parts.b->shape;
    if (a.size() != 2 || b.size() != 2 || a[0] != b[1]) {
      return make_error("{}: \"{}\": lora_a is {} and lora_b is {}; r x inputs and outputs x r are expected", source_,
                        layer, shape_text(parts.a->shape), shape_text(parts.b->shape));
    }
    AdapterMatrix matrix;
    matrix.layer = layer;
    matrix.r = static_cast<int64_t>(a[0]);  // the bytes are there: none of these is near overflowing
    matrix.k = static_cast<int64_t>(a[1]);
    matrix.n = static_cast<int64_t>(b[0]);
    // Where alpha says nothing, the scale is 1.
    matrix.alpha = alpha_ == 0 ? static_cast<float>(a[0]) : alpha_;
    TRY_ASSIGN(matrix.a, floats(*parts.a));
    TRY_ASSIGN(matrix.b, floats(*parts.b));
    adapter_.matrices.push_back(std::move(matrix));
    return {};
  }

  // Q8_0 too: convert_lora_to_gguf.py offers it.
  Result<std::vector<float>> floats(const TensorInfo& tensor) const {
    if (!dtype_info(tensor.dtype).is_float && tensor.dtype != DType::kQ8_0) {
      return make_error("{}: \"{}\" is stored as {}; F32, F16, BF16 and Q8_0 are supported", source_,
                        in_quotes(tensor.name), dtype_info(tensor.dtype).name);
    }
    const auto index = static_cast<size_t>(&tensor - contents_.tensors.data());
    std::vector<float> out(tensor.elements);
    decode_row(tensor.dtype, bytes_.data() + contents_.offsets[index], out.data(), tensor.elements);
    return out;
  }

  std::span<const uint8_t> bytes_;
  std::string_view source_;
  GgufContents contents_;
  std::map<std::string, Parts> parts_;  // by layer; a map, because names come from the file
  float alpha_ = 0;
  Adapter adapter_;
};

// alpha as GGUF means it: the scale times the rank.
double plain_alpha(const Adapter& adapter, const AdapterMatrix& matrix) {
  return adapter.rslora ? matrix.alpha * std::sqrt(static_cast<double>(matrix.r)) : double{matrix.alpha};
}

// The alpha of the file: that of the first matrix that has one. 0 would be read as "scale 1".
float file_alpha(const Adapter& adapter) {
  for (const AdapterMatrix& matrix : adapter.matrices) {
    const auto alpha = static_cast<float>(plain_alpha(adapter, matrix));
    if (alpha != 0 && std::isfinite(alpha)) return alpha;
  }
  return 1;
}

std::vector<MetaEntry> keys_of(const Adapter& adapter, float alpha) {
  std::vector<MetaEntry> out = {MetaEntry::text("general.architecture", adapter.architecture),
                                MetaEntry::text("general.type", "adapter"), MetaEntry::text("adapter.type", "lora"),
                                MetaEntry::f32("adapter.lora.alpha", alpha)};
  if (!adapter.name.empty()) out.push_back(MetaEntry::text("general.name", adapter.name));
  if (!adapter.base_name.empty()) {
    out.push_back(MetaEntry::u32("general.base_model.count", 1));
    out.push_back(MetaEntry::text(std::string(kKeyBaseName), adapter.base_name));
  }
  if (!adapter.base_hash.empty()) out.push_back(MetaEntry::text(std::string(kKeyBaseHash), adapter.base_hash));
  const auto add_heads = [&](std::string_view name, uint32_t heads) {
    if (heads != 0) out.push_back(MetaEntry::u32(format("{}.attention.{}", adapter.architecture, name), heads));
  };
  add_heads("head_count", adapter.heads);
  add_heads("head_count_kv", adapter.heads_kv);
  return out;
}

}  // namespace

Result<Adapter> read_gguf_adapter(std::span<const uint8_t> bytes, const AdapterBase* base, std::string_view source) {
  return GgufAdapterReader(bytes, source).read(base);
}

Status write_gguf_adapter(const Adapter& adapter, const std::string& path, DType dtype, Existing existing) {
  TRY(check_adapter(adapter, path));
  if (adapter.dora) {
    return make_error(
        "{}: GGUF adapters cannot hold DoRA's magnitudes; keep it as a PEFT folder, or merge it into a model", path);
  }
  const float alpha = file_alpha(adapter);
  std::vector<TensorInfo> infos;
  std::vector<std::vector<uint8_t>> data;
  for (const AdapterMatrix& m : adapter.matrices) {
    const auto n = static_cast<uint64_t>(m.n), k = static_cast<uint64_t>(m.k), r = static_cast<uint64_t>(m.r);
    const auto factor = static_cast<float>(plain_alpha(adapter, m) / alpha);
    std::vector<float> b = m.b;
    if (static_cast<float>(plain_alpha(adapter, m)) != alpha) {
      for (float& value : b) value *= factor;
    }
    const auto add = [&](std::string_view suffix, std::span<const float> values, uint64_t rows,
                         uint64_t columns) -> Status {
      std::string name = format("{}{}", m.layer, suffix);
      TRY_ASSIGN(TensorInfo info, make_tensor_info(name, dtype, {rows, columns}, path));
      TRY_ASSIGN(std::vector<uint8_t> bytes, narrow_elements(dtype, values, format("{}: \"{}\"", path, name)));
      infos.push_back(std::move(info));
      data.push_back(std::move(bytes));
      return {};
    };
    TRY(add(kSuffixA, m.a, r, k));
    TRY(add(kSuffixB, b, n, r));
  }
  TRY_ASSIGN(GgufWriter writer, GgufWriter::create(path, keys_of(adapter, alpha), infos));
  for (const auto& bytes : data) TRY(writer.append(bytes));
  return writer.finish(existing);
}

}  // namespace andiron
