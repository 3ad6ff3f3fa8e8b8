#include "http/metrics.h"

#include "base/strings.h"

namespace andiron {

void Metrics::answered(const std::string& route, int status, double seconds) {
  Answers& answers = answers_[{route, status}];
  ++answers.count;
  answers.seconds += seconds;
}

std::string Metrics::text(const std::vector<Gauge>& gauges) const {
  std::string out =
      "# HELP andiron_http_requests_total Requests answered.\n"
      "# TYPE andiron_http_requests_total counter\n";
  for (const auto& [key, answers] : answers_) {
    out +=
        format("andiron_http_requests_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first, key.second, answers.count);
  }
  out +=
      "# HELP andiron_http_request_seconds_total From the request's last byte to the answer's last.\n"
      "# TYPE andiron_http_request_seconds_total counter\n";
  for (const auto& [key, answers] : answers_) {
    out += format("andiron_http_request_seconds_total{{route=\"{}\",status=\"{}\"}} {:.6f}\n", key.first, key.second,
                  answers.seconds);
  }
  out +=
      "# HELP andiron_http_beyond_limit_total Requests and connections that went beyond a limit.\n"
      "# TYPE andiron_http_beyond_limit_total counter\n";
  for (const LimitRow& row : limit_table()) {
    out += format("andiron_http_beyond_limit_total{{limit=\"{}\"}} {}\n", row.name, times_beyond(row.limit));
  }
  for (const Gauge& gauge : gauges) {
    out += format("# HELP {} {}\n# TYPE {} {}\n{} {}\n", gauge.name, gauge.help, gauge.name,
                  gauge.counts ? "counter" : "gauge", gauge.name, gauge.value);
  }
  return out;
}

}  // namespace andiron
