#include "model/forward.h"

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/strings.h"
#include "model/transformer.h"
#include "model/weights.h"

namespace andiron {

struct Forward::State {
  const Model& model;
  const ModelConfig& config;
  ForwardLimits limits;
  Transformer transformer;
  Buffer<float> last;    // [R, D] the rows whose logits are asked for
  Buffer<float> logits;  // [R, V]
  std::vector<BatchSegment> segments;
  std::vector<RowDeltas> worn;       // by the rows of the batch, then by those of the logits
  std::vector<int64_t> logit_begin;  // [sequences + 1] of the last run: where each sequence's logits begin
  std::vector<Rows> hidden;          // [sequences] of the last run; empty where they were not asked for

  State(const Model& m, const KernelTable& kernels, ThreadTeam& team, const ForwardLimits& l);

  Status check(std::span<const Sequence> batch) const;
  Status check_one(const Sequence& sequence) const;
  static Status reserve(std::span<const Sequence> batch);
  Status embed(std::span<const Sequence> batch, Rows x);
  void run_layers(std::span<const Sequence> batch, Rows x);
  // `rows_of`: how many rows of what comes next belong to a sequence.
  void wear(std::span<const Sequence> batch, int64_t (*rows_of)(const Sequence&));
  void compute_logits(std::span<const Sequence> batch, Rows x);
  void compute_hidden(std::span<const Sequence> batch, Rows x);
  void forget_results();
};

namespace {

int64_t count(const Sequence& sequence) { return static_cast<int64_t>(sequence.tokens.size()); }

int64_t logit_count(const Sequence& sequence) {
  switch (sequence.logits) {
    case LogitRows::kNone:
    case LogitRows::kHidden: return 0;
    case LogitRows::kLast: return 1;
    case LogitRows::kAll: break;
  }
  return count(sequence);
}

}  // namespace

Forward::State::State(const Model& m, const KernelTable& kernels, ThreadTeam& team, const ForwardLimits& l)
    : model(m),
      config(m.config()),
      limits(l),
      transformer(m, m.weights(), kernels, team, l.rows),
      last(l.logit_rows, m.config().width),
      logits(l.logit_rows, padded_columns(m.config().vocabulary)) {
  segments.reserve(static_cast<size_t>(limits.sequences));
  worn.reserve(static_cast<size_t>(limits.sequences));
  logit_begin.reserve(static_cast<size_t>(limits.sequences) + 1);
  hidden.reserve(static_cast<size_t>(limits.sequences));
  forget_results();
}

void Forward::State::forget_results() {
  logit_begin.assign(1, 0);
  hidden.clear();
}

Status Forward::State::check_one(const Sequence& sequence) const {
  if (sequence.cache == nullptr || sequence.cache->model_ != &model) {
    return make_error("{}: a sequence without a cache of this model", model.source().path());
  }
  if (sequence.tokens.empty()) return make_error("{}: a sequence without tokens", model.source().path());
  return {};
}

Status Forward::State::check(std::span<const Sequence> batch) const {
  int64_t rows = 0, logit_rows = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    TRY(check_one(batch[i]));
    rows += count(batch[i]);
    logit_rows += logit_count(batch[i]);
    for (size_t j = 0; j < i; ++j) {
      if (batch[j].cache == batch[i].cache) return make_error("one cache serves two sequences of a batch");
    }
  }
  const auto sequences = static_cast<int64_t>(batch.size());
  if (rows > limits.rows || logit_rows > limits.logit_rows || sequences > limits.sequences) {
    return make_error(
        "a batch of {} sequences, {} tokens and {} rows of logits is too large; {}, {} and {} are allowed", sequences,
        rows, logit_rows, limits.sequences, limits.rows, limits.logit_rows);
  }
  return {};
}

// Before anything runs, so that no memory is looked for on the threads of the team.
Status Forward::State::reserve(std::span<const Sequence> batch) {
  for (const Sequence& sequence : batch) TRY(sequence.cache->reserve(count(sequence)));
  return {};
}

Status Forward::State::embed(std::span<const Sequence> batch, Rows x) {
  int64_t row = 0;
  for (const Sequence& sequence : batch) {
    const int64_t rows = count(sequence);
    TRY(transformer.embed(sequence.tokens, x.slice(row, rows)));
    transformer.place(row, rows, sequence.cache->length(), sequence.cache->capacity());
    row += rows;
  }
  return {};
}

void Forward::State::wear(std::span<const Sequence> batch, int64_t (*rows_of)(const Sequence&)) {
  worn.clear();
  int64_t row = 0;
  for (const Sequence& sequence : batch) {
    const int64_t rows = rows_of(sequence);
    if (sequence.deltas != nullptr && rows > 0) {
      // Neighbours that wear the same count as one: their low-rank products read every matrix once for all.
      const bool goes_on =
          !worn.empty() && worn.back().deltas == sequence.deltas && worn.back().first_row + worn.back().rows == row;
      if (goes_on) {
        worn.back().rows += rows;
      } else {
        worn.push_back({row, rows, sequence.deltas});
      }
    }
    row += rows;
  }
  transformer.ops.adapt(worn);
}

