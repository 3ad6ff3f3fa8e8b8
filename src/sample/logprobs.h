// Log-probabilities for people and programs that ask how sure the model was.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace andiron {

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;  // natural logarithm of the probability, at most 0; -infinity for an impossible token
};

struct Logprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;  // the most likely tokens, falling; ties by rising token
};

// log softmax of the raw logits [V] (no bias, penalty, filter or temperature) for `chosen` and the top_n most likely
// tokens, into `out`, whose memory is reused. Logits of -infinity or NaN are impossible tokens and not listed; top
// has fewer than top_n entries if there are fewer possible ones. Requires 0 <= chosen < V, top_n >= 0.
void logprobs(std::span<const float> logits, int32_t chosen, int32_t top_n, Logprobs& out);

}  // namespace andiron
