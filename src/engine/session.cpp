#include "engine/session.h"

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "base/cpu_info.h"
#include "base/strings.h"
#include "engine/stop_text.h"

namespace andiron {

namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

bool is_set(const std::atomic<bool>* flag) { return flag != nullptr && flag->load(std::memory_order_relaxed); }

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kStopString: return "stop_string";
    case FinishReason::kLength: return "length";
    case FinishReason::kContext: return "context";
    case FinishReason::kCancelled: return "cancelled";
  }
  return "";
}

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

Status Session::check_fits(size_t tokens) const {
  if (tokens == 0) return make_error("the prompt is empty: it needs at least one token");
  const auto needed = static_cast<int64_t>(tokens);
  if (needed < context()) return {};
  return make_error(
      "the prompt has {} and does not fit: the context holds {}, of which an answer needs at least 1. Shorten "
      "the prompt by {}, or ask for a larger context (this model was trained for {})",
      counted(needed, "token"), human_count(context()), counted(needed - context() + 1, "token"),
      human_count(model_->config().context));
}

void Session::wear(std::shared_ptr<const AdapterStack> adapters) {
  adapters_ = std::move(adapters);
  tokens_.clear();
  cache_.truncate(0);
  ready_ = false;
}

Result<PrefillReport> Session::prefill(std::span<const int32_t> tokens, const PrefillOptions& options) {
  prefill_begin_ = Clock::now();
  TRY(check_fits(tokens.size()));
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

struct Session::Answer {
  Answer(const GenerateOptions& generate_options, const std::function<bool(const TokenEvent&)>& callback,
         Sampler token_sampler, const Tokenizer& tokenizer)
      : options(generate_options),
        on_token(callback),
        sampler(std::move(token_sampler)),
        decoder(tokenizer, {.show_special = options.show_special, .strip_first_space = options.strip_first_space}),
        stop(options.stop) {
    if (options.grammar != nullptr) matcher.emplace(options.grammar);
  }

  void finish(FinishReason reason) {
    report.reason = reason;
    done = true;
  }

  const GenerateOptions& options;
  const std::function<bool(const TokenEvent&)>& on_token;
  Sampler sampler;
  Decoder decoder;
  StopText stop;
  std::optional<GrammarMatcher> matcher;
  std::string text;
  Logprobs logprobs;
  DraftLength draft_length;
  GenerateReport report;
  bool done = false;
};

// What the model may choose from. An embedding may have more rows than the vocabulary has tokens; the surplus means
// nothing.
std::span<const float> Session::logits(int64_t row) const {
  const int64_t known = std::min<int64_t>(model_->config().vocabulary, tokenizer_.vocab_size());
  return {forward_->logits().row(row), static_cast<size_t>(known)};
}

void Session::emit(Answer& answer, int32_t token, std::span<const float> row) {
  TokenEvent event;
  event.token = token;
  answer.text.clear();
  answer.decoder.push(token, answer.text);
  event.text = answer.stop.push(answer.text);
  if (answer.options.logprobs_top >= 0) {
    logprobs(row, token, answer.options.logprobs_top, answer.logprobs);
    event.logprobs = &answer.logprobs;
  }
  if (answer.on_token && !answer.on_token(event)) answer.finish(FinishReason::kCancelled);
  if (answer.stop.stopped()) {
    answer.report.stop_string = answer.stop.found();
    answer.finish(FinishReason::kStopString);
  }
}

// The token that follows logits row `row`.
Result<int32_t> Session::choose(Answer& answer, int64_t row) {
  std::span<const uint64_t> mask;
  if (answer.matcher) {
    TRY_ASSIGN(mask, answer.matcher->mask());
    if (std::all_of(mask.begin(), mask.end(), [](uint64_t word) { return word == 0; })) {
      return make_error("{}: no token of this model's vocabulary can go on here as the grammar demands",
                        answer.options.grammar->source());
    }
  }
  const int32_t token = answer.sampler.sample(logits(row), mask);
  if (token != Sampler::kNoToken) return token;
  const std::string_view allowed = answer.matcher ? " that the grammar allows" : "";
  return make_error(
      "{}: the model gives no token{} a chance (its numbers are NaN, or a bias forbids what is left); the file is "
      "damaged or the model needs wider numbers than it was given",
      model_->source().path(), allowed);
}

// Chooses the token that follows logits row `row` and appends it.
Status Session::take_token(Answer& answer, int64_t row) {
  TRY_ASSIGN(const int32_t token, choose(answer, row));
  answer.sampler.accept(token);
  if (answer.matcher) TRY(answer.matcher->accept(token));
  tokens_.push_back(token);
  if (++answer.report.tokens == 1) answer.report.first_token_ms = ms_since(prefill_begin_);
  emit(answer, token, logits(row));
  if (answer.done) return {};
  const bool is_end = tokenizer_.is_end_of_generation(token) && !answer.options.ignore_end;
  if (is_end || (answer.matcher && answer.matcher->must_end())) {
    answer.finish(FinishReason::kStop);
  } else if (answer.report.tokens == answer.options.tokens_max) {
    answer.finish(FinishReason::kLength);
  } else if (static_cast<int64_t>(tokens_.size()) == context()) {
    answer.finish(FinishReason::kContext);
  }
  return {};
}

// The guesses for the next run, behind the last token in batch_.
Status Session::fill_batch(Answer& answer) {
  batch_.assign(1, tokens_.back());
  if (answer.options.draft == nullptr) return {};
  int64_t count = std::min(answer.draft_length.next(), context() - static_cast<int64_t>(tokens_.size()));
  if (answer.options.tokens_max >= 0) count = std::min(count, answer.options.tokens_max - answer.report.tokens - 1);
  if (count <= 0) return {};
  TRY_ASSIGN(const auto guesses, answer.options.draft->propose(tokens_, count));
  for (const int32_t guess : guesses) {
    if (guess < 0 || guess >= model_->config().vocabulary) break;  // a draft model with a larger vocabulary
    batch_.push_back(guess);
  }
  answer.report.drafted += static_cast<int64_t>(batch_.size()) - 1;
  return {};
}

// One run of the model: at least one token more.
Status Session::advance(Answer& answer) {
  TRY(fill_batch(answer));
  const Sequence sequence = {&cache_, batch_, LogitRows::kAll, deltas()};
  TRY(forward_->run({&sequence, 1}));
  ++answer.report.runs;
  const auto guesses = static_cast<int64_t>(batch_.size()) - 1;
  int64_t accepted = 0;
  while (true) {
    TRY(take_token(answer, accepted));
    if (answer.done || accepted == guesses || tokens_.back() != batch_[static_cast<size_t>(accepted) + 1]) break;
    ++accepted;
  }
  // Wrong guesses leave the cache; the token chosen last is not in it yet.
  cache_.truncate(static_cast<int64_t>(tokens_.size()) - 1);
  answer.report.draft_accepted += accepted;
  answer.draft_length.record(guesses, accepted);
  return {};
}

Result<GenerateReport> Session::generate(const GenerateOptions& options,
                                         const std::function<bool(const TokenEvent&)>& on_token) {
  if (!ready_) return make_error("nothing to continue: the last prompt was not finished");
  if (options.grammar != nullptr && options.ignore_end) {
    return make_error("an answer that a grammar ends cannot go on behind its end");
  }
  ready_ = false;
  TRY_ASSIGN(auto sampler, Sampler::create(options.sampling, static_cast<int32_t>(logits(0).size())));
  for (const int32_t token : tokens_) {
    if (token < static_cast<int32_t>(logits(0).size())) sampler.accept(token);
  }
  Answer answer(options, on_token, std::move(sampler), tokenizer_);
  if (options.tokens_max == 0) {
    answer.finish(FinishReason::kLength);
  } else if (answer.matcher && answer.matcher->must_end()) {
    answer.finish(FinishReason::kStop);
  } else {
    TRY(take_token(answer, 0));
  }
  const auto decode_begin = Clock::now();
  while (!answer.done) {
    if (is_set(options.cancel)) {
      answer.finish(FinishReason::kCancelled);
      break;
    }
    TRY(advance(answer));
  }
  answer.report.decode_ms = answer.report.tokens > 1 ? ms_since(decode_begin) : 0;
  if (!answer.stop.stopped()) {  // what had been held back
    answer.text = answer.stop.push(answer.decoder.finish());
    answer.text += answer.stop.finish();
    if (!answer.text.empty() && on_token) on_token({.token = -1, .text = answer.text, .logprobs = nullptr});
  }
  return answer.report;
}

}  // namespace andiron
