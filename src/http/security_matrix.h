// For tests only: every route of a server, asked by every kind of stranger. What must come of each cell is worked out
// here from the rules alone, so that a route that somebody adds and forgets to protect fails.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "http/raw_client.h"

namespace andiron {

struct MatrixCell {
  std::string method, path, host, origin, site, content_type, key;
};

// "{id}" of a pattern as somebody would fill it in.
inline std::string path_of(std::string_view pattern) {
  std::string path;
  bool inside = false;
  for (const char c : pattern) {
    if (c == '{') path += 'x';
    inside = (inside || c == '{') && c != '}';
    if (!inside && c != '}') path += c;
  }
  return path;
}

class SecurityMatrix {
 public:
  // Methods, hosts, origins, sites, content types and keys.
  static constexpr int kCellsOfRoute = 2 * 3 * 4 * 3 * 4 * 2;

  // `key`: the server's, or "".
  SecurityMatrix(const TestServer& at, const Router& router, std::string key)
      : at_(at), router_(router), key_(std::move(key)) {}

  // Asks everything and returns how many cells there were. `passes`: whether a status may come of a request that is
  // let through to its handler.
  int run(const std::function<bool(const Route&, int)>& passes) {
    int cells = 0;
    for (const Route& route : router_.routes()) {
      for (const std::string& method : {std::string(route.method), std::string("OPTIONS")}) {
        for (const MatrixCell& cell : cells_of(route, method)) {
          check(route, cell, passes);
          ++cells;
        }
      }
    }
    return cells;
  }

 private:
  std::vector<MatrixCell> cells_of(const Route& route, const std::string& method) const {
    const std::string here = format("localhost:{}", at_.port());
    std::vector<MatrixCell> cells;
    for (const std::string& host : {here, format("[::1]:{}", at_.port()), format("evil.example:{}", at_.port())}) {
      for (const std::string& origin :
           {std::string(), "http://" + here, std::string("http://evil.example"), std::string("null")}) {
        for (const char* site : {"", "same-origin", "cross-site"}) {
          for (const char* type : {"application/json", "text/plain", "", kForm}) {
            for (const std::string& key : {key_, std::string("a wrong key of some length")}) {
              cells.push_back({method, path_of(route.pattern), host, origin, site, type, key});
            }
          }
        }
      }
    }
    return cells;
  }

  static constexpr const char* kForm = "multipart/form-data; boundary=x";

  // 0: it reaches its handler.
  int expected(const Route& route, const MatrixCell& cell) const {
    if (cell.host.starts_with("evil")) return 403;
    if (!cell.origin.empty() && cell.origin != "http://" + cell.host) return 403;
    if (cell.site == "cross-site") return 403;
    // Only the route itself needs no key: that of another method is none.
    const bool allowed = cell.method == route.method;
    const bool free_of_key = allowed && (route.page || route.open);
    if (!key_.empty() && cell.key != key_ && !free_of_key) return 401;
    if (!allowed) return 405;
    const bool takes =
        cell.content_type == "application/json" || (cell.content_type == kForm && route.body == BodyKind::kForm);
    if (route.body != BodyKind::kNone && !takes) return 415;
    return 0;
  }

  void check(const Route& route, const MatrixCell& cell, const std::function<bool(const Route&, int)>& passes) {
    std::string bytes = format("{} {} HTTP/1.1\r\nHost: {}\r\n", cell.method, cell.path, cell.host);
    if (!cell.origin.empty()) bytes += format("Origin: {}\r\n", cell.origin);
    if (!cell.site.empty()) bytes += format("Sec-Fetch-Site: {}\r\nSec-Fetch-Mode: cors\r\n", cell.site);
    if (!cell.content_type.empty()) bytes += format("Content-Type: {}\r\n", cell.content_type);
    if (!cell.key.empty()) bytes += format("Authorization: Bearer {}\r\n", cell.key);
    if (cell.content_type == kForm && route.body == BodyKind::kForm) {
      bytes += "Content-Length: 5\r\n\r\n--x--";
    } else {
      bytes += route.body == BodyKind::kNone ? "\r\n" : "Content-Length: 2\r\n\r\n{}";
    }
    RawClient client = at_.connect();
    client.send(bytes);
    const std::string head = client.until("\r\n\r\n");
    const int status = status_in(head), wanted = expected(route, cell);
    const std::string what = bytes + "\n" + head;
    if (wanted != 0) {
      EXPECT_EQ(status, wanted) << what;
    } else {
      EXPECT_TRUE(status != 401 && status != 403 && status != 415 && passes(route, status)) << what;
    }
    EXPECT_EQ(head.find("access-control"), std::string::npos) << what;
    EXPECT_NE(head.find("content-security-policy: default-src 'none'"), std::string::npos) << what;
    EXPECT_NE(head.find("x-content-type-options: nosniff"), std::string::npos) << what;
    EXPECT_NE(head.find("cross-origin-resource-policy: same-origin"), std::string::npos) << what;
    EXPECT_NE(head.find("referrer-policy: no-referrer"), std::string::npos) << what;
  }

  const TestServer& at_;
  const Router& router_;
  std::string key_;
};

}  // namespace andiron
