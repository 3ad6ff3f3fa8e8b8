// HttpServer: HTTP/1.1 on one thread, for many connections at a time. It refuses what http/security.h and the table of
// limits say before a handler sees anything of it, and logs nothing that a request or an answer contains.
//
//   TRY_ASSIGN(auto server, HttpServer::create(options, routes));
//   server->run();  // until stop(), Ctrl-C or SIGTERM
//
// or, where there is much to make ready first,
//
//   TRY_ASSIGN(HttpListener listener, HttpListener::open(options));  // the port is free, and taken now
//   ...
//   TRY_ASSIGN(auto server, HttpServer::create(std::move(listener), routes));
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
  // Of each request: "POST /v1/chat/completions 200 0.532 s". The route's pattern, never what was sent.
  std::function<void(std::string_view line)> log = {};
  bool stops_on_signals = false;  // SIGINT and SIGTERM: gracefully, a second one at once
};

struct ServerCore;

// The addresses and ports of a server that is still to come. Clients that connect meanwhile wait, in the system's
// queue, and are answered once it runs.
class HttpListener {
 public:
  // Listens; an Error names the address.
  static Result<HttpListener> open(ServerOptions options);
  HttpListener(HttpListener&& other) noexcept;
  HttpListener& operator=(HttpListener&&) = delete;
  HttpListener(const HttpListener&) = delete;
  ~HttpListener();

  uint16_t port() const;

 private:
  friend class HttpServer;
  explicit HttpListener(std::unique_ptr<ServerCore> core);
  std::unique_ptr<ServerCore> core_;
};

class HttpServer {
 public:
  // What /metrics tells beside the server's own; called on the network's thread.
  using Gauges = std::function<std::vector<Gauge>()>;

  // `routes` get GET /health beside them and, where the options say, GET /metrics.
  static Result<std::unique_ptr<HttpServer>> create(HttpListener listener, std::vector<Route> routes,
                                                    Gauges gauges = {});
  // Listens first.
  static Result<std::unique_ptr<HttpServer>> create(ServerOptions options, std::vector<Route> routes,
                                                    Gauges gauges = {});
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
    size_t connections = 0;
    size_t requests = 0;    // that have not been answered, or whose replies somebody still has
    size_t body_bytes = 0;  // of these, and of those that are on their way
  };
  Counts counts() const;  // any thread, of a moment ago

 private:
  explicit HttpServer(std::unique_ptr<ServerCore> core);
  std::unique_ptr<ServerCore> core_;
};

}  // namespace andiron
