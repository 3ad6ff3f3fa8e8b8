// Speculation: guess the next tokens cheaply, check them all in one run of the model.
//
// A token costs a pass over all weights, and rows that share a pass cost far less than as many passes: the
// kStreamTokensMax (8) rows of kernels/kernel_table.h about 2 to 2.5 times what one does. So tokens guessed by
// something cheap are verified together, and every right guess saves a pass. The text is the same as without: a guess
// is kept only when the sampler, given the model's own logits at that position, chooses the same token; and those
// logits are the same bits in a batch as alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"
#include "kernels/kernel_table.h"
#include "model/forward.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace andiron {

// Most guesses verified in one run.
inline constexpr int64_t kDraftTokensMax = 15;

// Guesses what comes next. One conversation, one thread.
class DraftSource {
 public:
  virtual ~DraftSource() = default;
  // Up to `count` guesses for what follows `tokens` (the whole sequence so far; not empty). The span is valid until
  // the next call. None is a good answer: a wrong guess costs time.
  virtual Result<std::span<const int32_t>> propose(std::span<const int32_t> tokens, int64_t count) = 0;
};

// Prompt lookup (Saxena 2023, "Prompt Lookup Decoding"): where the last tokens occurred before, what followed them then
// is the guess. The longest match wins, of those the most recent. Where nothing matches because a word has just been
// replaced, the guess goes on in step with the text followed before, as long as half of the last tokens agree with it.
// Good for rewriting, quoting, code; costs nothing.
class PromptLookup : public DraftSource {
 public:
  // A shorter match than `match_min` tokens is no reason to guess; longer than `match_max` is not looked for.
  explicit PromptLookup(int64_t match_min = 2, int64_t match_max = 16);
  Result<std::span<const int32_t>> propose(std::span<const int32_t> tokens, int64_t count) override;

 private:
  // Where the text that was followed last goes on, or 0.
  int64_t aligned(std::span<const int32_t> tokens) const;

  int64_t match_min_, match_max_;
  int64_t offset_ = 0;  // how far back that text lies
};

// A small model with the same vocabulary guesses for a large one.
class DraftModel : public DraftSource {
 public:
  // Nothing is guessed once the text holds a token that `draft` lacks (models of one family differ in how many rows
  // their embeddings are padded to). What it runs on must outlive this. `context`: positions the large model's cache
  // has.
  static Result<std::unique_ptr<DraftModel>> create(std::shared_ptr<const Model> draft, const KernelTable& kernels,
                                                    ThreadTeam& team, int64_t context);
  Result<std::span<const int32_t>> propose(std::span<const int32_t> tokens, int64_t count) override;

 private:
  DraftModel(std::shared_ptr<const Model> model, std::unique_ptr<Forward> forward, KvCache cache);
  Result<bool> catch_up(std::span<const int32_t> tokens);

  std::shared_ptr<const Model> model_;
  std::unique_ptr<Forward> forward_;
  KvCache cache_;
  std::vector<int32_t> cached_;  // the tokens in cache_
  std::vector<int32_t> guesses_;
};

// How many tokens to guess next. As many as one pass streams with the token before them; more after several runs
// without a wrong guess, fewer after a run in which most were wrong.
class DraftLength {
 public:
  int64_t next() const { return length_; }
  void record(int64_t proposed, int64_t accepted);

 private:
  static constexpr int64_t kUsual = kStreamTokensMax - 1;
  static constexpr int64_t kShort = 3;
  // Runs without a wrong guess before guesses go beyond what one pass streams.
  static constexpr int64_t kFaultlessMin = 2;
  int64_t length_ = kUsual;
  int64_t faultless_ = 0;
};

}  // namespace andiron
