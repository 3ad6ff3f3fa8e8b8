#include "train/pretrain.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "adapter/adapter_base.h"
#include "base/atomic_file.h"
#include "base/strings.h"
#include "data/token_store.h"
#include "model/float_weights.h"
#include "model/model.h"
#include "model/tokenizer_source.h"
#include "train/float_model.h"
#include "train/learn_data.h"
#include "train/pass_plan.h"
#include "train/planner.h"
#include "train/run_folder.h"
#include "train/run_loop.h"
#include "train/trainer.h"

namespace andiron {

namespace {

// What templates show as today: not the clock's, so that a run gives the same whenever it is made.
constexpr int64_t kToday = 1'767'225'600;  // 2026-01-01

// One run, from its options to its result; methods in the order in which they happen.
class Pretraining {
 public:
  Pretraining(const KernelTable& kernels, ThreadTeam& team, const PretrainOptions& options, const LearnEvents& events)
      : kernels_(kernels),
        team_(team),
        o_(options),
        c_(options.config),
        events_(events),
        folder_(options.out),
        called_(now_seconds()) {}

  Result<LearnResult> run() {
    TRY(open());
    TRY(make_model());
    TRY(read_data());
    TRY(make_pass());
    TRY(plan());
    return train();
  }

 private:
  int64_t sequences_per_step() const { return std::max<int64_t>(1, c_.batch / c_.seq_len); }
  int64_t rows_per_pass() const { return std::max<int64_t>(512, c_.seq_len); }
  TrainData train_data() const { return {nullptr, &store_.held_out, nullptr, rows_.get()}; }
  TrainSubject subject() {
    return {weights_->parameters(), [this] { weights_->repack(team_); }, nullptr};
  }
  std::vector<double> weights_by_source() const;
  double flop_per_token() const;
  double positions_per_epoch() const;

  Status open();
  Status make_model();
  Status read_data();
  Status make_pass();
  TrainerOptions trainer_options() const;
  Status choose_steps(double tokens_per_s);
  void choose_measurements();
  Status plan();
  void explain(double tokens_per_s) const;
  Json options_json() const;
  Json identity() const;
  RunRecord fresh_record() const;
  Result<LearnResult> train();

  const KernelTable& kernels_;
  ThreadTeam& team_;
  const PretrainOptions& o_;
  PretrainConfig c_;
  const LearnEvents& events_;
  RunFolder folder_;
  double called_;

