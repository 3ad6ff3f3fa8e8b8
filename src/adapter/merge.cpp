#include "adapter/merge.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>

#include "adapter/svd.h"
#include "base/random.h"
#include "base/strings.h"

namespace andiron {

namespace {

constexpr size_t kPartsMax = 256;

constexpr std::array<std::pair<std::string_view, MergeMethod>, 6> kMethods = {{{"linear", MergeMethod::kLinear},
                                                                               {"cat", MergeMethod::kConcatenate},
                                                                               {"ties", MergeMethod::kTies},
                                                                               {"dare", MergeMethod::kDareLinear},
                                                                               {"dare-ties", MergeMethod::kDareTies},
                                                                               {"svd", MergeMethod::kSvd}}};

// One adapter's share in one layer.
struct Share {
  const AdapterMatrix* matrix;
  double weight;  // times scaling
  size_t adapter;
};

struct Layer {
  std::vector<Share> shares;
  int64_t order = 0;
};

enum class Side { kA, kB };

std::span<const float> values_of(const AdapterMatrix& matrix, Side side) {
  return side == Side::kA ? matrix.a : matrix.b;
}

// The share's factor on this side; the two multiply to its weight.
double factor_of(const Share& share, Side side) {
  const double root = std::sqrt(std::abs(share.weight));
  return side == Side::kB && share.weight < 0 ? -root : root;
}

// Keeps the floor(density x count) largest; among equals the first.
std::vector<double> keep_largest(std::span<const float> values, double density) {
  std::vector<double> out(values.begin(), values.end());
  const auto kept = static_cast<size_t>(density * static_cast<double>(values.size()));
  if (kept >= values.size()) return out;
  std::vector<double> sizes(out.size());
  std::transform(out.begin(), out.end(), sizes.begin(), [](double v) { return std::abs(v); });
  double threshold = INFINITY;  // the smallest that is kept
  size_t equals = 0;            // of that size, how many are kept
  if (kept > 0) {
    std::nth_element(sizes.begin(), sizes.begin() + static_cast<ptrdiff_t>(kept - 1), sizes.end(), std::greater<>());
    threshold = sizes[kept - 1];
    equals = kept - static_cast<size_t>(std::count_if(sizes.begin(), sizes.begin() + static_cast<ptrdiff_t>(kept - 1),
                                                      [&](double v) { return v > threshold; }));
  }
  for (double& value : out) {
    const double size = std::abs(value);
    if (size > threshold) continue;
    if (size == threshold && equals > 0) {
      --equals;
    } else {
      value = 0;
    }
  }
  return out;
}

// A number of its own for every layer, side and adapter: what falls does not depend on which other layers there are.
std::vector<double> drop_and_rescale(std::span<const float> values, double density, uint64_t seed, uint64_t stream) {
  std::vector<double> out(values.begin(), values.end());
  if (density >= 1) return out;
  const RandomStream random(seed, stream);
  for (size_t i = 0; i < out.size(); ++i) out[i] = random.uniform(i) < density ? out[i] / density : 0;
  return out;
}

class Merger {
 public:
  explicit Merger(const MergeOptions& options) : options_(options) {}

  AdapterMatrix merge(const Layer& layer) const {
    const AdapterMatrix& first = *layer.shares.front().matrix;
    AdapterMatrix out;
    out.layer = first.layer;
    out.n = first.n;
    out.k = first.k;
    if (options_.method == MergeMethod::kConcatenate) {
      concatenate(layer, out);
    } else if (options_.method == MergeMethod::kSvd) {
      truncate(layer, out);
    } else {
      out.r = first.r;
      out.a = mix(layer, Side::kA);
      out.b = mix(layer, Side::kB);
    }
    out.alpha = static_cast<float>(out.r);  // so that the scaling is 1
    return out;
  }

 private:
  static void concatenate(const Layer& layer, AdapterMatrix& out) {
    for (const Share& share : layer.shares) out.r += share.matrix->r;
    out.a.reserve(out.r * out.k);
    out.b.resize(out.n * out.r);
    int64_t at = 0;
    for (const Share& share : layer.shares) {
      const AdapterMatrix& m = *share.matrix;
      for (const float value : m.a) out.a.push_back(static_cast<float>(value * share.weight));
      for (int64_t i = 0; i < m.n; ++i) std::copy_n(&m.b[i * m.r], m.r, &out.b[i * out.r + at]);
      at += m.r;
    }
  }

