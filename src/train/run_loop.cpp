#include "train/run_loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <utility>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "train/learn_data.h"
#include "train/plot.h"
#include "train/verdict.h"

namespace andiron {

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Result<LearnResult> RunLoop::run(RunRecord fresh, std::optional<RunRecord> before, Json identity) {
  state_.run = std::move(identity);
  TRY(start(std::move(fresh), std::move(before)));
  const Status trained = train();
  if (!trained.ok()) return give_up(trained.error());
  return finish();
}

Status RunLoop::start(RunRecord fresh, std::optional<RunRecord> before) {
  TRY_ASSIGN(checkpoints_, Checkpoints::open(file("checkpoints")));
  TRY(checkpoints_->check_space(Checkpoints::bytes_needed(p_.trainer.optimizer()), 3));
  begun_ = now_seconds();
  if (before) {
    TRY_ASSIGN(const auto restored, checkpoints_->restore(p_.trainer.optimizer(), state_.run));
    if (restored.has_value()) return go_on(*restored, fresh, std::move(*before));
    const bool learned = file_exists(file("adapter_model.safetensors")) || file_exists(file("model.gguf"));
    if (before->steps > 0 || before->verdict != "running" || learned) {
      return make_error("{}: its checkpoints are gone, so that it cannot go on; begin another run", p_.folder.path());
    }
    p_.events.tell("no step was saved; beginning anew");
  }
  return begin(std::move(fresh));
}

Status RunLoop::go_on(const Checkpoints::Restored& restored, const RunRecord& fresh, RunRecord before) {
  for (const std::string& line : restored.refused) p_.events.tell(line);
  state_ = restored.state;
  record_ = std::move(before);
  const Json* worse = state_.trainer.find("worse");
  worse_ = worse != nullptr && worse->is_int() ? worse->as_int() : 0;
  seconds_before_ = record_.seconds;
  saved_step_ = logged_step_ = state_.step;
  record_.options = fresh.options;
  record_.verdict = "running";
  record_.reasons.clear();
  p_.trainer.go_on(state_.step, state_.data_position);
  p_.repack();
  TRY_ASSIGN(auto log, LossLog::resume(file("loss.csv"), state_.step));
  log_.emplace(std::move(log));
  p_.events.tell(format("going on after step {} of {}", state_.step, o_.steps));
  return {};
}

Status RunLoop::begin(RunRecord fresh) {
  record_ = std::move(fresh);
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

Result<double> RunLoop::measured_loss(const TokenRows& rows, std::string_view what) {
  if (rows.rows.empty()) return kNotMeasured;
  const int64_t total = positions_of(rows);
  TRY_ASSIGN(const Measure measure, p_.trainer.measure(rows, [&](int64_t done) {
    if (p_.events.working) p_.events.working(what, done, total);
    return !finishing_ || !p_.events.stopped();  // between steps its number is needed
  }));
  return measure.loss;
}

// The members of RunRecord's before and after.
Result<Json> RunLoop::measure_all() {
  Json out = Json::object();
  TRY_ASSIGN(const double loss, measured_loss(p_.held_out, "measuring the held-out loss"));
  if (std::isfinite(loss)) out.set(std::string(kHeldOutLoss), loss);
  TRY_ASSIGN(const double general, measured_loss(p_.general, "measuring on general text"));
  if (std::isfinite(general)) out.set(std::string(kGeneralPerplexity), std::exp(general));
  return out;
}

Status RunLoop::write_record() {
  record_.seconds = seconds_before_ + now_seconds() - begun_;
  record_.steps = state_.step;
  return write_run_record(file("run.json"), record_);
}

// The adapter is written too, so that it can be tried while the run goes on.
Status RunLoop::save() {
  if (saved_step_ != state_.step) {
    TRY(log_->sync());
    TRY(checkpoints_->save(state_, p_.trainer.optimizer()));
    saved_step_ = state_.step;
    if (o_.write_at_saves) TRY(p_.write());
  }
  return write_record();
}

void RunLoop::note_held_out(int64_t step, double loss) {
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

Status RunLoop::after_step(const StepReport& report) {
  state_.step = report.step;
  state_.data_position = p_.trainer.data_position();
  state_.tokens += report.tokens;
  LossRow row = {report.step,
                 state_.tokens,
                 report.loss,
                 kNotMeasured,
                 report.rate,
                 report.gradient_norm,
                 static_cast<double>(report.tokens) / report.seconds};
  if (!p_.held_out.rows.empty() && (p_.trainer.done() || report.step % o_.measure_every == 0)) {
    TRY_ASSIGN(row.held_out_loss, measured_loss(p_.held_out, "measuring the held-out loss"));
    note_held_out(report.step, row.held_out_loss);
  }
  TRY(log_->append(row));
  logged_step_ = row.step;
  if (p_.events.step) p_.events.step(row);
  const bool better = state_.best_step == report.step;
  return better || over() || report.step % o_.save_every == 0 ? save() : Status{};
}

Status RunLoop::train() {
  if (p_.events.begin) p_.events.begin(o_.steps, state_.step);
  while (!over()) {
    TRY_ASSIGN(const StepReport report, p_.trainer.step());
    TRY(after_step(report));
  }
  if (early()) p_.events.tell(format("stopped early: {} measurements without a better held-out loss", o_.patience));
  if (!p_.trainer.done() && out_of_time()) p_.events.tell("the time is used up");
  return save();
}

// Keeps what can be kept when a step failed. No checkpoint of a step that has no row: nothing could go on from there.
Error RunLoop::give_up(const Error& error) {
  record_.verdict = "stopped";
  record_.reasons = {error.message};
  if (logged_step_ == state_.step && save().ok()) {
    return Error{
        format("{}; what was learned until step {} is kept in {}", error.message, state_.step, p_.folder.path())};
  }
  return Error{format("{}; the last step saved is {}, --resume goes on from there", error.message, saved_step_)};
}

// The values of the step with the best held-out loss.
Status RunLoop::take_best() {
  if (!o_.take_best || state_.best_step < 0 || state_.best_step == state_.step) return {};
  TRY(checkpoints_->load_values(state_.best_step, p_.trainer.optimizer().parameters()));
  p_.repack();
  p_.events.tell(format("taking step {}, whose held-out loss is the best", state_.best_step));
  return {};
}

Result<LearnResult> RunLoop::finish() {
  LearnResult out;
  finishing_ = true;
  out.stopped = p_.events.stopped() && !p_.trainer.done();
  if (!out.stopped) {
    TRY(take_best());
    auto after = measure_all();
    out.stopped = p_.events.stopped();
    if (!after.ok() && !out.stopped) return after.error();
    if (!out.stopped) {
      record_.after = std::move(*after);
      judge(record_, o_.general_harm_max);
      record_.ended = timestamp(std::time(nullptr));
    }
  }
  if (out.stopped) {
    record_.verdict = "stopped";
    p_.events.tell(format("saved after step {}; --resume goes on", state_.step));
  }
  TRY(p_.write());
  TRY(write_record());
  TRY_ASSIGN(out.rows, read_loss_csv(file("loss.csv")));
  TRY(write_text_file(file("loss.svg"), plot_svg(out.rows, record_.name)));
  const auto& rows = p_.held_out.rows;
  out.samples.assign(rows.begin(), rows.begin() + std::min<std::ptrdiff_t>(3, std::ssize(rows)));
  out.record = record_;
  return out;
}

}  // namespace andiron
