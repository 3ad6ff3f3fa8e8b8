// SamplerOptions: everything that decides which token follows a row of logits.
//
// Every field is neutral at the value its comment calls "off"; kExtreme bounds the fields that have no
// natural limit, far outside anything useful but small enough that no arithmetic on them overflows.
#pragma once

#include <cstdint>
#include <vector>

namespace andiron {

struct LogitBias {
  int32_t token = 0;
  float bias = 0;  // added to the logit; finite, or -infinity to forbid the token
};

struct SamplerOptions {
  static constexpr double kExtreme = 1e6;
  static constexpr int32_t kWindowMax = 65536;  // tokens; a window of -1 means this many
  static constexpr int32_t kBreakerTokensMax = 32;
  static constexpr int32_t kBreakersMax = 1 << 20;  // every vocabulary entry that holds a ':' may be one

  // The same seed, options, logits and position give the same token, in any batch and on any number of threads. On
  // another machine too, as long as its C library computes exp and log alike: glibc has variants by processor, which
  // may differ in the last bit of a double, which a draw that falls there would show.
  // Default 0. There is no "random" value here: a caller that wants one draws it and can report it.
  uint64_t seed = 0;

  // Divides the logits just before the draw. Default 0.8; range [0, kExtreme]. Lower is safer and more
  // repetitive, higher is more varied and less coherent; 1 is the model's own distribution. 0 takes the
  // most likely token after bias, penalties and DRY, and every filter below is then ignored.
  double temperature = 0.8;

  // Keep the k most likely tokens. Default 40; range [0, vocabulary]; 0 is off. It also bounds the work of
  // the filters after it: "off" costs 1 to 25 ms per token with a vocabulary of 262144, 40 costs 0.3 ms.
  int32_t top_k = 40;

  // Locally typical sampling (Meister et al. 2022, "Locally Typical Sampling"): keep the tokens whose
  // surprise -log p is nearest to the entropy, until they hold this much probability. Default 1 (off);
  // range (0, 1]. Cuts both the too likely and the too unlikely.
  double typical_p = 1;

  // Nucleus sampling (Holtzman et al. 2019, "The Curious Case of Neural Text Degeneration"): keep the
  // smallest set of most likely tokens that holds this much probability. Default 0.95; range [0, 1]; 1 is
  // off, 0 keeps one token.
  double top_p = 0.95;

  // Keep the tokens at least this many times as likely as the most likely one (Nguyen et al. 2024, "Turning Up
  // the Heat: Min-p Sampling"). Default 0.05; range [0, 1]; 0 is off. Adapts to the model's certainty, so it
  // allows a higher temperature than top_p does.
  double min_p = 0.05;

  // XTC, "exclude top choices" (p-e-w, text-generation-webui pull request 6335): with xtc_probability,
  // remove all tokens of at least probability xtc_threshold but the least likely of them. Default 0 (off)
  // and 0.1; both range [0, 1]. No effect where fewer than two tokens reach the threshold, hence never above 0.5.
  // For creative writing; leave it off where facts or code are wanted.
  double xtc_probability = 0;
  double xtc_threshold = 0.1;

  // Mirostat 2 (Basu et al. 2020, "Mirostat: A Neural Text Decoding Algorithm that Directly Controls
  // Perplexity"): replaces all filters from top_k to XTC; temperature is applied before it. It holds the surprise
  // of the text near mirostat_tau bits by moving a cut-off at rate mirostat_eta. Default off; tau 5, range
  // [0, kExtreme]; eta 0.1, range [0, 1].
  bool mirostat = false;
  double mirostat_tau = 5;
  double mirostat_eta = 0.1;

  // Penalties for tokens among the last penalty_last_n (prompt included). Default 64 tokens; range
  // [-1, kWindowMax]; 0 is off, -1 is kWindowMax. A longer window also punishes words that any text repeats.
  int32_t penalty_last_n = 64;
  // Divides a positive logit and multiplies a negative one (Keskar et al. 2019, CTRL). Default 1 (off);
  // range [1e-6, kExtreme]; 1.1 is already strong. Below 1 rewards repetition.
  double repetition_penalty = 1;
  // Subtracted once if the token occurred, and once per occurrence (OpenAI's API reference, chat completions).
  // Default 0 (off); range [-kExtreme, kExtreme], useful within [-2, 2].
  double presence_penalty = 0;
  double frequency_penalty = 0;

  // DRY, "don't repeat yourself" (p-e-w, text-generation-webui pull request 5677): a token that would prolong
  // a repetition of length n >= dry_allowed_length of the end of the text loses
  // dry_multiplier * dry_base^(n - dry_allowed_length) of its logit. Default 0 (off), its author suggests 0.8;
  // base 1.75; length 2. Ranges [0, kExtreme], [1, kExtreme], [1, kWindowMax].
  double dry_multiplier = 0;
  double dry_base = 1.75;
  int32_t dry_allowed_length = 2;
  // Tokens looked back over. Default -1 = kWindowMax; range [-1, kWindowMax]; 0 is off. Costs linear time.
  int32_t dry_last_n = -1;
  // A repetition ends at a breaker: a sequence of 1 to kBreakerTokensMax tokens. A breaker of one token is
  // itself never punished. Default none: the caller finds the breakers with its tokenizer, best every token that
  // contains one of the texts "\n", ":", "\"" and "*", which DRY's author suggests.
  std::vector<std::vector<int32_t>> dry_breakers;

  // Added before everything else. Default none; at most one entry per token.
  std::vector<LogitBias> logit_bias;

  bool uses_penalties() const {
    return penalty_last_n != 0 && (repetition_penalty != 1 || presence_penalty != 0 || frequency_penalty != 0);
  }
  bool uses_dry() const { return dry_multiplier > 0 && dry_last_n != 0; }
};

}  // namespace andiron