  void truncate(const Layer& layer, AdapterMatrix& out) const {
    ThinProduct product{.n = out.n, .k = out.k, .c = 0, .left = {}, .right = {}};
    int64_t rank = options_.rank;
    for (const Share& share : layer.shares) {
      const AdapterMatrix& m = *share.matrix;
      product.c += m.r;
      if (options_.rank == 0) rank = std::max(rank, m.r);
      for (const float value : m.a) product.right.push_back(value * share.weight);
      for (int64_t j = 0; j < m.r; ++j) {
        for (int64_t i = 0; i < m.n; ++i) product.left.push_back(m.b[i * m.r + j]);
      }
    }
    TruncatedProduct cut = truncate_product(std::move(product), rank);
    out.r = cut.rank;
    out.a = std::move(cut.a);
    out.b = std::move(cut.b);
  }

  std::vector<double> prepared(const Layer& layer, const Share& share, Side side) const {
    const std::span<const float> values = values_of(*share.matrix, side);
    if (options_.method == MergeMethod::kLinear) return {values.begin(), values.end()};
    if (options_.method == MergeMethod::kTies) return keep_largest(values, options_.density);
    const auto place = static_cast<uint64_t>(layer.order) * 2 + (side == Side::kB ? 1 : 0);
    return drop_and_rescale(values, options_.density, options_.seed, place * kPartsMax + share.adapter);
  }

  std::vector<float> mix(const Layer& layer, Side side) const {
    std::vector<std::vector<double>> tasks;
    std::vector<double> factors;
    for (const Share& share : layer.shares) {
      tasks.push_back(prepared(layer, share, side));
      factors.push_back(factor_of(share, side));
    }
    const bool votes = options_.method == MergeMethod::kTies || options_.method == MergeMethod::kDareTies;
    std::vector<float> out(tasks.front().size());
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<float>(votes ? elect(tasks, factors, i) : sum(tasks, factors, i));
    }
    return out;
  }

  static double sum(const std::vector<std::vector<double>>& tasks, std::span<const double> factors, size_t i) {
    double total = 0;
    for (size_t t = 0; t < tasks.size(); ++t) total += factors[t] * tasks[t][i];
    return total;
  }

  // The mean of those with the majority's sign. As in PEFT, the vote is before the weights, and a draw is positive.
  double elect(const std::vector<std::vector<double>>& tasks, std::span<const double> factors, size_t i) const {
    const auto sign = [](double v) { return v > 0 ? 1.0 : v < 0 ? -1.0 : 0.0; };
    double vote = 0;
    for (const auto& task : tasks) vote += options_.majority == MajoritySign::kTotal ? task[i] : sign(task[i]);
    const double winner = vote >= 0 ? 1 : -1;
    double total = 0;
    int64_t count = 0;
    for (size_t t = 0; t < tasks.size(); ++t) {
      if (sign(tasks[t][i]) != winner) continue;
      total += factors[t] * tasks[t][i];
      ++count;
    }
    return count == 0 ? 0 : total / static_cast<double>(count);
  }

  const MergeOptions& options_;
};

std::string name_of(const Adapter& adapter, size_t index) {
  return adapter.name.empty() ? format("adapter {}", index + 1) : format("\"{}\"", in_quotes(adapter.name));
}

Status check_options(std::span<const WeightedAdapter> parts, const MergeOptions& options) {
  if (parts.empty() || parts.size() > kPartsMax) {
    return make_error("1 to {} adapters can be merged, not {}", kPartsMax, parts.size());
  }
  const MergeMethod method = options.method;
  const bool votes = method == MergeMethod::kTies || method == MergeMethod::kDareTies;
  const bool thins = votes || method == MergeMethod::kDareLinear;
  if (thins && !(options.density > 0 && options.density <= 1)) {
    return make_error("a density of {} cannot be; above 0 to 1 is expected", options.density);
  }
  if (options.rank < 0 || options.rank > kAdapterRankMax) {
    return make_error("a rank of {} cannot be; 1 to {} is expected", options.rank, kAdapterRankMax);
  }
  for (const WeightedAdapter& part : parts) {
    if (!std::isfinite(part.weight)) return make_error("a weight is not a finite number");
    if (votes && part.weight < 0) {
      return make_error("a weight of {} has no meaning where signs are voted on; use linear or cat", part.weight);
    }
  }
  return {};
}

Status check_parts(std::span<const WeightedAdapter> parts) {
  const Adapter& first = *parts.front().adapter;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Adapter& adapter = *parts[i].adapter;
    const std::string name = name_of(adapter, i);
    if (adapter.dora) {
      return make_error("{}: has DoRA's magnitudes, which cannot be merged with others; merge it into a model instead",
                        name);
    }
    if (adapter.architecture != first.architecture) {
      return make_error("{}: is for {}, but {} is for {}", name, in_quotes(adapter.architecture), name_of(first, 0),
                        in_quotes(first.architecture));
    }
    const auto differ = [](uint32_t x, uint32_t y) { return x != 0 && y != 0 && x != y; };
    if (differ(adapter.heads, first.heads) || differ(adapter.heads_kv, first.heads_kv)) {
      return make_error("{}: is for a model of {} heads, {} for one of {}", name, adapter.heads, name_of(first, 0),
                        first.heads);
    }
    TRY(check_adapter(adapter, name));
  }
  return {};
}

