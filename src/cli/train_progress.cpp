#include "cli/train_progress.h"

#include <cmath>
#include <cstdio>

#include "base/strings.h"

namespace andiron {

TrainProgress::TrainProgress(int64_t steps, int64_t step_begin, bool quiet)
    : progress_("training", Progress::Unit::kSteps, quiet), steps_(steps), quiet_(quiet) {
  progress_.began_at(static_cast<uint64_t>(step_begin));
}

void TrainProgress::update(const LossRow& row) {
  if (!std::isnan(row.held_out_loss)) held_out_loss_ = row.held_out_loss;
  std::string detail = train_detail(row, held_out_loss_);
  if (share_per_token_ > 0 && row.tokens_per_s >= 0) {
    detail += format(", {:.0f}% of the peak", 100 * share_per_token_ * row.tokens_per_s);
  }
  progress_.update(static_cast<uint64_t>(row.step), static_cast<uint64_t>(steps_), detail);
}

void TrainProgress::say(const std::string& text) {
  if (quiet_) return;
  progress_.clear();
  std::fprintf(stderr, "%s\n", text.c_str());
}

std::string train_detail(const LossRow& row, double held_out_loss) {
  std::string text = format("loss {:.3f}", row.loss);
  if (!std::isnan(held_out_loss)) text += format(", held-out {:.3f}", held_out_loss);
  if (row.tokens_per_s >= 0 && row.tokens_per_s < 1e15) {  // not NaN, and a number that llround takes
    text += format(", {} tokens/s", human_count(std::llround(row.tokens_per_s)));
  }
  return text;
}

}  // namespace andiron
