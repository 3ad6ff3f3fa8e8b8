// What the server's connections share. Only connection.cpp and server.cpp include it: Asio takes long to compile. All
// of it lives on the network's thread.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "http/metrics.h"
#include "http/router.h"
#include "http/server.h"

namespace andiron {

class Connection;

struct ServerCore;

// By which answers of other threads come in as long as there is a server. They never own it: whoever let go of it last
// would have to wait for its routes' threads, of which it may be one.
struct ServerDoor {
  std::mutex mutex;
  ServerCore* core;  // null: the server is no more
};

// What requests count for, in Limit::kRequests and Limit::kBodiesBytes.
struct RequestCounts {
  std::atomic<size_t> requests{0}, body_bytes{0};
};

// One request's share, from its last byte on. The connection has it until the answer's end, the reply as long as
// anybody may still answer: what a client has asked for before it left is still to be done, or to be skipped.
struct RequestShare {
  explicit RequestShare(std::shared_ptr<RequestCounts> all) : counts(std::move(all)) { ++counts->requests; }
  RequestShare(const RequestShare&) = delete;
  RequestShare& operator=(const RequestShare&) = delete;
  ~RequestShare() {
    --counts->requests;
    counts->body_bytes -= body_bytes;
  }

  const std::shared_ptr<RequestCounts> counts;
  size_t body_bytes = 0;          // already counted
  std::atomic<bool> over{false};  // answered, or the client has gone
};

struct ServerCore {
  explicit ServerCore(ServerOptions given) : options(std::move(given)) {}

  ServerOptions options;
  Router router{{}};
  HttpServer::Gauges gauges;
  Metrics metrics;
  uint16_t port = 0;  // set before anything runs
  std::atomic<size_t> connections_open{0};
  uint64_t answers_bytes = 0;  // of whole answers, until they are taken
  const std::shared_ptr<RequestCounts> counts = std::make_shared<RequestCounts>();  // of bodies on their way too
  bool stopping = false;

  // Before all that waits on it, so that it is destroyed after that; what it still has to call may use what is above.
  // Without a hint that there is one thread: with it, what that thread posts may run after what another posts later,
  // and an answer's first words came before its beginning.
  boost::asio::io_context io;
  struct Acceptor {
    boost::asio::ip::tcp::acceptor socket;
    bool accepts = false;  // waits for a client
  };
  std::vector<Acceptor> acceptors;
  boost::asio::steady_timer pause{io}, drain{io};
  boost::asio::signal_set signals{io};
  std::unordered_set<std::shared_ptr<Connection>> connections;
  // Called by a connection that has closed.
  void forget(const std::shared_ptr<Connection>& connection);
  const std::shared_ptr<ServerDoor> door{new ServerDoor{{}, this}};
};

}  // namespace andiron
