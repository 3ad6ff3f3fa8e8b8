// Progress of long work, on standard error: one live line on a terminal, plain lines now and then elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace andiron {

class Progress {
 public:
  enum class Unit : uint8_t { kBytes, kTokens, kTensors, kSteps, kRows };

  // `label`: "loading weights". Nothing is shown before the work has taken half a second, nor ever when `quiet`.
  Progress(std::string label, Unit unit, bool quiet);
  // Wipes the live line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // For work that is taken up again: what was done before, which says nothing of the speed of now.
  void began_at(uint64_t done) { done_before_ = done; }
  // Cheap enough to call often. `detail` follows the numbers.
  void update(uint64_t done, uint64_t total, std::string_view detail = {});
  // Wipes the live line; a later update() brings it back.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  std::string line(uint64_t done, uint64_t total, std::string_view detail, double seconds) const;

  std::string label_;
  Unit unit_;
  bool quiet_, live_;
  bool shown_ = false;
  uint64_t done_before_ = 0;
  Clock::time_point begin_, last_;
};

}  // namespace andiron
