// Sampler: chooses the next token of one sequence from the model's logits.
//
// The chain, in this order (the order of text-generation-webui and llama.cpp, so that a user's settings mean the same):
//
//   logit bias -> repetition, presence, frequency penalties -> DRY
//     temperature 0:  the most likely token
//     mirostat:       temperature -> mirostat 2 -> draw
//     otherwise:      top_k -> typical_p -> top_p -> min_p -> XTC -> temperature -> draw
//
// Ties go to the lower token number. Sums and exponentials are computed in double, in a fixed order. The random
// number of a draw depends only on (seed, position), where the position is the number of tokens accepted before:
// never on the batch, on earlier draws or on how often sample() was called.
//
// Legal order of calls: create; accept() each token of the prompt; then sample() and accept() in turns. sample()
// changes nothing that a later call depends on, but for mirostat, which remembers the last draw until accept().
// One thread at a time. All memory is taken in create(): after it no call allocates.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "sample/filters.h"
#include "sample/sampler_options.h"
#include "sample/token_window.h"

namespace andiron {

class Sampler {
 public:
  // sample() gives this when no token is possible: every logit is -infinity or NaN (all masked, or a broken model).
  static constexpr int32_t kNoToken = -1;

  // Errors as validate() does. With top_k off, takes 16 bytes per vocabulary entry; otherwise little.
  static Result<Sampler> create(const SamplerOptions& options, int32_t vocabulary);
  Sampler(Sampler&&) = default;
  Sampler& operator=(Sampler&&) = default;

  // The next token, or kNoToken. logits [V]: raw model output; requires V == vocabulary. A logit of -infinity or NaN
  // is never chosen. `mask`: a bit for each token, token 0 the lowest of the first word; only tokens whose bit is set
  // are looked at, as if all others had -infinity. Empty: all of them; else it has a bit for every token.
  int32_t sample(std::span<const float> logits, std::span<const uint64_t> mask = {});

  // Appends a token to the sequence: one that sample() chose, one of the prompt, or any other. Requires
  // 0 <= token < vocabulary.
  void accept(int32_t token);

  // Back to an empty sequence.
  void reset();

  // Tokens accepted since create() or reset().
  uint64_t position() const { return position_; }
  // Mirostat's cut-off in bits; 2 * mirostat_tau at the start.
  double mirostat_mu() const { return mu_; }
  const SamplerOptions& options() const { return options_; }

 private:
  struct Adjusted {
    int32_t token;
    float logit;
  };

  Sampler(SamplerOptions options, int32_t vocabulary);

  void adjust(std::span<const float> logits);
  float adjusted_logit(double logit, double bias, int32_t count, int32_t repeat) const;
  template <class Visit>
  void for_each_logit(std::span<const float> logits, Visit visit) const;
  int32_t greedy(std::span<const float> logits) const;
  size_t collect(std::span<const float> logits);
  size_t filter(size_t count);
  int32_t draw_mirostat(size_t count, double uniform);

  SamplerOptions options_;
  int32_t vocabulary_;
  std::span<const uint64_t> mask_;  // during sample()
  uint64_t position_ = 0;
  double mu_;
  int32_t drawn_token_ = kNoToken;  // mirostat's last draw and its surprise in bits
  double drawn_surprise_ = 0;
  TokenRing ring_;
  WindowCounts counts_;
  RepeatFinder repeats_;
  std::vector<Adjusted> adjusted_;  // logits that differ from the raw ones, sorted by token
  std::vector<Candidate> candidates_;
};

}  // namespace andiron
