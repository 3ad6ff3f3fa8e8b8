// The numbers that codecs are judged on: shared by the tests beside this file and by bench/peers/codec_compare,
// whose measurements of llama.cpp the tests hold andiron's encoders to.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace andiron {

constexpr uint64_t kSampleRow = 1024;

struct CodecSample {
  std::string_view name;
  double (*number)(const RandomStream& random, uint64_t i);
};

inline double laplacian(const RandomStream& random, uint64_t i) {
  const double u = random.uniform(i) - 0.5;
  return (u < 0 ? 1.0 : -1.0) * std::log(1.0 - 2.0 * std::fabs(u) + 1e-300);
}

constexpr CodecSample kCodecSamples[] = {
    {"gaussian", [](const RandomStream& r, uint64_t i) { return 0.02 * r.normal(i); }},
    {"laplacian", [](const RandomStream& r, uint64_t i) { return 0.02 * laplacian(r, i); }},
    {"outliers",  // one in a hundred is twenty times larger
     [](const RandomStream& r, uint64_t i) {
       return (r.uniform((uint64_t{1} << 40) + i) < 0.01 ? 0.4 : 0.02) * r.normal(i);
     }},
    {"uniform", [](const RandomStream& r, uint64_t i) { return r.uniform(i) - 0.5; }},
    {"positive", [](const RandomStream& r, uint64_t i) { return 1.0 + 0.1 * r.normal(i); }},
    {"constant", [](const RandomStream& r, uint64_t i) { return r.normal(i / kSampleRow); }},
    {"zero", [](const RandomStream&, uint64_t) { return 0.0; }},
    {"1e-5", [](const RandomStream& r, uint64_t i) { return 1e-5 * r.normal(i); }},  // subnormal binary16 scales
    {"1e-7", [](const RandomStream& r, uint64_t i) { return 1e-7 * r.normal(i); }},
    {"1e-40", [](const RandomStream& r, uint64_t i) { return 1e-40 * r.normal(i); }},  // subnormal floats
    {"1e+4", [](const RandomStream& r, uint64_t i) { return 1e4 * r.normal(i); }},
};

inline std::vector<float> sample_numbers(const CodecSample& sample, uint64_t rows) {
  const RandomStream random(7, sample.name.size() * 256 + static_cast<unsigned char>(sample.name[0]));
  std::vector<float> values(kSampleRow * rows);
  for (uint64_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(sample.number(random, i));
  return values;
}

// Importance weights of a row's columns: squares of a heavy-tailed variable, as mean squares of activations are.
inline std::vector<float> sample_importance() {
  const RandomStream random(3, 3);
  std::vector<float> importance(kSampleRow);
  for (uint64_t i = 0; i < kSampleRow; ++i) {
    const double x = laplacian(random, i);
    importance[i] = static_cast<float>(x * x + 0.01);
  }
  return importance;
}

// The root mean square of in - out, each column weighted by its importance; an empty `importance` weighs all alike.
inline double codec_rmse(const std::vector<float>& in, const std::vector<float>& out,
                         const std::vector<float>& importance) {
  double sum = 0.0, weights = 0.0;
  for (uint64_t i = 0; i < in.size(); ++i) {
    const double weight = importance.empty() ? 1.0 : static_cast<double>(importance[i % kSampleRow]);
    const double error = static_cast<double>(in[i]) - static_cast<double>(out[i]);
    sum += weight * error * error;
    weights += weight;
  }
  return std::sqrt(sum / weights);
}

}  // namespace andiron
