// One request's answer on its way: from the engine's tokens to what is written to the client, as a stream or whole.
//
// Each choice (each of `n` answers to each prompt) is split by itself; they may come in any order, mixed. Pure: whoever
// calls it knows the clock and the socket. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/session.h"
#include "serve/answer_splitter.h"
#include "serve/api_answer.h"

namespace andiron {

struct ExchangeOptions {
  AnswerAsk ask;
  AnswerHead head;
  Json echo = Json::object();  // ChatAsk::echo
  bool show_thinking = true;
  AnswerStyle style = {};  // none for text that is gone on with
  AnswerSplitter::Options splitter = {};
  // What the answers to each prompt begin with ("echo" of completions); as many as there are prompts.
  std::vector<std::string> prompts = {""};
  // The bytes of a token (Tokenizer::piece), for log-probabilities.
  std::function<std::string_view(int32_t)> piece = {};
};

struct ChoiceReport {
  FinishReason reason = FinishReason::kStop;
  std::string stop_string;
  int64_t prompt_tokens = 0, prompt_reused = 0, tokens = 0;
  double prompt_ms = 0, decode_ms = 0;
};

class Exchange {
 public:
  explicit Exchange(ExchangeOptions options);

  // Prompts times ask.choices; choice i answers prompt i / ask.choices.
  int32_t choices() const { return static_cast<int32_t>(choices_.size()); }
  std::string_view content_type() const;

  // What is to be written now, where ask.stream; else nothing until whole().
  std::string begin(int64_t prompt_tokens);
  std::string on_token(int32_t choice, const TokenEvent& event);
  std::string on_end(int32_t choice, const ChoiceReport& report);
  // The end of a stream, or the whole answer, once finished(). `total_ms`: since the request came.
  std::string finish(double total_ms);

  bool finished() const { return ended_ == choices_.size(); }
  // A choice has all that was asked for before the model ended it: its generation is to be cancelled.
  bool done(int32_t choice) const { return choices_[static_cast<size_t>(choice)].splitter.done(); }

 private:
  struct Choice {
    AnswerSplitter splitter;
    AnswerChoice answer;
  };

  std::string pass(int32_t choice, const std::vector<AnswerPart>& parts, std::vector<TokenScore> scores);
  std::vector<TokenScore> scores_of(const TokenEvent& event) const;

  ExchangeOptions options_;
  std::unique_ptr<AnswerWriter> writer_;
  std::vector<Choice> choices_;
  AnswerUsage usage_;
  size_t ended_ = 0;
};

}  // namespace andiron
