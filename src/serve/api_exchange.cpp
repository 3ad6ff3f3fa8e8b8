#include "serve/api_exchange.h"

#include <algorithm>
#include <utility>

namespace andiron {

Exchange::Exchange(ExchangeOptions options)
    : options_(std::move(options)),
      writer_(make_answer_writer(options_.ask, options_.head, options_.echo, options_.show_thinking)) {
  const size_t count = options_.prompts.size() * static_cast<size_t>(options_.ask.choices);
  for (size_t i = 0; i < count; ++i) {
    AnswerSplitter::Options splitter = options_.splitter;
    splitter.id_seed += i << 32;  // calls of two choices have different ids
    choices_.push_back({AnswerSplitter(options_.style, std::move(splitter)), {}});
  }
}

std::string_view Exchange::content_type() const {
  return options_.ask.stream ? writer_->stream_type() : "application/json";
}

std::string Exchange::begin(int64_t prompt_tokens) {
  std::string out = options_.ask.stream ? writer_->begin(prompt_tokens) : "";
  for (int32_t i = 0; i < choices(); ++i) {
    const std::string& prompt = options_.prompts[static_cast<size_t>(i / options_.ask.choices)];
    if (!prompt.empty()) out += pass(i, {{AnswerPart::Kind::kText, prompt, ""}}, {});
  }
  return out;
}

std::vector<TokenScore> Exchange::scores_of(const TokenEvent& event) const {
  if (event.logprobs == nullptr || options_.ask.logprobs_top < 0) return {};
  const auto scored = [&](const TokenLogprob& one) {
    return ScoredToken{std::string(options_.piece ? options_.piece(one.token) : ""), static_cast<double>(one.logprob)};
  };
  TokenScore score = {scored(event.logprobs->chosen), {}};
  for (const TokenLogprob& one : event.logprobs->top) score.top.push_back(scored(one));
  return {std::move(score)};
}

std::string Exchange::pass(int32_t choice, const std::vector<AnswerPart>& parts, std::vector<TokenScore> scores) {
  if (parts.empty() && scores.empty()) return {};
  if (options_.ask.stream) return writer_->add(choice, parts, scores);
  AnswerChoice& answer = choices_[static_cast<size_t>(choice)].answer;
  answer.add(parts);
  answer.scores.insert(answer.scores.end(), scores.begin(), scores.end());
  return {};
}

std::string Exchange::on_token(int32_t choice, const TokenEvent& event) {
  AnswerSplitter& splitter = choices_[static_cast<size_t>(choice)].splitter;
  std::vector<AnswerPart> parts;
  splitter.push(event.text, parts);
  if (splitter.thinking() && event.token >= 0) ++usage_.thinking;
  return pass(choice, parts, scores_of(event));
}

std::string Exchange::on_end(int32_t choice, const ChoiceReport& report) {
  Choice& ended = choices_[static_cast<size_t>(choice)];
  ++ended_;
  usage_.generated += report.tokens;
  usage_.decode_ms = std::max(usage_.decode_ms, report.decode_ms);
  usage_.prompt_ms = std::max(usage_.prompt_ms, report.prompt_ms);
  if (choice % options_.ask.choices == 0) {  // a prompt counts once
    usage_.prompt += report.prompt_tokens;
    usage_.prompt_reused += report.prompt_reused;
  }
  ChoiceEnd end = {report.reason, report.stop_string};
  if (report.reason == FinishReason::kCancelled && ended.splitter.done()) end.reason = FinishReason::kStop;
  std::vector<AnswerPart> parts;
  ended.splitter.finish(parts);
  std::string out = pass(choice, parts, {});
  ended.answer.end = end;
  if (options_.ask.stream) out += writer_->end_choice(choice, end);
  return out;
}

std::string Exchange::finish(double total_ms) {
  usage_.total_ms = total_ms;
  if (options_.ask.stream) return writer_->end(usage_);
  std::vector<AnswerChoice> answers;
  for (Choice& choice : choices_) answers.push_back(std::move(choice.answer));
  return writer_->whole(answers, usage_).dump();
}

}  // namespace andiron
