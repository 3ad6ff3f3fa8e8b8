#include "model/train_pass.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <vector>

#include "base/random.h"
#include "base/strings.h"
#include "model/transformer.h"
#include "ops/kv_cache.h"

namespace andiron {

namespace {

// Rows of logits at a time: products want some hundred rows, and logits and their rounded gradients of a large
// vocabulary should stay below a hundred megabytes or two.
int64_t head_rows(const ModelConfig& config, int64_t rows) {
  constexpr int64_t kBytesMax = 128 << 20;
  const int64_t fitting = kBytesMax / (2 * static_cast<int64_t>(sizeof(float)) * config.vocabulary);
  return std::min(rows, std::clamp<int64_t>(fitting / 16 * 16, 32, 512));
}

int64_t logits_stride(const ModelConfig& config) { return result_stride(config.vocabulary); }

}  // namespace

struct TrainPass::State {
  Transformer transformer;
  TrainLimits limits;
  Tape layers_tape, head_tape;
  Buffer<float> inputs;         // [checkpointed, rows, D]
  Buffer<float> hidden;         // [R, D] of the head
  Buffer<float> logits;         // [R, V]
  std::vector<KvPages> caches;  // of one layer, for each in turn
  std::vector<BatchSegment> segments;
  std::vector<int32_t> tokens;
  std::vector<const float*> tracked;
  const DeltaTable* deltas = nullptr;
  RowDeltas worn;
  double noise_alpha = 0;
  uint64_t noise_seed = 0;

  State(const Model& model, const Weights& weights, const KernelTable& kernels, ThreadTeam& team, const TrainLimits& l);

