// AnswerState: one answer while it is generated, whoever runs the model: what may come next, what is chosen, which text
// may be shown, and when it ends.
//
//   TRY_ASSIGN(auto answer, AnswerState::begin(model, tokenizer, options, prompt));
//   while (!answer->done()) {
//     TRY_ASSIGN(const int32_t token, answer->choose(logits));    // of the last token
//     answer->emit(token, logits, is_full, on_token);
//   }
//   answer->flush(on_token);
//
// One thread at a time. In steady state a token allocates no memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/speculation.h"
#include "engine/stop_text.h"
#include "grammar/token_grammar.h"
#include "model/model.h"
#include "sample/logprobs.h"
#include "sample/sampler.h"
#include "text/tokenizer.h"

namespace andiron {

enum class FinishReason : uint8_t { kStop, kStopString, kLength, kContext, kCancelled };
// "stop" (the model ended its answer), "stop_string", "length" (as many tokens as asked for), "context" (no room left),
// "cancelled".
std::string_view finish_reason_name(FinishReason reason);

struct TokenEvent {
  int32_t token = 0;
  // What may be shown now: whole UTF-8 sequences, nothing that might belong to a stop string. Often "".
  std::string_view text;
  const Logprobs* logprobs = nullptr;  // when asked for; valid during the call
};
// Returning false cancels. May be empty.
using OnToken = std::function<bool(const TokenEvent&)>;

struct GenerateOptions {
  SamplerOptions sampling;
  int64_t tokens_max = -1;  // -1: until the model stops or the context is full
  std::vector<std::string> stop;
  bool ignore_end = false;         // go on after the model's end-of-generation token (for measuring)
  bool show_special = false;       // text of control tokens too
  bool strip_first_space = false;  // the answer begins a text (see Decoder::Options)
  int32_t logprobs_top = -1;       // -1: none; 0: of the chosen token only; n: of the n most likely too
  // What the answer must match, from its first byte on; null: anything. Made for this tokenizer. An end-of-generation
  // token may come where the answer matches, and no other special token ever; where nothing can follow the answer ends
  // by itself, without such a token. ignore_end must be false then.
  std::shared_ptr<const TokenGrammar> grammar;
  // Guesses tokens; null: plain decoding. Must outlive the call.
  DraftSource* draft = nullptr;
  const std::atomic<bool>* cancel = nullptr;  // looked at before every token
};

// Tokens that the model may choose from. An embedding may have more rows than the vocabulary has tokens; the surplus
// means nothing.
int32_t choosable_tokens(const Model& model, const Tokenizer& tokenizer);

// An Error, with the numbers, for a prompt that is empty or does not fit, with `answer_min` tokens behind it.
Status check_prompt(size_t tokens, int64_t context, int64_t answer_min, const ModelConfig& config);
// An Error for options that no answer can have.
Status check_options(const GenerateOptions& options, const Model& model, const Tokenizer& tokenizer);

class AnswerState {
 public:
  // Everything must outlive it. Errors as check_options().
  static Result<std::unique_ptr<AnswerState>> begin(const Model& model, const Tokenizer& tokenizer,
                                                    const GenerateOptions& options, std::span<const int32_t> prompt);

  // The token that follows, of logits [V] as the model gives them; it counts as generated. An Error where none can.
  Result<int32_t> choose(std::span<const float> logits);
  // Tells of the token chosen last, and ends the answer where it ends. `is_full`: the context takes no token more.
  void emit(int32_t token, std::span<const float> logits, bool is_full, const OnToken& on_token);
  void finish(FinishReason reason);
  // At the end: what text had been held back.
  void flush(const OnToken& on_token);

  bool done() const { return done_; }
  FinishReason reason() const { return reason_; }  // once done
  std::string_view stop_string() const { return stop_.found(); }
  int64_t tokens() const { return tokens_; }  // generated so far, an ending token included

 private:
  AnswerState(const Model& model, const Tokenizer& tokenizer, const GenerateOptions& options, Sampler sampler);
  Result<std::span<const uint64_t>> mask();

  const Model& model_;
  const Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  Sampler sampler_;
  Decoder decoder_;
  StopText stop_;
  std::optional<GrammarMatcher> matcher_;
  std::string text_;
  Logprobs logprobs_;
  int32_t choosable_;
  int64_t tokens_ = 0;
  FinishReason reason_ = FinishReason::kStop;
  bool done_ = false;
};

}  // namespace andiron
