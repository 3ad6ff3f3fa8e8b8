#include "engine/answer_state.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "sample/sampler_options.h"

namespace andiron {

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

int32_t choosable_tokens(const Model& model, const Tokenizer& tokenizer) {
  return static_cast<int32_t>(std::min<int64_t>(model.config().vocabulary, tokenizer.vocab_size()));
}

Status check_prompt(size_t tokens, int64_t context, int64_t answer_min, const ModelConfig& config) {
  if (tokens == 0) return make_error("the prompt is empty: it needs at least one token");
  const auto needed = static_cast<int64_t>(tokens) + answer_min;
  if (needed <= context) return {};
  const std::string answer =
      answer_min > 0 ? format(", of which an answer needs at least {}", answer_min) : std::string();
  return make_error(
      "the prompt has {} and does not fit: the context holds {}{}. Shorten the prompt by {}, or ask for a larger "
      "context (this model was trained for {})",
      counted(static_cast<int64_t>(tokens), "token"), human_count(context), answer, counted(needed - context, "token"),
      human_count(config.context));
}

Status check_options(const GenerateOptions& options, const Model& model, const Tokenizer& tokenizer) {
  if (options.grammar != nullptr && options.ignore_end) {
    return make_error("an answer that a grammar ends cannot go on behind its end");
  }
  const auto valid = validate(options.sampling, choosable_tokens(model, tokenizer));
  return valid.ok() ? Status() : Status(valid.error());
}

AnswerState::AnswerState(const Model& model, const Tokenizer& tokenizer, const GenerateOptions& options,
                         Sampler sampler)
    : model_(model),
      tokenizer_(tokenizer),
      options_(options),
      sampler_(std::move(sampler)),
      decoder_(
          tokenizer,
          {.show_special = options.show_special, .strip_first_space = options.strip_first_space, .is_answer = true}),
      stop_(options.stop),
      choosable_(choosable_tokens(model, tokenizer)) {
  if (options.grammar != nullptr) matcher_.emplace(options.grammar);
}

Result<std::unique_ptr<AnswerState>> AnswerState::begin(const Model& model, const Tokenizer& tokenizer,
                                                        const GenerateOptions& options,
                                                        std::span<const int32_t> prompt) {
  TRY(check_options(options, model, tokenizer));
  const int32_t choosable = choosable_tokens(model, tokenizer);
  TRY_ASSIGN(auto sampler, Sampler::create(options.sampling, choosable));
  for (const int32_t token : prompt) {
    if (token < choosable) sampler.accept(token);
  }
  std::unique_ptr<AnswerState> answer(new AnswerState(model, tokenizer, options, std::move(sampler)));
  if (options.tokens_max == 0) {
    answer->finish(FinishReason::kLength);
  } else if (answer->matcher_ && answer->matcher_->must_end()) {
    answer->finish(FinishReason::kStop);
  }
  return answer;
}

// What the grammar allows; empty without one.
Result<std::span<const uint64_t>> AnswerState::mask() {
  if (!matcher_) return std::span<const uint64_t>();
  TRY_ASSIGN(const auto mask, matcher_->mask());
  if (std::any_of(mask.begin(), mask.end(), [](uint64_t word) { return word != 0; })) return mask;
  return make_error("{}: no token of this model's vocabulary can go on here as the grammar demands",
                    options_.grammar->source());
}

Result<int32_t> AnswerState::choose(std::span<const float> logits) {
  TRY_ASSIGN(const auto allowed, mask());
  const int32_t token = sampler_.sample(logits.first(static_cast<size_t>(choosable_)), allowed);
  if (token == Sampler::kNoToken) {
    return make_error(
        "{}: the model gives no token{} a chance (its numbers are NaN, or a bias forbids what is left); the file is "
        "damaged or the model needs wider numbers than it was given",
        model_.source().path(), matcher_ ? " that the grammar allows" : "");
  }
  sampler_.accept(token);
  if (matcher_) TRY(matcher_->accept(token));
  ++tokens_;
  return token;
}

void AnswerState::emit(int32_t token, std::span<const float> logits, bool is_full, const OnToken& on_token) {
  TokenEvent event;
  event.token = token;
  text_.clear();
  decoder_.push(token, text_);
  event.text = stop_.push(text_);
  if (options_.logprobs_top >= 0) {
    logprobs(logits.first(static_cast<size_t>(choosable_)), token, options_.logprobs_top, logprobs_);
    event.logprobs = &logprobs_;
  }
  if (on_token && !on_token(event)) finish(FinishReason::kCancelled);
  if (stop_.stopped()) finish(FinishReason::kStopString);
  if (done_) return;
  const bool is_end = tokenizer_.is_end_of_generation(token) && !options_.ignore_end;
  if (is_end || (matcher_ && matcher_->must_end())) {
    finish(FinishReason::kStop);
  } else if (tokens_ == options_.tokens_max) {
    finish(FinishReason::kLength);
  } else if (is_full) {
    finish(FinishReason::kContext);
  }
}

void AnswerState::finish(FinishReason reason) {
  reason_ = reason;
  done_ = true;
}

void AnswerState::flush(const OnToken& on_token) {
  if (stop_.stopped()) return;
  text_ = stop_.push(decoder_.finish());
  text_ += stop_.finish();
  if (!text_.empty() && on_token) on_token({.token = -1, .text = text_, .logprobs = nullptr});
}

}  // namespace andiron
