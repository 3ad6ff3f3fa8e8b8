// What is seen of a training run: lines that stay, and one live line. Ctrl-C ends the run after its step.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/progress.h"
#include "cli/terminal.h"
#include "cli/train_progress.h"
#include "train/learn.h"

namespace andiron {

class LearnDisplay {
 public:
  // `flop_per_s`: the most that this machine does; 0: not to be compared with.
  explicit LearnDisplay(bool quiet, double flop_per_s = 0);
  LearnDisplay(const LearnDisplay&) = delete;
  LearnDisplay& operator=(const LearnDisplay&) = delete;

  const LearnEvents& events() const { return events_; }
  // Wipes the live line.
  void close();

 private:
  void say(std::string_view line);
  void begin(int64_t steps, int64_t done);
  void note_interrupt();
  void work(std::string_view what, Progress::Unit unit, int64_t done, int64_t total);
  void step(const LossRow& row);

  bool quiet_, noted_ = false;
  double flop_per_s_, flop_per_token_ = 0;
  std::optional<InterruptGuard> interrupt_;
  LearnEvents events_;
  std::optional<Progress> working_;
  std::string doing_;  // its label
  std::optional<TrainProgress> steps_;
};

}  // namespace andiron
