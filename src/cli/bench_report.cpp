#include "cli/bench_report.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "cli/machine_limits.h"

namespace andiron {

Json speeds_json(const std::vector<double>& speeds) {
  Json json = Json::object();
  json.set("median", median(speeds));
  json.set("min", *std::min_element(speeds.begin(), speeds.end()));
  json.set("max", *std::max_element(speeds.begin(), speeds.end()));
  Json all = Json::array();
  for (const double speed : speeds) all.push(speed);
  json.set("all", std::move(all));
  return json;
}

void print_speeds(const char* name, int64_t tokens, const std::vector<double>& speeds) {
  std::fprintf(stdout, "%-8s %5lld tokens  %9.2f tokens/s  (%.2f to %.2f)\n", name, static_cast<long long>(tokens),
               median(speeds), *std::min_element(speeds.begin(), speeds.end()),
               *std::max_element(speeds.begin(), speeds.end()));
}

std::string model_name(const ModelSource& source) {
  const std::filesystem::path path = std::filesystem::path(source.path()).lexically_normal();
  return (path.has_filename() ? path.filename() : path.parent_path().filename()).string();
}

}  // namespace andiron
