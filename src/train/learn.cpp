#include "train/learn.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <optional>
#include <utility>

#include "adapter/adapter_base.h"
#include "base/atomic_file.h"
#include "base/cpu_info.h"
#include "base/strings.h"
#include "model/train_pass.h"
#include "text/chat_prompt.h"
#include "train/checkpoint.h"
#include "train/learn_data.h"
#include "train/planner.h"
#include "train/plot.h"
#include "train/subject.h"
#include "train/trainer.h"
#include "train/verdict.h"

namespace andiron {

namespace {

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The folder of a run, in which one process works at a time. One that was made and in which nothing was left is
// removed.
class RunFolder {
 public:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;
  ~RunFolder() {
    if (fd_ >= 0) ::close(fd_);
    if (!made_) return;
    for (const std::string& folder : {file("checkpoints"), path_}) ::rmdir(folder.c_str());  // fails unless empty
  }

  Status open(bool resume) {
    std::error_code error;
    made_ = std::filesystem::create_directories(path_, error);
    if (error) return make_error("{}: the folder cannot be made: {}", path_, error.message());
    const bool has_run = file_exists(file("run.json"));
    if (has_run && !resume) {
      return make_error("{}: there is a run in this folder; --resume goes on with it, or choose another", path_);
    }
    if (!has_run && resume) return make_error("{}: there is no run to resume in this folder", path_);
    for (const char* name :
         {"adapter_config.json", "adapter_model.safetensors", "model.gguf", "loss.csv", "loss.svg"}) {
      if (!has_run && file_exists(file(name))) {
        return make_error("{}: there is a {} in this folder already, and no run; choose another", path_, name);
      }
    }
    if (!has_run && file_exists(file("checkpoints")) && !std::filesystem::is_empty(file("checkpoints"), error)) {
      return make_error("{}: there are checkpoints in this folder already, and no run; choose another", path_);
    }
    fd_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd_ >= 0 && ::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      return make_error("{}: another process is training in this folder", path_);
    }
    return {};
  }

  std::string file(std::string_view name) const { return format("{}/{}", path_, name); }

 private:
  std::string path_;
  int fd_ = -1;
  bool made_ = false;
};

// One run, from its options to its result; methods in the order in which they happen.
class Run {
 public:
  Run(const Model& model, const Tokenizer& tokenizer, const KernelTable& kernels, ThreadTeam& team,
      const LearnOptions& options, const LearnEvents& events)
      : model_(model),
        tokenizer_(tokenizer),
        kernels_(kernels),
        team_(team),
        o_(options),
        events_(events),
        folder_(options.out),
        called_(now_seconds()) {}

  Result<LearnResult> run() {
    TRY(open());
    TRY(read_data());
    TRY(make_pass());
    TRY(plan());
    TRY(start());
    const Status trained = train();
    if (!trained.ok()) return give_up(trained.error());
    return finish();
  }

 private:
  void say(std::string_view line) const {
    if (events_.say) events_.say(line);
  }
  bool stopped() const { return events_.stop != nullptr && events_.stop->load(); }
  std::string file(std::string_view name) const { return folder_.file(name); }
  const TokenRows& held_out() const { return data_.set.held_out; }
  TrainData train_data() const { return {&data_.set.train, &data_.set.held_out, &data_.general}; }
  TrainSubject subject() { return subject_->trained(*pass_, team_); }

  Status open();
  Status read_data();
  Status check_same_data() const;
  int64_t rows_per_pass(int64_t seq_len) const { return std::max<int64_t>(512, seq_len); }
  uint64_t memory_wanted() const;
  int64_t checkpointed_layers(int64_t rows, uint64_t memory) const;
  Status make_pass();
  TrainerOptions trainer_options() const;
  Result<double> measure_speed();
  double limit_measurements(double tokens_per_s);
  Status plan();
  Json identity() const;
  Status start();
  Status begin();
  Status go_on(const Checkpoints::Restored& restored);
  Result<double> measured_loss(const TokenRows& rows, std::string_view what);
  Result<Json> measure_all();
  Status write_record();
  Status save();
  bool early() const { return o_.patience > 0 && worse_ >= o_.patience; }
  bool out_of_time() const { return o_.budget_seconds > 0 && now_seconds() - called_ > o_.budget_seconds; }
  bool over() const { return trainer_->done() || early() || stopped() || out_of_time(); }
  Status train();
  Status after_step(const StepReport& report);
  void note_held_out(int64_t step, double loss);
  Error give_up(const Error& error);
  Status take_best();
  Result<LearnResult> finish();

