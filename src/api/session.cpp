#include <utility>

#include "api/impl.h"
#include "base/strings.h"
#include "engine/speculation.h"

namespace andiron::v1 {

namespace {

FinishReason public_reason(andiron::FinishReason reason) {
  switch (reason) {
    case andiron::FinishReason::kStop: return FinishReason::kStop;
    case andiron::FinishReason::kStopString: return FinishReason::kStopText;
    case andiron::FinishReason::kLength: return FinishReason::kLength;
    case andiron::FinishReason::kContext: return FinishReason::kContext;
    case andiron::FinishReason::kCancelled: break;
  }
  return FinishReason::kCancelled;
}

// Hands an answer's events on and keeps what came.
class Collector {
 public:
  Collector(Answer& answer, const std::function<bool(const Token&)>& on_token) : answer_(answer), on_token_(on_token) {}

  bool take(const TokenEvent& event) {
    answer_.text += event.text;
    if (event.token != Tokenizer::kNone) answer_.tokens.push_back(event.token);
    if (!on_token_) return true;
    Token token;
    token.id = event.token;
    token.text = event.text;
    if (event.logprobs != nullptr) {
      token.logprob = event.logprobs->chosen.logprob;
      top_.clear();
      for (const auto& entry : event.logprobs->top) top_.push_back({entry.token, entry.logprob});
      token.top = top_;
    }
    return on_token_(token);
  }

 private:
  Answer& answer_;
  const std::function<bool(const Token&)>& on_token_;
  std::vector<TokenLogprob> top_;
};

}  // namespace

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::create(const Model& model, const SessionOptions& options) {
  TRY_ASSIGN(const int threads, resolve_threads(options.threads));
  auto team = std::make_unique<ThreadTeam>(threads);
  andiron::SessionOptions inner;
  inner.context = options.context;
  inner.kv_format = options.cache_format == CacheFormat::kQ8_0 ? kKvQ8_0 : kKvF16;
  TRY_ASSIGN(auto session, andiron::Session::create(model.impl_->model, model.tokenizer().impl_->tokenizer,
                                                    *model.impl_->kernels, *team, inner));
  return Session(std::make_unique<Impl>(Impl{model, std::move(team), std::move(session)}));
}

Result<PromptReport> Session::set_prompt(std::span<const int32_t> tokens, const std::atomic<bool>* cancel,
                                         const std::function<void(int64_t done, int64_t total)>& progress) {
  const int64_t vocabulary = impl_->model.info().vocabulary;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= 0 && tokens[i] < vocabulary) continue;
    return make_error("token {} of the prompt is {}; this model has tokens 0 to {}", i, tokens[i], vocabulary - 1);
  }
  TRY_ASSIGN(const PrefillReport inner, impl_->session->prefill(tokens, {cancel, progress}));
  PromptReport report;
  report.tokens = inner.tokens;
  report.reused = inner.reused;
  report.ms = inner.ms;
  report.cancelled = inner.cancelled;
  return report;
}

Result<Answer> Session::generate(const GenerateOptions& options, const std::function<bool(const Token&)>& on_token) {
  andiron::GenerateOptions inner;
  PromptLookup lookup;
  inner.sampling = options.sampling;
  inner.tokens_max = options.tokens_max;
  inner.stop = options.stop;
  inner.ignore_end = options.ignore_end;
  inner.show_special = options.show_special;
  inner.strip_first_space = options.begins_text;
  inner.logprobs_top = options.logprobs;
  inner.draft = options.prompt_lookup ? &lookup : nullptr;
  inner.cancel = options.cancel;
  Answer answer;
  Collector collector(answer, on_token);
  TRY_ASSIGN(GenerateReport report,
             impl_->session->generate(inner, [&](const TokenEvent& event) { return collector.take(event); }));
  answer.reason = public_reason(report.reason);
  answer.stop_text = std::move(report.stop_string);
  answer.first_token_ms = report.first_token_ms;
  answer.decode_ms = report.decode_ms;
  return answer;
}

int64_t Session::context() const { return impl_->session->context(); }
std::span<const int32_t> Session::tokens() const { return impl_->session->tokens(); }

}  // namespace andiron::v1
