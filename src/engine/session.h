// Session: one conversation with one model.
//
//   TRY_ASSIGN(auto session, Session::create(model, tokenizer, kernels, team, options));
//   TRY_ASSIGN(auto prompt, session->prefill(tokens, {}));   // as often as the conversation changes
//   TRY_ASSIGN(auto answer, session->generate(options, [](const TokenEvent& e) { print(e.text); return true; }));
//
// prefill() takes the whole conversation each time and computes only what differs from what is cached, so whoever calls
// it renders the chat anew for every turn and pays only for the new part. A prompt that does not fit is refused with
// the numbers, never cut.
// One thread at a time; `cancel` may be set from any other. In steady state a generated token allocates no memory.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"
#include "engine/answer_state.h"
#include "engine/speculation.h"
#include "kernels/kernel_table.h"
#include "model/adapter_stack.h"
#include "model/forward.h"
#include "model/kv_cache.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace andiron {

struct SessionOptions {
  // Positions: prompt and answers together. 0: the trained length, or what half of the free memory can hold if that is
  // less. More than the trained length is allowed; models get worse there.
  int64_t context = 0;
  KvFormat kv_format = kKvF16;
  // Tokens of a prompt per run. Default 512: more is hardly faster and costs memory.
  int64_t chunk = 512;
};

struct PrefillOptions {
  const std::atomic<bool>* cancel = nullptr;  // looked at before every chunk
  // Called after every chunk; the tokens that were cached already count as done.
  std::function<void(int64_t done, int64_t total)> progress = {};
};

struct PrefillReport {
  int64_t tokens = 0;  // of the prompt
  int64_t reused = 0;  // of these, found in the cache
  double ms = 0;
  bool cancelled = false;  // nothing may be generated then
};

struct GenerateReport {
  FinishReason reason = FinishReason::kStop;
  std::string stop_string;    // the one that was found
  int64_t tokens = 0;         // generated, an ending token included
  double first_token_ms = 0;  // from the beginning of the last prefill() to the first token
  double decode_ms = 0;       // of all tokens but the first, which the prefill paid for
  int64_t runs = 0;           // of the model, for these
  int64_t drafted = 0;        // tokens guessed
  int64_t draft_accepted = 0;

  // Tokens per second after the first; 0 when there was only one.
  double tokens_per_s() const { return decode_ms > 0 ? 1000.0 * static_cast<double>(tokens - 1) / decode_ms : 0; }
};

class Session {
 public:
  // `tokenizer`, `kernels` and `team` must outlive it.
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model, const Tokenizer& tokenizer,
                                                 const KernelTable& kernels, ThreadTeam& team,
                                                 const SessionOptions& options = {});

  // Makes `tokens` (at least one) the conversation so far.
  Result<PrefillReport> prefill(std::span<const int32_t> tokens, const PrefillOptions& options);

  // Continues it. Legal after a prefill() that was not cancelled. `on_token` may be empty; returning false cancels.
  // The last event of an answer may bring text that had been held back, with token -1.
  Result<GenerateReport> generate(const GenerateOptions& options, const OnToken& on_token);

  // The adapters of everything from the next prefill() on; null: none. What was cached is forgotten.
  void wear(std::shared_ptr<const AdapterStack> adapters);

  const Model& model() const { return *model_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  int64_t context() const { return cache_.capacity(); }
  // Prompt and generated tokens.
  std::span<const int32_t> tokens() const { return tokens_; }

 private:
  struct Run;  // what one generate() carries along

  Session(std::shared_ptr<const Model> model, const Tokenizer& tokenizer, std::unique_ptr<Forward> forward,
          KvCache cache);
  const DeltaTable* deltas() const { return adapters_ != nullptr ? &adapters_->deltas() : nullptr; }
  std::span<const float> logits(int64_t row) const;
  Status take_token(Run& run, int64_t row);
  Status fill_batch(Run& run);
  Status advance(Run& run);

  std::shared_ptr<const Model> model_;
  const Tokenizer& tokenizer_;
  std::unique_ptr<Forward> forward_;
  KvCache cache_;
  // The conversation. The cache holds a leading part of it: all, or all but the token sampled last.
  std::vector<int32_t> tokens_;
  std::vector<int32_t> batch_;  // the rows of a decoding run
  std::shared_ptr<const AdapterStack> adapters_;
  bool ready_ = false;  // the forward's logits belong to the last token
  std::chrono::steady_clock::time_point prefill_begin_;
};

// The context a session gets by default (SessionOptions::context == 0).
int64_t default_context(const ModelConfig& config, KvFormat format);
// What a session runs at once, with that context and chunk.
ForwardLimits session_limits(int64_t context, int64_t chunk);

}  // namespace andiron
