#include "http/router.h"

#include <optional>

namespace andiron {

namespace {

struct PatternMatch {
  std::map<std::string, std::string> captures;
  int literal = 0;  // parts that are written out
};

std::string joined(std::span<const std::string> segments) {
  std::string out;
  for (const std::string& segment : segments) out += (out.empty() ? "" : "/") + segment;
  return out;
}

std::optional<PatternMatch> match(std::string_view pattern, std::span<const std::string> segments) {
  PatternMatch found;
  pattern.remove_prefix(1);
  size_t at = 0;
  for (bool more = true; more; ++at) {
    const size_t slash = pattern.find('/');
    const std::string_view part = pattern.substr(0, slash);
    more = slash != std::string_view::npos;
    if (more) pattern.remove_prefix(slash + 1);
    if (at >= segments.size()) return std::nullopt;
    if (part.ends_with("*}")) {
      found.captures[std::string(part.substr(1, part.size() - 3))] = joined(segments.subspan(at));
      return found;
    }
    if (part.starts_with('{')) {
      if (segments[at].empty()) return std::nullopt;
      found.captures[std::string(part.substr(1, part.size() - 2))] = segments[at];
    } else if (part == segments[at]) {
      ++found.literal;
    } else {
      return std::nullopt;
    }
  }
  if (at != segments.size()) return std::nullopt;
  return found;
}

}  // namespace

RouteMatch Router::find(std::string_view method, std::span<const std::string> segments) const {
  RouteMatch best;
  int literal = -1;
  for (const Route& route : routes_) {
    auto found = match(route.pattern, segments);
    if (!found) continue;
    const bool answers = route.method == method || (route.method == "GET" && method == "HEAD");
    if (!answers) {
      if (best.allowed.empty()) best.errors = route.errors;
      best.allowed += std::string(best.allowed.empty() ? "" : ", ") + std::string(route.method);
      if (route.method == "GET") best.allowed += ", HEAD";
    } else if (found->literal > literal) {
      literal = found->literal;
      best.route = &route;
      best.captures = std::move(found->captures);
    }
  }
  return best;
}

}  // namespace andiron
