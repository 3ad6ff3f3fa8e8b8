#include "train/verdict.h"

#include <cmath>

#include "base/strings.h"
#include "train/loss_log.h"

namespace andiron {

namespace {

double number_in(const Json& object, std::string_view key) {
  const Json* found = object.find(key);
  return found != nullptr && found->is_number() ? found->as_double() : kNotMeasured;
}

}  // namespace

void judge(RunRecord& record, double general_harm_max) {
  record.reasons.clear();
  const double loss_before = number_in(record.before, kHeldOutLoss), loss_after = number_in(record.after, kHeldOutLoss);
  const double general_before = number_in(record.before, kGeneralPerplexity);
  const double general_after = number_in(record.after, kGeneralPerplexity);
  if (!std::isfinite(loss_after)) {
    record.reasons.push_back("nothing was held out, so what it learned was not measured");
  } else if (loss_after >= loss_before) {
    record.reasons.push_back(
        format("the held-out loss did not fall: {:.4f} before, {:.4f} after", loss_before, loss_after));
  }
  if (std::isfinite(general_after) && general_after > general_before * (1 + general_harm_max)) {
    record.reasons.push_back(format("perplexity on general text rose from {:.2f} to {:.2f}, by more than {:.0f}%",
                                    general_before, general_after, 100 * general_harm_max));
  }
  record.verdict = record.reasons.empty() ? "kept" : "draft";
}

}  // namespace andiron