  std::optional<RunRecord> before_;  // of the run to go on with
  std::shared_ptr<const Model> model_;
  std::optional<Tokenizer> tokenizer_;
  std::string base_hash_, tokenizer_hash_;
  TokenStore store_;
  std::unique_ptr<ShardRows> rows_;
  std::unique_ptr<FloatWeights> weights_;
  PassPlan pass_plan_;
  std::unique_ptr<TrainPass> pass_;
  int64_t steps_ = 0, eval_every_ = 1, save_every_ = 1;
};

Status Pretraining::open() {
  TRY(folder_.open(o_.resume));
  if (!o_.resume) return {};
  const std::string path = folder_.file("run.json");
  TRY_ASSIGN(before_, read_run_record(path));
  if (before_->method != "pretrain") {
    return make_error("{}: the run in this folder is of another kind ({})", o_.out, quoted(before_->method));
  }
  TRY(check_recipe(*before_, o_.out));
  const Json* then = before_->options.find("config");
  const Json* steps = before_->options.find("steps");
  if (then == nullptr || steps == nullptr || !steps->is_int() || steps->as_int() < 1) {
    return make_error("{}: not the record of such a run", path);
  }
  const Json now = pretrain_config_json(c_);
  for (const auto& [key, value] : now.members()) {
    const Json& before = then->member(key);
    if (before.dump() == value.dump()) continue;
    return make_error("{}: the run to go on with has {}, and the configuration says {}; begin another run", key,
                      before.dump(), value.dump());
  }
  steps_ = steps->as_int();
  if (o_.steps && *o_.steps != steps_) {
    return make_error("--steps: the run to go on with has {}, and {} was asked for; leave it out", steps_, *o_.steps);
  }
  return {};
}

Status Pretraining::make_model() {
  const std::string path = folder_.file("initial.gguf");
  if (!o_.resume) {
    TRY_ASSIGN(const auto fresh, make_fresh_source(c_.model, path));
    TRY(write_float_model(*fresh, {}, path));
  }
  LoadOptions loading;
  loading.team = &team_;
  loading.cache.enabled = false;
  TRY_ASSIGN(model_, Model::load(path, loading));
  TRY_ASSIGN(base_hash_, hash_base(model_->source()));
  if (before_ && before_->base_hash != base_hash_) {
    return make_error("{}: not the model that the run was begun with ({}, {})", path, before_->base_hash, base_hash_);
  }
  TRY_ASSIGN(TokenizerSpec spec, tokenizer_spec(model_->source()));
  tokenizer_hash_ = hash_tokenizer(spec);
  TRY_ASSIGN(Tokenizer tokenizer, Tokenizer::create(std::move(spec)));
  tokenizer_.emplace(std::move(tokenizer));
  return {};
}

std::vector<double> Pretraining::weights_by_source() const {
  std::vector<double> out;
  for (const TokenSource& source : store_.sources) {
    const auto named = [&](const auto& entry) {
      return source.path == entry.first || source.path.ends_with("/" + entry.first);
    };
    const auto found = std::find_if(c_.weights.begin(), c_.weights.end(), named);
    out.push_back(found == c_.weights.end() ? 1.0 : found->second);
  }
  return out;
}

Status Pretraining::read_data() {
  TokenStoreOptions options;
  options.reading.loss_on = c_.loss_on;
  options.reading.long_rows = c_.split_long ? LongRows::kSplit : LongRows::kRefuse;
  options.reading.seq_len = options.reading.window = c_.seq_len;
  options.reading.held_out = c_.held_out;
  options.reading.seed = c_.model.seed;
  options.reading.now = kToday;
  const std::string tokens = folder_.file("tokens");
  TRY_ASSIGN(store_, open_token_store(tokens, o_.data, *tokenizer_, tokenizer_hash_, c_.model.name, options, team_,
                                      [&](int64_t done, int64_t total) {
                                        if (events_.working) events_.working("making tokens", done, total);
                                      }));
  for (const std::string& line : store_.described) events_.tell(line);
  if (before_ && before_->rows_hash != store_.made.key) {
    return make_error("{}: the run was not begun with this data, or its tokenizer has changed since", o_.out);
  }
  for (const auto& [name, weight] : c_.weights) {
    if (std::any_of(store_.sources.begin(), store_.sources.end(), [&, file = name](const TokenSource& source) {
          return source.path == file || source.path.ends_with("/" + file);
        })) {
      continue;
    }
    return make_error("data.weights.{}: no file of the data has this name", quoted(name));
  }
  ShardRowsOptions rows;
  rows.packing.seq_len = c_.seq_len;
  rows.packing.seed = c_.model.seed;
  rows.weights = weights_by_source();
  if (positions_per_epoch() <= 0) return make_error("data.weights: they leave nothing to train on");
  TRY_ASSIGN(rows_, ShardRows::open(tokens, store_.made, store_.chunks, rows));
  return {};
}

Status Pretraining::make_pass() {
  TRY_ASSIGN(weights_, FloatWeights::create(*model_, team_, *compute_type(c_.compute)));
  PassWishes wishes;
  wishes.parameters = static_cast<int64_t>(model_->parameters());
  wishes.state_8bit = c_.optimizer.state_8bit;
  TrainerOptions options;
  options.packing.seq_len = c_.seq_len;
  options.rows_per_pass = rows_per_pass();
  wishes.rows = Trainer::rows_needed(train_data(), options);
  wishes.checkpointing = o_.checkpointing;
  wishes.memory_bytes = o_.memory_bytes;
  TRY_ASSIGN(pass_plan_, plan_pass(*model_, wishes, team_.size()));
  TRY_ASSIGN(pass_, TrainPass::create(*model_, weights_->weights(), kernels_, team_, pass_plan_.limits));
  return {};
}

TrainerOptions Pretraining::trainer_options() const {
  TrainerOptions out;
  out.sequences = sequences_per_step();
  out.packing.seq_len = c_.seq_len;
  out.rows_per_pass = rows_per_pass();
  out.schedule.kind = c_.schedule;
  out.schedule.peak = c_.lr;
  out.schedule.floor_share = c_.lr > 0 ? c_.min_lr.value_or(c_.lr / 10) / c_.lr : 0;
  out.schedule.decay_share = c_.decay;
  out.schedule.steps = steps_;
  out.schedule.warmup_steps = static_cast<int64_t>(c_.warmup * static_cast<double>(steps_));
  out.optimizer = c_.optimizer;
  out.seed = c_.model.seed;
  return out;
}

// Of the matrix products: 2 FLOP a weight forward, 4 backward.
double Pretraining::flop_per_token() const {
  double weights = 0;
  for (const MatrixInfo& matrix : weights_->weights().matrices) {
    weights += static_cast<double>(matrix.n) * static_cast<double>(matrix.k);
  }
  return 6 * weights;
}

double Pretraining::positions_per_epoch() const {
  const auto weights = weights_by_source();
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    sum += weights[i] * static_cast<double>(store_.sources[i].train_positions);
  }
  return sum;
}

// What was asked for; or what the time allows; or one epoch.
Status Pretraining::choose_steps(double tokens_per_s) {
  constexpr double kReserve = 0.08;  // of a budget: speed varies, held-out rows are measured, checkpoints written
  const auto batch = static_cast<double>(sequences_per_step() * c_.seq_len);
  const double left = (o_.budget_seconds - (now_seconds() - called_)) * (1 - kReserve);
  if (o_.steps || c_.steps) {
    steps_ = o_.steps ? *o_.steps : *c_.steps;
  } else if (c_.tokens) {
    steps_ = static_cast<int64_t>(std::ceil(static_cast<double>(*c_.tokens) / batch));
  } else if (c_.epochs || o_.budget_seconds <= 0) {
    TRY_ASSIGN(const int64_t sequences, rows_->sequences_per_epoch());
    steps_ = steps_of_epochs(c_.epochs.value_or(1), sequences, sequences_per_step());
  } else {
    steps_ = static_cast<int64_t>(left * tokens_per_s / batch);
  }
  if (o_.budget_seconds <= 0) return {};
  const double seconds = static_cast<double>(steps_) * batch / tokens_per_s;
  if (steps_ >= 1 && seconds <= left) return {};
  return make_error(
      "{} take about {}, and {} are left of the budget; ask for less, or leave out --steps and the "
      "configuration's tokens, epochs and steps to have as many as fit",
      counted(std::max<int64_t>(1, steps_), "step"), human_seconds(std::max(seconds, batch / tokens_per_s)),
      human_seconds(std::max(0.0, left)));
}

// Twenty times, or as often as a twentieth of the work allows.
void Pretraining::choose_measurements() {
  constexpr double kShare = 0.05;
  constexpr int64_t kTimes = 20;
  const double work = static_cast<double>(steps_ * sequences_per_step() * c_.seq_len);
  const double each = kForwardShare * static_cast<double>(std::max<int64_t>(1, positions_of(store_.held_out)));
  const auto times = std::clamp(static_cast<int64_t>(std::min(1e6, kShare * work / each)), int64_t{1}, kTimes);
  eval_every_ = c_.eval_every.value_or((steps_ + times - 1) / times);
  save_every_ = c_.save_every.value_or(eval_every_);
}

void Pretraining::explain(double tokens_per_s) const {
  const ModelConfig& m = model_->config();
  const double batch = static_cast<double>(sequences_per_step() * c_.seq_len);
  const double tokens = static_cast<double>(steps_) * batch, epoch = positions_per_epoch();
  events_.tell(format("model: {}, {} of {}, {} parameters, a vocabulary of {}", m.architecture,
                      counted(m.blocks, "layer"), m.width, human_count(static_cast<int64_t>(model_->parameters())),
                      human_count(m.vocabulary)));
  events_.tell(format("plan: {} of {} tokens ({} of {}), {} in all; an epoch has {}, so {:.3g} epochs",
                      counted(steps_, "step"), human_count(std::llround(batch)),
                      counted(sequences_per_step(), "sequence"), human_count(c_.seq_len),
                      human_count(std::llround(tokens)), human_count(std::llround(epoch)), tokens / epoch));
  events_.tell(
      format("work: {:.3g} Tflop, {:.3g} Mflop a token", 1e-12 * tokens * flop_per_token(), 1e-6 * flop_per_token()));
  if (tokens_per_s > 0) {
    events_.tell(format("time: about {} at {} tokens/s ({:.3g} Gflop/s){}", human_seconds(tokens / tokens_per_s),
                        human_count(std::llround(tokens_per_s)), 1e-9 * tokens_per_s * flop_per_token(),
                        o_.budget_seconds > 0 ? format(", within {}", human_seconds(o_.budget_seconds)) : ""));
  }
  events_.tell(format("memory: about {}; {}", describe(estimate_memory(pass_plan_.memory, 0)), pass_plan_.describe()));
}

Status Pretraining::plan() {
  double tokens_per_s = 0;
  if (!o_.resume) {
    steps_ = 1;
    TrainerOptions few = trainer_options();
    few.sequences = std::min<int64_t>(few.sequences, std::max<int64_t>(1, 4 * rows_per_pass() / c_.seq_len));
    TRY_ASSIGN(tokens_per_s, measure_speed(*pass_, subject(), train_data(), few, team_, events_));
    TRY(choose_steps(tokens_per_s));
  }
  choose_measurements();
  explain(tokens_per_s);
  if (events_.cost) events_.cost(flop_per_token());
  return {};
}

Json Pretraining::options_json() const {
  Json out = Json::object();
  out.set("config", pretrain_config_json(c_));
  out.set("steps", steps_).set("eval_every", eval_every_).set("save_every", save_every_);
  out.set("budget", o_.budget_seconds).set("memory", o_.memory_bytes);
  out.set("checkpointing", checkpointing_name(o_.checkpointing));
  return out;
}

// What must be the same for a run to go on.
Json Pretraining::identity() const {
  Json out = Json::object();
  out.set("base", base_hash_).set("rows", store_.made.key).set("steps", steps_).set("eval_every", eval_every_);
  out.set("config", pretrain_config_json(c_));
  return out;
}

RunRecord Pretraining::fresh_record() const {
  RunRecord out;
  out.name = c_.model.name;
  out.version = o_.version;
  out.method = "pretrain";
  out.base_path = folder_.file("initial.gguf");
  out.base_hash = base_hash_;
  out.base_architecture = model_->config().architecture;
  for (const TokenSource& s : store_.sources) {
    out.data.push_back({s.path, "train", s.format, s.hash, s.bytes, s.rows, s.bad_rows, s.duplicate_rows});
    out.train_rows += s.train_rows;
    out.train_tokens += s.train_positions + s.train_rows;
    out.trained_tokens += s.train_targets;
  }
  out.rows_hash = store_.made.key;
  out.report = store_.report;
  out.held_out_rows = std::ssize(store_.held_out.rows);
  out.held_out_tokens = positions_of(store_.held_out) + out.held_out_rows;
  out.seed = c_.model.seed;
  out.options = options_json();
  out.machine = this_machine();
  out.machine.isa = kernels_.name;
  out.machine.threads = team_.size();
  return out;
}

Result<LearnResult> Pretraining::train() {
  TRY_ASSIGN(const auto trainer, Trainer::create(*pass_, subject(), train_data(), trainer_options(), team_));
  RunLoopOptions options;
  options.steps = steps_;
  options.measure_every = eval_every_;
  options.save_every = save_every_;
  options.take_best = false;
  options.begun = called_;
  options.budget_seconds = o_.budget_seconds;
  const TokenRows none;
  const auto repack = [this] { weights_->repack(team_); };
  const auto write = [this] {
    return write_float_model(model_->source(), weights_->parameters(), folder_.file("model.gguf"));
  };
  RunLoop loop({folder_, events_, *trainer, store_.held_out, none, repack, write}, options);
  return loop.run(fresh_record(), before_, identity());
}

}  // namespace

Result<LearnResult> pretrain(const KernelTable& kernels, ThreadTeam& team, const PretrainOptions& options,
                             const LearnEvents& events) {
  return Pretraining(kernels, team, options, events).run();
}

}  // namespace andiron
