// What is seen of a training run: lines that stay, and one live line. Ctrl-C ends the run after its step.
#pragma once

#include <optional>
#include <string_view>

#include "cli/progress.h"
#include "cli/terminal.h"
#include "cli/train_progress.h"
#include "train/learn.h"

namespace andiron {

class LearnDisplay {
 public:
  explicit LearnDisplay(bool quiet);
  LearnDisplay(const LearnDisplay&) = delete;
  LearnDisplay& operator=(const LearnDisplay&) = delete;

  const LearnEvents& events() const { return events_; }
  // Wipes the live line.
  void close();

 private:
  void say(std::string_view line);
  void begin(int64_t steps, int64_t done);
  void note_interrupt();
  void work(std::string_view what, int64_t done, int64_t total);
  void step(const LossRow& row);

  bool quiet_, noted_ = false;
  std::optional<InterruptGuard> interrupt_;
  LearnEvents events_;
  std::optional<Progress> working_;
  std::optional<TrainProgress> steps_;
};

}  // namespace andiron
