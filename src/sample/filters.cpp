#include "sample/filters.h"

#include <algorithm>
#include <cmath>

namespace andiron {

namespace {

float greatest_logit(std::span<const Candidate> candidates) {
  float greatest = candidates[0].logit;
  for (const Candidate& c : candidates) greatest = std::max(greatest, c.logit);
  return greatest;
}

// Moves the candidates for which keep(c) to the front, their order kept.
template <class Keep>
size_t compact(std::span<Candidate> candidates, Keep keep) {
  size_t kept = 0;
  for (const Candidate& c : candidates) {
    if (keep(c)) candidates[kept++] = c;
  }
  return kept;
}

// Sorts by `before` only as far as needed for the first candidates to hold `mass` of weight, and returns how many
// those are.
template <class Before>
size_t keep_mass(std::span<Candidate> candidates, double mass, Before before) {
  // The first stretch holds the usual nucleus; each next one is four times as long, so that the selections together
  // cost no more than a few passes.
  size_t stretch = 128;
  double sum = 0;
  for (size_t sorted = 0; sorted < candidates.size(); stretch *= 4) {
    const auto first = candidates.begin() + static_cast<std::ptrdiff_t>(sorted);
    const size_t end = std::min(sorted + stretch, candidates.size());
    const auto last = candidates.begin() + static_cast<std::ptrdiff_t>(end);
    if (last != candidates.end()) std::nth_element(first, last, candidates.end(), before);
    std::sort(first, last, before);
    for (; sorted < end; ++sorted) {
      sum += candidates[sorted].weight;
      if (sum >= mass) return sorted + 1;
    }
  }
  return candidates.size();
}

}  // namespace

void set_weights(std::span<Candidate> candidates, double temperature) {
  if (candidates.empty()) return;
  const double greatest = greatest_logit(candidates);
  for (Candidate& c : candidates) c.weight = std::exp((c.logit - greatest) / temperature);
}

double total_weight(std::span<const Candidate> candidates) {
  double sum = 0;
  for (const Candidate& c : candidates) sum += c.weight;
  return sum;
}

size_t keep_typical(std::span<Candidate> candidates, double typical_p) {
  if (candidates.size() < 2) return candidates.size();
  // With p = w / W: entropy = sum p (log W - log w), and the surprise of a candidate is log W - log w. So its
  // distance from the entropy is |mean of log w - log w|, where log w = logit - greatest.
  const double total = total_weight(candidates);
  const double greatest = greatest_logit(candidates);
  double mean = 0;
  for (const Candidate& c : candidates) mean += c.weight / total * (c.logit - greatest);
  const double centre = mean + greatest;
  return keep_mass(candidates, typical_p * total, [centre](const Candidate& a, const Candidate& b) {
    const double distance_a = std::abs(centre - a.logit), distance_b = std::abs(centre - b.logit);
    return distance_a != distance_b ? distance_a < distance_b : more_likely(a, b);
  });
}

size_t keep_top_p(std::span<Candidate> candidates, double top_p) {
  const double total = total_weight(candidates);
  // Candidates below this weight hold less than 1 - top_p together, so the others hold the nucleus. It spares
  // sorting the long tail.
  const double negligible = (1 - top_p) * total / static_cast<double>(candidates.size());
  const size_t rest = compact(candidates, [=](const Candidate& c) { return c.weight >= negligible; });
  return keep_mass(candidates.first(rest), top_p * total, more_likely);
}

size_t keep_min_p(std::span<Candidate> candidates, double min_p) {
  if (candidates.empty() || min_p <= 0) return candidates.size();
  const double least = greatest_logit(candidates) + std::log(min_p);
  return compact(candidates, [least](const Candidate& c) { return c.logit >= least; });
}

size_t keep_xtc(std::span<Candidate> candidates, double threshold) {
  const double least = threshold * total_weight(candidates);
  const Candidate* spared = nullptr;
  size_t above = 0;
  for (const Candidate& c : candidates) {
    if (c.weight < least) continue;
    ++above;
    if (spared == nullptr || more_likely(*spared, c)) spared = &c;
  }
  if (above < 2) return candidates.size();
  const int32_t token = spared->token;
  return compact(candidates, [=](const Candidate& c) { return c.weight < least || c.token == token; });
}

size_t keep_surprise_at_most(std::span<Candidate> candidates, double surprise_max) {
  if (candidates.empty()) return 0;
  const Candidate best = *std::min_element(candidates.begin(), candidates.end(), more_likely);
  const double least = total_weight(candidates) * std::exp2(-surprise_max);
  const size_t kept = compact(candidates, [least](const Candidate& c) { return c.weight >= least; });
  if (kept > 0) return kept;
  candidates[0] = best;
  return 1;
}

size_t draw(std::span<const Candidate> candidates, double uniform) {
  const double target = uniform * total_weight(candidates);
  double sum = 0;
  size_t last = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    sum += candidates[i].weight;
    if (candidates[i].weight > 0) last = i;
    if (sum > target) return i;
  }
  return last;  // uniform so near 1 that rounding put the target at the total
}

}  // namespace andiron
