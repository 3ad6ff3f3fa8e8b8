#include "adapter/adapter_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "base/strings.h"
#include "tensor/half.h"
#include "tensor/quantize.h"

namespace andiron {

namespace {

constexpr uint64_t kConfigBytesMax = 4 << 20;

std::string last_part(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

Result<Adapter> read_folder(const std::string& folder, const AdapterBase* base) {
  const std::string config_path = format("{}/{}", folder, kPeftConfig);
  const std::string weights_path = format("{}/{}", folder, kPeftWeights);
  if (!file_exists(weights_path) && file_exists(folder + "/adapter_model.bin")) {
    return make_error(
        "{}: holds its weights as pickle (.bin), which can run code and is never opened; save the adapter "
        "as safetensors",
        folder);
  }
  if (!file_exists(config_path) && !file_exists(weights_path)) {
    if (const std::string model = folder + "/model.gguf"; file_exists(model)) {
      return make_error("{}: is no adapter: all weights of the model were trained; run it as {}", folder, model);
    }
    return make_error("{}: is no adapter: it has neither {} nor {}", folder, kPeftConfig, kPeftWeights);
  }
  TRY_ASSIGN(const std::string config, read_text_file(config_path, kConfigBytesMax));
  TRY_ASSIGN(const auto file, MappedFile::open(weights_path));
  auto adapter = read_peft(config, file->bytes(), base, folder);
  TRY(file->check_intact());  // first: what was read of a file that shrank means nothing
  return adapter;
}

Result<Adapter> read_file(const std::string& path, const AdapterBase* base) {
  for (const std::string_view known : {kPeftConfig, kPeftWeights}) {
    if (last_part(path) == known) return make_error("{}: give the folder that holds it", path);
  }
  TRY_ASSIGN(const auto file, MappedFile::open(path));
  auto adapter = read_gguf_adapter(file->bytes(), base, path);
  TRY(file->check_intact());
  return adapter;
}

}  // namespace

Result<Adapter> read_adapter(const std::string& path, const AdapterBase* base) {
  TRY_ASSIGN(Adapter adapter, is_folder(path) ? read_folder(path, base) : read_file(path, base));
  adapter.path = path;
  if (adapter.name.empty()) {
    adapter.name = last_part(path);
    if (adapter.name.ends_with(".gguf")) adapter.name.resize(adapter.name.size() - 5);
  }
  return adapter;
}

Status finish_adapter(Adapter& adapter, const AdapterBase* base, std::string_view source) {
  std::stable_sort(adapter.matrices.begin(), adapter.matrices.end(),
                   [](const auto& x, const auto& y) { return layer_order(x.layer) < layer_order(y.layer); });
  TRY(check_adapter(adapter, source));
  if (base == nullptr) return {};
  const auto match = match_base(adapter, *base);
  if (match.ok()) return {};
  return make_error("{}: {}", source, match.error().message);
}

Result<std::vector<uint8_t>> narrow_elements(DType dtype, std::span<const float> values, std::string_view what) {
  if (dtype != DType::kF32 && dtype != DType::kF16) {
    return make_error("{}: adapters are written as F32 or F16, not as {}", what, dtype_info(dtype).name);
  }
  TRY(check_finite(values.data(), values.size(), what));
  std::vector<uint8_t> out(values.size() * dtype_info(dtype).block_bytes);
  if (dtype == DType::kF32) {
    if (!values.empty()) std::memcpy(out.data(), values.data(), out.size());
    return out;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = f32_to_f16(values[i]);
    if (!std::isfinite(f16_to_f32(half))) {
      return make_error("{}: {} is beyond the range of F16; write it as F32", what, values[i]);
    }
    std::memcpy(out.data() + 2 * i, &half, 2);
  }
  return out;
}

}  // namespace andiron
