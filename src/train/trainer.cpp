#include "train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <utility>

#include "base/random.h"
#include "base/strings.h"

namespace andiron {

namespace {

// Streams of the run's seed; a step's own numbers follow.
constexpr uint64_t kNoiseStream = 1, kDropoutStream = 2, kGeneralStream = 3;

uint64_t seed_of(uint64_t seed, uint64_t stream, int64_t step, int64_t pass) {
  return RandomStream(seed, stream).bits(static_cast<uint64_t>(step) << 20 | static_cast<uint64_t>(pass));
}

bool has_pairs(const TokenRows& rows) { return !rows.rejected.empty(); }

// Where a general row feels the pull: enough to feel it, little beside a step. None where a prompt is very long.
std::vector<int32_t> pulled_positions(const TokenRow& row) {
  constexpr size_t kPositions = 64;
  constexpr int64_t kTokens = 512;
  const int64_t stride = row.prompt_size() > 1 ? 1 : 2;
  std::vector<int32_t> out;
  for (int64_t i = 0; i < std::min(kTokens, row.positions()) && out.size() < kPositions; i += stride) {
    if (row.trained[static_cast<size_t>(i) + 1] != 0) out.push_back(static_cast<int32_t>(i));
  }
  return out;
}

}  // namespace

// General rows as one batch, each up to its last position with a pull.
struct Trainer::Pulled {
  std::vector<int32_t> tokens;
  std::vector<int64_t> segments;
  std::vector<int32_t> rows;  // of the batch, that feel the pull
};

int64_t Trainer::rows_needed(const TrainData& data, const TrainerOptions& options) {
  int64_t most = options.packing.seq_len;
  for (const TokenRows* rows : {data.train, data.held_out, data.general}) {
    if (rows == nullptr) continue;
    for (size_t i = 0; i < rows->rows.size(); ++i) most = std::max(most, row_positions(*rows, i));
    if (options.loss != LossKind::kKto) continue;
    // A prompt with another row's answer.
    int64_t prompt = 0, answer = 0;
    for (const TokenRow& row : rows->rows) {
      prompt = std::max(prompt, static_cast<int64_t>(row.prompt_size()));
      answer = std::max(answer, static_cast<int64_t>(row.tokens.size() - row.prompt_size()));
    }
    most = std::max(most, prompt + answer);
  }
  return std::max(most, options.rows_per_pass);
}

Result<std::unique_ptr<Trainer>> Trainer::create(TrainPass& pass, TrainSubject subject, const TrainData& data,
                                                 const TrainerOptions& options, ThreadTeam& team) {
  if (data.source != nullptr) {
    if (options.loss != LossKind::kNextToken) return make_error("rows from a stream are for the next-token loss");
    return std::unique_ptr<Trainer>(new Trainer(pass, std::move(subject), data, options, team));
  }
  if (data.train == nullptr || data.train->rows.empty()) return make_error("there is nothing to train on");
  const bool pairs = options.loss == LossKind::kDpo || options.loss == LossKind::kOrpo;
  if (pairs != has_pairs(*data.train)) {
    return make_error("the loss {} wants {}", loss_kind_name(options.loss),
                      pairs ? "pairs of a chosen and a rejected answer" : "single answers, not pairs");
  }
  if (options.loss == LossKind::kKto && data.train->desirable.size() != data.train->rows.size()) {
    return make_error("the loss kto wants answers with a label that says whether they are good");
  }
  if (subject.deltas == nullptr && (options.loss == LossKind::kDpo || options.loss == LossKind::kKto)) {
    return make_error("the loss {} compares an adapter with its base; train an adapter", loss_kind_name(options.loss));
  }
  return std::unique_ptr<Trainer>(new Trainer(pass, std::move(subject), data, options, team));
}

Trainer::Trainer(TrainPass& pass, TrainSubject subject, const TrainData& data, const TrainerOptions& options,
                 ThreadTeam& team)
    : pass_(pass),
      subject_(std::move(subject)),
      data_(data),
      options_(options),
      rows_needed_(rows_needed(data, options)),
      optimizer_(subject_.parameters, options.optimizer, pass.ops().kernels(), team) {
  if (data.source == nullptr) own_source_ = std::make_unique<MemoryRows>(*data.train, options.packing);
  source_ = data.source != nullptr ? data.source : own_source_.get();
  pass_.track(subject_.parameters);
  pass_.wear(subject_.deltas);
}

void Trainer::go_on(int64_t step, int64_t data_position) {
  step_ = step;
  position_ = data_position;
}

PackedBatch Trainer::pack(const TokenRows& rows, std::span<const uint32_t> indexes, const PromptLoss& prompts) const {
  std::vector<const TokenRow*> pointers;
  for (const uint32_t i : indexes) {
    pointers.push_back(&rows.rows[i]);
    if (has_pairs(rows)) pointers.push_back(&rows.rejected[i]);
  }
  return pack_rows(pointers, prompts);
}

Result<Trainer::PassLoss> Trainer::next_token_pass(const PackedBatch& batch, double share) {
  TRY(run_layers(pass_, batch, Recording::kOn));
  std::vector<double> shares;  // of the step's loss
  for (const float weight : batch.weights) {
    if (weight != 0) shares.push_back(share * static_cast<double>(weight));
  }
  const std::vector<float> weights(shares.begin(), shares.end());
  TRY_ASSIGN(const auto logps, target_logps(pass_, batch, weights));
  pass_.backward();
  PassLoss out;
  for (size_t i = 0; i < logps.size(); ++i) out.loss -= shares[i] * static_cast<double>(logps[i]);
  out.tokens = static_cast<int64_t>(batch.tokens.size());
  return out;
}

// By segment, under the trained model and under the base. With recording on, the layers are ready for a backward.
Result<std::vector<AnswerScore>> Trainer::scores(const PackedBatch& batch, Recording recording) {
  std::vector<AnswerScore> base;
  if (options_.loss != LossKind::kOrpo) {
    pass_.wear(nullptr);
    const Status ran = run_layers(pass_, batch, Recording::kOff);
    auto logps = ran.ok() ? target_logps(pass_, batch, {}) : Result<std::vector<float>>(ran.error());
    pass_.wear(subject_.deltas);
    if (!logps.ok()) return logps.error();
    base = segment_scores(batch, *logps);
  }
  TRY(run_layers(pass_, batch, recording));
  TRY_ASSIGN(const auto logps, target_logps(pass_, batch, {}));
  auto out = segment_scores(batch, logps);
  for (size_t i = 0; i < base.size(); ++i) out[i].reference = base[i].logp;
  return out;
}

// KTO's z: beta (log p - log p0) of answers to other rows' prompts, averaged, not below 0.
Result<double> Trainer::mismatch(const TokenRows& rows, std::span<const uint32_t> indexes) {
  if (indexes.size() < 2) return 0.0;
  std::vector<TokenRow> mixed(indexes.size());
  std::vector<const TokenRow*> pointers;
  int64_t positions = 0;
  for (size_t i = 0; i < indexes.size(); ++i) {
    const TokenRow& prompt = rows.rows[indexes[i]];
    const TokenRow& answer = rows.rows[indexes[(i + 1) % indexes.size()]];
    const auto cut = static_cast<std::ptrdiff_t>(prompt.prompt_size());
    const auto from = static_cast<std::ptrdiff_t>(answer.prompt_size());
    TokenRow& row = mixed[i];
    row.tokens.assign(prompt.tokens.begin(), prompt.tokens.begin() + cut);
    row.trained.assign(static_cast<size_t>(cut), 0);
    row.tokens.insert(row.tokens.end(), answer.tokens.begin() + from, answer.tokens.end());
    row.trained.insert(row.trained.end(), answer.trained.begin() + from, answer.trained.end());
    positions += row.positions();
    if (positions > rows_needed_) break;  // as many as run together
    pointers.push_back(&row);
  }
  TRY_ASSIGN(const auto all, scores(pack_rows(pointers), Recording::kOff));
  double sum = 0;
  for (const AnswerScore& score : all) sum += score.logp - score.reference;
  return std::max(0.0, options_.beta * sum / static_cast<double>(all.size()));
}

Result<Trainer::PassLoss> Trainer::preference_pass(const TokenRows& rows, std::span<const uint32_t> indexes,
                                                   double weight, Recording recording, int64_t* right) {
  double z = 0;
  if (options_.loss == LossKind::kKto) {
    TRY_ASSIGN(z, mismatch(rows, indexes));
  }
  const PackedBatch batch = pack(rows, indexes);
  TRY_ASSIGN(const auto answers, scores(batch, recording));
  PassLoss out;
  std::vector<double> slopes(answers.size());  // d loss / d log p of each answer
  for (size_t i = 0; i < indexes.size(); ++i) {
    if (options_.loss == LossKind::kKto) {
      const bool desirable = rows.desirable[indexes[i]] != 0;
      const LabelLoss one = kto_loss(answers[i], desirable, z, options_.beta, 1);
      const double reward = options_.beta * (answers[i].logp - answers[i].reference) - z;
      out.loss += weight * one.loss;
      out.margin += weight * (desirable ? reward : -reward);
      slopes[i] = one.answer;
      *right += (desirable ? reward : -reward) > 0;
    } else {
      const auto loss = options_.loss == LossKind::kDpo ? dpo_loss : orpo_loss;
      const PairLoss one = loss(answers[2 * i], answers[2 * i + 1], options_.beta);
      out.loss += weight * one.loss;
      out.margin += weight * one.margin;
      slopes[2 * i] = one.chosen;
      slopes[2 * i + 1] = one.rejected;
      *right += one.margin > 0;
    }
  }
  out.tokens = static_cast<int64_t>(batch.tokens.size());
  if (recording == Recording::kOff) return out;
  std::vector<float> weights;
  for (size_t s = 0; s < answers.size(); ++s) {
    weights.insert(weights.end(), static_cast<size_t>(answers[s].tokens), static_cast<float>(-slopes[s] * weight));
  }
  TRY(target_logps(pass_, batch, weights));
  pass_.backward();
  return out;
}

// Rows of this step's own draw, until the next would take more positions than `room`; of many rows no more logits of
// the base than kLogits.
Trainer::Pulled Trainer::pulled(int64_t room) const {
  constexpr uint64_t kRowsMax = 32;
  constexpr size_t kLogits = size_t{1} << 21;
  const auto& rows = data_.general->rows;
  const size_t positions = kLogits / static_cast<size_t>(pass_.config().vocabulary);
  Pulled out;
  for (uint64_t i = 0; i < kRowsMax; ++i) {
    const uint64_t pick = RandomStream(options_.seed, kGeneralStream).bits(static_cast<uint64_t>(step_) << 8 | i);
    const TokenRow& row = rows[pick % rows.size()];
    const std::vector<int32_t> at = pulled_positions(row);
    if (at.empty()) continue;
    const int64_t count = at.back() + 1, before = std::ssize(out.tokens);
    if (before > 0 && (before + count > room || out.rows.size() + at.size() > positions)) break;
    out.tokens.insert(out.tokens.end(), row.tokens.begin(), row.tokens.begin() + count);
    out.segments.push_back(count);
    for (const int32_t position : at) out.rows.push_back(static_cast<int32_t>(before) + position);
  }
  return out;
}

// KL(base || trained) at some positions of some general rows, averaged.
Result<double> Trainer::forgetting(int64_t step_positions) {
  constexpr int64_t kOfStep = 8;
  if (!(options_.kl_weight > 0) || subject_.deltas == nullptr || data_.general == nullptr ||
      data_.general->rows.empty()) {
    return 0.0;
  }
  const Pulled general = pulled(std::min(options_.rows_per_pass, step_positions / kOfStep));
  const std::vector<int32_t>& rows = general.rows;
  if (rows.empty()) return 0.0;
  const TrainBatch batch = {general.tokens, general.segments};
  Ops& ops = pass_.ops();
  size_t done = 0;
  pass_.wear(nullptr);
  const Status ran = pass_.forward(batch, Recording::kOff);
  const Status read = !ran.ok() ? ran : pass_.head(rows, Recording::kOff, [&](const HeadChunk& chunk) {
    const auto width = static_cast<size_t>(chunk.logits.cols);
    base_probabilities_.resize(rows.size() * width);
    for (int64_t i = 0; i < chunk.logits.rows; ++i, ++done) {
      float* to = base_probabilities_.data() + done * width;
      std::copy_n(chunk.logits.row(i), width, to);
      ops.kernels().softmax(to, chunk.logits.cols);
    }
  });
  pass_.wear(subject_.deltas);
  TRY(read);
  TRY(pass_.forward(batch, Recording::kOn));
  done = 0;
  double sum = 0;
  const double share = 1 / static_cast<double>(rows.size());
  TRY(pass_.head(rows, Recording::kOn, [&](const HeadChunk& chunk) {
    const int64_t width = chunk.logits.cols;
    for (int64_t i = 0; i < chunk.logits.rows; ++i, ++done) {
      const float* p0 = base_probabilities_.data() + done * static_cast<size_t>(width);
      float* p = chunk.logits.row(i);
      ops.kernels().softmax(p, width);
      for (int64_t j = 0; j < width; ++j) {
        if (p0[j] > 0) {
          sum += static_cast<double>(p0[j]) *
                 (std::log(static_cast<double>(p0[j])) - std::log(std::max(1e-30, static_cast<double>(p[j]))));
        }
        chunk.gradients.row(i)[j] = static_cast<float>(options_.kl_weight * share) * (p[j] - p0[j]);
      }
    }
  }));
  pass_.backward();
  return sum * share;
}

Status Trainer::not_finite(std::span<const uint64_t> rows) const {
  constexpr size_t kNamed = 8;
  std::string names;
  for (const uint64_t row : rows.first(std::min(kNamed, rows.size()))) {
    names += format("{}{}", names.empty() ? "" : ", ", row + 1);
  }
  return make_error(
      "step {}: the loss or its gradient is not a finite number (rows {}{} of the training data); nothing "
      "of this step was kept. A lower learning rate usually helps",
      step_ + 1, names, rows.size() > kNamed ? ", ..." : "");
}

Result<StepReport> Trainer::step() {
  const auto begin = std::chrono::steady_clock::now();
  TRY_ASSIGN(const SequenceBatch batch, source_->sequences(position_, options_.sequences));
  const TokenRows& rows = batch.rows;
  const auto passes = join_sequences(batch.sequences, row_positions(rows), options_.rows_per_pass);
  const bool plain = options_.loss == LossKind::kNextToken;
  std::vector<PackedBatch> packed;  // of the next-token loss, by pass
  double units = 0;                 // what the loss is a mean over
  for (const auto& pass : passes) {
    if (plain) packed.push_back(pack(rows, pass, options_.prompt_loss));
    units += plain ? packed.back().weight_sum : static_cast<double>(pass.size());
  }
  const double weight = units > 0 ? 1 / units : 1;
  int64_t right = 0;
  StepReport report;
  report.step = step_ + 1;
  optimizer_.zero_gradients();
  for (size_t i = 0; i < passes.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    pass_.add_noise(options_.neftune_alpha, seed_of(options_.seed, kNoiseStream, step_, index));
    pass_.ops().seed_dropout(seed_of(options_.seed, kDropoutStream, step_, index));
    auto done =
        plain ? next_token_pass(packed[i], weight) : preference_pass(rows, passes[i], weight, Recording::kOn, &right);
    if (!done.ok()) return done.error();
    report.loss += done->loss;
    report.margin += done->margin;
    report.tokens += done->tokens;
  }
  pass_.add_noise(0, 0);
  TRY_ASSIGN(report.kl, forgetting(report.tokens));
  report.rate = options_.schedule.rate(report.step);
  const OpScope scope(pass_.ops().clock(), OpKind::kOptimizer);
  bool applied = std::isfinite(report.loss);
  if (applied) {
    const Optimizer::Report done = optimizer_.step(report.rate);
    report.gradient_norm = done.gradient_norm;
    applied = done.applied;
  }
  if (!applied) return not_finite(batch.numbers).error();
  subject_.repack();
  ++step_;
  position_ += options_.sequences;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

Result<Measure> Trainer::measure(const TokenRows& rows, const std::function<bool(int64_t)>& progress) {
  ScoreOptions scoring;
  scoring.packing = options_.packing;
  scoring.rows_per_pass = options_.rows_per_pass;
  if (options_.loss == LossKind::kNextToken || (!has_pairs(rows) && rows.desirable.empty())) {
    scoring.progress = [&](int64_t done, int64_t) { return !progress || progress(done); };
    TRY_ASSIGN(const auto scores, score_rows(pass_, rows.rows, scoring));
    return sum_scores(scores);
  }
  Measure out;
  int64_t right = 0, done = 0;
  for (const auto& pass : score_passes(row_positions(rows), scoring)) {
    if (progress && !progress(done)) return make_error("measuring was interrupted");
    TRY_ASSIGN(const PassLoss one, preference_pass(rows, pass, 1, Recording::kOff, &right));
    out.loss += one.loss;
    out.rows += static_cast<int64_t>(pass.size());
    for (const uint32_t row : pass) done += row_positions(rows, row);
  }
  if (progress) progress(done);
  const auto units = static_cast<double>(std::max<int64_t>(1, out.rows));
  out.loss /= units;
  out.accuracy = static_cast<double>(right) / units;
  return out;
}

}  // namespace andiron
