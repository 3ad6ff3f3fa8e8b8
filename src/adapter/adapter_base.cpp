#include "adapter/adapter_base.h"

#include <algorithm>

#include "adapter/adapter_files.h"
#include "base/content_hash.h"
#include "base/strings.h"
#include "format/hf_config.h"

namespace andiron {

namespace {

constexpr uint64_t kSampledRows = 8;
constexpr std::string_view kWeight = ".weight";

Result<uint32_t> read_heads(const ModelSource& source, const std::string& key, int64_t fallback) {
  TRY_ASSIGN(const int64_t heads, source.meta_int(key, fallback));
  if (heads < 1 || heads > kAdapterHeadsMax) return make_error("{}: metadata \"{}\" is {}", source.path(), key, heads);
  return static_cast<uint32_t>(heads);
}

std::string model_name(const ModelSource& source) {
  const auto stated = source.meta_text("general.name", "");
  if (stated.ok() && !stated->empty()) return in_quotes(*stated);
  const size_t slash = source.path().rfind('/');
  return source.path().substr(slash == std::string::npos ? 0 : slash + 1);
}

Status hash_tensor(ContentHash& hash, const ModelSource& source, const TensorInfo& tensor,
                   std::vector<uint8_t>& scratch) {
  hash.add_text(tensor.name);
  hash.add_text(dtype_info(tensor.dtype).name);
  for (const uint64_t d : tensor.shape) hash.add(d);
  const uint64_t rows = tensor.rows();
  const uint64_t count = std::min(rows, kSampledRows);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t row = count == 1 ? 0 : i * (rows - 1) / (count - 1);
    TRY_ASSIGN(const auto bytes, source.rows(tensor, row, 1, scratch));
    hash.add(bytes);
  }
  return {};
}

std::string hash_text_of(const std::string& hash) { return hash.empty() ? "unknown hash" : format("hash {}", hash); }

}  // namespace

const AdapterLayer* AdapterBase::find(std::string_view layer) const {
  const auto found = std::find_if(layers.begin(), layers.end(), [&](const auto& l) { return l.name == layer; });
  return found == layers.end() ? nullptr : &*found;
}

Result<std::string> hash_base(const ModelSource& source) {
  std::vector<const TensorInfo*> order;
  for (const TensorInfo& tensor : source.tensors()) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const auto* x, const auto* y) { return x->name < y->name; });
  ContentHash hash;
  std::vector<uint8_t> scratch;
  for (const TensorInfo* tensor : order) TRY(hash_tensor(hash, source, *tensor, scratch));
  TRY(source.check_intact());
  return hash.digits();
}

Result<AdapterBase> describe_base(const ModelSource& source) {
  AdapterBase base;
  base.name = model_name(source);
  TRY_ASSIGN(const std::string_view architecture, source.meta_text("general.architecture"));
  base.architecture = architecture;
  if (find_hf_family(architecture) == nullptr) {
    return make_error("{}: adapters for models of the kind \"{}\" are not supported", source.path(),
                      in_quotes(architecture));
  }
  TRY_ASSIGN(base.heads, read_heads(source, format("{}.attention.head_count", architecture), 0));
  TRY_ASSIGN(base.heads_kv, read_heads(source, format("{}.attention.head_count_kv", architecture), base.heads));
  for (const TensorInfo& tensor : source.tensors()) {
    std::string_view name = tensor.name;
    if (!name.ends_with(kWeight) || tensor.shape.size() != 2) continue;
    name.remove_suffix(kWeight.size());
    if (layer_order(name) < 0) continue;
    base.layers.push_back(
        {std::string(name), static_cast<int64_t>(tensor.shape[0]), static_cast<int64_t>(tensor.shape[1])});
  }
  std::sort(base.layers.begin(), base.layers.end(),
            [](const auto& x, const auto& y) { return layer_order(x.name) < layer_order(y.name); });
  TRY_ASSIGN(base.hash, hash_base(source));
  return base;
}

Result<BaseMatch> match_base(const Adapter& adapter, const AdapterBase& base) {
  const auto models = [&] {
    return format("it was trained on {} ({}), this model is {} ({})",
                  adapter.base_name.empty() ? "a model it does not name" : "\"" + in_quotes(adapter.base_name) + "\"",
                  hash_text_of(adapter.base_hash), in_quotes(base.name), hash_text_of(base.hash));
  };
  if (adapter.architecture != base.architecture) {
    return make_error("the adapter is for the architecture \"{}\", the model is \"{}\"; {}",
                      in_quotes(adapter.architecture), in_quotes(base.architecture), models());
  }
  for (const AdapterMatrix& matrix : adapter.matrices) {
    const AdapterLayer* layer = base.find(matrix.layer);
    if (layer == nullptr) {
      return make_error("the adapter changes \"{}\" ({} x {}), which the model does not have; {}",
                        in_quotes(matrix.layer), matrix.n, matrix.k, models());
    }
    if (layer->n == matrix.n && layer->k == matrix.k) continue;
    return make_error("the adapter changes \"{}\" as {} x {}, but in the model it is {} x {}; {}",
                      in_quotes(matrix.layer), matrix.n, matrix.k, layer->n, layer->k, models());
  }
  const auto differ = [](uint32_t x, uint32_t y) { return x != 0 && y != 0 && x != y; };
  if (differ(adapter.heads, base.heads) || differ(adapter.heads_kv, base.heads_kv)) {
    return make_error("the adapter is for {} heads ({} of keys), the model has {} ({}); {}", adapter.heads,
                      adapter.heads_kv, base.heads, base.heads_kv, models());
  }
  if (adapter.base_hash.empty() || base.hash.empty()) return BaseMatch::kUnknown;
  return adapter.base_hash == base.hash ? BaseMatch::kSame : BaseMatch::kOther;
}

}  // namespace andiron
