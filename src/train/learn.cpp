#include "train/learn.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <ctime>
#include <utility>

#include "adapter/adapter_base.h"
#include "base/atomic_file.h"
#include "base/cpu_info.h"
#include "base/strings.h"
#include "model/train_pass.h"
#include "train/checkpoint.h"
#include "train/planner.h"
#include "train/plot.h"
#include "train/subject.h"
#include "train/trainer.h"

namespace andiron {

namespace {

constexpr std::array<std::pair<std::string_view, LearnMethod>, 4> kMethods = {{{"lora", LearnMethod::kLora},
                                                                               {"rslora", LearnMethod::kRsLora},
                                                                               {"dora", LearnMethod::kDora},
                                                                               {"full", LearnMethod::kFull}}};

double number_in(const Json& object, std::string_view key, double otherwise) {
  const Json* found = object.find(key);
  return found != nullptr && found->is_number() ? found->as_double() : otherwise;
}

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Result<LearnMethod> learn_method_from_name(std::string_view name) {
  for (const auto& [known, method] : kMethods) {
    if (known == name) return method;
  }
  return make_error("\"{}\" is not a method; lora, rslora, dora and full are", quoted(name));
}

std::string_view learn_method_name(LearnMethod method) { return kMethods[static_cast<size_t>(method)].first; }

namespace {

// One run, from its options to its result; methods in the order in which they happen.
class Run {
 public:
  Run(const Model& model, const Tokenizer& tokenizer, const KernelTable& kernels, ThreadTeam& team,
      const LearnOptions& options, const LearnEvents& events)
      : model_(model), tokenizer_(tokenizer), kernels_(kernels), team_(team), o_(options), events_(events) {}

  Result<LearnResult> run() {
    TRY(open_folder());
    TRY(read_data());
    TRY(make_pass());
    TRY(plan());
    TRY(start());
    TRY(train());
    return finish();
  }

 private:
  void say(std::string_view line) const {
    if (events_.say) events_.say(line);
  }
  void working(std::string_view what) const {
    if (events_.working) events_.working(what);
  }
  bool stopped() const { return events_.stop != nullptr && events_.stop->load(); }
  std::string file(std::string_view name) const { return format("{}/{}", o_.out, name); }

  Status open_folder();
  Status read_data();
  Status read_more(const std::vector<std::string>& paths, TokenRows& to);
  Status read_general();
  Status make_pass();
  int64_t rows_per_pass() const { return std::max<int64_t>(512, seq_len_); }
  Result<int64_t> checkpointed_layers(int64_t rows, uint64_t memory) const;
  TrainerOptions trainer_options() const;
  Status plan();
  Result<double> measure_speed();
  Status start();
  Status measure_before();
  Status train();
  Status after_step(const StepReport& report);
  Status save();
  Result<double> held_out_loss();
  Result<double> general_perplexity();
  Result<LearnResult> finish();
  void judge();
  Json fingerprint() const;
  Status write_record();

  const Model& model_;
  const Tokenizer& tokenizer_;
  const KernelTable& kernels_;
  ThreadTeam& team_;
  const LearnOptions& o_;
  const LearnEvents& events_;

