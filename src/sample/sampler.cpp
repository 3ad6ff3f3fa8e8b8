#include "sample/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/random.h"

namespace andiron {

namespace {

constexpr float kFloatMax = std::numeric_limits<float>::max();
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// Independent random streams of one seed.
constexpr uint64_t kStreamDraw = 0;
constexpr uint64_t kStreamXtc = 1;

int32_t ring_capacity(const SamplerOptions& o) {
  return std::max(o.uses_penalties() ? o.penalty_last_n + 1 : 0, o.uses_dry() ? o.dry_last_n : 0);
}

}  // namespace

Result<Sampler> Sampler::create(const SamplerOptions& options, int32_t vocabulary) {
  TRY_ASSIGN(SamplerOptions valid, validate(options, vocabulary));
  return Sampler(std::move(valid), vocabulary);
}

Sampler::Sampler(SamplerOptions options, int32_t vocabulary)
    : options_(std::move(options)),
      vocabulary_(vocabulary),
      mu_(2 * options_.mirostat_tau),
      ring_(ring_capacity(options_)),
      counts_(options_.uses_penalties() ? options_.penalty_last_n : 0),
      repeats_(options_) {
  const size_t touched = options_.logit_bias.size() + (options_.uses_penalties() ? options_.penalty_last_n : 0) +
                         (options_.uses_dry() ? options_.dry_last_n : 0);
  adjusted_.reserve(std::min(touched, static_cast<size_t>(vocabulary)));
  if (options_.temperature == 0) return;
  candidates_.resize(options_.top_k > 0 && !options_.mirostat ? options_.top_k : vocabulary);
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const uint64_t> mask) {
  ANDIRON_CHECK(logits.size() == static_cast<size_t>(vocabulary_));
  ANDIRON_CHECK(mask.empty() || 64 * mask.size() >= logits.size());
  mask_ = mask;
  adjust(logits);
  if (options_.temperature == 0) return greedy(logits);

  size_t count = collect(logits);
  if (count == 0) return kNoToken;
  const double uniform = RandomStream(options_.seed, kStreamDraw).uniform(position_);
  if (options_.mirostat) return draw_mirostat(count, uniform);

  count = filter(count);
  const std::span<Candidate> kept(candidates_.data(), count);
  set_weights(kept, options_.temperature);
  return kept[draw(kept, uniform)].token;
}

void Sampler::accept(int32_t token) {
  ANDIRON_CHECK(token >= 0 && token < vocabulary_);
  ++position_;
  if (ring_capacity(options_) > 0) ring_.push(token);
  if (options_.uses_penalties()) counts_.push(ring_);
  if (options_.uses_dry()) repeats_.push(ring_);
  if (options_.mirostat && token == drawn_token_) {
    mu_ -= options_.mirostat_eta * (drawn_surprise_ - options_.mirostat_tau);
  }
  drawn_token_ = kNoToken;
}

void Sampler::reset() {
  position_ = 0;
  mu_ = 2 * options_.mirostat_tau;
  drawn_token_ = kNoToken;
  ring_.clear();
  counts_.clear();
  repeats_.clear();
}

// Lists the logits that bias, penalties and DRY change. They are few, so the logits are never copied.
void Sampler::adjust(std::span<const float> logits) {
  adjusted_.clear();
  const std::span<const LogitBias> biases = options_.logit_bias;
  const std::span<const TokenCount> counts =
      options_.uses_penalties() ? counts_.counts() : std::span<const TokenCount>();
  const std::span<const TokenCount> repeats =
      options_.uses_dry() ? repeats_.find(ring_) : std::span<const TokenCount>();

  // A merge of three lists, each sorted by token.
  size_t b = 0, c = 0, r = 0;
  while (true) {
    int32_t token = vocabulary_;
    if (b < biases.size()) token = std::min(token, biases[b].token);
    if (c < counts.size()) token = std::min(token, counts[c].token);
    if (r < repeats.size()) token = std::min(token, repeats[r].token);
    if (token == vocabulary_) return;
    const double bias = b < biases.size() && biases[b].token == token ? biases[b++].bias : 0;
    const int32_t count = c < counts.size() && counts[c].token == token ? counts[c++].count : 0;
    const int32_t repeat = r < repeats.size() && repeats[r].token == token ? repeats[r++].count : 0;
    adjusted_.push_back({token, adjusted_logit(logits[token], bias, count, repeat)});
  }
}

float Sampler::adjusted_logit(double logit, double bias, int32_t count, int32_t repeat) const {
  const SamplerOptions& o = options_;
  double x = std::min<double>(logit, kFloatMax) + bias;
  if (std::isnan(logit) || x == kMinusInfinity) return kMinusInfinity;
  if (count > 0) {
    x = x > 0 ? x / o.repetition_penalty : x * o.repetition_penalty;
    x -= o.presence_penalty + o.frequency_penalty * count;
  }
  if (repeat > 0) x -= o.dry_multiplier * std::pow(o.dry_base, repeat - o.dry_allowed_length);
  // A penalty makes a token unlikely, never impossible.
  return static_cast<float>(std::clamp<double>(x, -kFloatMax, kFloatMax));
}

// Calls visit(token, logit) in rising order of the tokens of the mask, with adjusted logits in place of raw ones.
template <class Visit>
void Sampler::for_each_logit(std::span<const float> logits, Visit visit) const {
  int32_t token = 0;
  if (!mask_.empty()) {
    auto adjusted = adjusted_.begin();
    for (size_t word = 0; word < mask_.size(); ++word) {
      for (uint64_t bits = mask_[word]; bits != 0; bits &= bits - 1) {
        token = static_cast<int32_t>(64 * word) + std::countr_zero(bits);
        if (token >= vocabulary_) return;
        while (adjusted != adjusted_.end() && adjusted->token < token) ++adjusted;
        const bool is_adjusted = adjusted != adjusted_.end() && adjusted->token == token;
        visit(token, is_adjusted ? adjusted->logit : logits[token]);
      }
    }
    return;
  }
  for (const Adjusted& adjusted : adjusted_) {
    for (; token < adjusted.token; ++token) visit(token, logits[token]);
    visit(token++, adjusted.logit);
  }
  for (; token < vocabulary_; ++token) visit(token, logits[token]);
}

int32_t Sampler::greedy(std::span<const float> logits) const {
  int32_t best_token = kNoToken;
  float best = kMinusInfinity;
  for_each_logit(logits, [&](int32_t token, float logit) {
    if (logit > best) {  // false for NaN
      best = logit;
      best_token = token;
    }
  });
  return best_token;
}

// Fills candidates_ with the possible tokens, or the top_k of them sorted from the most likely; returns how many.
size_t Sampler::collect(std::span<const float> logits) {
  size_t count = 0;
  const size_t limit = candidates_.size();
  const bool all = limit == static_cast<size_t>(vocabulary_);
  const auto begin = candidates_.begin();
  // The least likely kept candidate is at the front of a heap, so almost every token costs one comparison. Tokens
  // come in rising order: one that equals the least logit loses against it.
  float least = kMinusInfinity;
  for_each_logit(logits, [&](int32_t token, float logit) {
    if (!(logit > least)) return;
    if (count == limit) std::pop_heap(begin, begin + static_cast<std::ptrdiff_t>(count--), more_likely);
    candidates_[count++] = {std::min(logit, kFloatMax), token, 0};
    if (all) return;
    std::push_heap(begin, begin + static_cast<std::ptrdiff_t>(count), more_likely);
    if (count == limit) least = begin->logit;
  });
  if (!all) std::sort_heap(begin, begin + static_cast<std::ptrdiff_t>(count), more_likely);
  return count;
}

// Runs the filters from typical_p to XTC over the first `count` candidates; returns how many are left in front.
size_t Sampler::filter(size_t count) {
  const SamplerOptions& o = options_;
  const auto front = [&] { return std::span<Candidate>(candidates_.data(), count); };
  const bool xtc = o.xtc_probability > 0 && RandomStream(o.seed, kStreamXtc).uniform(position_) < o.xtc_probability;
  if (o.typical_p < 1 || o.top_p < 1 || xtc) set_weights(front(), 1);
  if (o.typical_p < 1) count = keep_typical(front(), o.typical_p);
  if (o.top_p < 1) count = keep_top_p(front(), o.top_p);
  if (o.min_p > 0) count = keep_min_p(front(), o.min_p);
  if (xtc) count = keep_xtc(front(), o.xtc_threshold);
  return count;
}

int32_t Sampler::draw_mirostat(size_t count, double uniform) {
  const std::span<Candidate> all(candidates_.data(), count);
  set_weights(all, options_.temperature);
  const std::span<Candidate> kept = all.first(keep_surprise_at_most(all, mu_));
  const Candidate& drawn = kept[draw(kept, uniform)];
  drawn_token_ = drawn.token;
  drawn_surprise_ = std::log2(total_weight(kept) / drawn.weight);
  return drawn.token;
}

}  // namespace andiron
