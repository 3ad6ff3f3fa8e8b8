// From an answer to what the client of each API reads: whole, or as a stream.
//
//   auto writer = make_answer_writer(ask.answer, head, ask.echo);
//   reply->write(writer->begin(prompt_tokens));
//   reply->write(writer->add(choice, parts, scores));   // as often as something came
//   reply->write(writer->end_choice(choice, end));
//   reply->write(writer->end(usage));
//
// or, once everything is there, reply->send(200, "application/json", writer->whole(choices, usage).dump()). Pure: no
// clock, no chance, no socket; what is the same for both ways is written by the same code. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/session.h"
#include "serve/api_ask.h"
#include "serve/tool_calls.h"

namespace andiron {

// A token with its text, which may be a part of a character.
struct ScoredToken {
  std::string bytes;
  double logprob = 0;
};

struct TokenScore {
  ScoredToken chosen;
  std::vector<ScoredToken> top;
};

struct AnswerHead {
  std::string id;       // letters and digits, unique; each API puts its own prefix in front
  int64_t created = 0;  // seconds since 1970
  std::string model;    // as the client named it
  // What would have to be the same for the same seed to give the same answer.
  std::string fingerprint;
};

struct AnswerUsage {
  int64_t prompt = 0;
  int64_t prompt_reused = 0;
  int64_t generated = 0;  // of all choices
  int64_t thinking = 0;   // of these, within reasoning
  double prompt_ms = 0, decode_ms = 0, total_ms = 0;
};

struct ChoiceEnd {
  FinishReason reason = FinishReason::kStop;
  std::string stop_string;
};

// One answer, put together from its parts.
struct AnswerChoice {
  struct Block {
    AnswerPart::Kind kind = AnswerPart::Kind::kText;  // never kArguments
    std::string text;                                 // of a call: its arguments
    std::string id, name;                             // of a call
  };
  std::vector<Block> blocks;  // in order
  std::vector<TokenScore> scores;
  ChoiceEnd end;

  void add(std::span<const AnswerPart> parts);
  std::string text() const;      // of all blocks of text
  std::string thinking() const;  // of all blocks of reasoning
  bool has_calls() const;
};

class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;

  // "text/event-stream" or "application/x-ndjson".
  virtual std::string_view stream_type() const { return "text/event-stream"; }
  virtual std::string begin(int64_t prompt_tokens) = 0;
  virtual std::string add(int32_t choice, std::span<const AnswerPart> parts, std::span<const TokenScore> scores) = 0;
  virtual std::string end_choice(int32_t choice, const ChoiceEnd& end) = 0;
  virtual std::string end(const AnswerUsage& usage) = 0;

  virtual Json whole(std::span<const AnswerChoice> choices, const AnswerUsage& usage) = 0;
};

// `echo` is ChatAsk::echo.
std::unique_ptr<AnswerWriter> make_answer_writer(const AnswerAsk& ask, AnswerHead head, Json echo = Json::object(),
                                                 bool show_thinking = true);

// OpenAI's list of embeddings and Ollama's; `base64` as the request asked.
Json openai_embeddings(std::string_view model, std::span<const std::vector<float>> vectors, bool base64,
                       int64_t prompt_tokens);
Json ollama_embeddings(std::string_view model, std::span<const std::vector<float>> vectors, int64_t prompt_tokens,
                       double total_ms);

// What /tokenize answers. `pieces` is empty where they were not asked for.
Json tokenize_answer(std::span<const int32_t> ids, std::span<const std::string_view> pieces);

// "2026-11-23T01:02:03Z"
std::string utc_time(int64_t seconds);

}  // namespace andiron
