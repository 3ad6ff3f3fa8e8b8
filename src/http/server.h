// HttpServer: HTTP/1.1 on one thread, for many connections at a time. It refuses what http/security.h and the table of
// limits say before a handler sees anything of it, and logs nothing that a request or an answer contains.
//
//   TRY_ASSIGN(auto server, HttpServer::create(options, routes));
//   server->run();  // until stop(), Ctrl-C or SIGTERM
//
// A client that half-closes its connection counts as gone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/http.h"
#include "http/limits.h"
#include "http/metrics.h"
#include "http/router.h"
#include "http/security.h"

namespace andiron {

struct ServerOptions {
  // Addresses in numbers, or "localhost", which is 127.0.0.1 and, where there is one, ::1.
  std::vector<std::string> addresses = {"localhost"};
  uint16_t port = 8080;  // 0: one that is free
  SecurityPolicy security = {};
  Limits limits = {};
  bool metrics = false;  // GET /metrics
  // What else /metrics tells; called on the network's thread.
  std::function<std::vector<Gauge>()> gauges = {};
  // Of each request: "POST /v1/chat/completions 200 0.532 s". The route's pattern, never what was sent.
  std::function<void(std::string_view line)> log = {};
  bool stops_on_signals = false;  // SIGINT and SIGTERM: gracefully, a second one at once
};

struct ServerCore;

class HttpServer {
 public:
  // Listens; an Error names the address. `routes` get GET /health beside them and, where options say, GET /metrics.
  static Result<std::unique_ptr<HttpServer>> create(ServerOptions options, std::vector<Route> routes);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  uint16_t port() const;
  // "http://127.0.0.1:8080"
  std::vector<std::string> urls() const;
  // Those of all requests, for tests that hold each to every rule.
  const Router& router() const;

  // Serves on this thread. Once, until stopped: then streams get an error event, what else waits gets 503, and it
  // returns when they have been sent, or when Limit::kDrainMs is over.
  void run();
  void stop();  // any thread

  struct Counts {
    size_t connections = 0, requests = 0;
  };
  Counts counts() const;  // any thread, of a moment ago

 private:
  explicit HttpServer(std::unique_ptr<ServerCore> core);
  std::unique_ptr<ServerCore> core_;
};

}  // namespace andiron
