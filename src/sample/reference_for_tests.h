// The definitions of the sampling filters, written as their papers state them: on full, sorted distributions of
// doubles, with no thought for speed. For tests only.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "base/random.h"
#include "sample/sampler_options.h"

namespace andiron::reference {

struct Entry {
  int32_t token;
  double p;
};
using Distribution = std::vector<Entry>;  // falling p, then rising token

inline Distribution normalised(Distribution d) {
  double sum = 0;
  for (const Entry& e : d) sum += e.p;
  for (Entry& e : d) e.p /= sum;
  std::sort(d.begin(), d.end(),
            [](const Entry& a, const Entry& b) { return a.p != b.p ? a.p > b.p : a.token < b.token; });
  return d;
}

inline Distribution softmax(const std::vector<double>& logits) {
  const double greatest = *std::max_element(logits.begin(), logits.end());
  Distribution d;
  for (size_t i = 0; i < logits.size(); ++i) d.push_back({static_cast<int32_t>(i), std::exp(logits[i] - greatest)});
  return normalised(d);
}

inline Distribution top_k(Distribution d, int32_t k) {
  if (k > 0 && d.size() > static_cast<size_t>(k)) d.resize(k);
  return normalised(d);
}

// Meister et al. 2022, equation 8: the tokens nearest to the entropy whose mass is at least tau.
inline Distribution typical(const Distribution& d, double tau) {
  double entropy = 0;
  for (const Entry& e : d) entropy -= e.p > 0 ? e.p * std::log(e.p) : 0;
  Distribution order = d;
  std::stable_sort(order.begin(), order.end(), [&](const Entry& a, const Entry& b) {
    return std::abs(-std::log(a.p) - entropy) < std::abs(-std::log(b.p) - entropy);
  });
  Distribution kept;
  for (double mass = 0; mass < tau && kept.size() < order.size();) {
    kept.push_back(order[kept.size()]);
    mass += kept.back().p;
  }
  return normalised(kept);
}

// Holtzman et al. 2019, equation 2.
inline Distribution top_p(const Distribution& d, double p) {
  Distribution kept;
  double mass = 0;
  do {
    kept.push_back(d[kept.size()]);
    mass += kept.back().p;
  } while (mass < p && kept.size() < d.size());
  return normalised(kept);
}

// Nguyen et al. 2024, section 3: threshold = p_base times the greatest probability.
inline Distribution min_p(const Distribution& d, double p_base) {
  Distribution kept;
  for (const Entry& e : d) {
    if (e.p >= p_base * d[0].p) kept.push_back(e);
  }
  return normalised(kept);
}

// text-generation-webui pull request 6335.
inline Distribution xtc(const Distribution& d, double threshold) {
  size_t above = 0;
  while (above < d.size() && d[above].p >= threshold) ++above;
  return above < 2 ? d : normalised({d.begin() + static_cast<std::ptrdiff_t>(above) - 1, d.end()});
}

inline Distribution temperature(Distribution d, double t) {
  for (Entry& e : d) e.p = std::pow(e.p, 1 / t);
  return normalised(d);
}

// Basu et al. 2020, algorithm 2's cut: tokens of surprise at most mu bits.
inline Distribution mirostat_cut(const Distribution& d, double mu) {
  Distribution kept = {d[0]};
  for (size_t i = 1; i < d.size(); ++i) {
    if (-std::log2(d[i].p) <= mu) kept.push_back(d[i]);
  }
  return normalised(kept);
}

inline bool ends_with(const std::vector<int32_t>& text, size_t end, const std::vector<int32_t>& tail) {
  return tail.size() <= end &&
         std::equal(tail.begin(), tail.end(), text.begin() + static_cast<std::ptrdiff_t>(end - tail.size()));
}

// text-generation-webui pull request 5677, comparing every place with the end of the text token by token: the
// longest repetition that each token would prolong. The repeated part holds no breaker's end.
inline std::map<int32_t, int32_t> repeats(std::vector<int32_t> text, const SamplerOptions& o) {
  const auto breaks_at = [&](size_t end) {
    return std::any_of(o.dry_breakers.begin(), o.dry_breakers.end(),
                       [&](const auto& breaker) { return ends_with(text, end, breaker); });
  };
  const size_t n = text.size();
  size_t longest = 0;  // tokens after the last breaker
  while (longest < n && !breaks_at(n - longest)) ++longest;
  const size_t window = o.dry_last_n < 0 ? n : std::min(n, static_cast<size_t>(o.dry_last_n));
  longest = std::min(longest, window);

  std::map<int32_t, int32_t> result;
  for (size_t end = n - window + 1; end < n; ++end) {  // a repetition of the end that ends before text[end]
    size_t length = 0;
    while (length < longest && end - length > n - window && text[end - 1 - length] == text[n - 1 - length]) ++length;
    const bool breaker = std::find(o.dry_breakers.begin(), o.dry_breakers.end(), std::vector<int32_t>{text[end]}) !=
                         o.dry_breakers.end();
    if (breaker || length < static_cast<size_t>(o.dry_allowed_length)) continue;
    int32_t& best = result[text[end]];
    best = std::max(best, static_cast<int32_t>(length));
  }
  return result;
}

// The logits after bias, penalties and DRY.
inline std::vector<double> adjusted(std::vector<double> logits, const std::vector<int32_t>& text,
                                    const SamplerOptions& o) {
  for (const LogitBias& b : o.logit_bias) logits[b.token] += b.bias;
  const size_t window =
      o.penalty_last_n < 0 ? text.size() : std::min(text.size(), static_cast<size_t>(o.penalty_last_n));
  std::map<int32_t, int> counts;
  for (size_t i = text.size() - window; i < text.size(); ++i) ++counts[text[i]];
  for (const auto& [token, count] : counts) {
    double& x = logits[token];
    x = x > 0 ? x / o.repetition_penalty : x * o.repetition_penalty;
    x -= o.presence_penalty + count * o.frequency_penalty;
  }
  if (o.dry_multiplier > 0) {
    for (const auto& [token, length] : repeats(text, o)) {
      logits[token] -= o.dry_multiplier * std::pow(o.dry_base, length - o.dry_allowed_length);
    }
  }
  return logits;
}

// What the sampler draws from, after the tokens of `text`. XTC strikes if its probability is 1.
inline Distribution chain(const std::vector<float>& logits, const std::vector<int32_t>& text, const SamplerOptions& o) {
  Distribution d = softmax(adjusted({logits.begin(), logits.end()}, text, o));
  if (o.mirostat) return mirostat_cut(temperature(d, o.temperature), 2 * o.mirostat_tau);
  d = top_k(d, o.top_k);
  if (o.typical_p < 1) d = typical(d, o.typical_p);
  if (o.top_p < 1) d = top_p(d, o.top_p);
  d = min_p(d, o.min_p);
  if (o.xtc_probability == 1) d = xtc(d, o.xtc_threshold);
  return temperature(d, o.temperature);
}

// V logits with the spread of a language model's.
inline std::vector<float> random_logits(size_t count, uint64_t seed, double spread = 3) {
  std::vector<float> logits(count);
  const RandomStream random(seed, 1000);
  for (size_t i = 0; i < count; ++i) logits[i] = static_cast<float>(spread * random.normal(i));
  return logits;
}

}  // namespace andiron::reference