  const Model& model_;
  const Tokenizer& tokenizer_;
  const KernelTable& kernels_;
  ThreadTeam& team_;
  LearnOptions o_;  // what was left open is filled in by and by
  const LearnEvents& events_;
  RunFolder folder_;
  double called_;  // when learn() was

  LearnData data_;
  std::string rows_hash_;
  AdapterBase base_;
  std::unique_ptr<Subject> subject_;
  MemoryInput memory_;
  std::unique_ptr<TrainPass> pass_;
  Plan plan_;
  std::unique_ptr<Trainer> trainer_;
  std::optional<Checkpoints> checkpoints_;
  std::optional<LossLog> log_;
  CheckpointState state_;
  bool finishing_ = false;   // all steps are done
  int64_t saved_step_ = -1;  // of the latest checkpoint
  int64_t worse_ = 0;        // measurements in a row without a better held-out loss
  double begun_ = 0, seconds_before_ = 0;
  RunRecord record_;
};

Status Run::open() {
  TRY(check_learn_options(o_));
  TRY(folder_.open(o_.resume));
  TRY_ASSIGN(base_, describe_base(model_.source()));
  if (!o_.resume) {
    if (!o_.reading.now) o_.reading.now = local_now();
    return {};
  }
  TRY_ASSIGN(record_, read_run_record(file("run.json")));
  if (record_.recipe != kRecipe) {
    return make_error(
        "{}: the run was begun by an andiron ({}) in which the same options give other numbers (recipe {}, here {}); "
        "go "
        "on with that one, or begin another run",
        o_.out, andiron::quoted(record_.version), record_.recipe, kRecipe);
  }
  TRY_ASSIGN(o_, resumed_options(o_, record_, file("run.json")));
  if (record_.base_hash != base_.hash) {
    return make_error("{}: the run was begun on {} ({}), and this model is another ({})", o_.base_path,
                      record_.base_path, record_.base_hash, base_.hash);
  }
  return {};
}

Status Run::check_same_data() const {
  const auto& before = record_.data;
  for (size_t i = 0; i < data_.files.size(); ++i) {
    const DataFileRecord& now = data_.files[i];
    if (i < before.size() && before[i].hash == now.hash && before[i].use == now.use) continue;
    return make_error("{}: the run was not begun with this {} data{}", now.path, now.use,
                      i < before.size() ? format(": its {} was {} ({})", before[i].use, before[i].path, before[i].hash)
                                        : std::string());
  }
  if (before.size() > data_.files.size()) {
    return make_error("{}: the run was begun with this data too; give it again", before[data_.files.size()].path);
  }
  if (record_.rows_hash != rows_hash_) {
    return make_error(
        "{}: the run was begun with other rows of tokens, or others were held out: the chat template has changed "
        "since",
        o_.out);
  }
  return {};
}

Status Run::read_data() {
  const auto fits = [&](int64_t seq_len) {
    const TrainLimits limits = {rows_per_pass(seq_len), model_.config().blocks};
    return TrainPass::bytes_needed(model_, limits, team_.size()) <= memory_wanted();
  };
  TRY_ASSIGN(data_, read_learn_data(o_, tokenizer_, model_.config().context, fits, team_));
  o_.seq_len = data_.seq_len;
  for (const std::string& line : describe_report(data_.set.report)) say(line);
  rows_hash_ = hash_rows({&data_.set.train, &data_.set.held_out, &data_.general});
  if (o_.resume) TRY(check_same_data());
  keep_first(data_.set.held_out, o_.held_out_rows.value_or(INT64_MAX));
  keep_first(data_.general, o_.general_rows.value_or(INT64_MAX));
  return {};
}

uint64_t Run::memory_wanted() const {
  return o_.memory_bytes != 0 ? o_.memory_bytes : memory_available_bytes() / 10 * 6;
}

// The fewest with which the pass has room; all when none has.
int64_t Run::checkpointed_layers(int64_t rows, uint64_t memory) const {
  if (o_.checkpointing == Checkpointing::kOn) return model_.config().blocks;
  if (o_.checkpointing == Checkpointing::kOff) return 0;
  return TrainPass::checkpointed_within(memory, model_, rows, team_.size());
}

Status Run::make_pass() {
  const double usual = o_.method == LearnMethod::kFull ? 2e-5 : 2e-4;
  if (!o_.rate) o_.rate = o_.loss == LossKind::kNextToken ? usual : usual / 10;
  memory_.weight_bytes = model_.weight_bytes();
  TRY_ASSIGN(memory_.parameters, Subject::parameters_count(model_, base_, o_));
  memory_.state_8bit = o_.optimizer.state_8bit;
  const uint64_t rest = estimate_memory(memory_, 0).total();
  TrainerOptions options;
  options.loss = o_.loss;
  options.packing.seq_len = data_.seq_len;
  options.rows_per_pass = rows_per_pass(data_.seq_len);
  const int64_t rows = Trainer::rows_needed(train_data(), options);
  const int64_t checkpointed = checkpointed_layers(rows, memory_wanted() > rest ? memory_wanted() - rest : 1);
  const TrainLimits limits = {rows, checkpointed};
  memory_.pass_bytes = [this, limits](int64_t) { return TrainPass::bytes_needed(model_, limits, team_.size()); };
  const MemoryEstimate estimate = estimate_memory(memory_, rows);
  // The weights are in memory already, so they are not of what is left.
  const uint64_t most = o_.memory_bytes != 0 ? o_.memory_bytes : memory_available_bytes() + memory_.weight_bytes;
  if (estimate.total() > most) {
    return make_error(
        "training takes about {}; {} may be used. Ask for less with --seq-len or --rank, or take a smaller model",
        describe(estimate), human_bytes(most));
  }
  TRY_ASSIGN(subject_, Subject::create(model_, base_, kernels_, team_, o_));
  TRY_ASSIGN(pass_, TrainPass::create(model_, subject_->weights(), kernels_, team_, limits));
  say(format("{} trained numbers; {}", human_count(memory_.parameters),
             checkpointed == 0 ? "all activations are remembered"
                               : format("{} of {} layers run again instead of being remembered",
                                        std::min(checkpointed, model_.config().blocks), model_.config().blocks)));
  return {};
}

TrainerOptions Run::trainer_options() const {
  TrainerOptions out;
  out.loss = o_.loss;
  out.beta = o_.beta;
  out.sequences = plan_.batch * plan_.grad_accum;
  out.packing.seq_len = data_.seq_len;
  out.packing.pack = o_.pack;
  out.packing.order = o_.by_length ? PackOptions::Order::kByLength : PackOptions::Order::kShuffled;
  out.packing.seed = o_.seed;
  out.rows_per_pass = rows_per_pass(data_.seq_len);
  out.schedule.kind = o_.schedule;
  out.schedule.peak = *o_.rate;
  out.schedule.steps = plan_.steps;
  out.schedule.warmup_steps = static_cast<int64_t>(o_.warmup * static_cast<double>(plan_.steps));
  out.optimizer = o_.optimizer;
  out.neftune_alpha = o_.neftune_alpha;
  out.kl_weight = o_.kl_weight;
  out.seed = o_.seed;
  return out;
}

// Trained tokens a second: the best of a few steps of the real thing, at a rate of 0, which changes nothing.
Result<double> Run::measure_speed() {
  constexpr int kSteps = 3;
  constexpr double kLongStep = 20;  // seconds: one such says enough
  say("measuring the speed of a few steps");
  plan_.batch = plan_.grad_accum = 1;
  plan_.steps = kSteps;
  TrainerOptions options = trainer_options();
  options.schedule.peak = 0;
  TRY_ASSIGN(auto trainer, Trainer::create(*pass_, subject(), train_data(), options, team_));
  double best = 0;
  for (int i = 0; i < kSteps; ++i) {
    if (stopped()) return make_error("stopped before the first step; there is nothing to go on with");
    TRY_ASSIGN(const StepReport report, trainer->step());
    best = std::max(best, static_cast<double>(report.tokens) / report.seconds);
    if (report.seconds > kLongStep) break;
  }
  pass_->forget();
  return best;
}

// Leaves so many rows to be measured that one measurement is a small part of the budget, and gives what those before
// and after all steps take, in seconds.
double Run::limit_measurements(double tokens_per_s) {
  constexpr double kHeldOutPart = 0.03, kGeneralPart = 0.01;
  const double forward_per_s = tokens_per_s / kForwardShare;
  const auto limit = [&](TokenRows& rows, double part) {
    double left = part * o_.budget_seconds * forward_per_s;
    int64_t count = 0;
    while (count < std::ssize(rows.rows)) {
      const auto i = static_cast<size_t>(count);
      left -= static_cast<double>(rows.rows[i].positions());
      if (!rows.rejected.empty()) left -= static_cast<double>(rows.rejected[i].positions());
      if (left < 0 && count > 0) break;
      ++count;
    }
    keep_first(rows, count);
  };
  limit(data_.set.held_out, kHeldOutPart);
  limit(data_.general, kGeneralPart);
  return 2 * static_cast<double>(positions_of(held_out()) + positions_of(data_.general)) / forward_per_s;
}

Status Run::plan() {
  PlanInput input;
  std::vector<int32_t> lengths;
  const TokenRows& rows = data_.set.train;
  for (size_t i = 0; i < rows.rows.size(); ++i) {
    const int64_t rejected = rows.rejected.empty() ? 0 : rows.rejected[i].positions();
    lengths.push_back(static_cast<int32_t>(rows.rows[i].positions() + rejected));
  }
  input.row_tokens = lengths;
  for (const auto* side : {&rows.rows, &rows.rejected}) {
    for (const TokenRow& row : *side) input.trained_tokens += std::count(row.trained.begin(), row.trained.end(), 1);
  }
  input.context = model_.config().context;
  input.steps = o_.steps;
  input.epochs = o_.epochs;
  input.sequence_length = data_.seq_len;
  input.batch = o_.batch;
  input.grad_accum = o_.grad_accum;
  input.memory = memory_;
  if (o_.budget_seconds > 0 && !o_.resume) {
    TRY_ASSIGN(input.tokens_per_s, measure_speed());
    const double apart = limit_measurements(input.tokens_per_s) + now_seconds() - called_;
    input.budget_seconds = o_.budget_seconds - apart;
    if (input.budget_seconds <= 0) {
      return make_error("the budget of {} is too short: reading and measuring alone take {}",
                        human_seconds(o_.budget_seconds), human_seconds(apart));
    }
  }
  input.held_out_tokens = positions_of(held_out());
  TRY_ASSIGN(plan_, plan_run(input));
  for (const std::string& line : plan_.lines) say(line);
  o_.steps = plan_.steps;
  o_.batch = plan_.batch;
  o_.grad_accum = plan_.grad_accum;
  if (!o_.measure_every) o_.measure_every = std::max<int64_t>(1, plan_.held_out_every);
  if (!o_.save_every) o_.save_every = o_.measure_every;
  o_.held_out_rows = std::ssize(held_out().rows);
  o_.general_rows = std::ssize(data_.general.rows);
  return {};
}

// What must be the same for a run to go on.
Json Run::identity() const {
  Json out = Json::object();
  Json files = Json::array();
  for (const DataFileRecord& data : data_.files) files.push(data.hash);
  out.set("data", std::move(files));
  out.set("base", base_.hash);
  out.set("rows", rows_hash_);
  out.set("options", learn_options_that_count(o_));
  return out;
}

Status Run::start() {
  TRY_ASSIGN(trainer_, Trainer::create(*pass_, subject(), train_data(), trainer_options(), team_));
  TRY_ASSIGN(checkpoints_, Checkpoints::open(file("checkpoints")));
  TRY(checkpoints_->check_space(Checkpoints::bytes_needed(trainer_->optimizer()), 3));
  state_.run = identity();
  begun_ = now_seconds();
  if (o_.resume) {
    TRY_ASSIGN(const auto restored, checkpoints_->restore(trainer_->optimizer(), state_.run));
    if (restored.has_value()) return go_on(*restored);
    if (record_.steps > 0 || record_.verdict != "running" || file_exists(file("adapter_model.safetensors"))) {
      return make_error("{}: its checkpoints are gone, so that it cannot go on; begin another run", o_.out);
    }
    say("no step was saved; beginning anew");
  }
  return begin();
}

Status Run::go_on(const Checkpoints::Restored& restored) {
  for (const std::string& line : restored.refused) say(line);
  state_ = restored.state;
  const Json* worse = state_.trainer.find("worse");
  worse_ = worse != nullptr && worse->is_int() ? worse->as_int() : 0;
  seconds_before_ = record_.seconds;
  saved_step_ = state_.step;
  record_.options = learn_options_json(o_);
  record_.verdict = "running";
  record_.reasons.clear();
  trainer_->go_on(state_.step, state_.data_position);
  subject().repack();
  TRY_ASSIGN(auto log, LossLog::resume(file("loss.csv"), state_.step));
  log_.emplace(std::move(log));
  say(format("going on after step {} of {}", state_.step, plan_.steps));
  return {};
}

Status Run::begin() {
  record_ = RunRecord{};
  record_.name = o_.name;
  record_.version = o_.version;
  record_.method = learn_method_name(o_.method);
  if (o_.loss != LossKind::kNextToken) record_.method += format("+{}", loss_kind_name(o_.loss));
  record_.base_path = o_.base_path;
  record_.base_hash = base_.hash;
  record_.base_architecture = model_.config().architecture;
  record_.data = data_.files;
  record_.rows_hash = rows_hash_;
  record_.report = report_to_json(data_.set.report);
  record_.train_rows = std::ssize(data_.set.train.rows);
  record_.held_out_rows = std::ssize(held_out().rows);
  record_.train_tokens = data_.set.report.train_tokens;
  record_.trained_tokens = data_.set.report.trained_tokens;
  record_.held_out_tokens = data_.set.report.held_out_tokens;
  record_.seed = o_.seed;
  record_.options = learn_options_json(o_);
  record_.machine = this_machine();
  record_.machine.isa = kernels_.name;
  record_.machine.threads = team_.size();
  record_.started = timestamp(std::time(nullptr));
  // First, so that all else in the folder is known to be this run's.
  TRY(write_record());
  TRY(checkpoints_->clear());
  TRY_ASSIGN(auto log, LossLog::create(file("loss.csv")));
  log_.emplace(std::move(log));
  TRY_ASSIGN(record_.before, measure_all());
  const Json* loss = record_.before.find(kHeldOutLoss);
  if (loss != nullptr) state_.best_loss = loss->as_double();
  return save();
}

Result<double> Run::measured_loss(const TokenRows& rows, std::string_view what) {
  if (rows.rows.empty()) return kNotMeasured;
  const int64_t total = positions_of(rows);
  TRY_ASSIGN(const Measure measure, trainer_->measure(rows, [&](int64_t done) {
    if (events_.working) events_.working(what, done, total);
    return !finishing_ || !stopped();  // between steps its number is needed
  }));
  return measure.loss;
}

// The members of RunRecord's before and after.
Result<Json> Run::measure_all() {
  Json out = Json::object();
  TRY_ASSIGN(const double loss, measured_loss(held_out(), "measuring the held-out loss"));
  if (std::isfinite(loss)) out.set(std::string(kHeldOutLoss), loss);
  TRY_ASSIGN(const double general, measured_loss(data_.general, "measuring on general text"));
  if (std::isfinite(general)) out.set(std::string(kGeneralPerplexity), std::exp(general));
  return out;
}

Status Run::write_record() {
  record_.seconds = seconds_before_ + now_seconds() - begun_;
  record_.steps = state_.step;
  return write_run_record(file("run.json"), record_);
}

// The adapter is written too, so that it can be tried while the run goes on.
Status Run::save() {
  if (saved_step_ != state_.step) {
    TRY(log_->sync());
    TRY(checkpoints_->save(state_, trainer_->optimizer()));
    saved_step_ = state_.step;
    if (subject_->is_adapter()) TRY(subject_->write(model_, o_));
  }
  return write_record();
}

void Run::note_held_out(int64_t step, double loss) {
  if (loss < state_.best_loss) {
    state_.best_loss = loss;
    state_.best_step = step;
    worse_ = 0;
  } else {
    ++worse_;
  }
  state_.trainer = Json::object();
  state_.trainer.set("worse", worse_);
}

Status Run::after_step(const StepReport& report) {
  state_.step = report.step;
  state_.data_position = trainer_->data_position();
  state_.tokens += report.tokens;
  LossRow row = {report.step,
                 state_.tokens,
                 report.loss,
                 kNotMeasured,
                 report.rate,
                 report.gradient_norm,
                 static_cast<double>(report.tokens) / report.seconds};
  if (!held_out().rows.empty() && (trainer_->done() || report.step % *o_.measure_every == 0)) {
    TRY_ASSIGN(row.held_out_loss, measured_loss(held_out(), "measuring the held-out loss"));
    note_held_out(report.step, row.held_out_loss);
  }
  TRY(log_->append(row));
  if (events_.step) events_.step(row);
  const bool better = state_.best_step == report.step;
  return better || over() || report.step % *o_.save_every == 0 ? save() : Status{};
}

Status Run::train() {
  if (events_.begin) events_.begin(plan_.steps, state_.step);
  while (!over()) {
    TRY_ASSIGN(const StepReport report, trainer_->step());
    TRY(after_step(report));
  }
  if (early()) say(format("stopped early: {} measurements without a better held-out loss", o_.patience));
  if (!trainer_->done() && out_of_time()) say("the time is used up");
  return save();
}

// Keeps what can be kept when a step failed.
Error Run::give_up(const Error& error) {
  record_.verdict = "stopped";
  record_.reasons = {error.message};
  const Status saved = save();
  if (saved.ok()) {
    return Error{format("{}; what was learned until step {} is kept in {}", error.message, state_.step, o_.out)};
  }
  return Error{format("{}; the last step saved is {}, --resume goes on from there", error.message, saved_step_)};
}

// The values of the step with the best held-out loss.
Status Run::take_best() {
  if (state_.best_step < 0 || state_.best_step == state_.step) return {};
  TRY(checkpoints_->load_values(state_.best_step, trainer_->optimizer().parameters()));
  subject().repack();
  say(format("taking step {}, whose held-out loss is the best", state_.best_step));
  return {};
}

Result<LearnResult> Run::finish() {
  LearnResult out;
  finishing_ = true;
  out.stopped = stopped() && !trainer_->done();
  if (!out.stopped) {
    TRY(take_best());
    auto after = measure_all();
    out.stopped = stopped();
    if (!after.ok() && !out.stopped) return after.error();
    if (!out.stopped) {
      record_.after = std::move(*after);
      judge(record_, o_.general_harm_max);
      record_.ended = timestamp(std::time(nullptr));
    }
  }
  if (out.stopped) {
    record_.verdict = "stopped";
    say(format("saved after step {}; --resume goes on", state_.step));
  }
  TRY(subject_->write(model_, o_));
  TRY(write_record());
  TRY_ASSIGN(out.rows, read_loss_csv(file("loss.csv")));
  TRY(write_text_file(file("loss.svg"), plot_svg(out.rows, o_.name)));
  const auto& rows = held_out().rows;
  out.samples.assign(rows.begin(), rows.begin() + std::min<std::ptrdiff_t>(3, std::ssize(rows)));
  out.record = record_;
  return out;
}

}  // namespace

Result<LearnResult> learn(const Model& model, const Tokenizer& tokenizer, const KernelTable& kernels, ThreadTeam& team,
                          const LearnOptions& options, const LearnEvents& events) {
  return Run(model, tokenizer, kernels, team, options, events).run();
}

}  // namespace andiron
