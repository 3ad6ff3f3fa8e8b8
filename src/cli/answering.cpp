#include "cli/answering.h"

namespace andiron {

Result<WholeAnswer> answer_whole(Session& session, std::span<const int32_t> prompt, const GenerateOptions& options,
                                 const std::function<bool(std::string_view)>& go_on) {
  WholeAnswer out;
  TRY_ASSIGN(const PrefillReport prefill, session.prefill(prompt, {options.cancel, {}}));
  out.reason = FinishReason::kCancelled;
  if (prefill.cancelled) return out;
  TRY_ASSIGN(const GenerateReport report, session.generate(options, [&](const TokenEvent& event) {
    if (event.token >= 0) out.ids.push_back(event.token);
    out.text += event.text;
    return !go_on || go_on(out.text);
  }));
  out.reason = report.reason;
  return out;
}

}  // namespace andiron