// The layers in order, with what each adapter has there.
Result<std::vector<Layer>> collect(std::span<const WeightedAdapter> parts, const MergeOptions& options) {
  std::map<int64_t, Layer> layers;
  const bool stacks = options.method == MergeMethod::kConcatenate || options.method == MergeMethod::kSvd;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Adapter& adapter = *parts[i].adapter;
    for (const AdapterMatrix& matrix : adapter.matrices) {
      Layer& layer = layers[layer_order(matrix.layer)];
      layer.order = layer_order(matrix.layer);
      layer.shares.push_back({&matrix, double{parts[i].weight} * adapter.scaling(matrix), i});
      const AdapterMatrix& first = *layer.shares.front().matrix;
      if (first.n != matrix.n || first.k != matrix.k) {
        return make_error("\"{}\" is {} x {} in {}, but {} x {} in {}; they are of different models", matrix.layer,
                          first.n, first.k,
                          name_of(*parts[layer.shares.front().adapter].adapter, layer.shares.front().adapter), matrix.n,
                          matrix.k, name_of(adapter, i));
      }
      if (!stacks && first.r != matrix.r) {
        return make_error(
            "\"{}\" has rank {} in one adapter and {} in {}; this way of merging needs equal ranks, cat and "
            "svd do not",
            matrix.layer, first.r, matrix.r, name_of(adapter, i));
      }
    }
  }
  std::vector<Layer> out;
  for (auto& [order, layer] : layers) {
    int64_t total = 0;
    for (const Share& share : layer.shares) total += share.matrix->r;
    if (stacks && total > kAdapterRankMax) {
      return make_error("\"{}\": the ranks add up to {}; at most {} are allowed", layer.shares.front().matrix->layer,
                        total, kAdapterRankMax);
    }
    out.push_back(std::move(layer));
  }
  return out;
}

// What the adapters agree on.
Adapter common_origin(std::span<const WeightedAdapter> parts) {
  Adapter out = *parts.front().adapter;
  out.matrices.clear();
  out.name.clear();
  out.path.clear();
  out.rslora = false;
  out.target_modules = Json();
  out.extra = Json::object();
  for (const WeightedAdapter& part : parts) {
    if (part.adapter->base_name != out.base_name) out.base_name.clear();
    if (part.adapter->base_hash != out.base_hash) out.base_hash.clear();
    if (out.heads == 0) out.heads = part.adapter->heads;
    if (out.heads_kv == 0) out.heads_kv = part.adapter->heads_kv;
  }
  return out;
}

}  // namespace

Result<MergeMethod> merge_method_from_name(std::string_view name) {
  for (const auto& [known, method] : kMethods) {
    if (known == name) return method;
  }
  return make_error("\"{}\" is no way of merging; linear, cat, ties, dare, dare-ties and svd are", in_quotes(name));
}

std::string_view merge_method_name(MergeMethod method) { return kMethods[static_cast<size_t>(method)].first; }

Result<Adapter> merge_adapters(std::span<const WeightedAdapter> parts, const MergeOptions& options, ThreadTeam& team) {
  TRY(check_options(parts, options));
  TRY(check_parts(parts));
  TRY_ASSIGN(const std::vector<Layer> layers, collect(parts, options));
  Adapter out = common_origin(parts);
  out.matrices.resize(layers.size());
  const Merger merger(options);
  team.parallel_for(static_cast<int64_t>(layers.size()),
                    [&](int64_t i, int) { out.matrices[i] = merger.merge(layers[i]); });
  out.rank = 0;
  for (const AdapterMatrix& matrix : out.matrices) out.rank = std::max(out.rank, matrix.r);
  out.alpha = static_cast<float>(out.rank);
  TRY(check_adapter(out, "the merged adapter"));
  return out;
}

}  // namespace andiron
