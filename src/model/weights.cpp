#include "model/weights.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "model/family.h"
#include "model/model.h"
#include "tensor/quantize.h"

namespace andiron {

namespace {

Result<const TensorInfo*> find_shaped(WeightsToLoad& load, const std::string& name,
                                      const std::vector<uint64_t>& shape) {
  const ModelSource& source = load.source;
  const TensorInfo* found = source.find_tensor(name);
  if (found == nullptr) {
    return make_error("{}: the tensor \"{}\" is missing; the file is incomplete or not what its architecture says",
                      source.path(), name);
  }
  if (found->shape != shape) {
    return make_error("{}: the tensor \"{}\" has the shape {}, but the model's numbers ask for {}", source.path(), name,
                      shape_text(found->shape), shape_text(shape));
  }
  load.used.insert(found);
  return found;
}

Status load_vector(WeightsToLoad& load, const std::string& name, int64_t size, const float*& out) {
  TRY_ASSIGN(const TensorInfo* tensor, find_shaped(load, name, {static_cast<uint64_t>(size)}));
  std::vector<uint8_t> scratch;
  TRY_ASSIGN(const auto bytes, load.source.whole(*tensor, scratch));
  Buffer<float> values(static_cast<size_t>(size));
  decode_row(tensor->dtype, bytes.data(), values.data(), tensor->elements);
  out = values.data();
  load.weights.vectors.push_back(std::move(values));
  load.weights.vector_names.push_back(name);
  return {};
}

void request_rows(WeightsToLoad& load, const TensorInfo* tensor, int64_t first_row, bool expert, Linear& out) {
  out.id = static_cast<int32_t>(load.requests.size());
  load.requests.push_back({tensor, first_row, out.n, out.k, &out});
  load.weights.matrices.push_back({tensor->name, first_row, out.n, out.k, expert});
}

Status request_matrix(WeightsToLoad& load, const std::string& name, int64_t n, int64_t k, Linear& out) {
  TRY_ASSIGN(const TensorInfo* tensor, find_shaped(load, name, {static_cast<uint64_t>(n), static_cast<uint64_t>(k)}));
  out.n = n;
  out.k = k;
  request_rows(load, tensor, 0, false, out);
  return {};
}

}  // namespace

std::string LayerLoader::full_name(std::string_view name, std::string_view suffix) const {
  return format("blk.{}.{}{}", layer_, name, suffix);
}

bool LayerLoader::has(std::string_view name) const { return load_.source.find_tensor(full_name(name)) != nullptr; }

Status LayerLoader::vector(std::string_view name, int64_t size, const float*& out) {
  return load_vector(load_, full_name(name), size, out);
}

Status LayerLoader::matrix(std::string_view name, int64_t n, int64_t k, Linear& out) {
  TRY(request_matrix(load_, full_name(name), n, k, out));
  const std::string bias = full_name(name, ".bias");
  if (load_.source.find_tensor(bias) == nullptr) return {};
  return load_vector(load_, bias, n, out.bias);
}

Status LayerLoader::experts(std::string_view name, int64_t n, int64_t k, std::vector<Linear>& out) {
  const int64_t count = config().experts.count;
  const std::vector<uint64_t> shape = {static_cast<uint64_t>(count), static_cast<uint64_t>(n),
                                       static_cast<uint64_t>(k)};
  TRY_ASSIGN(const TensorInfo* tensor, find_shaped(load_, full_name(name), shape));
  out.resize(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    Linear& one = out[static_cast<size_t>(i)];
    one.n = n;
    one.k = k;
    request_rows(load_, tensor, i * n, true, one);
  }
  return {};
}

Status LayerLoader::attention(LayerWeights& out) {
  const int64_t width = config().width, queries = config().query_width(), kv = config().kv_width();
  TRY(vector("attn_norm", width, out.attn_norm));
  if (has("attn_qkv")) {
    TRY(matrix("attn_qkv", queries + 2 * kv, width, out.attn_qkv));
  } else {
    TRY(matrix("attn_q", queries, width, out.attn_q));
    TRY(matrix("attn_k", kv, width, out.attn_k));
    TRY(matrix("attn_v", kv, width, out.attn_v));
  }
  return matrix("attn_output", width, queries, out.attn_output);
}

Status LayerLoader::head_norms(LayerWeights& out) {
  TRY(vector("attn_q_norm", config().head_dim, out.attn_q_norm));
  return vector("attn_k_norm", config().head_dim, out.attn_k_norm);
}

Status LayerLoader::feed_forward(LayerWeights& out) {
  TRY(vector("ffn_norm", config().width, out.ffn_norm));
  TRY(matrix("ffn_gate", config().feed_forward, config().width, out.ffn_gate));
  TRY(matrix("ffn_up", config().feed_forward, config().width, out.ffn_up));
  return matrix("ffn_down", config().width, config().feed_forward, out.ffn_down);
}

namespace {

// Tables that Llama 1's first converters stored and nobody reads.
bool is_known_ballast(std::string_view name) { return name.ends_with(".attn_rot_embd.weight"); }

Status check_all_used(const WeightsToLoad& load) {
  for (const TensorInfo& tensor : load.source.tensors()) {
    if (!tensor.name.starts_with("blk.") || load.used.count(&tensor) > 0 || is_known_ballast(tensor.name)) continue;
    return make_error("{}: the tensor \"{}\" has no place in a {} of {} layers; this variant is not supported",
                      load.source.path(), in_quotes(tensor.name), load.config.architecture, load.config.blocks);
  }
  return {};
}

}  // namespace

Status find_weights(const ModelSource& source, const ModelConfig& config, const Family& family, Weights& weights,
                    std::vector<PackRequest>& requests) {
  WeightsToLoad load{source, config, weights, {}, {}};
  weights.embedding = source.find_tensor("token_embd.weight");
  weights.layers.resize(static_cast<size_t>(config.blocks));  // once: requests point into it
  for (int64_t i = 0; i < config.blocks; ++i) {
    LayerLoader loader(load, i);
    TRY(family.load_layer(loader, weights.layers[static_cast<size_t>(i)]));
  }
  TRY(check_all_used(load));
  TRY(load_vector(load, "output_norm.weight", config.width, weights.output_norm));
  const bool tied = source.find_tensor("output.weight") == nullptr;
  TRY(request_matrix(load, tied ? "token_embd.weight" : "output.weight", config.vocabulary, config.width,
                     weights.head));
  weights.head.peaked = true;
  if (source.find_tensor("output.bias") != nullptr) {
    TRY(load_vector(load, "output.bias", config.vocabulary, weights.head.bias));
  }
  requests = std::move(load.requests);
  return {};
}

std::vector<const Linear*> matrices_by_id(const Weights& weights) {
  std::vector<const Linear*> out(weights.matrices.size());
  const auto add = [&](const Linear& linear) {
    if (linear.id >= 0) out[static_cast<size_t>(linear.id)] = &linear;
  };
  for (const LayerWeights& layer : weights.layers) {
    for (const Linear* linear : {&layer.attn_q, &layer.attn_k, &layer.attn_v, &layer.attn_qkv, &layer.attn_output,
                                 &layer.ffn_gate, &layer.ffn_up, &layer.ffn_gate_up, &layer.ffn_down, &layer.router}) {
      add(*linear);
    }
    for (const auto* experts : {&layer.expert_gate, &layer.expert_up, &layer.expert_down}) {
      std::for_each(experts->begin(), experts->end(), add);
    }
  }
  add(weights.head);
  return out;
}

Result<std::unique_ptr<const Weights>> load_weights(const ModelSource& source, const ModelConfig& config,
                                                    const Family& family, const LoadOptions& options,
                                                    std::vector<std::string>& notes) {
  auto weights = std::make_unique<Weights>();
  std::vector<PackRequest> requests;
  TRY(find_weights(source, config, family, *weights, requests));
  const PackStoreOptions pack = {options.team, options.cache, options.progress};
  TRY_ASSIGN(weights->store, PackedStore::create(source, std::move(requests), pack, notes));
  return std::unique_ptr<const Weights>(std::move(weights));
}

}  // namespace andiron