  int64_t seq_len_ = 0;
  DataSet data_;
  TokenRows general_;
  std::unique_ptr<Subject> subject_;
  std::unique_ptr<TrainPass> pass_;
  std::unique_ptr<Trainer> trainer_;
  std::optional<Checkpoints> checkpoints_;
  std::optional<LossLog> log_;
  Plan plan_;
  double rate_ = 0;
  int64_t measure_every_ = 1, save_every_ = 1;
  CheckpointState state_;
  int64_t worse_ = 0;  // measurements in a row without a better held-out loss
  bool early_ = false, stopped_ = false;
  double begin_ = 0, seconds_before_ = 0;
  RunRecord record_;
};

Status Run::open_folder() {
  if (mkdir(o_.out.c_str(), 0777) != 0 && errno != EEXIST) {
    return make_error("{}: the folder cannot be made: {}", o_.out, std::strerror(errno));
  }
  struct stat status {};
  const bool has_run = stat(file("run.json").c_str(), &status) == 0;
  if (has_run && !o_.resume) {
    return make_error("{}: there is a run in this folder; --resume goes on with it, or choose another", o_.out);
  }
  if (!has_run && o_.resume) {
    return make_error("{}: there is no run to resume in this folder", o_.out);
  }
  TRY_ASSIGN(checkpoints_, Checkpoints::open(file("checkpoints")));
  return {};
}

Status Run::read_more(const std::vector<std::string>& paths, TokenRows& to) {
  if (paths.empty()) return {};
  DataOptions reading = o_.reading;
  reading.use = DataUse::kRows;
  reading.seq_len = seq_len_;
  reading.held_out = 0;
  TRY_ASSIGN(DataSet more, load_data(paths, tokenizer_, o_.base_path, reading, team_));
  for (TokenRow& row : more.train.rows) to.rows.push_back(std::move(row));
  return {};
}

Status Run::read_general() {
  if (!o_.general.empty()) return read_more({o_.general}, general_);
  const auto tokens = tokenizer_.encode(general_text());
  const auto step = static_cast<size_t>(seq_len_);
  for (size_t first = 0; first + 2 <= tokens.size(); first += step) {
    TokenRow row;
    const size_t end = std::min(tokens.size(), first + step + 1);
    row.tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(first),
                      tokens.begin() + static_cast<std::ptrdiff_t>(end));
    row.trained.assign(row.tokens.size(), 1);
    row.trained[0] = 0;
    general_.rows.push_back(std::move(row));
  }
  return {};
}

Status Run::read_data() {
  seq_len_ = o_.seq_len.value_or(std::min<int64_t>(512, model_.config().context));
  if (seq_len_ < 2 || seq_len_ > model_.config().context) {
    return make_error("sequences of {} tokens are not possible; this model's context allows 2 to {}", seq_len_,
                      model_.config().context);
  }
  working("reading the data");
  DataOptions reading = o_.reading;
  reading.seq_len = seq_len_;
  reading.seed = o_.seed;
  reading.use = o_.loss == LossKind::kNextToken ? DataUse::kRows
                : o_.loss == LossKind::kKto     ? DataUse::kLabels
                                                : DataUse::kPairs;
  TRY_ASSIGN(data_, load_data(o_.data, tokenizer_, o_.base_path, reading, team_));
  for (const std::string& line : describe_report(data_.report)) say(line);
  if (!o_.replay.empty() && o_.loss != LossKind::kNextToken) {
    return make_error("replayed rows are for the loss sft");
  }
  TRY(read_more(o_.replay, data_.train));
  return read_general();
}

Result<int64_t> Run::checkpointed_layers(int64_t rows, uint64_t memory) const {
  const int64_t layers = model_.config().blocks;
  if (o_.checkpointing == Checkpointing::kOn) return layers;
  if (o_.checkpointing == Checkpointing::kOff || memory == 0) return int64_t{0};
  for (int64_t count = 0; count < layers; ++count) {
    if (TrainPass::bytes_needed(model_, {rows, count}, team_.size()) <= memory) return count;
  }
  return layers;
}

TrainerOptions Run::trainer_options() const {
  TrainerOptions out;
  out.loss = o_.loss;
  out.beta = o_.beta;
  out.sequences = plan_.batch * plan_.grad_accum;
  out.packing.seq_len = seq_len_;
  out.packing.pack = o_.pack;
  out.packing.order = o_.by_length ? PackOptions::Order::kByLength : PackOptions::Order::kShuffled;
  out.packing.seed = o_.seed;
  out.rows_per_pass = rows_per_pass();
  out.schedule.kind = o_.schedule;
  out.schedule.peak = rate_;
  out.schedule.steps = plan_.steps;
  out.schedule.warmup_steps = static_cast<int64_t>(o_.warmup * static_cast<double>(plan_.steps));
  out.optimizer = o_.optimizer;
  out.neftune_alpha = o_.neftune_alpha;
  out.kl_weight = o_.kl_weight;
  out.seed = o_.seed;
  return out;
}

Status Run::make_pass() {
  const double usual = o_.method == LearnMethod::kFull ? 2e-5 : 2e-4;
  rate_ = o_.rate.value_or(o_.loss == LossKind::kNextToken ? usual : usual / 10);
  TRY_ASSIGN(const int64_t parameters, Subject::parameters_count(model_, o_));
  const uint64_t memory = o_.memory_bytes != 0 ? o_.memory_bytes : memory_available_bytes() / 10 * 6;
  const uint64_t rest = model_.weight_bytes() + static_cast<uint64_t>(parameters) * (2 * sizeof(float)) +
                        AdamW::state_bytes(parameters, o_.optimizer.state_8bit);
  const TrainData data = {&data_.train, &data_.held_out, &general_};
  TrainerOptions options;
  options.loss = o_.loss;
  options.packing.seq_len = seq_len_;
  options.rows_per_pass = rows_per_pass();
  const int64_t rows = Trainer::rows_needed(data, options);
  TRY_ASSIGN(const int64_t checkpointed, checkpointed_layers(rows, memory > rest ? memory - rest : 1));
  TRY_ASSIGN(subject_, Subject::create(model_, kernels_, team_, o_));
  TRY_ASSIGN(pass_, TrainPass::create(model_, subject_->weights(), kernels_, team_, {rows, checkpointed}));
  say(format("{} trained numbers; activations: {}", parameters,
             checkpointed == 0 ? "all remembered"
             : checkpointed >= model_.config().blocks
                 ? "one layer at a time, the others run again"
                 : format("{} of {} layers run again", checkpointed, model_.config().blocks)));
  return {};
}

// A few steps of the real thing, on a subject and a pass of their own that are then thrown away.
Result<double> Run::measure_speed() {
  working("measuring the speed");
  TRY_ASSIGN(auto subject, Subject::create(model_, kernels_, team_, o_));
  plan_.batch = o_.batch.value_or(1);
  plan_.grad_accum = 1;
  plan_.steps = 3;
  TRY_ASSIGN(auto trainer, Trainer::create(*pass_, subject->trained(*pass_, team_),
                                           {&data_.train, &data_.held_out, &general_}, trainer_options(), team_));
  double best = 0;
  for (int i = 0; i < 3 && !stopped(); ++i) {
    TRY_ASSIGN(const StepReport report, trainer->step());
    best = std::max(best, static_cast<double>(report.tokens) / report.seconds);
  }
  pass_->forget();
  return best;
}

Status Run::plan() {
  PlanInput input;
  std::vector<int32_t> lengths;
  for (const TokenRow& row : data_.train.rows) lengths.push_back(static_cast<int32_t>(row.tokens.size()));
  input.row_tokens = lengths;
  input.trained_tokens = data_.report.trained_tokens;
  input.held_out_tokens = data_.report.held_out_tokens;
  input.context = model_.config().context;
  input.budget_seconds = o_.budget_seconds;
  input.steps = o_.steps;
  input.epochs = o_.epochs;
  input.sequence_length = seq_len_;
  input.batch = o_.batch;
  input.grad_accum = o_.grad_accum;
  TRY_ASSIGN(input.memory.parameters, Subject::parameters_count(model_, o_));
  input.memory.weight_bytes = model_.weight_bytes();
  input.memory.state_8bit = o_.optimizer.state_8bit;
  input.memory.pass_bytes = [&](int64_t) { return pass_->bytes(); };
  if (o_.budget_seconds > 0) {
    TRY_ASSIGN(input.tokens_per_s, measure_speed());
  }
  TRY_ASSIGN(plan_, plan_run(input));
  for (const std::string& line : plan_.lines) say(line);
  measure_every_ = o_.measure_every.value_or(std::max<int64_t>(1, plan_.held_out_every));
  save_every_ = o_.save_every.value_or(measure_every_);
  return {};
}

// What must be the same for a run to go on.
Json Run::fingerprint() const {
  Json out = Json::object();
  Json files = Json::array();
  for (const DataFile& data : data_.report.files) files.push(data.hash);
  out.set("data", std::move(files));
  out.set("train_rows", static_cast<int64_t>(data_.train.rows.size()));
  out.set("method", learn_method_name(o_.method));
  out.set("loss", loss_kind_name(o_.loss));
  out.set("rank", o_.rank);
  out.set("alpha", o_.alpha);
  out.set("seed", static_cast<int64_t>(o_.seed));
  out.set("seq_len", seq_len_);
  out.set("sequences", plan_.batch * plan_.grad_accum);
  out.set("steps", plan_.steps);
  out.set("rate", rate_);
  return out;
}

Status Run::start() {
  TRY_ASSIGN(trainer_, Trainer::create(*pass_, subject_->trained(*pass_, team_),
                                       {&data_.train, &data_.held_out, &general_}, trainer_options(), team_));
  record_.name = o_.name;
  record_.version = o_.version;
  record_.method = format("{}{}{}", learn_method_name(o_.method), o_.loss == LossKind::kNextToken ? "" : "+",
                          o_.loss == LossKind::kNextToken ? "" : loss_kind_name(o_.loss));
  TRY(checkpoints_->check_space(Checkpoints::bytes_needed(trainer_->optimizer()), 3));
  state_.run = fingerprint();
  std::optional<Checkpoints::Restored> restored;
  if (o_.resume) {
    TRY_ASSIGN(record_, read_run_record(file("run.json")));
    TRY_ASSIGN(restored, checkpoints_->restore(trainer_->optimizer(), state_.run));
  }
  begin_ = now_seconds();
  if (restored.has_value()) {
    for (const std::string& line : restored->refused) say(line);
    state_ = restored->state;
    worse_ = static_cast<int64_t>(number_in(state_.trainer, "worse", 0));
    seconds_before_ = record_.seconds;
    trainer_->go_on(state_.step, state_.data_position);
    subject_->trained(*pass_, team_).repack();
    TRY_ASSIGN(auto log, LossLog::resume(file("loss.csv"), state_.step));
    log_.emplace(std::move(log));
    say(format("going on after step {} of {}", state_.step, plan_.steps));
    return {};
  }
  record_.base_path = o_.base_path;
  record_.base_architecture = model_.config().architecture;
  TRY_ASSIGN(record_.base_hash, hash_base(model_.source()));
  for (const DataFile& data : data_.report.files) {
    record_.data.push_back({data.path, std::string(data_format_name(data.format)), data.hash, data.bytes, data.rows,
                            data.bad.count, data.duplicates});
  }
  record_.train_rows = static_cast<int64_t>(data_.train.rows.size());
  record_.held_out_rows = data_.report.held_out_rows;
  record_.train_tokens = data_.report.train_tokens;
  record_.trained_tokens = data_.report.trained_tokens;
  record_.held_out_tokens = data_.report.held_out_tokens;
  record_.seed = o_.seed;
  record_.options = fingerprint();
  record_.machine = this_machine();
  record_.machine.isa = kernels_.name;
  record_.machine.threads = team_.size();
  record_.started = timestamp(std::time(nullptr));
  TRY_ASSIGN(auto log, LossLog::create(file("loss.csv")));
  log_.emplace(std::move(log));
  TRY(measure_before());
  TRY(write_record());
  return save();
}

Result<double> Run::held_out_loss() {
  if (data_.held_out.rows.empty()) return kNotMeasured;
  working("measuring the held-out loss");
  TRY_ASSIGN(const Measure measure, trainer_->measure(data_.held_out));
  return measure.loss;
}

Result<double> Run::general_perplexity() {
  if (general_.rows.empty()) return kNotMeasured;
  working("measuring on general text");
  TRY_ASSIGN(const Measure measure, trainer_->measure(general_));
  return std::exp(measure.loss);
}

Status Run::measure_before() {
  TRY_ASSIGN(const double loss, held_out_loss());
  TRY_ASSIGN(const double perplexity, general_perplexity());
  if (std::isfinite(loss)) record_.before.set("held_out_loss", loss);
  if (std::isfinite(perplexity)) record_.before.set("general_perplexity", perplexity);
  state_.best_loss = std::isfinite(loss) ? loss : std::numeric_limits<double>::infinity();
  return {};
}

Status Run::write_record() {
  record_.seconds = seconds_before_ + now_seconds() - begin_;
  record_.steps = state_.step;
  return write_run_record(file("run.json"), record_);
}

Status Run::save() {
  TRY(log_->sync());
  TRY(checkpoints_->save(state_, trainer_->optimizer()));
  return write_record();
}

Status Run::after_step(const StepReport& report) {
  state_.step = report.step;
  state_.data_position = trainer_->data_position();
  state_.tokens += report.tokens;
  LearnStep event;
  event.step = report.step;
  event.steps = plan_.steps;
  event.row = {report.step,
               state_.tokens,
               report.loss,
               kNotMeasured,
               report.rate,
               report.gradient_norm,
               static_cast<double>(report.tokens) / report.seconds};
  const bool last = trainer_->done();
  if (!data_.held_out.rows.empty() && (last || report.step % measure_every_ == 0)) {
    TRY_ASSIGN(event.row.held_out_loss, held_out_loss());
    if (event.row.held_out_loss < state_.best_loss) {
      state_.best_loss = event.row.held_out_loss;
      state_.best_step = report.step;
      worse_ = 0;
    } else {
      ++worse_;
      early_ = o_.patience > 0 && worse_ >= o_.patience;
    }
    state_.trainer = Json::object();
    state_.trainer.set("worse", worse_);
  }
  TRY(log_->append(event.row));
  const double spent = now_seconds() - begin_;
  event.seconds_left =
      spent / static_cast<double>(std::max<int64_t>(1, report.step)) * static_cast<double>(plan_.steps - report.step);
  if (events_.step) events_.step(event);
  const bool better = state_.best_step == report.step;
  if (last || early_ || stopped() || better || report.step % save_every_ == 0) TRY(save());
  return {};
}

Status Run::train() {
  while (!trainer_->done() && !early_ && !stopped()) {
    TRY_ASSIGN(const StepReport report, trainer_->step());
    TRY(after_step(report));
    if (o_.budget_seconds > 0 && seconds_before_ + now_seconds() - begin_ > o_.budget_seconds) {
      say("the time is used up");
      break;
    }
  }
  stopped_ = stopped() && !trainer_->done();
  if (early_) say(format("stopped early: {} measurements without a better held-out loss", o_.patience));
  return {};
}

// Kept, or a draft with the reasons.
void Run::judge() {
  record_.reasons.clear();
  const double loss_before = number_in(record_.before, "held_out_loss", kNotMeasured);
  const double loss_after = number_in(record_.after, "held_out_loss", kNotMeasured);
  const double general_before = number_in(record_.before, "general_perplexity", kNotMeasured);
  const double general_after = number_in(record_.after, "general_perplexity", kNotMeasured);
  if (!std::isfinite(loss_after)) {
    record_.reasons.push_back("nothing was held out, so what it learned was not measured");
  } else if (loss_after >= loss_before) {
    record_.reasons.push_back(
        format("the held-out loss did not fall: {:.4f} before, {:.4f} after", loss_before, loss_after));
  }
  if (std::isfinite(general_after) && general_after > general_before * (1 + o_.general_harm_max)) {
    record_.reasons.push_back(format("perplexity on general text rose from {:.2f} to {:.2f}, by more than {:.0f}%",
                                     general_before, general_after, 100 * o_.general_harm_max));
  }
  record_.verdict = record_.reasons.empty() ? "kept" : "draft";
}

Result<LearnResult> Run::finish() {
  LearnResult out;
  if (stopped_) {
    record_.verdict = "stopped";
    TRY(write_record());
    say(format("saved after step {}; --resume goes on", state_.step));
  } else {
    if (state_.best_step >= 0 && state_.best_step != state_.step) {
      TRY(checkpoints_->load_values(state_.best_step, trainer_->optimizer().parameters()));
      subject_->trained(*pass_, team_).repack();
      say(format("taking step {}, whose held-out loss is the best", state_.best_step));
    }
    TRY_ASSIGN(const double loss, held_out_loss());
    TRY_ASSIGN(const double perplexity, general_perplexity());
    record_.after = Json::object();
    if (std::isfinite(loss)) record_.after.set("held_out_loss", loss);
    if (std::isfinite(perplexity)) record_.after.set("general_perplexity", perplexity);
    judge();
    record_.ended = timestamp(std::time(nullptr));
    TRY(write_record());
  }
  TRY(subject_->write(model_, o_));
  TRY_ASSIGN(out.rows, read_loss_csv(file("loss.csv")));
  TRY(write_text_file(file("loss.svg"), plot_svg(out.rows, o_.name)));
  const auto& held_out = data_.held_out.rows;
  out.samples.assign(held_out.begin(), held_out.begin() + std::min<std::ptrdiff_t>(3, std::ssize(held_out)));
  out.record = record_;
  out.stopped = stopped_;
  return out;
}

}  // namespace

Result<LearnResult> learn(const Model& model, const Tokenizer& tokenizer, const KernelTable& kernels, ThreadTeam& team,
                          const LearnOptions& options, const LearnEvents& events) {
  return Run(model, tokenizer, kernels, team, options, events).run();
}

}  // namespace andiron
