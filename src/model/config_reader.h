// ConfigReader: the metadata keys of one architecture ("llama.block_count"), each checked against a range.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/config.h"

namespace andiron {

class ConfigReader {
 public:
  // Keys are "ARCHITECTURE.name".
  ConfigReader(const ModelSource& source, std::string_view architecture)
      : source_(source), architecture_(architecture) {}

  const ModelSource& source() const { return source_; }
  std::string key(std::string_view name) const;
  bool has(std::string_view name) const { return source_.find_meta(key(name)) != nullptr; }

  // A whole number in [least, most]. A list with one number for each layer will do where all are the same: no
  // supported family has layers of different shapes. Absent: `fallback`, or an Error without one.
  Result<int64_t> count(std::string_view name, int64_t least, int64_t most, std::optional<int64_t> fallback = {}) const;
  // A number in [least, most].
  Result<double> number(std::string_view name, double least, double most, std::optional<double> fallback = {}) const;

  // Reads the sliding window into config.windows. `period`: every period-th layer sees everything, where the file does
  // not say which; 0: none does. `fallback`: the window where the file has none; 0: no window.
  Status windows(int64_t period, int64_t fallback, ModelConfig& config) const;

 private:
  Error wrong(std::string_view name, std::string_view expected, std::string_view got) const;

  const ModelSource& source_;
  std::string architecture_;
};

}  // namespace andiron
