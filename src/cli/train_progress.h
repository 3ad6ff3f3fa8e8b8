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

  // What a token's training takes, and the most that the machine does in a second: their share is shown.
  void compare(double flop_per_token, double flop_per_s) { share_per_token_ = flop_per_token / flop_per_s; }
  void update(const LossRow& row);
  // A line that stays: "saved step 120". Not when quiet.
  void say(const std::string& text);

 private:
  Progress progress_;
  int64_t steps_;
  double held_out_loss_ = kNotMeasured;  // the latest
  double share_per_token_ = 0;           // of a second at the machine's best; 0: unknown
  bool quiet_;
};

// What follows the steps; `held_out_loss` is the latest measured, and numbers that are not are left out.
std::string train_detail(const LossRow& row, double held_out_loss);

}  // namespace andiron
