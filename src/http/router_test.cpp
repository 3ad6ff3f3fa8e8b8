#include "http/router.h"

#include <gtest/gtest.h>

namespace andiron {
namespace {

Router router() {
  std::vector<Route> routes;
  const auto add = [&](std::string_view method, std::string_view pattern) {
    routes.push_back({method, pattern, {}});
    routes.back().errors = pattern.starts_with("/api") ? ErrorShape::kOllama : ErrorShape::kOpenAi;
  };
  add("GET", "/");
  add("GET", "/v1/models");
  add("GET", "/v1/models/{id}");
  add("DELETE", "/v1/models/{id}");
  add("GET", "/v1/models/all");
  add("POST", "/v1/jobs/{id}/stop/{how}");
  add("GET", "/assets/{file*}");
  add("POST", "/api/chat");
  return Router(std::move(routes));
}

std::string found(const RouteMatch& match) {
  if (match.route == nullptr) return match.allowed.empty() ? "none" : "not " + match.allowed;
  std::string out(match.route->pattern);
  for (const auto& [name, value] : match.captures) out += " " + name + "=" + value;
  return out;
}

TEST(Router, FindsTheRouteOfAPath) {
  const Router all = router();
  using Parts = std::vector<std::string>;
  EXPECT_EQ(found(all.find("GET", Parts{""})), "/");
  EXPECT_EQ(found(all.find("HEAD", Parts{""})), "/");
  EXPECT_EQ(found(all.find("GET", Parts{"v1", "models"})), "/v1/models");
  EXPECT_EQ(found(all.find("GET", Parts{"v1", "models", "a/b"})), "/v1/models/{id} id=a/b");
  EXPECT_EQ(found(all.find("GET", Parts{"v1", "models", "all"})), "/v1/models/all");
  EXPECT_EQ(found(all.find("DELETE", Parts{"v1", "models", "all"})), "/v1/models/{id} id=all");
  EXPECT_EQ(found(all.find("POST", Parts{"v1", "jobs", "7", "stop", "now"})), "/v1/jobs/{id}/stop/{how} how=now id=7");
  EXPECT_EQ(found(all.find("GET", Parts{"assets", "a", "..", "b.js"})), "/assets/{file*} file=a/../b.js");
  EXPECT_EQ(found(all.find("GET", Parts{"assets", ""})), "/assets/{file*} file=");
}

TEST(Router, SaysWhatThereIsInstead) {
  const Router all = router();
  using Parts = std::vector<std::string>;
  for (const Parts& none : {Parts{"v1"}, Parts{"v1", ""}, Parts{"v1", "models", ""}, Parts{"V1", "models"},
                            Parts{"v1", "models", "a", "b"}, Parts{"", "v1", "models"}, Parts{"assets"}}) {
    EXPECT_EQ(found(all.find("GET", none)), "none");
  }
  EXPECT_EQ(found(all.find("POST", Parts{"v1", "models", "x"})), "not GET, HEAD, DELETE");
  EXPECT_EQ(found(all.find("OPTIONS", Parts{"v1", "models"})), "not GET, HEAD");
  EXPECT_EQ(all.find("GET", Parts{"api", "chat"}).errors, ErrorShape::kOllama);
}

}  // namespace
}  // namespace andiron
