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

struct ServerCore {
  explicit ServerCore(ServerOptions given) : options(std::move(given)) {}

  ServerOptions options;
  Router router{{}};
  HttpServer::Gauges gauges;
  Metrics metrics;
  uint16_t port = 0;  // set before anything runs
  std::atomic<size_t> connections_open{0}, requests_open{0};
  std::atomic<size_t> body_bytes{0};  // of requests that have not been answered, as far as they have come
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
