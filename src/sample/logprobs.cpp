#include "sample/logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace andiron {

namespace {

constexpr float kFloatMax = std::numeric_limits<float>::max();
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// Holds a logit in `logprob` until the normaliser is known.
bool before(const TokenLogprob& a, const TokenLogprob& b) {
  return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
}

// NaN counts as impossible, +infinity as the greatest float.
float possible_logit(float logit) { return logit > kMinusInfinity ? std::min(logit, kFloatMax) : kMinusInfinity; }

void select_top(std::span<const float> logits, size_t limit, std::vector<TokenLogprob>& top) {
  top.clear();
  if (limit == 0) return;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float logit = possible_logit(logits[i]);
    if (!(logit > (top.size() == limit ? top.front().logprob : kMinusInfinity))) continue;
    if (top.size() == limit) {
      std::pop_heap(top.begin(), top.end(), before);
      top.pop_back();
    }
    top.push_back({static_cast<int32_t>(i), logit});
    std::push_heap(top.begin(), top.end(), before);
  }
  std::sort_heap(top.begin(), top.end(), before);
}

}  // namespace

void logprobs(std::span<const float> logits, int32_t chosen, int32_t top_n, Logprobs& out) {
  ANDIRON_CHECK(chosen >= 0 && static_cast<size_t>(chosen) < logits.size() && top_n >= 0);
  const size_t limit = std::min(static_cast<size_t>(top_n), logits.size());
  out.top.reserve(limit);
  select_top(logits, limit, out.top);

  float greatest = kMinusInfinity;
  for (float logit : logits) greatest = std::max(greatest, possible_logit(logit));
  out.chosen = {chosen, kMinusInfinity};
  if (greatest == kMinusInfinity) return;
  double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<double>(possible_logit(logit)) - greatest);
  const double log_total = greatest + std::log(sum);
  out.chosen.logprob = static_cast<float>(possible_logit(logits[chosen]) - log_total);
  for (TokenLogprob& entry : out.top) entry.logprob = static_cast<float>(entry.logprob - log_total);
}

}  // namespace andiron
