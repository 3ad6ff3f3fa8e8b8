// What the writers of answers share. Internal to api_write_*.cpp and api_answer.cpp.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "serve/api_answer.h"

namespace andiron {

std::unique_ptr<AnswerWriter> make_openai_chat_writer(const AnswerAsk& ask, AnswerHead head, bool show_thinking);
std::unique_ptr<AnswerWriter> make_openai_completion_writer(const AnswerAsk& ask, AnswerHead head);
std::unique_ptr<AnswerWriter> make_response_writer(const AnswerAsk& ask, AnswerHead head, Json echo);
std::unique_ptr<AnswerWriter> make_anthropic_writer(AnswerHead head, bool show_thinking);
std::unique_ptr<AnswerWriter> make_ollama_writer(const AnswerAsk& ask, AnswerHead head, bool show_thinking);

// {"token", "logprob", "bytes", "top_logprobs": [{"token", "logprob", "bytes"}]}: OpenAI's form.
Json score_json(const TokenScore& score);
Json scores_json(std::span<const TokenScore> scores);

// {"a": 1, "b": 2} in one expression.
template <typename... Pairs>
Json object_of(Pairs&&... pairs) {
  Json out = Json::object();
  (out.set(pairs.first, Json(std::move(pairs.second))), ...);
  return out;
}
template <typename T>
std::pair<const char*, Json> at(const char* key, T&& value) {
  return {key, Json(std::forward<T>(value))};
}

}  // namespace andiron
