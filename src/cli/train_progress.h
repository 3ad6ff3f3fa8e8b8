// The live line of a training run.
#pragma once

#include <cstdint>
#include <string>

#include "cli/progress.h"
#include "train/loss_log.h"

namespace andiron {

// "training: 120 of 338, 8 min 3 s left  loss 2.134, held-out 2.301, 612 tokens/s"
class TrainProgress {
 public:
  // `step_begin`: steps done before, of a run that is taken up again.
  TrainProgress(int64_t steps, int64_t step_begin, bool quiet);

  void update(const LossRow& row);
  // A line that stays: "saved step 120". Not when quiet.
  void say(const std::string& text);

 private:
  Progress progress_;
  int64_t steps_;
  double held_out_loss_ = kNotMeasured;  // the latest
  bool quiet_;
};

// What follows the steps; `held_out_loss` is the latest measured, and numbers that are not are left out.
std::string train_detail(const LossRow& row, double held_out_loss);

}  // namespace andiron
