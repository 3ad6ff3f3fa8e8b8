#include "train/subject.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "adapter/hf_modules.h"
#include "base/random.h"
#include "base/strings.h"
#include "tensor/quantize.h"
#include "train/float_model.h"

namespace andiron {

namespace {

std::string_view last_part(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

// "all" (of the blocks), GGUF's "attn_q" or "blk.0.attn_q", PEFT's "q_proj".
bool is_target(const AdapterBase& base, const std::string& layer, const std::string& target) {
  if (target == "all") return layer.starts_with("blk.");
  if (target == last_part(layer) || target == layer) return true;
  Adapter named;
  named.architecture = base.architecture;
  named.heads = base.heads;
  named.heads_kv = base.heads_kv;
  const auto module = layer_to_module(named, layer, base.name);
  return module.ok() && target == last_part(module->module);
}

Result<std::vector<AdapterLayer>> target_layers(const AdapterBase& base, const std::vector<std::string>& targets) {
  std::vector<AdapterLayer> out;
  for (const std::string& target : targets) {
    const bool known = std::any_of(base.layers.begin(), base.layers.end(),
                                   [&](const AdapterLayer& layer) { return is_target(base, layer.name, target); });
    if (!known) {
      return make_error(
          "\"{}\" is not a layer of this model; all, attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, "
          "ffn_down and PEFT's names (q_proj, ...) are, as far as it has them",
          in_quotes(target));
    }
  }
  for (const AdapterLayer& layer : base.layers) {
    if (std::any_of(targets.begin(), targets.end(),
                    [&](const std::string& t) { return is_target(base, layer.name, t); })) {
      out.push_back(layer);
    }
  }
  return out;
}

// PEFT's start: A uniform in +- 1 / sqrt(k) (Kaiming with a = sqrt 5), B zero, DoRA's magnitudes left to
// AdapterWeights. So the adapted model is the base.
AdapterMatrix fresh_matrix(const AdapterLayer& layer, const LearnOptions& options, uint64_t stream) {
  AdapterMatrix matrix;
  matrix.layer = layer.name;
  matrix.n = layer.n;
  matrix.k = layer.k;
  matrix.r = std::min({options.rank, layer.n, layer.k});
  matrix.alpha = static_cast<float>(options.alpha);
  const RandomStream random(options.seed, stream);
  const double bound = 1 / std::sqrt(static_cast<double>(layer.k));
  matrix.a.resize(static_cast<size_t>(matrix.r * matrix.k));
  for (size_t i = 0; i < matrix.a.size(); ++i) matrix.a[i] = static_cast<float>((2 * random.uniform(i) - 1) * bound);
  matrix.b.assign(static_cast<size_t>(matrix.n * matrix.r), 0.0f);
  return matrix;
}

Result<Adapter> fresh_adapter(const AdapterBase& base, const LearnOptions& options) {
  TRY_ASSIGN(const auto layers, target_layers(base, options.targets));
  Adapter adapter;
  adapter.name = options.name;
  adapter.path = options.out;
  adapter.rank = options.rank;
  adapter.alpha = static_cast<float>(options.alpha);
  adapter.rslora = options.method == LearnMethod::kRsLora;
  adapter.dora = options.method == LearnMethod::kDora;
  adapter.base_name = base.name;
  adapter.base_hash = base.hash;
  adapter.architecture = base.architecture;
  adapter.heads = base.heads;
  adapter.heads_kv = base.heads_kv;
  constexpr uint64_t kStartStream = uint64_t{1} << 32;
  for (size_t i = 0; i < layers.size(); ++i) {
    adapter.matrices.push_back(fresh_matrix(layers[i], options, kStartStream + i));
  }
  return adapter;
}

}  // namespace

Result<int64_t> Subject::parameters_count(const Model& model, const AdapterBase& base, const LearnOptions& options) {
  if (options.method == LearnMethod::kFull) return static_cast<int64_t>(model.parameters());
  TRY_ASSIGN(const auto layers, target_layers(base, options.targets));
  int64_t sum = 0;
  for (const AdapterLayer& layer : layers) {
    sum += std::min({options.rank, layer.n, layer.k}) * (layer.n + layer.k);
    if (options.method == LearnMethod::kDora) sum += layer.n;
  }
  return sum;
}

Result<std::unique_ptr<Subject>> Subject::create(const Model& model, const AdapterBase& base,
                                                 const KernelTable& kernels, ThreadTeam& team,
                                                 const LearnOptions& options) {
  std::unique_ptr<Subject> out(new Subject());
  out->model_ = &model;
  out->rate_ratio_ = options.rate_ratio;
  if (options.method == LearnMethod::kFull) {
    TRY_ASSIGN(out->float_weights_, FloatWeights::create(model, team));
    return out;
  }
  TRY_ASSIGN(out->adapter_, fresh_adapter(base, options));
  TRY_ASSIGN(out->adapter_weights_, AdapterWeights::create(out->adapter_, model, kernels, team, AdapterForm::kExact));
  out->adapter_weights_->add_to(out->deltas_, 1, static_cast<float>(options.dropout));
  return out;
}

const Weights& Subject::weights() const {
  return float_weights_ != nullptr ? float_weights_->weights() : model_->weights();
}

TrainSubject Subject::trained(TrainPass& pass, ThreadTeam& team) {
  if (float_weights_ != nullptr) {
    return {float_weights_->parameters(), [this, &team] { float_weights_->repack(team); }, nullptr};
  }
  return {adapter_weights_->parameters(static_cast<float>(rate_ratio_)),
          [this, &pass] { adapter_weights_->repack(pass.ops()); }, &deltas_};
}

Status Subject::write(const Model& model, const LearnOptions& options) {
  if (float_weights_ != nullptr)
    return write_float_model(model.source(), float_weights_->parameters(), options.out + "/model.gguf");
  adapter_weights_->store(adapter_);
  return write_peft(adapter_, options.out);
}

}  // namespace andiron
