// What the server has counted, as text for Prometheus (exposition format 0.0.4). Numbers only: no prompt, no answer, no
// key, no address, and of paths only the routes' own patterns. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/limits.h"

namespace andiron {

// A number that somebody else knows, such as the engine.
struct Gauge {
  std::string name;  // "andiron_answers_running"
  std::string help;
  double value = 0;
  bool counts = false;  // only ever grows
};

class Metrics {
 public:
  // `route`: "GET /v1/models/{id}", or "none". Never what a stranger has sent.
  void answered(const std::string& route, int status, double seconds);
  void beyond(Limit limit) { ++beyond_[static_cast<size_t>(limit)]; }
  uint64_t times_beyond(Limit limit) const { return beyond_[static_cast<size_t>(limit)]; }

  std::string text(const std::vector<Gauge>& gauges) const;

 private:
  struct Answers {
    uint64_t count = 0;
    double seconds = 0;
  };
  std::map<std::pair<std::string, int>, Answers> answers_;  // by "GET /health" and status
  std::array<uint64_t, 32> beyond_{};
};

}  // namespace andiron
