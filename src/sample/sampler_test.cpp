#include "sample/sampler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <map>
#include <new>
#include <string>

#include "sample/logprobs.h"
#include "sample/reference_for_tests.h"

namespace {
std::atomic<size_t> allocations{0};
}
// Counts every allocation of this program. Not inlined: GCC 12 takes a free() next to a new expression for a mismatch.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace andiron {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Every filter off: the model's own distribution.
SamplerOptions plain() {
  SamplerOptions o;
  o.temperature = 1;
  o.top_k = 0;
  o.top_p = 1;
  o.min_p = 0;
  return o;
}

Sampler make(const SamplerOptions& options, size_t vocabulary, const std::vector<int32_t>& text = {}) {
  Result<Sampler> sampler = Sampler::create(options, static_cast<int32_t>(vocabulary));
  EXPECT_TRUE(sampler.ok()) << sampler.error().message;
  for (int32_t token : text) sampler->accept(token);
  return std::move(sampler).value();
}

struct Setting {
  std::string name;
  std::function<void(SamplerOptions&)> change;
};

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all = {
      {"plain", [](SamplerOptions&) {}},
      {"default", [](SamplerOptions& o) { o = SamplerOptions(); }},
      {"hot", [](SamplerOptions& o) { o.temperature = 2; }},
      {"cold", [](SamplerOptions& o) { o.temperature = 0.3; }},
      {"top_k", [](SamplerOptions& o) { o.top_k = 5; }},
      {"typical", [](SamplerOptions& o) { o.typical_p = 0.6; }},
      {"top_p", [](SamplerOptions& o) { o.top_p = 0.7; }},
      {"min_p", [](SamplerOptions& o) { o.min_p = 0.1, o.temperature = 1.5; }},
      {"xtc", [](SamplerOptions& o) { o.xtc_probability = 1, o.xtc_threshold = 0.05; }},
      {"all filters",
       [](SamplerOptions& o) {
         o.top_k = 30, o.typical_p = 0.95, o.top_p = 0.9, o.min_p = 0.02, o.temperature = 0.9;
         o.xtc_probability = 1, o.xtc_threshold = 0.2;
       }},
      {"mirostat", [](SamplerOptions& o) { o.mirostat = true, o.mirostat_tau = 1.5, o.temperature = 1.2; }},
      {"penalties",
       [](SamplerOptions& o) { o.repetition_penalty = 1.3, o.presence_penalty = 0.5, o.penalty_last_n = 9; }},
      {"frequency", [](SamplerOptions& o) { o.frequency_penalty = 0.4, o.penalty_last_n = -1; }},
      {"dry", [](SamplerOptions& o) { o.dry_multiplier = 0.8, o.dry_allowed_length = 1, o.dry_breakers = {{7}}; }},
      {"bias",
       [](SamplerOptions& o) {
         o.logit_bias = {{3, 2.5f}, {0, -kInfinity}, {9, -1.0f}};
       }},
      {"everything",
       [](SamplerOptions& o) {
         o.logit_bias = {{3, 2.5f}, {0, -kInfinity}};
         o.repetition_penalty = 1.2, o.frequency_penalty = 0.1, o.dry_multiplier = 0.8;
         o.top_k = 25, o.top_p = 0.95, o.min_p = 0.01, o.temperature = 1.3;
       }},
  };
  return all;
}

// A prompt that repeats itself, over tokens below 10.
const std::vector<int32_t> kText = {1, 2, 3, 4, 7, 1, 2, 3, 5, 9, 9, 9, 3, 4, 7, 2, 3};

TEST(Sampler, DrawsWithTheDefinedProbabilities) {
  constexpr int kDraws = 4000;
  const std::vector<float> logits = reference::random_logits(101, 3, 2.0);
  for (const Setting& setting : settings()) {
    SamplerOptions options = plain();
    setting.change(options);
    std::map<int32_t, int> drawn;
    for (int seed = 0; seed < kDraws; ++seed) {
      options.seed = static_cast<uint64_t>(seed);
      ++drawn[make(options, logits.size(), kText).sample(logits)];
    }

    // Pearson's chi-square; tokens expected fewer than five times are pooled.
    double chi_square = 0, rest_expected = 0, rest_drawn = kDraws;
    int bins = 0;
    int seen = 0;
    for (const auto& [token, p] : reference::chain(logits, kText, options)) {
      seen += drawn[token];
      if (p * kDraws < 5) {
        rest_expected += p * kDraws;
        continue;
      }
      chi_square += std::pow(drawn[token] - p * kDraws, 2) / (p * kDraws);
      rest_drawn -= drawn[token];
      ++bins;
    }
    if (rest_expected >= 5) chi_square += std::pow(rest_drawn - rest_expected, 2) / rest_expected, ++bins;
    const int freedom = bins - 1;
    EXPECT_EQ(seen, kDraws) << setting.name << ": a token outside the definition's set was drawn";
    // Five standard deviations over the mean; the seeds are fixed, so this passes always or never.
    EXPECT_LE(chi_square, freedom + 5 * std::sqrt(2.0 * freedom) + 1e-9) << setting.name << ", " << bins << " bins";
  }
}

