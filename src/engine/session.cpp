#include "engine/session.h"

#include <algorithm>

#include "base/cpu_info.h"
#include "base/strings.h"

namespace andiron {

namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

bool is_set(const std::atomic<bool>* flag) { return flag != nullptr && flag->load(std::memory_order_relaxed); }

}  // namespace

int64_t default_context(const ModelConfig& config, KvFormat format) {
  const uint64_t per_position = std::max<uint64_t>(1, kv_bytes_per_position(config, format));
  const auto affordable = static_cast<int64_t>(memory_available_bytes() / 2 / per_position);
  return std::clamp<int64_t>(affordable, std::min<int64_t>(512, config.context), config.context);
}

ForwardLimits session_limits(int64_t context, int64_t chunk) {
  return {
      .rows = std::max(std::min(chunk, context), kDraftTokensMax + 1),
      .logit_rows = kDraftTokensMax + 1,
      .sequences = 1,
  };
}

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model, const Tokenizer& tokenizer,
                                                 const KernelTable& kernels, ThreadTeam& team,
                                                 const SessionOptions& options) {
  if (options.context < 0 || options.chunk < 1) {
    return make_error("a session needs a context of at least 1 and a chunk of at least 1; got {} and {}",
                      options.context, options.chunk);
  }
  const int64_t context = options.context > 0 ? options.context : default_context(model->config(), options.kv_format);
  TRY_ASSIGN(auto cache, KvCache::create(*model, context, options.kv_format));
  TRY_ASSIGN(auto forward, Forward::create(*model, kernels, team, session_limits(context, options.chunk)));
  return std::unique_ptr<Session>(new Session(std::move(model), tokenizer, std::move(forward), std::move(cache)));
}

Session::Session(std::shared_ptr<const Model> model, const Tokenizer& tokenizer, std::unique_ptr<Forward> forward,
                 KvCache cache)
    : model_(std::move(model)), tokenizer_(tokenizer), forward_(std::move(forward)), cache_(std::move(cache)) {
  tokens_.reserve(static_cast<size_t>(cache_.capacity()));
  batch_.reserve(kDraftTokensMax + 1);
}

void Session::wear(std::shared_ptr<const AdapterStack> adapters) {
  adapters_ = std::move(adapters);
  tokens_.clear();
  cache_.truncate(0);
  ready_ = false;
}

Result<PrefillReport> Session::prefill(std::span<const int32_t> tokens, const PrefillOptions& options) {
  prefill_begin_ = Clock::now();
  TRY(check_prompt(tokens.size(), context(), 1, model_->config()));
  ready_ = false;
  // The last token is always computed: its logits are wanted.
  size_t same = 0;
  const size_t cached = std::min(tokens_.size(), static_cast<size_t>(cache_.length()));
  while (same < cached && same < tokens.size() - 1 && tokens_[same] == tokens[same]) ++same;
  cache_.truncate(static_cast<int64_t>(same));
  tokens_.resize(same);

  PrefillReport report;
  report.tokens = static_cast<int64_t>(tokens.size());
  report.reused = static_cast<int64_t>(same);
  const auto chunk = static_cast<size_t>(forward_->limits().rows);
  while (tokens_.size() < tokens.size()) {
    if (is_set(options.cancel)) {
      report.cancelled = true;
      break;
    }
    const auto next = tokens.subspan(tokens_.size(), std::min(chunk, tokens.size() - tokens_.size()));
    const bool last = tokens_.size() + next.size() == tokens.size();
    const Sequence sequence = {&cache_, next, last ? LogitRows::kLast : LogitRows::kNone, deltas()};
    TRY(forward_->run({&sequence, 1}));
    tokens_.insert(tokens_.end(), next.begin(), next.end());
    if (options.progress) options.progress(static_cast<int64_t>(tokens_.size()), report.tokens);
  }
  ready_ = !report.cancelled;
  report.ms = ms_since(prefill_begin_);
  return report;
}

struct Session::Run {
  const GenerateOptions& options;
  const OnToken& on_token;
  std::unique_ptr<AnswerState> answer;
  DraftLength draft_length = {};
  GenerateReport report = {};
};

std::span<const float> Session::logits(int64_t row) const {
  return {forward_->logits().row(row), static_cast<size_t>(model_->config().vocabulary)};
}

// Chooses the token that follows logits row `row` and appends it.
Status Session::take_token(Run& run, int64_t row) {
  TRY_ASSIGN(const int32_t token, run.answer->choose(logits(row)));
  tokens_.push_back(token);
  if (run.answer->tokens() == 1) run.report.first_token_ms = ms_since(prefill_begin_);
  run.answer->emit(token, logits(row), static_cast<int64_t>(tokens_.size()) == context(), run.on_token);
  return {};
}

// The guesses for the next run, behind the last token in batch_.
Status Session::fill_batch(Run& run) {
  batch_.assign(1, tokens_.back());
  if (run.options.draft == nullptr) return {};
  int64_t count = std::min(run.draft_length.next(), context() - static_cast<int64_t>(tokens_.size()));
  if (run.options.tokens_max >= 0) count = std::min(count, run.options.tokens_max - run.answer->tokens() - 1);
  if (count <= 0) return {};
  TRY_ASSIGN(const auto guesses, run.options.draft->propose(tokens_, count));
  for (const int32_t guess : guesses) {
    if (guess < 0 || guess >= model_->config().vocabulary) break;  // a draft model with a larger vocabulary
    batch_.push_back(guess);
  }
  run.report.drafted += static_cast<int64_t>(batch_.size()) - 1;
  return {};
}

// One run of the model: at least one token more.
Status Session::advance(Run& run) {
  TRY(fill_batch(run));
  const Sequence sequence = {&cache_, batch_, LogitRows::kAll, deltas()};
  TRY(forward_->run({&sequence, 1}));
  ++run.report.runs;
  const auto guesses = static_cast<int64_t>(batch_.size()) - 1;
  int64_t accepted = 0;
  while (true) {
    TRY(take_token(run, accepted));
    if (run.answer->done() || accepted == guesses || tokens_.back() != batch_[static_cast<size_t>(accepted) + 1]) break;
    ++accepted;
  }
  // Wrong guesses leave the cache; the token chosen last is not in it yet.
  cache_.truncate(static_cast<int64_t>(tokens_.size()) - 1);
  run.report.draft_accepted += accepted;
  run.draft_length.record(guesses, accepted);
  return {};
}

Result<GenerateReport> Session::generate(const GenerateOptions& options, const OnToken& on_token) {
  if (!ready_) return make_error("nothing to continue: the last prompt was not finished");
  ready_ = false;
  TRY_ASSIGN(auto answer, AnswerState::begin(*model_, tokenizer_, options, tokens_));
  Run run = {options, on_token, std::move(answer)};
  if (!run.answer->done()) TRY(take_token(run, 0));
  const auto decode_begin = Clock::now();
  while (!run.answer->done()) {
    if (is_set(options.cancel)) {
      run.answer->finish(FinishReason::kCancelled);
      break;
    }
    TRY(advance(run));
  }
  run.report.reason = run.answer->reason();
  run.report.stop_string = run.answer->stop_string();
  run.report.tokens = run.answer->tokens();
  run.report.decode_ms = run.report.tokens > 1 ? ms_since(decode_begin) : 0;
  run.answer->flush(on_token);
  return run.report;
}

}  // namespace andiron
