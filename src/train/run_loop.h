// The steps of a run, and what they leave in its folder: run.json, loss.csv, loss.svg, checkpoints, and what was
// learned. The same whatever is trained and wherever its rows come from.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "train/checkpoint.h"
#include "train/loss_log.h"
#include "train/run_events.h"
#include "train/run_folder.h"
#include "train/run_record.h"
#include "train/trainer.h"

namespace andiron {

struct RunLoopOptions {
  int64_t steps = 1;
  int64_t measure_every = 1, save_every = 1;  // steps
  int64_t patience = 0;                       // measurements without a better held-out loss before it stops; 0: never
  bool take_best = true;                      // end with the values of the best held-out loss, not the last ones
  bool write_at_saves = false;                // what is learned is written with every checkpoint
  double general_harm_max = 0.1;              // see judge()
  double begun = 0;                           // when the run was asked for, as now_seconds() says
  double budget_seconds = 0;                  // from then on; 0: none
};

// Seconds on a clock that never goes back.
double now_seconds();

// What it works on. All must outlive it.
struct RunLoopParts {
  const RunFolder& folder;
  const LearnEvents& events;
  Trainer& trainer;
  const TokenRows& held_out;      // may be empty
  const TokenRows& general;       // likewise
  std::function<void()> repack;   // after values have been restored
  std::function<Status()> write;  // what has been learned
};

class RunLoop {
 public:
  RunLoop(const RunLoopParts& parts, const RunLoopOptions& options) : p_(parts), o_(options) {}

  // `fresh`: the record of a run that begins. `before`: the one to go on with. `identity`: what must be the same for
  // that. When a step fails, what was learned until then is written as far as it can be, and the Error says so.
  Result<LearnResult> run(RunRecord fresh, std::optional<RunRecord> before, Json identity);

 private:
  std::string file(std::string_view name) const { return p_.folder.file(name); }
  Status start(RunRecord fresh, std::optional<RunRecord> before);
  Status begin(RunRecord fresh);
  Status go_on(const Checkpoints::Restored& restored, const RunRecord& fresh, RunRecord before);
  Result<double> measured_loss(const TokenRows& rows, std::string_view what);
  Result<Json> measure_all();
  Status write_record();
  Status save();
  bool early() const { return o_.patience > 0 && worse_ >= o_.patience; }
  bool out_of_time() const { return o_.budget_seconds > 0 && now_seconds() - o_.begun > o_.budget_seconds; }
  bool over() const { return p_.trainer.done() || early() || p_.events.stopped() || out_of_time(); }
  Status train();
  Status after_step(const StepReport& report);
  void note_held_out(int64_t step, double loss);
  Error give_up(const Error& error);
  Status take_best();
  Result<LearnResult> finish();

  RunLoopParts p_;
  RunLoopOptions o_;
  std::optional<Checkpoints> checkpoints_;
  std::optional<LossLog> log_;
  CheckpointState state_;
  RunRecord record_;
  bool finishing_ = false;   // all steps are done
  int64_t saved_step_ = -1;  // of the latest checkpoint
  int64_t logged_step_ = 0;  // of the last row in loss.csv
  int64_t worse_ = 0;        // measurements in a row without a better held-out loss
  double begun_ = 0, seconds_before_ = 0;
};

}  // namespace andiron