TEST(Sampler, TemperatureZeroTakesTheMostLikely) {
  for (const Setting& setting : settings()) {
    SamplerOptions options = plain();
    setting.change(options);
    options.temperature = 0;
    for (uint64_t trial = 0; trial < 50; ++trial) {
      const std::vector<float> logits = reference::random_logits(101, trial);
      const auto expected = reference::softmax(reference::adjusted({logits.begin(), logits.end()}, kText, options));
      EXPECT_EQ(make(options, logits.size(), kText).sample(logits), expected[0].token) << setting.name;
    }
  }
}

// The logit that a penalty leaves is found with a rival token: it wins just above that value and loses just below.
TEST(Sampler, PenaltiesGiveTheLogitsOfTheirFormulas) {
  struct Case {
    const char* name;
    std::function<void(SamplerOptions&)> change;
    float logit;     // of token 4, after the text "1 2 3 4 8 4 1 2 3"
    float expected;  // by hand
  };
  const std::vector<Case> cases = {
      {"repetition of a positive logit", [](SamplerOptions& o) { o.repetition_penalty = 2; }, 3.0f, 1.5f},
      {"repetition of a negative logit", [](SamplerOptions& o) { o.repetition_penalty = 2; }, -3.0f, -6.0f},
      {"presence", [](SamplerOptions& o) { o.presence_penalty = 0.5; }, 3.0f, 2.5f},
      {"frequency, twice seen", [](SamplerOptions& o) { o.frequency_penalty = 0.5; }, 3.0f, 2.0f},
      {"DRY, 3 repeated", [](SamplerOptions& o) { o.dry_multiplier = 0.5, o.dry_base = 2; }, 3.0f, 2.0f},
      {"DRY, 3 allowed", [](SamplerOptions& o) { o.dry_multiplier = 0.5, o.dry_base = 2, o.dry_allowed_length = 3; },
       3.0f, 2.5f},
      {"bias, then repetition",
       [](SamplerOptions& o) {
         o.repetition_penalty = 2;
         o.logit_bias = {{4, -1.0f}};
       },
       3.0f, 1.0f},
      {"repetition, then presence", [](SamplerOptions& o) { o.repetition_penalty = 2, o.presence_penalty = 1; }, 3.0f,
       0.5f},
  };
  constexpr int32_t kToken = 4, kRival = 9;
  for (const Case& c : cases) {
    SamplerOptions options = plain();
    options.temperature = 0;
    c.change(options);
    std::vector<float> logits(10, -100.0f);
    logits[kToken] = c.logit;
    logits[kRival] = c.expected + 1e-4f;
    EXPECT_EQ(make(options, 10, {1, 2, 3, 4, 8, 4, 1, 2, 3}).sample(logits), kRival) << c.name;
    logits[kRival] = c.expected - 1e-4f;
    EXPECT_EQ(make(options, 10, {1, 2, 3, 4, 8, 4, 1, 2, 3}).sample(logits), kToken) << c.name;
  }
}

TEST(Sampler, TheDrawDependsOnSeedAndPositionOnly) {
  for (const Setting& setting : settings()) {
    SamplerOptions options = plain();
    setting.change(options);
    options.seed = 42;
    const std::vector<float> logits = reference::random_logits(101, 5);
    Sampler alone = make(options, logits.size());
    Sampler busy = make(options, logits.size());
    busy.accept(1);
    busy.reset();
    for (int i = 0; i < 40; ++i) {
      const int32_t token = alone.sample(logits);
      EXPECT_EQ(busy.sample(logits), token) << setting.name;
      EXPECT_EQ(busy.sample(logits), token) << setting.name << ": asking twice";
      alone.accept(token);
      busy.accept(token);
    }
    EXPECT_EQ(alone.position(), 40u);
  }
  // Another position is another draw.
  SamplerOptions options = plain();
  const std::vector<float> flat(1000, 0.0f);
  Sampler sampler = make(options, flat.size());
  std::map<int32_t, int> seen;
  for (int i = 0; i < 100; ++i) {
    ++seen[sampler.sample(flat)];
    sampler.accept(0);
  }
  EXPECT_GT(seen.size(), 80u);
}

