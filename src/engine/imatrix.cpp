#include "engine/imatrix.h"

#include <algorithm>
#include <unordered_map>

#include "base/strings.h"
#include "engine/text_windows.h"
#include "format/gguf.h"
#include "model/forward.h"
#include "model/kv_cache.h"
#include "model/weights.h"

namespace andiron {

namespace {

constexpr std::string_view kSumsSuffix = ".in_sum2";
constexpr std::string_view kCountsSuffix = ".counts";

// The numbers of an F32 tensor.
Result<std::vector<float>> read_floats(const ModelSource& source, const TensorInfo& tensor) {
  if (tensor.dtype != DType::kF32) {
    return make_error("{}: tensor {} is {}; expected F32", source.path(), in_quotes(tensor.name),
                      dtype_info(tensor.dtype).name);
  }
  std::vector<uint8_t> scratch;
  TRY_ASSIGN(const auto bytes, source.whole(tensor, scratch));
  std::vector<float> values(tensor.elements);
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<uint8_t*>(values.data()));
  return values;
}

Result<Importance::Entry> read_entry(const ModelSource& source, const TensorInfo& sums, std::string_view name) {
  const TensorInfo* counts = source.find_tensor(std::string(name) + std::string(kCountsSuffix));
  if (counts == nullptr || counts->elements != sums.rows()) {
    return make_error("{}: {} needs a tensor {}{} of {} numbers", source.path(), in_quotes(sums.name), in_quotes(name),
                      kCountsSuffix, sums.rows());
  }
  TRY_ASSIGN(const auto sum_values, read_floats(source, sums));
  TRY_ASSIGN(const auto count_values, read_floats(source, *counts));
  Importance::Entry entry;
  entry.columns = static_cast<int64_t>(sums.columns());
  entry.sums.assign(sum_values.begin(), sum_values.end());
  for (const float count : count_values) {
    if (!(count >= 0 && count < 1e15f)) {
      return make_error("{}: {} holds the count {}; expected a number of rows", source.path(), in_quotes(counts->name),
                        count);
    }
    entry.counts.push_back(static_cast<int64_t>(count));
  }
  return entry;
}

}  // namespace

Result<Importance> Importance::load(const std::string& path) {
  TRY_ASSIGN(const auto source, open_gguf(path));
  Importance importance;
  for (const TensorInfo& tensor : source->tensors()) {
    if (!tensor.name.ends_with(kSumsSuffix)) continue;
    const std::string name = tensor.name.substr(0, tensor.name.size() - kSumsSuffix.size());
    TRY_ASSIGN(importance.entries_[name], read_entry(*source, tensor, name));
  }
  if (importance.entries_.empty()) {
    return make_error(
        "{}: this GGUF file holds no importance matrix (no tensor ends in \"{}\"); andiron imatrix makes one", path,
        kSumsSuffix);
  }
  return importance;
}

Status Importance::save(const std::string& path, std::string_view dataset, int64_t windows, int64_t window) const {
  std::vector<TensorInfo> tensors;
  for (const auto& [name, entry] : entries_) {
    const uint64_t experts = entry.counts.size();
    const auto columns = static_cast<uint64_t>(entry.columns);
    TRY_ASSIGN(auto sums, make_tensor_info(name + std::string(kSumsSuffix), DType::kF32, {experts, columns}, path));
    TRY_ASSIGN(auto counts, make_tensor_info(name + std::string(kCountsSuffix), DType::kF32, {experts, 1}, path));
    tensors.push_back(std::move(sums));
    tensors.push_back(std::move(counts));
  }
  const std::vector<MetaEntry> metadata = {
      MetaEntry::text("general.type", "imatrix"),
      MetaEntry::texts("imatrix.datasets", {dataset}),
      MetaEntry::u32("imatrix.chunk_count", static_cast<uint32_t>(windows)),
      MetaEntry::u32("imatrix.chunk_size", static_cast<uint32_t>(window)),
  };
  TRY_ASSIGN(auto writer, GgufWriter::create(path, metadata, tensors));
  const auto append = [&](const auto& values) {
    const std::vector<float> floats(values.begin(), values.end());
    return writer.append({reinterpret_cast<const uint8_t*>(floats.data()), floats.size() * sizeof(float)});
  };
  for (const auto& [name, entry] : entries_) {
    TRY(append(entry.sums));
    TRY(append(entry.counts));
  }
  return writer.finish();
}

Result<bool> Importance::lookup(std::string_view name, int64_t expert, int64_t columns, std::vector<float>& out) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return false;
  const Entry& entry = found->second;
  // One count for all experts: a file of dense matrices, or one made before experts were told apart.
  const auto index = static_cast<size_t>(entry.counts.size() == 1 ? 0 : expert);
  if (entry.columns != columns || index >= entry.counts.size()) {
    return make_error(
        "the importance matrix has {} x {} numbers for {}, but the tensor needs {} columns (expert {}); "
        "it was made for another model",
        entry.counts.size(), entry.columns, in_quotes(name), columns, expert);
  }
  if (entry.counts[index] == 0) return false;
  const auto from = entry.sums.begin() + static_cast<std::ptrdiff_t>(index) * columns;
  out.resize(static_cast<size_t>(columns));
  std::transform(from, from + columns, out.begin(),
                 [&](double sum) { return static_cast<float>(sum / static_cast<double>(entry.counts[index])); });
  return true;
}

