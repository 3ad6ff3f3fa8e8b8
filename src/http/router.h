// Which handler a request is for. The routes can be walked, so that tests hold every one of them to every rule.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "http/http.h"

namespace andiron {

struct RouteMatch {
  const Route* route = nullptr;  // null: there is none
  std::map<std::string, std::string> captures;
  std::string allowed;  // where only the method is wrong: those that there are, "GET, HEAD, POST"
  // Of where only the method is wrong: how errors look there.
  ErrorShape errors = ErrorShape::kOpenAi;
};

class Router {
 public:
  explicit Router(std::vector<Route> routes) : routes_(std::move(routes)) {}
  std::span<const Route> routes() const { return routes_; }
  // `segments`: of the path, decoded. A part of the pattern that is written out goes before one in braces.
  RouteMatch find(std::string_view method, std::span<const std::string> segments) const;

 private:
  std::vector<Route> routes_;
};

}  // namespace andiron
