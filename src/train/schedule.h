// The learning rate of each step, and how many steps there are.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace andiron {

struct Schedule {
  enum class Kind : uint8_t {
    kCosine,
    kLinear,
    kConstant,
    kWsd,  // the peak, then a straight line down in the last steps (Hu et al. 2024, arXiv 2404.06395)
  };
  Kind kind = Kind::kCosine;
  double peak = 2e-4;        // the rate after the warm-up
  double floor_share = 0;    // of the peak, where all but constant end: one step after the last
  double decay_share = 0.2;  // of the steps: the last ones, in which wsd falls
  int64_t warmup_steps = 0;  // steps 1 to warmup_steps rise in a straight line: step s has s / warmup_steps of the peak
  int64_t steps = 1;         // of the whole run

  // Of step `step`, 1 to steps. The floor is reached only after the last step, as in PyTorch's and Hugging Face's
  // schedulers (whose step counts from 0): a step at a rate of 0 would change nothing. Beyond it the rate stays there.
  double rate(int64_t step) const;
};

// "cosine", "linear", "constant", "wsd".
Result<Schedule::Kind> schedule_kind_from_name(std::string_view name);
std::string_view schedule_kind_name(Schedule::Kind kind);

// Optimiser steps that `epochs` passes over `sequences` sequences take, `per_step` sequences a step: the last step of
// the run may be smaller, those of other passes go on into the next pass. At least 1 where there is any sequence.
int64_t steps_of_epochs(double epochs, int64_t sequences, int64_t per_step);

}  // namespace andiron
