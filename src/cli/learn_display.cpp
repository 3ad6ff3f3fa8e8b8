#include "cli/learn_display.h"

#include <cmath>
#include <cstdio>
#include <string>

#include "base/strings.h"

namespace andiron {

LearnDisplay::LearnDisplay(bool quiet, double flop_per_s) : quiet_(quiet), flop_per_s_(flop_per_s) {
  events_.say = [this](std::string_view line) { say(line); };
  events_.working = [this](std::string_view what, int64_t done, int64_t total) {
    work(what, Progress::Unit::kTokens, done, total);
  };
  events_.studying = [this](std::string_view what, int64_t done, int64_t total) {
    work(what, Progress::Unit::kSteps, done, total);
  };
  events_.begin = [this](int64_t steps, int64_t done) { begin(steps, done); };
  events_.cost = [this](double flop_per_token) { flop_per_token_ = flop_per_token; };
  events_.step = [this](const LossRow& row) { step(row); };
}

void LearnDisplay::close() {
  working_.reset();
  steps_.reset();
}

void LearnDisplay::say(std::string_view line) {
  if (steps_) {
    steps_->say(printable(line));
  } else if (!quiet_) {
    std::fprintf(stderr, "%s\n", printable(line).c_str());
  }
}

// Until now Ctrl-C has ended the program at once, as there was nothing to save.
void LearnDisplay::begin(int64_t steps, int64_t done) {
  interrupt_.emplace(/*second_ends=*/true);
  events_.stop = interrupt_->flag();
  steps_.emplace(steps, done, quiet_);
  if (flop_per_s_ > 0 && flop_per_token_ > 0) steps_->compare(flop_per_token_, flop_per_s_);
}

void LearnDisplay::note_interrupt() {
  if (noted_ || !interrupt_ || !interrupt_->interrupted()) return;
  noted_ = true;
  say("stopping; Ctrl-C once more ends at once, with what was saved last");
}

void LearnDisplay::work(std::string_view what, Progress::Unit unit, int64_t done, int64_t total) {
  if (!working_ || what != doing_) working_.emplace(std::string(what), unit, quiet_);
  doing_ = what;
  working_->update(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
  if (done >= total) working_.reset();
  note_interrupt();
}

void LearnDisplay::step(const LossRow& row) {
  steps_->update(row);
  if (std::isfinite(row.held_out_loss)) {
    steps_->say(format("step {}: loss {:.4f}, held-out loss {:.4f}", row.step, row.loss, row.held_out_loss));
  }
  note_interrupt();
}

}  // namespace andiron