TEST(Sampler, XtcStrikesWithItsProbability) {
  SamplerOptions options = plain();
  options.xtc_probability = 0.3;
  options.xtc_threshold = 0.3;
  const std::vector<float> logits = {10, 10, 0};  // XTC removes token 0
  int first = 0;
  constexpr int kDraws = 10000;
  for (int seed = 0; seed < kDraws; ++seed) {
    options.seed = static_cast<uint64_t>(seed);
    first += make(options, 3).sample(logits) == 0;
  }
  const double p = 0.7 * 0.5;
  EXPECT_NEAR(first, p * kDraws, 4 * std::sqrt(kDraws * p * (1 - p)));
}

TEST(Sampler, MirostatFollowsItsRecurrence) {
  SamplerOptions options = plain();
  options.mirostat = true;
  options.mirostat_tau = 3;
  options.mirostat_eta = 0.1;
  std::vector<float> logits(2000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = -1.1f * std::log(static_cast<float>(i + 1));  // Zipf
  const reference::Distribution d = reference::softmax({logits.begin(), logits.end()});

  Sampler sampler = make(options, logits.size());
  double mu = 2 * options.mirostat_tau, surprise_sum = 0;
  constexpr int kSteps = 3000;
  for (int step = 0; step < kSteps; ++step) {
    ASSERT_NEAR(sampler.mirostat_mu(), mu, 1e-9);
    const reference::Distribution cut = reference::mirostat_cut(d, mu);
    const int32_t token = sampler.sample(logits);
    const auto entry = std::find_if(cut.begin(), cut.end(), [&](const auto& e) { return e.token == token; });
    ASSERT_NE(entry, cut.end());
    const double surprise = -std::log2(entry->p);
    surprise_sum += surprise;
    mu -= options.mirostat_eta * (surprise - options.mirostat_tau);
    sampler.accept(token);
  }
  EXPECT_NEAR(surprise_sum / kSteps, options.mirostat_tau, 0.05) << "its purpose: the surprise aimed at";

  const double before = sampler.mirostat_mu();
  sampler.accept((sampler.sample(logits) + 1) % 2000);
  EXPECT_EQ(sampler.mirostat_mu(), before) << "a token it did not choose teaches it nothing";
  sampler.accept(5);
  EXPECT_EQ(sampler.mirostat_mu(), before);
}

TEST(Sampler, ImpossibleLogitsAreNeverChosen) {
  for (const Setting& setting : settings()) {
    for (double temperature : {0.0, 1.0}) {
      SamplerOptions options = plain();
      setting.change(options);
      options.temperature = temperature;
      std::vector<float> logits(101, -kInfinity);
      for (size_t i = 0; i < logits.size(); i += 3) logits[i] = kNan;
      EXPECT_EQ(make(options, 101, kText).sample(logits), Sampler::kNoToken) << setting.name;
      logits[9] = -std::numeric_limits<float>::max();  // the least of logits, and punished: still possible
      EXPECT_EQ(make(options, 101, kText).sample(logits), 9) << setting.name;
      logits[50] = kInfinity;
      EXPECT_EQ(make(options, 101, kText).sample(logits), 50) << setting.name;
    }
  }
}

TEST(Sampler, TiesGoToTheLowerToken) {
  const std::vector<float> logits = {0, 1, 1, 1, 0};
  SamplerOptions options = plain();
  options.temperature = 0;
  EXPECT_EQ(make(options, 5).sample(logits), 1);
  options = plain();
  options.top_k = 1;
  EXPECT_EQ(make(options, 5).sample(logits), 1);
  options.top_k = 2;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    options.seed = seed;
    EXPECT_LE(make(options, 5).sample(logits), 2);
  }
}

