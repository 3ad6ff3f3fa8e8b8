#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

#include "base/strings.h"
#include "tensor/quantize.h"

namespace andiron {

namespace {

// The divisors in a tensor of `half` numbers; empty when the model has no such tensor.
Result<std::vector<float>> read_divisors(const ModelSource& source, std::string_view name, int64_t half) {
  const TensorInfo* tensor = source.find_tensor(name);
  std::vector<float> out;
  if (tensor == nullptr) return out;
  if (tensor->elements != static_cast<uint64_t>(half) || tensor->rows() != 1) {
    return make_error("{}: \"{}\" holds {} numbers; one for each of {} rotary pairs is expected", source.path(), name,
                      tensor->elements, half);
  }
  std::vector<uint8_t> scratch;
  TRY_ASSIGN(const auto bytes, source.whole(*tensor, scratch));
  out.resize(static_cast<size_t>(half));
  decode_row(tensor->dtype, bytes.data(), out.data(), tensor->elements);
  for (const float divisor : out) {
    if (!(divisor > 0) || !std::isfinite(divisor)) {
      return make_error("{}: \"{}\" holds {}; numbers above 0 are expected", source.path(), name, divisor);
    }
  }
  return out;
}

// YaRN: the pair that makes `turns` turns within the original context (arXiv 2309.00071, section 3.2, solved for the
// index).
double pair_of_turns(const RopeConfig& rope, double turns) {
  return static_cast<double>(rope.dimensions) *
         std::log(rope.scaling.original_context / (turns * 2 * std::numbers::pi)) / (2 * std::log(rope.base));
}

// Pairs that turn often keep their frequency, slow ones are stretched, those between are blended. The bounds are
// rounded outwards, as in the authors' code and llama.cpp (ggml_rope_yarn_corr_dims).
double yarn(const RopeConfig& rope, int64_t i, double inv_freq) {
  const RopeScaling& scaling = rope.scaling;
  const double low = std::max(0.0, std::floor(pair_of_turns(rope, scaling.beta_fast)));
  const double high =
      std::min(static_cast<double>(rope.dimensions - 1), std::ceil(pair_of_turns(rope, scaling.beta_slow)));
  const double slowness = (static_cast<double>(i) - low) / std::max(0.001, high - low);
  const double kept = (1 - std::clamp(slowness, 0.0, 1.0)) * scaling.extrapolation;
  return inv_freq / scaling.factor * (1 - kept) + inv_freq * kept;
}

RopePlan make_plan(const RopeConfig& rope, const std::vector<float>& divisors) {
  RopePlan plan;
  plan.magnitude = rope.scaling.magnitude;
  plan.pairs = rope.pairs;
  for (int64_t i = 0; i < rope.dimensions / 2; ++i) {
    double inv_freq = std::pow(rope.base, -2.0 * static_cast<double>(i) / static_cast<double>(rope.dimensions));
    if (!divisors.empty()) inv_freq /= static_cast<double>(divisors[static_cast<size_t>(i)]);
    if (rope.scaling.kind == RopeScaling::Kind::kLinear) inv_freq /= rope.scaling.factor;
    if (rope.scaling.kind == RopeScaling::Kind::kYarn) inv_freq = yarn(rope, i, inv_freq);
    plan.inv_freq.push_back(inv_freq);
  }
  return plan;
}

}  // namespace

Result<RopePlans> RopePlans::create(const ModelSource& source, const ModelConfig& config) {
  const int64_t half = config.rope.dimensions / 2;
  TRY_ASSIGN(const auto all, read_divisors(source, "rope_freqs.weight", half));
  TRY_ASSIGN(auto shorter, read_divisors(source, "rope_factors_short.weight", half));
  TRY_ASSIGN(auto longer, read_divisors(source, "rope_factors_long.weight", half));
  if (shorter.empty() != longer.empty()) {
    return make_error("{}: only one of \"rope_factors_short.weight\" and \"rope_factors_long.weight\" is there",
                      source.path());
  }
  if (!all.empty()) shorter = longer = all;
  RopePlans plans;
  plans.short_ = make_plan(config.rope, shorter);
  plans.long_ = make_plan(config.rope, longer);
  plans.original_context_ = static_cast<int64_t>(config.rope.scaling.original_context);
  if (config.has_rope_local) plans.local_ = make_plan(config.rope_local, {});
  return plans;
}

}  // namespace andiron
