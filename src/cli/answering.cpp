#include "cli/answering.h"

#include <algorithm>
#include <utility>

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

Result<StudyAnswerer> study_answerer(std::shared_ptr<const Model> model, const Tokenizer& tokenizer,
                                     const KernelTable& kernels, ThreadTeam& team, SessionOptions options) {
  constexpr int64_t kContext = 2048;
  options.context = std::min(options.context > 0 ? options.context : kContext, model->config().context);
  TRY_ASSIGN(auto created, Session::create(std::move(model), tokenizer, kernels, team, options));
  const std::shared_ptr<Session> session = std::move(created);
  return StudyAnswerer([session](const StudyRequest& request) -> Result<StudyAnswer> {
    if (std::ssize(request.prompt) >= session->context()) return StudyAnswer();
    GenerateOptions generate;
    generate.sampling.temperature = static_cast<float>(request.temperature);
    generate.sampling.seed = request.seed;
    generate.tokens_max = request.tokens_max;
    generate.cancel = request.stop;
    TRY_ASSIGN(WholeAnswer answer, answer_whole(*session, request.prompt, generate));
    return StudyAnswer{std::move(answer.text), answer.reason == FinishReason::kStop};
  });
}

}  // namespace andiron