namespace {

// Heads are computed with padding up to `padded` columns each; the file's matrix has `head_dim` of them.
void remove_padding(Importance::Entry& entry, int64_t head_dim, int64_t padded) {
  if (head_dim == padded) return;
  const int64_t heads = entry.columns / padded;
  for (int64_t head = 0; head < heads; ++head) {
    const auto from = entry.sums.begin() + head * padded;
    std::copy(from, from + head_dim, entry.sums.begin() + head * head_dim);
  }
  entry.columns = heads * head_dim;
  entry.sums.resize(static_cast<size_t>(entry.columns));
}

// Sums squares of what the linear layers of a model are given.
class Collector {
 public:
  Collector(const Model& model, ThreadTeam& team, Importance& importance) : team_(team) {
    for (size_t i = 0; i < model.weights().layers.size(); ++i) {
      add_layer(model.weights().layers[i], format("blk.{}.", i), importance);
    }
  }

  LinearObserver observer() {
    return {[](void* self, const Linear& layer, Rows x) { static_cast<Collector*>(self)->take(layer, x); }, this};
  }

 private:
  struct Place {
    Importance::Entry* entry;
    size_t expert;
  };

  void add(const Linear& linear, const std::string& name, Importance& importance, size_t expert = 0,
           size_t experts = 1) {
    if (!linear) return;
    Importance::Entry& entry = importance.entries()[name];
    entry.columns = linear.k;
    entry.counts.resize(experts);
    entry.sums.resize(experts * static_cast<size_t>(linear.k));
    places_[&linear] = {&entry, expert};
  }

  void add_layer(const LayerWeights& layer, const std::string& prefix, Importance& importance) {
    const auto name = [&](std::string_view part) { return prefix + std::string(part) + ".weight"; };
    add(layer.attn_q, name("attn_q"), importance);
    add(layer.attn_k, name("attn_k"), importance);
    add(layer.attn_v, name("attn_v"), importance);
    add(layer.attn_qkv, name("attn_qkv"), importance);
    add(layer.attn_output, name("attn_output"), importance);
    add(layer.ffn_gate, name("ffn_gate"), importance);
    add(layer.ffn_up, name("ffn_up"), importance);
    add(layer.ffn_gate_up, name("ffn_up"), importance);
    add(layer.ffn_down, name("ffn_down"), importance);
    const auto add_experts = [&](const std::vector<Linear>& list, std::string_view part) {
      for (size_t e = 0; e < list.size(); ++e) add(list[e], name(part), importance, e, list.size());
    };
    add_experts(layer.expert_gate, "ffn_gate_exps");
    add_experts(layer.expert_up, "ffn_up_exps");
    add_experts(layer.expert_down, "ffn_down_exps");
  }

  // Each thread owns a stretch of columns and adds the rows in order, so the sums do not depend on the threads.
  void take(const Linear& layer, Rows x) {
    const auto found = places_.find(&layer);
    if (found == places_.end()) return;
    const Place& place = found->second;
    double* sums = place.entry->sums.data() + place.expert * static_cast<size_t>(x.cols);
    constexpr int64_t kStretch = 512;
    team_.parallel_for((x.cols + kStretch - 1) / kStretch, [&](int64_t stretch, int) {
      const int64_t end = std::min(x.cols, (stretch + 1) * kStretch);
      for (int64_t row = 0; row < x.rows; ++row) {
        const float* values = x.row(row);
        for (int64_t k = stretch * kStretch; k < end; ++k) {
          sums[k] += static_cast<double>(values[k]) * static_cast<double>(values[k]);
        }
      }
    });
    place.entry->counts[place.expert] += x.rows;
  }

  ThreadTeam& team_;
  std::unordered_map<const Linear*, Place> places_;
};

}  // namespace

Result<ImportanceReport> measure_importance(const Model& model, const Tokenizer& tokenizer,
                                            std::span<const int32_t> tokens, const KernelTable& kernels,
                                            ThreadTeam& team, const ImportanceOptions& options) {
  TRY_ASSIGN(auto windows,
             TextWindows::create(tokens, tokenizer, model.config().vocabulary, options.window, options.windows_max));
  TRY_ASSIGN(auto cache, KvCache::create(model, options.window));
  const ForwardLimits limits = {.rows = std::min<int64_t>(512, options.window), .logit_rows = 1, .sequences = 1};
  TRY_ASSIGN(auto forward, Forward::create(model, kernels, team, limits));
  ImportanceReport report;
  Collector collector(model, team, report.importance);
  forward->observe(collector.observer());
  for (int64_t i = 0; i < windows.count(); ++i) {
    if (options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed)) break;
    cache.truncate(0);
    const auto window = windows.at(i);
    for (int64_t at = 0; at < windows.size(); at += limits.rows) {
      const Sequence sequence = {&cache, window.subspan(at, std::min(limits.rows, windows.size() - at)),
                                 LogitRows::kNone};
      TRY(forward->run({&sequence, 1}));
    }
    ++report.windows;
    if (options.progress) options.progress(i + 1, windows.count());
  }
  for (auto& [name, entry] : report.importance.entries()) {
    if (name.ends_with("attn_output.weight")) {
      remove_padding(entry, model.config().head_dim, model.config().padded_head_dim());
    }
    if (entry.counts.size() > 1) {
      report.experts_unseen += std::count(entry.counts.begin(), entry.counts.end(), int64_t{0});
    }
  }
  return report;
}

}  // namespace andiron
