// Perplexity: how surprised a model is by a text; and how far a model is from another on the same text.
//
// The scheme is that of llama.cpp's perplexity tool, so that numbers can be compared: the text is one row of tokens,
// cut into windows of `window` tokens that do not overlap (a rest is left out); in each window the first token is
// replaced by the model's bos where it wants one, and the tokens of the second half are scored, each given all before
// it in the window. Perplexity is exp(mean of -log p).
// Against a base model, over the same positions: the mean of KL(base || model), and how often both think the same token
// the likeliest.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "base/thread_team.h"
#include "kernels/kernel_table.h"
#include "model/model.h"
#include "ops/kv_cache.h"
#include "text/tokenizer.h"

namespace andiron {

struct PerplexityOptions {
  int64_t window = 512;     // at least 4
  int64_t windows_max = 0;  // 0: the whole text
  KvFormat kv_format = kKvF16;
  const std::atomic<bool>* cancel = nullptr;  // looked at before every window
  // `perplexity`: so far.
  std::function<void(int64_t done, int64_t total, double perplexity)> progress = {};
};

struct PerplexityReport {
  int64_t windows = 0;
  int64_t tokens = 0;  // scored
  double perplexity = 0;
  double perplexity_error = 0;  // standard error
  // With a base model.
  double base_perplexity = 0;
  double kl_mean = 0;   // nats
  double kl_error = 0;  // standard error
  double same_top = 0;  // share of positions
  bool cancelled = false;
};

// `tokens`: the whole text, in the model's vocabulary, without added tokens. base: null, or a model with the same
// vocabulary. Fails when the text is shorter than a window.
Result<PerplexityReport> measure_perplexity(const Model& model, const Model* base, const Tokenizer& tokenizer,
                                            std::span<const int32_t> tokens, const KernelTable& kernels,
                                            ThreadTeam& team, const PerplexityOptions& options);

}  // namespace andiron
