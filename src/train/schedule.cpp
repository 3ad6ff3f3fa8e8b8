#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/strings.h"

namespace andiron {

double Schedule::rate(int64_t step) const {
  if (step < warmup_steps)
    return peak * static_cast<double>(std::max<int64_t>(step, 0)) / static_cast<double>(warmup_steps);
  if (kind == Kind::kConstant) return peak;
  // The warm-up's last step has the peak; without one the first step has it.
  int64_t from = std::max<int64_t>(warmup_steps, 1);
  if (kind == Kind::kWsd) {
    from = std::max<int64_t>(from, steps - std::llround(decay_share * static_cast<double>(steps)));
  }
  if (step <= from) return peak;
  const int64_t way_steps = std::max<int64_t>(1, steps + 1 - from);
  const double way = std::min(1.0, static_cast<double>(step - from) / static_cast<double>(way_steps));
  const double left = kind == Kind::kCosine ? 0.5 * (1 + std::cos(std::numbers::pi * way)) : 1 - way;
  return peak * (floor_share + (1 - floor_share) * left);
}

Result<Schedule::Kind> schedule_kind_from_name(std::string_view name) {
  for (const auto kind :
       {Schedule::Kind::kCosine, Schedule::Kind::kLinear, Schedule::Kind::kConstant, Schedule::Kind::kWsd}) {
    if (name == schedule_kind_name(kind)) return kind;
  }
  return make_error("schedule \"{}\": expected cosine, linear, constant or wsd", in_quotes(name));
}

std::string_view schedule_kind_name(Schedule::Kind kind) {
  switch (kind) {
    case Schedule::Kind::kCosine: return "cosine";
    case Schedule::Kind::kLinear: return "linear";
    case Schedule::Kind::kConstant: return "constant";
    case Schedule::Kind::kWsd: return "wsd";
  }
  return "";
}

int64_t steps_of_epochs(double epochs, int64_t sequences, int64_t per_step) {
  if (sequences <= 0 || per_step <= 0 || !(epochs > 0)) return 0;
  const double all = epochs * static_cast<double>(sequences) / static_cast<double>(per_step);
  // 3 epochs of 0.1 of something must not become a step more by rounding; 2^53 bounds what a double counts.
  return std::max<int64_t>(1, static_cast<int64_t>(std::min(std::ceil(all - 1e-9), 0x1p53)));
}

}  // namespace andiron
