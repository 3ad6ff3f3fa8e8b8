// Session: one conversation with one model.
//
//   auto session = andiron::Session::create(model);
//   auto prompt = session->set_prompt(model.tokenizer().encode("Once upon a time"));
//   auto answer = session->generate({.tokens_max = 100}, [](const andiron::Token& token) {
//     std::cout << token.text << std::flush;
//     return true;
//   });
//
// Legal order of calls: create, then set_prompt and generate in turns. set_prompt takes the whole conversation each
// time and computes only what differs from what the session holds. A prompt that does not fit is refused with the
// numbers, never cut.
//
// The same model, prompt and options (the seed among them) give the same tokens, whatever the number of threads.
// One thread at a time; the session's own threads work inside its calls only. `cancel` flags may be set from any
// thread, callbacks are called on the calling one; a callback must not throw and must not call the session.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "andiron/model.h"
#include "andiron/result.h"
#include "andiron/sampling.h"
#include "andiron/version.h"

namespace andiron::ANDIRON_V1 {

// How a session remembers: kQ8_0 takes a little over half the memory of kF16 and changes answers slightly.
enum class CacheFormat : uint8_t { kF16, kQ8_0 };

struct SessionOptions {
  // Tokens of prompt and answer together. Default 0: what the model was trained with, or what half of the free memory
  // can hold if that is less. More than the model was trained with is allowed; answers get worse there.
  int64_t context = 0;
  CacheFormat cache_format = CacheFormat::kF16;
  // Default 0: one for each processor this process may use. The caller's thread is one of them.
  int threads = 0;
};

struct PromptReport {
  int64_t tokens = 0;
  int64_t reused = 0;  // of these, already computed for an earlier prompt
  double ms = 0;
  bool cancelled = false;  // nothing can be generated then; set a prompt again
};

struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;  // natural logarithm of the model's own probability, before any sampling option
};

// One step of an answer.
struct Token {
  int32_t id = 0;  // Tokenizer::kNone: only text that had been held back
  // What may be shown now: whole UTF-8 sequences, and nothing that might belong to a stop text; often "". It comes from
  // a model: escape control characters before a terminal sees it. Valid during the call.
  std::string_view text;
  // With GenerateOptions::logprobs only.
  float logprob = 0;
  std::span<const TokenLogprob> top;  // falling; valid during the call
};

struct GenerateOptions {
  SamplerOptions sampling;
  // Default -1: until the model stops or the context is full.
  int64_t tokens_max = -1;
  // The answer ends before the first of these texts. Default none.
  std::vector<std::string> stop;
  // The answer is a text of its own, as in a chat, and does not go on inside another: the space that some models put
  // before a text's first word is not shown. Default off.
  bool begins_text = false;
  // Go on after the token that ends an answer, for measuring. Default off.
  bool ignore_end = false;
  // Show the text of control tokens too. Default off.
  bool show_special = false;
  // Default -1: no log-probabilities; 0: of the chosen token; n: also of the n most likely. Costs a pass over the
  // vocabulary for each token.
  int32_t logprobs = -1;
  // Guess tokens from what the conversation already says and check several in one pass: the same text, sooner where
  // it repeats (rewriting, quoting, code), a little later where it does not. Default off.
  bool prompt_lookup = false;
  // Looked at before every token; setting it ends the answer. Default none.
  const std::atomic<bool>* cancel = nullptr;
};

// Why an answer ended: the model ended it; a stop text was found; tokens_max; the context is full; `cancel` was set or
// the callback returned false.
enum class FinishReason : uint8_t { kStop, kStopText, kLength, kContext, kCancelled };

struct Answer {
  std::string text;
  std::vector<int32_t> tokens;  // with the one that ended it
  FinishReason reason = FinishReason::kStop;
  std::string stop_text;      // the one that was found
  double first_token_ms = 0;  // from the beginning of set_prompt
  double decode_ms = 0;       // of all tokens but the first
};

class Session {
 public:
  // The session keeps the model alive.
  static Result<Session> create(const Model& model, const SessionOptions& options = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Makes `tokens` (at least one) the conversation so far. `progress` is told the tokens done and in all. After an
  // Error about the tokens themselves the session is as it was.
  Result<PromptReport> set_prompt(std::span<const int32_t> tokens, const std::atomic<bool>* cancel = nullptr,
                                  const std::function<void(int64_t done, int64_t total)>& progress = {});

  // Continues the conversation; `on_token` may be empty and returns false to stop. The answer becomes part of the
  // conversation; to go on after it, set a prompt that begins with tokens().
  Result<Answer> generate(const GenerateOptions& options = {}, const std::function<bool(const Token&)>& on_token = {});

  int64_t context() const;
  // Prompt and answers so far; valid until the next call.
  std::span<const int32_t> tokens() const;

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace andiron::ANDIRON_V1
