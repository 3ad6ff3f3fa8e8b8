#include "sample/sampler_options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

namespace andiron {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(SamplerOptions, DefaultsAreValidAndResolved) {
  SamplerOptions options;
  options.top_k = 1'000'000;
  options.penalty_last_n = -1;
  options.logit_bias = {{3, 1}, {1, -std::numeric_limits<float>::infinity()}};
  const Result<SamplerOptions> valid = validate(options, 100);
  ASSERT_TRUE(valid.ok()) << valid.error().message;
  EXPECT_EQ(valid->top_k, 100);
  EXPECT_EQ(valid->penalty_last_n, SamplerOptions::kWindowMax);
  EXPECT_EQ(valid->dry_last_n, SamplerOptions::kWindowMax);
  EXPECT_EQ(valid->logit_bias[0].token, 1);
}

TEST(SamplerOptions, NumbersOutOfRangeAreNamed) {
  struct Field {
    const char* name;
    std::function<void(SamplerOptions&, double)> set;
    std::vector<double> bad;
  };
  const std::vector<Field> fields = {
      {"temperature", [](SamplerOptions& o, double x) { o.temperature = x; }, {-1, kNan, kInfinity}},
      {"typical_p", [](SamplerOptions& o, double x) { o.typical_p = x; }, {0, -1, 1.01, kNan}},
      {"top_p", [](SamplerOptions& o, double x) { o.top_p = x; }, {-0.1, 1.01, kNan, kInfinity}},
      {"min_p", [](SamplerOptions& o, double x) { o.min_p = x; }, {-0.1, 1.01, kNan, -kInfinity}},
      {"xtc_probability", [](SamplerOptions& o, double x) { o.xtc_probability = x; }, {-0.1, 1.01, kNan}},
      {"xtc_threshold", [](SamplerOptions& o, double x) { o.xtc_threshold = x; }, {-0.1, 1.01, kNan}},
      {"mirostat_tau", [](SamplerOptions& o, double x) { o.mirostat_tau = x; }, {-1, kNan, kInfinity}},
      {"mirostat_eta", [](SamplerOptions& o, double x) { o.mirostat_eta = x; }, {-1, 2, kNan}},
      {"repetition_penalty", [](SamplerOptions& o, double x) { o.repetition_penalty = x; }, {0, -1, kNan, kInfinity}},
      {"presence_penalty", [](SamplerOptions& o, double x) { o.presence_penalty = x; }, {-1e7, kNan, kInfinity}},
      {"frequency_penalty", [](SamplerOptions& o, double x) { o.frequency_penalty = x; }, {1e7, kNan, kInfinity}},
      {"dry_multiplier", [](SamplerOptions& o, double x) { o.dry_multiplier = x; }, {-1, kNan, kInfinity}},
      {"dry_base", [](SamplerOptions& o, double x) { o.dry_base = x; }, {0.5, -1, kNan, kInfinity}},
      {"top_k", [](SamplerOptions& o, double x) { o.top_k = static_cast<int32_t>(x); }, {-1, -2147483648.0}},
      {"penalty_last_n", [](SamplerOptions& o, double x) { o.penalty_last_n = static_cast<int32_t>(x); }, {-2, 1e9}},
      {"dry_last_n", [](SamplerOptions& o, double x) { o.dry_last_n = static_cast<int32_t>(x); }, {-2, 1e9}},
      {"dry_allowed_length",
       [](SamplerOptions& o, double x) { o.dry_allowed_length = static_cast<int32_t>(x); },
       {0, -1, -2147483648.0, 1e9}},
  };
  for (const Field& field : fields) {
    for (double value : field.bad) {
      SamplerOptions options;
      field.set(options, value);
      const Result<SamplerOptions> result = validate(options, 100);
      ASSERT_FALSE(result.ok()) << field.name << " = " << value;
      EXPECT_NE(result.error().message.find(field.name), std::string::npos) << result.error().message;
    }
  }
}

TEST(SamplerOptions, ListsAreChecked) {
  const auto rejects = [](const SamplerOptions& options, const char* word) {
    const Result<SamplerOptions> result = validate(options, 100);
    return !result.ok() && result.error().message.find(word) != std::string::npos;
  };
  SamplerOptions o;
  for (int32_t token : {-1, 100, 2147483647}) {
    o.logit_bias = {{token, 1}};
    EXPECT_TRUE(rejects(o, "logit_bias")) << token;
    o.logit_bias.clear();
    o.dry_breakers = {{1, token}};
    EXPECT_TRUE(rejects(o, "dry_breakers")) << token;
    o.dry_breakers.clear();
  }
  o.logit_bias = {{5, 1}, {6, 1}, {5, 2}};
  EXPECT_TRUE(rejects(o, "twice"));
  o.logit_bias = {{5, std::numeric_limits<float>::quiet_NaN()}};
  EXPECT_TRUE(rejects(o, "bias of nan"));
  o.logit_bias = {{5, std::numeric_limits<float>::infinity()}};
  EXPECT_TRUE(rejects(o, "bias of inf"));
  o.logit_bias.clear();
  o.dry_breakers = {{}};
  EXPECT_TRUE(rejects(o, "dry_breakers"));
  o.dry_breakers = {std::vector<int32_t>(33, 1)};
  EXPECT_TRUE(rejects(o, "dry_breakers"));
  EXPECT_FALSE(validate(SamplerOptions(), 0).ok());
}

}  // namespace
}  // namespace andiron
