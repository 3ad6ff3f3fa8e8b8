// For tests only: parameters with storage, and gradients that depend on nothing but their numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "ops/parameter.h"

namespace andiron {

class TestParameters {
 public:
  explicit TestParameters(std::vector<std::vector<int64_t>> shapes, uint64_t seed = 1) {
    for (size_t i = 0; i < shapes.size(); ++i) {
      Parameter parameter;
      parameter.name = "layer." + std::to_string(i) + ".weight";
      parameter.shape = shapes[i];
      const auto size = static_cast<size_t>(parameter.size());
      values_.emplace_back(size);
      gradients_.emplace_back(size);
      const RandomStream random(seed, i);
      for (size_t k = 0; k < size; ++k) values_.back()[k] = static_cast<float>(random.normal(k));
      parameters_.push_back(std::move(parameter));
    }
    for (size_t i = 0; i < parameters_.size(); ++i) {
      parameters_[i].value = values_[i].data();
      parameters_[i].gradient = gradients_[i].data();
    }
  }

  // Gradients of one step: normal numbers whose size differs from one to the next by up to a factor of 3.
  void fill_gradients(int64_t step) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const RandomStream random(100 + static_cast<uint64_t>(step), i);
      for (size_t k = 0; k < gradients_[i].size(); ++k) {
        gradients_[i][k] = static_cast<float>((0.3 + random.normal(k)) * static_cast<double>(1 + k % 3));
      }
    }
  }

  std::vector<Parameter>& parameters() { return parameters_; }
  std::vector<std::vector<float>>& values() { return values_; }
  std::vector<std::vector<float>>& gradients() { return gradients_; }

 private:
  std::vector<Parameter> parameters_;
  std::vector<std::vector<float>> values_, gradients_;
};

}  // namespace andiron