void Forward::State::run_layers(std::span<const Sequence> batch, Rows x) {
  segments.clear();
  int64_t row = 0;
  for (const Sequence& sequence : batch) {
    segments.push_back({&sequence.cache->pages_, row, count(sequence), sequence.cache->length()});
    row += count(sequence);
  }
  wear(batch, count);
  for (size_t i = 0; i < model.weights().layers.size(); ++i) {
    for (BatchSegment& segment : segments) segment.layer = static_cast<int64_t>(i);
    transformer.layer(i, segments, x);
  }
}

void Forward::State::compute_logits(std::span<const Sequence> batch, Rows x) {
  logit_begin.clear();
  logit_begin.push_back(0);
  int64_t row = 0, taken = 0;
  for (const Sequence& sequence : batch) {
    row += count(sequence);
    for (int64_t i = row - logit_count(sequence); i < row; ++i) {
      std::copy(x.row(i), x.row(i) + config.width, last.data() + taken++ * config.width);
    }
    logit_begin.push_back(taken);
  }
  if (taken == 0) return;
  const Rows rows = {last.data(), taken, config.width, config.width};
  const Rows out = {logits.data(), taken, config.vocabulary, padded_columns(config.vocabulary)};
  wear(batch, logit_count);
  transformer.head(rows, out);
}

// In place: the rows are not needed any more.
void Forward::State::compute_hidden(std::span<const Sequence> batch, Rows x) {
  int64_t row = 0;
  for (const Sequence& sequence : batch) {
    const Rows rows = x.slice(row, sequence.logits == LogitRows::kHidden ? count(sequence) : 0);
    if (rows.rows > 0) transformer.norm(rows);
    hidden.push_back(rows);
    row += count(sequence);
  }
}

Forward::Forward(std::unique_ptr<State> state) : state_(std::move(state)) {}
Forward::~Forward() = default;

Result<std::unique_ptr<Forward>> Forward::create(const Model& model, const KernelTable& kernels, ThreadTeam& team,
                                                 const ForwardLimits& limits) {
  constexpr int64_t kRowsMax = 1 << 16;
  for (const int64_t limit : {limits.rows, limits.logit_rows, limits.sequences}) {
    if (limit < 1 || limit > kRowsMax) {
      return make_error("a limit of {} rows or sequences in one run is not possible; 1 to {} are", limit, kRowsMax);
    }
  }
  // Ten times what the largest models need for the default limits: beyond it the file or the caller is mistaken.
  constexpr uint64_t kBytesMax = uint64_t{8} << 30;
  if (const uint64_t bytes = bytes_needed(model.config(), limits, team.size()); bytes > kBytesMax) {
    return make_error("{}: runs of {} tokens with {} rows of logits would take {}; use smaller limits",
                      model.source().path(), limits.rows, limits.logit_rows, human_bytes(bytes));
  }
  try {
    return std::unique_ptr<Forward>(new Forward(std::make_unique<State>(model, kernels, team, limits)));
  } catch (const std::bad_alloc&) {
    return make_error("{}: no memory for runs of {} tokens; use a smaller limit", model.source().path(), limits.rows);
  }
}

uint64_t Forward::bytes_needed(const ModelConfig& config, const ForwardLimits& limits, int threads) {
  const auto logit_rows = static_cast<uint64_t>(limits.logit_rows);
  return Transformer::bytes_needed(config, limits.rows, threads) +
         sizeof(float) * logit_rows * static_cast<uint64_t>(config.width + config.vocabulary);
}

const ForwardLimits& Forward::limits() const { return state_->limits; }

void Forward::observe(LinearObserver observer) { state_->transformer.ops.observe(observer); }

Status Forward::run(std::span<const Sequence> batch) {
  State& state = *state_;
  state.forget_results();
  TRY(state.check(batch));
  TRY(state.reserve(batch));
  int64_t tokens = 0;
  for (const Sequence& sequence : batch) tokens += count(sequence);
  if (tokens == 0) return {};

  const Rows x = {state.transformer.buffers.x.data(), tokens, state.config.width, state.config.width};
  TRY(state.embed(batch, x));
  state.run_layers(batch, x);
  state.compute_logits(batch, x);
  state.compute_hidden(batch, x);

  Status intact = state.model.check_intact();
  if (!intact.ok()) {
    state.forget_results();
    return intact;
  }
  for (const Sequence& sequence : batch) sequence.cache->length_ += count(sequence);
  return {};
}

Rows Forward::logits() const {
  const int64_t vocabulary = state_->config.vocabulary;
  return {state_->logits.data(), state_->logit_begin.back(), vocabulary, padded_columns(vocabulary)};
}

Rows Forward::logits(size_t sequence) const {
  if (sequence + 1 >= state_->logit_begin.size()) return logits().slice(0, 0);
  const int64_t first = state_->logit_begin[sequence];
  return logits().slice(first, state_->logit_begin[sequence + 1] - first);
}

Rows Forward::hidden(size_t sequence) const {
  return sequence < state_->hidden.size() ? state_->hidden[sequence] : Rows{};
}

}  // namespace andiron
