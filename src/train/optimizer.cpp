#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace andiron {

namespace {

// Numbers one thread takes at a time: whole blocks of 8-bit state, some tens of microseconds of work.
constexpr int64_t kBlock = 64 * kAdamW8Block;

std::vector<uint64_t> shape_of(const Parameter& parameter) { return {parameter.shape.begin(), parameter.shape.end()}; }

template <typename T>
std::span<uint8_t> bytes_of(Buffer<T>& buffer) {
  return {reinterpret_cast<uint8_t*>(buffer.data()), buffer.size() * sizeof(T)};
}

}  // namespace

Optimizer::Optimizer(std::vector<Parameter> parameters, const OptimizerOptions& options, const KernelTable& kernels,
                     ThreadTeam& team)
    : parameters_(std::move(parameters)), options_(options), kernels_(kernels), team_(team) {
  for (const Parameter& parameter : parameters_) {
    const int64_t size = parameter.size();
    const auto index = static_cast<int32_t>(moments_.size());
    Moments moments;
    if (by_muon(parameter)) {
      moments.m = Buffer<float>(static_cast<size_t>(size));
      matrices_.push_back({index, 0, size});
    } else if (options_.state_8bit) {
      const auto blocks = static_cast<size_t>((size + kAdamW8Block - 1) / kAdamW8Block);
      moments.m8 = Buffer<int8_t>(static_cast<size_t>(size));
      moments.v8 = Buffer<uint8_t>(static_cast<size_t>(size));
      moments.m_scale = Buffer<float>(blocks);
      moments.v_scale = Buffer<float>(blocks);
    } else {
      moments.m = Buffer<float>(static_cast<size_t>(size));
      moments.v = Buffer<float>(static_cast<size_t>(size));
    }
    moments_.push_back(std::move(moments));
    for (int64_t begin = 0; begin < size; begin += kBlock) {
      blocks_.push_back({index, begin, std::min(kBlock, size - begin)});
    }
  }
  block_squares_.resize(blocks_.size());
  if (matrices_.empty()) return;
  std::ranges::stable_sort(matrices_, std::ranges::greater{}, &Block::count);
  for (int worker = 0; worker < team_.size(); ++worker) {
    orthogonalizers_.emplace_back(kernels_);
    directions_.emplace_back(static_cast<size_t>(matrices_.front().count));
  }
}

double Optimizer::gradient_norm() {
  team_.parallel_for(static_cast<int64_t>(blocks_.size()), [&](int64_t index, int) {
    const Block& block = blocks_[static_cast<size_t>(index)];
    const float* gradient = parameters_[static_cast<size_t>(block.parameter)].gradient + block.begin;
    block_squares_[static_cast<size_t>(index)] = kernels_.dot(gradient, gradient, block.count);
  });
  double sum = 0;
  for (const double square : block_squares_) sum += square;
  return std::sqrt(sum);
}

void Optimizer::zero_gradients() {
  team_.parallel_for(static_cast<int64_t>(blocks_.size()), [&](int64_t index, int) {
    const Block& block = blocks_[static_cast<size_t>(index)];
    float* gradient = parameters_[static_cast<size_t>(block.parameter)].gradient + block.begin;
    std::memset(gradient, 0, static_cast<size_t>(block.count) * sizeof(float));
  });
}

Optimizer::Report Optimizer::step(double rate) {
  Report report;
  report.gradient_norm = gradient_norm();
  if (!std::isfinite(report.gradient_norm)) return report;
  ++steps_;
  // torch.nn.utils.clip_grad_norm_ has the 1e-6 too; with it the two give the same curves.
  const double clip = options_.clip_norm > 0 ? std::min(1.0, options_.clip_norm / (report.gradient_norm + 1e-6)) : 1.0;
  team_.parallel_for(static_cast<int64_t>(blocks_.size()), [&](int64_t index, int) {
    update(blocks_[static_cast<size_t>(index)], rate, static_cast<float>(clip));
  });
  team_.parallel_for(static_cast<int64_t>(matrices_.size()), [&](int64_t index, int worker) {
    update_by_muon(matrices_[static_cast<size_t>(index)], rate, static_cast<float>(clip), worker);
  });
  report.applied = true;
  return report;
}