  Rows x() { return {transformer.buffers.x.data(), static_cast<int64_t>(tokens.size()), width(), width()}; }
  int64_t width() const { return transformer.config.width; }
  size_t layers() const { return transformer.weights.layers.size(); }
  Rows input(size_t layer) {
    return {inputs.data() + static_cast<int64_t>(layer) * limits.rows * width(), x().rows, width(), width()};
  }
  Status begin(const TrainBatch& batch);
  void wear(int64_t rows);  // what ops.linear() adds to so many rows
  void learn(Tape* tape, bool drops) {
    transformer.ops.record(tape);
    transformer.ops.drop_out(drops);
  }
  void add_noise(Rows x) const;
  void embedding_gradient();
  void head_chunk(std::span<const int32_t> rows, Recording recording, const std::function<void(const HeadChunk&)>& f);
};

TrainPass::State::State(const Model& model, const Weights& weights, const KernelTable& kernels, ThreadTeam& team,
                        const TrainLimits& l)
    : transformer(model, weights, kernels, team, l.rows), limits(l) {
  limits.checkpointed = std::clamp<int64_t>(l.checkpointed, 0, static_cast<int64_t>(layers()));
  const int64_t chunk = head_rows(transformer.config, l.rows);
  inputs = Buffer<float>(limits.checkpointed * l.rows, width(), Pages::kLarge);
  hidden = Buffer<float>(chunk, width(), Pages::kLarge);
  logits = Buffer<float>(chunk, logits_stride(transformer.config), Pages::kLarge);
  transformer.buffers.each(
      [&](const Buffer<float>& buffer) { layers_tape.track(buffer.data(), static_cast<int64_t>(buffer.size())); });
  head_tape.track(hidden.data(), static_cast<int64_t>(hidden.size()));
  // Logits are not read again once their gradients are known, and so make room for them.
  head_tape.track(logits.data(), static_cast<int64_t>(logits.size()), logits.data());
}

TrainPass::TrainPass(std::unique_ptr<State> state) : state_(std::move(state)) {}
TrainPass::~TrainPass() = default;

Result<std::unique_ptr<TrainPass>> TrainPass::create(const Model& model, const Weights& weights,
                                                     const KernelTable& kernels, ThreadTeam& team,
                                                     const TrainLimits& limits) {
  constexpr int64_t kRowsMax = 1 << 16;
  if (limits.rows < 1 || limits.rows > kRowsMax) {
    return make_error("a batch of {} tokens is not possible; 1 to {} are", limits.rows, kRowsMax);
  }
  try {
    return std::unique_ptr<TrainPass>(new TrainPass(std::make_unique<State>(model, weights, kernels, team, limits)));
  } catch (const std::bad_alloc&) {
    return make_error("{}: no memory to train on {} tokens at a time; use shorter sequences", model.source().path(),
                      limits.rows);
  }
}

// The residual stream twice and normed twice; queries, keys and values, and what attention gives (kept as its result
// and as the input of the next product); gate, up, and their product; each a float.
uint64_t TrainPass::bytes_kept(const ModelConfig& config) {
  const int64_t inner =
      config.experts.count > 0 ? config.experts.used * (config.experts.width + config.width) : config.feed_forward;
  return static_cast<uint64_t>(4 * config.width + 3 * config.query_width() + 2 * config.kv_width() + 3 * inner) *
         sizeof(float);
}

uint64_t TrainPass::bytes_checkpointed(const ModelConfig& config) {
  return static_cast<uint64_t>(config.width) * sizeof(float);
}

uint64_t TrainPass::bytes_needed(const Model& model, const TrainLimits& limits, int threads) {
  const ModelConfig& config = model.config();
  const auto rows = static_cast<uint64_t>(limits.rows);
  const int64_t checkpointed = std::clamp<int64_t>(limits.checkpointed, 0, config.blocks);
  const auto kept_layers = static_cast<uint64_t>(std::max<int64_t>(config.blocks - checkpointed, checkpointed > 0));
  const auto chunk = static_cast<uint64_t>(head_rows(config, limits.rows));
  return 2 * Transformer::bytes_needed(config, limits.rows, threads) + rows * kept_layers * bytes_kept(config) +
         rows * static_cast<uint64_t>(checkpointed) * bytes_checkpointed(config) +
         chunk * sizeof(float) * static_cast<uint64_t>(2 * config.vocabulary + 4 * config.width) +
         rows * sizeof(float) * static_cast<uint64_t>(3 * Transformer::inputs_max(config));
}

int64_t TrainPass::checkpointed_within(uint64_t memory, const Model& model, int64_t rows, int threads) {
  const int64_t layers = model.config().blocks;
  for (int64_t count = 0; count < layers; ++count) {
    if (bytes_needed(model, {rows, count}, threads) <= memory) return count;
  }
  return layers;
}

void TrainPass::track(std::span<const Parameter> parameters) {
  for (const Parameter& parameter : parameters) {
    state_->layers_tape.track(parameter.value, parameter.size(), parameter.gradient);
    state_->head_tape.track(parameter.value, parameter.size(), parameter.gradient);
    state_->tracked.push_back(parameter.value);
  }
}

void TrainPass::forget() {
  for (const float* value : state_->tracked) {
    state_->layers_tape.forget(value);
    state_->head_tape.forget(value);
  }
  state_->tracked.clear();
  state_->deltas = nullptr;
}

void TrainPass::wear(const DeltaTable* deltas) { state_->deltas = deltas; }

Ops& TrainPass::ops() { return state_->transformer.ops; }
const ModelConfig& TrainPass::config() const { return state_->transformer.config; }

void TrainPass::add_noise(double alpha, uint64_t seed) {
  state_->noise_alpha = alpha;
  state_->noise_seed = seed;
}

uint64_t TrainPass::bytes() const {
  const State& s = *state_;
  return s.layers_tape.bytes() + s.head_tape.bytes() +
         sizeof(float) * (s.inputs.size() + s.hidden.size() + s.logits.size());
}

Status TrainPass::State::begin(const TrainBatch& batch) {
  const auto rows = static_cast<int64_t>(batch.tokens.size());
  if (rows == 0 || rows > limits.rows) {
    return make_error("a batch of {} tokens; 1 to {} are possible", rows, limits.rows);
  }
  tokens.assign(batch.tokens.begin(), batch.tokens.end());
  segments.clear();
  const ModelConfig& config = transformer.config;
  int64_t row = 0;
  while (caches.size() < batch.segments.size()) {  // before pointers are taken
    caches.emplace_back(KvLayout{kKvF16, 1, config.kv_heads, config.padded_head_dim()});
  }
  for (size_t i = 0; i < batch.segments.size(); ++i) {
    const int64_t count = batch.segments[i];
    caches[i].reserve(0, count);
    segments.push_back({&caches[i], row, count, 0});
    transformer.place(row, count, 0, count);
    row += count;
  }
  if (row != rows) return make_error("sequences of {} tokens in a batch of {}", row, rows);
  layers_tape.clear();
  wear(rows);
  return transformer.embed(tokens, x());
}

void TrainPass::State::wear(int64_t rows) {
  worn = {0, rows, deltas};
  transformer.ops.adapt({&worn, deltas != nullptr ? size_t{1} : size_t{0}});
}

void TrainPass::State::add_noise(Rows x) const {
  if (!(noise_alpha > 0)) return;
  const RandomStream random(noise_seed);
  for (const BatchSegment& segment : segments) {
    const double size = noise_alpha / std::sqrt(static_cast<double>(segment.rows * x.cols));
    for (int64_t t = segment.first_row; t < segment.first_row + segment.rows; ++t) {
      for (int64_t i = 0; i < x.cols; ++i) {
        const auto at = static_cast<uint64_t>(t * x.cols + i);
        x.row(t)[i] += static_cast<float>((2 * random.uniform(at) - 1) * size);
      }
    }
  }
}

Status TrainPass::forward(const TrainBatch& batch, Recording recording) {
  State& s = *state_;
  try {
    TRY(s.begin(batch));
    const Rows x = s.x();
    if (recording == Recording::kOn) s.add_noise(x);
    for (size_t i = 0; i < s.layers(); ++i) {
      const bool keeps = recording == Recording::kOn && static_cast<int64_t>(i) >= s.limits.checkpointed;
      if (recording == Recording::kOn && !keeps) {
        std::copy_n(x.data, x.rows * x.cols, s.input(i).data);
      }
      s.learn(keeps ? &s.layers_tape : nullptr, recording == Recording::kOn);
      s.transformer.layer(i, s.segments, x);
    }
    s.learn(nullptr, false);
  } catch (const std::bad_alloc&) {
    s.learn(nullptr, false);
    s.layers_tape.clear();
    return make_error("{}: no memory to train on {} tokens at a time; use shorter sequences",
                      s.transformer.model.source().path(), batch.tokens.size());
  }
  return s.transformer.model.check_intact();
}

void TrainPass::State::head_chunk(std::span<const int32_t> rows, Recording recording,
                                  const std::function<void(const HeadChunk&)>& f) {
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t vocabulary = transformer.config.vocabulary;
  const Rows in = {hidden.data(), count, width(), width()};
  const Rows out = {logits.data(), count, vocabulary, logits_stride(transformer.config)};
  for (int64_t i = 0; i < count; ++i) std::copy_n(x().row(rows[static_cast<size_t>(i)]), width(), in.row(i));
  const bool records = recording == Recording::kOn;
  wear(count);
  learn(records ? &head_tape : nullptr, records);
  transformer.head(in, out);
  learn(nullptr, false);
  f({rows, out, records ? head_tape.gradient(out) : Rows{}});
  if (!records) return;
  head_tape.backward(transformer.ops);
  const Rows dhidden = head_tape.gradient(in), dx = layers_tape.gradient(x());
  for (int64_t i = 0; i < count; ++i) {
    float* to = dx.row(rows[static_cast<size_t>(i)]);
    transformer.ops.kernels().add(to, dhidden.row(i), width(), to);
    std::fill_n(dhidden.row(i), width(), 0.0f);
  }
}

Status TrainPass::head(std::span<const int32_t> rows, Recording recording,
                       const std::function<void(const HeadChunk&)>& f) {
  State& s = *state_;
  const OpScope scope(s.transformer.ops.clock(), OpKind::kHead);
  const auto most = static_cast<size_t>(head_rows(s.transformer.config, s.limits.rows));
  const size_t chunks = std::max<size_t>(1, (rows.size() + most - 1) / most);
  const size_t chunk = std::min(most, (rows.size() / chunks + 16) / 16 * 16);  // of the same size, but for the last
  try {
    for (size_t first = 0; first < rows.size(); first += chunk) {
      s.head_chunk(rows.subspan(first, std::min(chunk, rows.size() - first)), recording, f);
    }
  } catch (const std::bad_alloc&) {
    s.learn(nullptr, false);
    return make_error("{}: no memory for the logits of {} tokens", s.transformer.model.source().path(), chunk);
  }
  return {};
}

// Adds the gradient of x to the rows of the embedding, and leaves zeros.
void TrainPass::State::embedding_gradient() {
  const Rows dx = layers_tape.gradient(x());
  float* gradient = layers_tape.gradient(transformer.weights.embedding_rows);
  for (size_t i = 0; i < tokens.size(); ++i) {
    float* from = dx.row(static_cast<int64_t>(i));
    if (gradient != nullptr) {
      transformer.ops.kernels().scale_add(from, transformer.config.embedding_scale, width(),
                                          gradient + tokens[i] * width());
    }
    std::fill_n(from, width(), 0.0f);
  }
}

void TrainPass::backward() {
  State& s = *state_;
  s.layers_tape.backward(s.transformer.ops);
  const Rows x = s.x();
  s.wear(x.rows);
  for (int64_t i = s.limits.checkpointed; i-- > 0;) {
    std::copy_n(s.input(static_cast<size_t>(i)).data, x.rows * x.cols, x.data);
    s.learn(&s.layers_tape, true);
    s.transformer.layer(static_cast<size_t>(i), s.segments, x);
    s.learn(nullptr, false);
    s.layers_tape.backward(s.transformer.ops);
  }
  s.embedding_gradient();
}

}  // namespace andiron
