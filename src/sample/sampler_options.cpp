#include "sample/sampler_options.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/strings.h"

namespace andiron {

namespace {

Status check_range(std::string_view name, double value, double low, double high) {
  // Written so that NaN fails.
  if (value >= low && value <= high) return {};
  return make_error("sampler option {} is {}; expected a number from {} to {}", name, value, low, high);
}

Status check_numbers(const SamplerOptions& o, int32_t vocabulary) {
  constexpr double kExtreme = SamplerOptions::kExtreme;
  constexpr double kWindowMax = SamplerOptions::kWindowMax;
  constexpr double kAboveZero = std::numeric_limits<double>::min();
  TRY(check_range("temperature", o.temperature, 0, kExtreme));
  if (o.top_k < 0) return make_error("sampler option top_k is {}; expected 0 (off) to {}", o.top_k, vocabulary);
  TRY(check_range("typical_p", o.typical_p, kAboveZero, 1));
  TRY(check_range("top_p", o.top_p, 0, 1));
  TRY(check_range("min_p", o.min_p, 0, 1));
  TRY(check_range("xtc_probability", o.xtc_probability, 0, 1));
  TRY(check_range("xtc_threshold", o.xtc_threshold, 0, 1));
  TRY(check_range("mirostat_tau", o.mirostat_tau, 0, kExtreme));
  TRY(check_range("mirostat_eta", o.mirostat_eta, 0, 1));
  TRY(check_range("penalty_last_n", o.penalty_last_n, -1, kWindowMax));
  TRY(check_range("repetition_penalty", o.repetition_penalty, 1 / kExtreme, kExtreme));
  TRY(check_range("presence_penalty", o.presence_penalty, -kExtreme, kExtreme));
  TRY(check_range("frequency_penalty", o.frequency_penalty, -kExtreme, kExtreme));
  TRY(check_range("dry_multiplier", o.dry_multiplier, 0, kExtreme));
  TRY(check_range("dry_base", o.dry_base, 1, kExtreme));
  TRY(check_range("dry_allowed_length", o.dry_allowed_length, 1, kWindowMax));
  TRY(check_range("dry_last_n", o.dry_last_n, -1, kWindowMax));
  return {};
}

Status check_token(std::string_view name, int32_t token, int32_t vocabulary) {
  if (token >= 0 && token < vocabulary) return {};
  return make_error("sampler option {} names token {}; expected 0 to {}", name, token, vocabulary - 1);
}

Status check_breakers(const SamplerOptions& o, int32_t vocabulary) {
  if (o.dry_breakers.size() > SamplerOptions::kBreakersMax) {
    return make_error("sampler option dry_breakers has {} entries; expected at most {}", o.dry_breakers.size(),
                      SamplerOptions::kBreakersMax);
  }
  for (const auto& breaker : o.dry_breakers) {
    if (breaker.empty() || breaker.size() > SamplerOptions::kBreakerTokensMax) {
      return make_error("sampler option dry_breakers has an entry of {} tokens; expected 1 to {}", breaker.size(),
                        SamplerOptions::kBreakerTokensMax);
    }
    for (int32_t token : breaker) TRY(check_token("dry_breakers", token, vocabulary));
  }
  return {};
}

Status check_bias(const std::vector<LogitBias>& sorted, int32_t vocabulary) {
  for (size_t i = 0; i < sorted.size(); ++i) {
    const auto& [token, bias] = sorted[i];
    TRY(check_token("logit_bias", token, vocabulary));
    if (std::isnan(bias) || bias == std::numeric_limits<float>::infinity()) {
      return make_error("sampler option logit_bias gives token {} a bias of {}; expected a finite number or -inf",
                        token, bias);
    }
    if (i > 0 && sorted[i - 1].token == token) {
      return make_error("sampler option logit_bias names token {} twice; expected one bias per token", token);
    }
  }
  return {};
}

}  // namespace

Result<SamplerOptions> validate(SamplerOptions options, int32_t vocabulary) {
  if (vocabulary < 1) return make_error("a sampler needs at least one logit; the vocabulary has {}", vocabulary);
  TRY(check_numbers(options, vocabulary));
  TRY(check_breakers(options, vocabulary));
  std::sort(options.logit_bias.begin(), options.logit_bias.end(),
            [](const LogitBias& a, const LogitBias& b) { return a.token < b.token; });
  TRY(check_bias(options.logit_bias, vocabulary));
  options.top_k = std::min(options.top_k, vocabulary);
  if (options.penalty_last_n < 0) options.penalty_last_n = SamplerOptions::kWindowMax;
  if (options.dry_last_n < 0) options.dry_last_n = SamplerOptions::kWindowMax;
  return options;
}

}  // namespace andiron
