// Whether what a run has learned is kept, or a draft, and why.
#pragma once

#include <string_view>

#include "train/run_record.h"

namespace andiron {

// What before and after may hold.
inline constexpr std::string_view kHeldOutLoss = "held_out_loss", kGeneralPerplexity = "general_perplexity";

// Sets verdict and reasons from before and after. `general_harm_max`: the share by which the perplexity on general text
// may rise.
void judge(RunRecord& record, double general_harm_max);

}  // namespace andiron
