#include "train/pretrain.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <utility>

#include "adapter/adapter_base.h"
#include "base/atomic_file.h"
#include "base/strings.h"
#include "data/token_store.h"
#include "model/float_weights.h"
#include "model/model.h"
#include "model/tokenizer_source.h"
#include "text/chat_template.h"
#include "train/float_model.h"
#include "train/learn_data.h"
#include "train/optimizer.h"
#include "train/pass_plan.h"
#include "train/planner.h"
#include "train/run_folder.h"
#include "train/run_loop.h"
#include "train/score.h"
#include "train/trainer.h"

namespace andiron {

namespace {

// What templates show as today: not the clock's, so that a run gives the same whenever it is made.
constexpr int64_t kToday = 1'767'225'600;  // 2026-01-01

constexpr std::string_view kMemoryAdvice = "make the model smaller, or its sequences shorter";

// What of a model is trained, without its numbers.
std::vector<Parameter> parameters_of(const ModelSource& source) {
  std::vector<Parameter> out;
  for (const TensorInfo& tensor : source.tensors()) {
    Parameter parameter;
    parameter.name = tensor.name;
    parameter.shape.assign(tensor.shape.begin(), tensor.shape.end());
    parameter.hidden = parameter.shape.size() == 2 && is_of_layer(tensor.name);
    out.push_back(std::move(parameter));
  }
  return out;
}

// "2,688", of what may be more than a whole number holds.
std::string rounded_count(double count) {
  return count < 1e15 ? human_count(std::llround(count)) : format("{:.3g}", count);
}

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
  TrainData train_data() const { return {nullptr, &store_.held_out, nullptr, rows_.get()}; }
  TrainSubject subject() {
    return {weights_->parameters(), [this] { weights_->repack(team_); }, nullptr};
  }
  double positions_per_step() const { return static_cast<double>(sequences_per_step() * c_.seq_len); }
  using Weight = std::map<std::string, double>::value_type;
  const Weight* weight_of(std::string_view path) const;
  std::vector<double> weights_by_source() const;
  double flop_per_token() const;
  double positions_per_epoch() const;

  Status open();
  Status read_record();
  Status check_size() const;
  Status check_same_tokenizer(const TokenizerSpec& then) const;
  Status make_model();
  Status check_weights(const std::vector<TokenInput>& inputs) const;
  Status check_inputs(const std::string& key, const std::vector<TokenInput>& inputs) const;
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

