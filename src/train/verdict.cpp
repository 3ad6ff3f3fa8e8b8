#include "train/verdict.h"

#include <cmath>

#include "base/strings.h"
#include "train/loss_log.h"

namespace andiron {

void judge(RunRecord& record, double general_harm_max) {
  record.reasons.clear();
  const double loss_before = record.before.member(kHeldOutLoss).number_or(kNotMeasured);
  const double loss_after = record.after.member(kHeldOutLoss).number_or(kNotMeasured);
  const double general_before = record.before.member(kGeneralPerplexity).number_or(kNotMeasured);
  const double general_after = record.after.member(kGeneralPerplexity).number_or(kNotMeasured);
  // A number that was measured before and is missing now was not finite.
  if (std::isfinite(loss_before) && !std::isfinite(loss_after)) {
    record.reasons.push_back(format("the held-out loss is no finite number any more; it was {:.4f}", loss_before));
  } else if (!std::isfinite(loss_after)) {
    record.reasons.push_back("nothing was held out, so what it learned was not measured");
  } else if (loss_after >= loss_before) {
    record.reasons.push_back(
        format("the held-out loss did not fall: {:.4f} before, {:.4f} after", loss_before, loss_after));
  }
  if (std::isfinite(general_before) && !std::isfinite(general_after)) {
    record.reasons.push_back(
        format("perplexity on general text is no finite number any more; it was {:.2f}", general_before));
  } else if (general_after > general_before * (1 + general_harm_max)) {
    record.reasons.push_back(format("perplexity on general text rose from {:.2f} to {:.2f}, by more than {:.0f}%",
                                    general_before, general_after, 100 * general_harm_max));
  }
  record.verdict = record.reasons.empty() ? "kept" : "draft";
}

}  // namespace andiron