void Optimizer::update(const Block& block, double rate, float clip) {
  const Parameter& parameter = parameters_[static_cast<size_t>(block.parameter)];
  if (by_muon(parameter)) return;
  Moments& moments = moments_[static_cast<size_t>(block.parameter)];
  const auto t = static_cast<double>(steps_);
  const AdamWArgs args = {
      .rate = static_cast<float>(rate * parameter.rate_scale),
      .beta1 = options_.beta1,
      .beta2 = options_.beta2,
      .eps = options_.epsilon,
      .weight_decay = parameter.decay ? options_.weight_decay : 0,
      .correction1 = static_cast<float>(1 - std::pow(double{options_.beta1}, t)),
      .correction2 = static_cast<float>(1 - std::pow(double{options_.beta2}, t)),
      .gradient_scale = clip,
  };
  const float* gradient = parameter.gradient + block.begin;
  float* value = parameter.value + block.begin;
  if (!options_.state_8bit) {
    kernels_.adamw(value, gradient, moments.m.data() + block.begin, moments.v.data() + block.begin, block.count, &args);
    return;
  }
  const int64_t scale = block.begin / kAdamW8Block;
  const AdamW8State state = {.m = moments.m8.data() + block.begin,
                             .v = moments.v8.data() + block.begin,
                             .m_scale = moments.m_scale.data() + scale,
                             .v_scale = moments.v_scale.data() + scale};
  kernels_.adamw8(value, gradient, &state, block.count, &args);
}

void Optimizer::update_by_muon(const Block& block, double rate, float clip, int worker) {
  const Parameter& parameter = parameters_[static_cast<size_t>(block.parameter)];
  const float momentum = options_.momentum, fresh = (1 - momentum) * clip;
  float* m = moments_[static_cast<size_t>(block.parameter)].m.data();
  float* direction = directions_[static_cast<size_t>(worker)].data();
  for (int64_t i = 0; i < block.count; ++i) {
    const float g = fresh * parameter.gradient[i];
    m[i] = momentum * m[i] + g;
    direction[i] = momentum * m[i] + g;
  }
  const int64_t rows = parameter.shape[0], columns = parameter.shape[1];
  orthogonalizers_[static_cast<size_t>(worker)].orthogonalize(direction, rows, columns);
  const double own_rate = rate * parameter.rate_scale;
  const auto step = static_cast<float>(own_rate * muon_scale(rows, columns));
  const auto kept = static_cast<float>(1 - own_rate * (parameter.decay ? options_.weight_decay : 0));
  for (int64_t i = 0; i < block.count; ++i) parameter.value[i] = kept * parameter.value[i] - step * direction[i];
}

std::vector<StateTensor> Optimizer::state() {
  std::vector<StateTensor> out;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    Moments& moments = moments_[i];
    if (by_muon(parameter)) {
      out.push_back({parameter.name + ".exp_avg", false, shape_of(parameter), bytes_of(moments.m)});
      continue;
    }
    if (!options_.state_8bit) {
      out.push_back({parameter.name + ".exp_avg", false, shape_of(parameter), bytes_of(moments.m)});
      out.push_back({parameter.name + ".exp_avg_sq", false, shape_of(parameter), bytes_of(moments.v)});
      continue;
    }
    const std::vector<uint64_t> scales = {moments.m_scale.size()};
    out.push_back({parameter.name + ".exp_avg", true, shape_of(parameter), bytes_of(moments.m8)});
    out.push_back({parameter.name + ".exp_avg.scale", false, scales, bytes_of(moments.m_scale)});
    out.push_back({parameter.name + ".exp_avg_sq", true, shape_of(parameter), bytes_of(moments.v8)});
    out.push_back({parameter.name + ".exp_avg_sq.scale", false, scales, bytes_of(moments.v_scale)});
  }
  return out;
}

uint64_t Optimizer::bytes() const {
  uint64_t sum = 0;
  for (const Moments& m : moments_) {
    sum += sizeof(float) * (m.m.size() + m.v.size() + m.m_scale.size() + m.v_scale.size()) + m.m8.size() + m.v8.size();
  }
  for (const Orthogonalizer& orthogonalizer : orthogonalizers_) sum += orthogonalizer.bytes();
  for (const Buffer<float>& direction : directions_) sum += sizeof(float) * direction.size();
  return sum;
}

uint64_t Optimizer::bytes_needed(std::span<const Parameter> parameters, const OptimizerOptions& options, int threads) {
  uint64_t sum = 0;
  int64_t most = 0, least = 0;  // numbers of the largest matrix, and the shorter side of any
  for (const Parameter& parameter : parameters) {
    if (!options.muon || !parameter.hidden) {
      sum += state_bytes(parameter.size(), options.state_8bit);
      continue;
    }
    sum += sizeof(float) * static_cast<uint64_t>(parameter.size());
    most = std::max(most, parameter.size());
    least = std::max(least, std::min(parameter.shape[0], parameter.shape[1]));
  }
  if (most == 0) return sum;
  const uint64_t direction = sizeof(float) * static_cast<uint64_t>(most);
  return sum + static_cast<uint64_t>(threads) * (direction + Orthogonalizer::bytes_needed(most, least));
}

uint64_t Optimizer::state_bytes(int64_t count, bool state_8bit) {
  const auto numbers = static_cast<uint64_t>(count);
  if (!state_8bit) return 8 * numbers;
  return 2 * numbers + 8 * ((numbers + kAdamW8Block - 1) / kAdamW8Block);
}

}  // namespace andiron