  std::optional<RunRecord> before_;     // of the run to go on with
  std::unique_ptr<ModelSource> fresh_;  // the model that the configuration describes
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

// Nothing is written before all that can be told has been.
Status Pretraining::open() {
  TRY(folder_.open(o_.resume));
  if (o_.resume) TRY(read_record());
  TRY_ASSIGN(fresh_, make_fresh_source(c_.model, folder_.file("initial.gguf")));
  TRY_ASSIGN(const TokenizerSpec spec, tokenizer_spec(*fresh_));
  if (!is_blank(spec.chat_template)) {
    const std::string& file = c_.model.chat_template.empty() ? c_.model.tokenizer : c_.model.chat_template;
    TRY(ChatTemplate::create(spec.chat_template, file));
  }
  return check_size();
}

Status Pretraining::read_record() {
  const std::string path = folder_.file("run.json");
  TRY_ASSIGN(before_, read_run_record(path));
  if (before_->method != "pretrain") {
    return make_error("{}: the run in this folder is of another kind ({})", o_.out, in_quotes(before_->method));
  }
  TRY(check_recipe(*before_, o_.out));
  const Json* then = before_->options.find("config");
  const Json* steps = before_->options.find("steps");
  if (then == nullptr || !then->is_object() || steps == nullptr || !steps->is_int() || steps->as_int() < 1) {
    return make_error("{}: not the record of such a run", path);
  }
  const Json now = pretrain_config_json(c_);
  for (const Json* side : {&now, then}) {
    for (const auto& [key, value] : side->members()) {
      const std::string was = then->member(key).dump(), is = now.member(key).dump();
      if (was == is) continue;
      return make_error("{}: the run to go on with has {}, and the configuration says {}; begin another run",
                        in_quotes(key), in_quotes(was), in_quotes(is));
    }
  }
  steps_ = steps->as_int();
  if (o_.steps && *o_.steps != steps_) {
    return make_error("--steps: the run to go on with has {}, and {} was asked for; leave it out", steps_, *o_.steps);
  }
  return {};
}

// Whether memory and disk have room for the model, whatever it is trained on.
Status Pretraining::check_size() const {
  constexpr uint64_t kModels = 2, kCheckpoints = 3;
  const std::vector<Parameter> parameters = parameters_of(*fresh_);
  MemoryInput least;
  for (const Parameter& parameter : parameters) least.parameters += parameter.size();
  const uint64_t model = sizeof(float) * static_cast<uint64_t>(least.parameters);
  least.weight_bytes = model;
  least.optimizer_bytes = Optimizer::bytes_needed(parameters, c_.optimizer, team_.size());
  TRY(check_memory(estimate_memory(least), o_.memory_bytes, 0, kMemoryAdvice));
  if (o_.resume) return {};
  const uint64_t checkpoint = model + Optimizer::bytes_needed(parameters, c_.optimizer, 0);
  const uint64_t needed = kModels * model + kCheckpoints * checkpoint;
  TRY_ASSIGN(const uint64_t free, free_bytes(o_.out));
  if (free >= needed) return {};
  return make_error(
      "{}: {} models of {} and {} checkpoints of {} take {} of disk space, but only {} is free; make room or choose "
      "another folder",
      o_.out, kModels, human_bytes(model), kCheckpoints, human_bytes(checkpoint), human_bytes(needed),
      human_bytes(free));
}

// The run's model has its tokenizer in it; what the configuration names must still be that.
Status Pretraining::check_same_tokenizer(const TokenizerSpec& then) const {
  TRY_ASSIGN(TokenizerSpec now, tokenizer_spec(*fresh_));
  if (hash_tokenizer(now) == hash_tokenizer(then)) return {};
  now.chat_template = then.chat_template;
  const bool only_template = hash_tokenizer(now) == hash_tokenizer(then);
  const bool named = only_template && !c_.model.chat_template.empty();
  return make_error("tokenizer.{}: {} is not the {} that the run to go on with has; begin another run",
                    named ? "template" : "file", named ? c_.model.chat_template : c_.model.tokenizer,
                    only_template ? "chat template" : "tokenizer");
}

Status Pretraining::make_model() {
  const std::string path = folder_.file("initial.gguf");
  if (!o_.resume) TRY(write_float_model(*fresh_, {}, path));
  LoadOptions loading;
  loading.team = &team_;
  loading.cache.enabled = false;
  TRY_ASSIGN(model_, Model::load(path, loading));
  TRY_ASSIGN(base_hash_, hash_base(model_->source()));
  if (before_ && before_->base_hash != base_hash_) {
    return make_error("{}: not the model that the run was begun with ({}, {})", path, before_->base_hash, base_hash_);
  }
  TRY_ASSIGN(TokenizerSpec spec, tokenizer_spec(model_->source()));
  if (o_.resume) TRY(check_same_tokenizer(spec));
  tokenizer_hash_ = hash_tokenizer(spec);
  TRY_ASSIGN(Tokenizer tokenizer, Tokenizer::create(std::move(spec)));
  tokenizer_.emplace(std::move(tokenizer));
  return {};
}

// The one of data.weights that decides for a file: of the names that its path is or ends in the longest. Null: none.
const Pretraining::Weight* Pretraining::weight_of(std::string_view path) const {
  const Weight* found = nullptr;
  for (const Weight& weight : c_.weights) {
    if (path != weight.first && !path.ends_with("/" + weight.first)) continue;
    if (found == nullptr || weight.first.size() > found->first.size()) found = &weight;
  }
  return found;
}

std::vector<double> Pretraining::weights_by_source() const {
  std::vector<double> out;
  for (const TokenSource& source : store_.sources) {
    const Weight* weight = weight_of(source.path);
    out.push_back(weight == nullptr ? 1.0 : weight->second);
  }
  return out;
}

Status Pretraining::check_weights(const std::vector<TokenInput>& inputs) const {
  for (const Weight& weight : c_.weights) {
    const auto decides = [&](const TokenInput& input) { return weight_of(input.path) == &weight; };
    if (std::any_of(inputs.begin(), inputs.end(), decides)) continue;
    return make_error("data.weights.{}: no file of the data has this name, or each has a longer one there",
                      in_quotes(weight.first));
  }
  return {};
}

Status Pretraining::check_inputs(const std::string& key, const std::vector<TokenInput>& inputs) const {
  TRY(check_weights(inputs));
  if (!before_ || before_->rows_hash == key) return {};
  std::vector<DataFileRecord> now;
  now.reserve(inputs.size());
  for (const TokenInput& input : inputs) now.push_back({input.path, "train", input.format, input.hash, input.bytes});
  TRY(check_same_files(before_->data, now));
  return make_error("{}: the run was begun by an andiron ({}) that made tokens otherwise; begin another run", o_.out,
                    in_quotes(before_->version));
}

Status Pretraining::read_data() {
  TokenStoreOptions options;
  options.reading.loss_on = c_.loss_on;
  options.reading.long_rows = c_.split_long ? LongRows::kSplit : LongRows::kRefuse;
  options.reading.seq_len = options.reading.window = c_.seq_len;
  options.reading.held_out = c_.held_out;
  options.reading.seed = c_.model.seed;
  options.reading.now = kToday;
  options.check = [this](const std::string& key, const auto& inputs) { return check_inputs(key, inputs); };
  const std::string tokens = folder_.file("tokens");
  TRY_ASSIGN(store_, open_token_store(tokens, o_.data, *tokenizer_, tokenizer_hash_, c_.model.name, options, team_,
                                      [&](int64_t done, int64_t total) {
                                        if (events_.working) events_.working("making tokens", done, total);
                                      }));
  for (const std::string& line : store_.described) events_.tell(line);
  ShardRowsOptions rows;
  rows.packing.seq_len = c_.seq_len;
  rows.packing.seed = c_.model.seed;
  rows.weights = weights_by_source();
  if (positions_per_epoch() <= 0) return make_error("data.weights: they leave nothing to train on");
  TRY_ASSIGN(rows_, ShardRows::open(tokens, store_.made, store_.chunks, rows));
  return {};
}

Status Pretraining::make_pass() {
  PassWishes wishes;
  wishes.parameters = static_cast<int64_t>(model_->parameters());
  wishes.optimizer_bytes = Optimizer::bytes_needed(parameters_of(*fresh_), c_.optimizer, team_.size());
  TrainerOptions options;
  options.packing.seq_len = c_.seq_len;
  options.rows_per_pass = rows_per_pass(c_.seq_len);
  wishes.rows = Trainer::rows_needed(train_data(), options);
  wishes.checkpointing = o_.checkpointing;
  wishes.memory_bytes = o_.memory_bytes;
  wishes.advice = kMemoryAdvice;
  TRY_ASSIGN(pass_plan_, plan_pass(*model_, wishes, team_.size()));
  // Only now: what it takes is in the plan, and must not be missing from what is free.
  TRY_ASSIGN(weights_, FloatWeights::create(*model_, team_, *compute_type(c_.compute)));
  TRY_ASSIGN(pass_, TrainPass::create(*model_, weights_->weights(), kernels_, team_, pass_plan_.limits));
  return {};
}

TrainerOptions Pretraining::trainer_options() const {
  TrainerOptions out;
  out.sequences = sequences_per_step();
  out.packing.seq_len = c_.seq_len;
  out.prompt_loss = {static_cast<float>(c_.prompt_weight), tokenizer_->bos()};
  out.rows_per_pass = rows_per_pass(c_.seq_len);
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
  const double batch = positions_per_step();
  const double left = (o_.budget_seconds - (now_seconds() - called_)) * (1 - kReserve);
  if (o_.steps || c_.steps) {
    steps_ = o_.steps ? *o_.steps : *c_.steps;
  } else if (c_.tokens) {
    steps_ = static_cast<int64_t>(std::ceil(static_cast<double>(*c_.tokens) / batch));
  } else if (c_.epochs || o_.budget_seconds <= 0) {
    TRY_ASSIGN(const int64_t sequences, rows_->sequences_per_epoch());
    if (sequences < 1) {
      return make_error(
          "data.weights: they leave no row to the first epoch, and so no step; say how many with --steps");
    }
    steps_ = steps_of_epochs(c_.epochs.value_or(1), sequences, sequences_per_step());
  } else {
    steps_ = static_cast<int64_t>(left * tokens_per_s / batch);
  }
  if (steps_ > kPretrainStepsMax) {
    return make_error("{} are too many; at most {} are possible", counted(steps_, "step"),
                      human_count(kPretrainStepsMax));
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
  const double work = static_cast<double>(steps_) * positions_per_step();
  const double each = kForwardShare * static_cast<double>(std::max<int64_t>(1, positions_of(store_.held_out)));
  const auto times = std::clamp(static_cast<int64_t>(std::min(1e6, kShare * work / each)), int64_t{1}, kTimes);
  eval_every_ = c_.eval_every.value_or((steps_ + times - 1) / times);
  save_every_ = c_.save_every.value_or(eval_every_);
}

void Pretraining::explain(double tokens_per_s) const {
  const ModelConfig& m = model_->config();
  const double batch = positions_per_step();
  const double tokens = static_cast<double>(steps_) * batch, epoch = positions_per_epoch();
  events_.tell(format("model: {}, {} of {}, {} parameters, a vocabulary of {}", m.architecture,
                      counted(m.blocks, "layer"), m.width, human_count(static_cast<int64_t>(model_->parameters())),
                      human_count(m.vocabulary)));
  events_.tell(format("plan: {} of {} tokens ({} of {}), {} in all; an epoch has {}, so {:.3g} epochs",
                      counted(steps_, "step"), human_count(std::llround(batch)),
                      counted(sequences_per_step(), "sequence"), human_count(c_.seq_len), rounded_count(tokens),
                      rounded_count(epoch), tokens / epoch));
  events_.tell(
      format("work: {:.3g} Tflop, {:.3g} Mflop a token", 1e-12 * tokens * flop_per_token(), 1e-6 * flop_per_token()));
  if (tokens_per_s > 0) {
    events_.tell(format("time: about {} at {} tokens/s ({:.3g} Gflop/s){}", human_seconds(tokens / tokens_per_s),
                        human_count(std::llround(tokens_per_s)), 1e-9 * tokens_per_s * flop_per_token(),
                        o_.budget_seconds > 0 ? format(", within {}", human_seconds(o_.budget_seconds)) : ""));
  }
  events_.tell(format("memory: about {}; {}", describe(estimate_memory(pass_plan_.memory)), pass_plan_.describe()));
}

Status Pretraining::plan() {
  double tokens_per_s = 0;
  if (!o_.resume) {
    steps_ = 1;
    TrainerOptions few = trainer_options();
    few.sequences = std::min<int64_t>(few.sequences, std::max<int64_t>(1, 4 * rows_per_pass(c_.seq_len) / c_.seq_len));
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
  Json weights = Json::array();
  for (const double weight : weights_by_source()) weights.push(weight);
  out.set("weights", std::move(weights));  // what names of files decide
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
