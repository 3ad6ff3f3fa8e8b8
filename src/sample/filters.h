// The filters of the sampling chain, each a function on a list of candidates.
//
// A filter moves what it keeps to the front and returns how many that are, at least 1 of a list that is not empty.
// Probabilities are a candidate's weight over the sum of all weights in the list it is given: so each filter sees
// the distribution its predecessor left, renormalised. "More likely" means a higher logit, or the same
// logit and a lower token number, so that the outcome is the same everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace andiron {

struct Candidate {
  float logit;
  int32_t token;
  double weight;  // exp of (logit - greatest logit) / temperature
};

inline bool more_likely(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

// Sets weights for a temperature above 0; the greatest weight is 1.
void set_weights(std::span<Candidate> candidates, double temperature);

// The filters below (but keep_min_p, which looks at logits only) read weights at temperature 1.
size_t keep_typical(std::span<Candidate> candidates, double typical_p);
size_t keep_top_p(std::span<Candidate> candidates, double top_p);
size_t keep_min_p(std::span<Candidate> candidates, double min_p);
// XTC for a step on which it strikes: the caller has drawn for xtc_probability.
size_t keep_xtc(std::span<Candidate> candidates, double threshold);
// Mirostat's cut: candidates of at most `surprise_max` bits, or the most likely one if there are none.
size_t keep_surprise_at_most(std::span<Candidate> candidates, double surprise_max);

// Index of the candidate at quantile `uniform` in [0, 1) of the weights, in list order.
size_t draw(std::span<const Candidate> candidates, double uniform);

double total_weight(std::span<const Candidate> candidates);

}  // namespace andiron