// Values at the ends of all ranges, in combinations, give some token and no trouble.
TEST(Sampler, ExtremeOptionsStillGiveAToken) {
  const double kExtreme = SamplerOptions::kExtreme;
  for (uint64_t trial = 0; trial < 3000; ++trial) {
    const RandomStream random(trial, 7);
    uint64_t counter = 0;
    const auto pick = [&](std::vector<double> values) { return values[random.bits(counter++) % values.size()]; };
    SamplerOptions o;
    o.seed = trial;
    o.temperature = pick({0, 1e-300, 1, kExtreme});
    o.top_k = static_cast<int32_t>(pick({0, 1, 50, 2147483647}));
    o.typical_p = pick({1e-300, 0.5, 1});
    o.top_p = pick({0, 1e-300, 0.5, 1});
    o.min_p = pick({0, 1e-300, 0.5, 1});
    o.xtc_probability = pick({0, 1});
    o.xtc_threshold = pick({0, 1e-300, 0.1, 1});
    o.mirostat = pick({0, 0, 1}) > 0;
    o.mirostat_tau = pick({0, 5, kExtreme});
    o.mirostat_eta = pick({0, 1});
    o.penalty_last_n = static_cast<int32_t>(pick({-1, 0, 1}));
    o.repetition_penalty = pick({1 / kExtreme, 1, kExtreme});
    o.presence_penalty = pick({-kExtreme, 0, kExtreme});
    o.frequency_penalty = pick({-kExtreme, 0, kExtreme});
    o.dry_multiplier = pick({0, 1e-300, kExtreme});
    o.dry_base = pick({1, 1.75, kExtreme});
    o.dry_allowed_length = static_cast<int32_t>(pick({1, SamplerOptions::kWindowMax}));
    o.dry_last_n = static_cast<int32_t>(pick({-1, 0, 1}));
    const float scale = static_cast<float>(pick({0, 1, 1e30}));
    std::vector<float> logits = reference::random_logits(101, trial);
    for (float& logit : logits) logit *= scale;
    Sampler sampler = make(o, logits.size());
    for (int i = 0; i < 5; ++i) {
      const int32_t token = sampler.sample(logits);
      ASSERT_TRUE(token >= 0 && token < 101) << "trial " << trial;
      sampler.accept(token);
    }
  }
}

TEST(Sampler, AMaskIsTheSameAsMinusInfinity) {
  constexpr int32_t kVocabulary = 201;  // the last word of the mask is not full
  for (const Setting& setting : settings()) {
    SamplerOptions options = plain();
    setting.change(options);
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const std::vector<float> logits = reference::random_logits(kVocabulary, seed);
      const RandomStream random(seed, 7);
      std::vector<uint64_t> mask(4, uint64_t{0xff} << 56);  // bits beyond the vocabulary mean nothing
      std::vector<float> masked(logits);
      for (int32_t token = 0; token < kVocabulary; ++token) {
        const bool allowed = seed > 0 && random.uniform(static_cast<uint64_t>(token)) < 0.1;
        mask[static_cast<size_t>(token / 64)] &= ~(uint64_t{1} << (token % 64));
        if (allowed) mask[static_cast<size_t>(token / 64)] |= uint64_t{1} << (token % 64);
        if (!allowed) masked[static_cast<size_t>(token)] = -INFINITY;
      }
      Sampler with_mask = make(options, kVocabulary), with_infinity = make(options, kVocabulary);
      for (int step = 0; step < 8; ++step) {
        const int32_t token = with_mask.sample(logits, mask);
        ASSERT_EQ(token, with_infinity.sample(masked)) << setting.name << " " << seed;
        ASSERT_TRUE(seed > 0 || token == Sampler::kNoToken);
        if (token == Sampler::kNoToken) break;
        with_mask.accept(token);
        with_infinity.accept(token);
      }
    }
  }
}

TEST(Sampler, AllocatesNothingAfterCreate) {
  constexpr size_t kVocabulary = 262144;
  const std::vector<float> logits = reference::random_logits(kVocabulary, 1);
  Logprobs row;
  logprobs(logits, 0, 20, row);
  for (const Setting& setting : settings()) {
    SamplerOptions options = plain();
    setting.change(options);
    Sampler sampler = make(options, kVocabulary);
    const size_t before = allocations;
    for (int i = 0; i < 20; ++i) {
      const int32_t token = sampler.sample(logits);
      logprobs(logits, token, 20, row);
      sampler.accept(token);
      sampler.accept(kText[i % kText.size()]);
    }
    EXPECT_EQ(allocations - before, 0u) << setting.name;
  }
}

}  // namespace
}  // namespace andiron
