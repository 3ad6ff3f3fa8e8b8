#include "http/server.h"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "http/connection.h"
#include "http/server_core.h"

namespace andiron {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// After a failure to accept (no files left), so that it does not fail a million times a second.
constexpr auto kAcceptPause = std::chrono::milliseconds(50);

// "::ffff:127.0.0.1" is 127.0.0.1.
std::string address_text(asio::ip::address address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  return address.to_string();
}

// `error`: of the system, where that is why it failed.
Result<tcp::acceptor> listen_at(asio::io_context& io, const std::string& address, uint16_t port,
                                boost::system::error_code& error) {
  boost::system::error_code wrong;
  const auto numbers = asio::ip::make_address(address, wrong);
  if (wrong)
    return make_error("{}: expected localhost or an address in numbers, such as 127.0.0.1", in_quotes(address));
  const tcp::endpoint endpoint(numbers, port);
  tcp::acceptor acceptor(io);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && numbers.is_v6()) acceptor.set_option(boost::asio::ip::v6_only(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return make_error("cannot listen at {} port {}: {}", address, port, error.message());
  return acceptor;
}

Status listen(ServerCore& core, const std::string& address) {
  const auto port = [&] { return core.port != 0 ? core.port : core.options.port; };
  boost::system::error_code error;
  const bool both = address == "localhost";
  TRY_ASSIGN(auto acceptor, listen_at(core.io, both ? "127.0.0.1" : address, port(), error));
  core.port = acceptor.local_endpoint().port();
  core.acceptors.push_back({std::move(acceptor)});
  if (!both) return {};
  auto six = listen_at(core.io, "::1", port(), error);
  // Another program at ::1 would be what browsers find at localhost. Where any port will do, nobody looks there.
  if (!six.ok() && error == asio::error::address_in_use && core.options.port != 0) return six.error();
  if (six.ok()) core.acceptors.push_back({std::move(six).value()});
  return {};
}

// The connection that has waited longest for a request, or for the rest of one, gives way.
bool make_room(ServerCore& core) {
  const auto most = core.options.limits.bytes(Limit::kConnections);
  if (core.connections.size() < most) return true;
  const auto patience = std::chrono::milliseconds(core.options.limits[Limit::kYieldMs]);
  const auto before = Connection::Clock::now() - patience;
  std::shared_ptr<Connection> oldest;
  for (const auto& one : core.connections) {
    if (one->is_waiting() && one->waits_since() <= before &&
        (oldest == nullptr || one->waits_since() < oldest->waits_since()))
      oldest = one;
  }
  if (oldest == nullptr) return false;
  core.metrics.beyond(Limit::kYieldMs);
  oldest->close();
  return true;
}

void welcome(ServerCore& core, tcp::socket socket) {
  boost::system::error_code error;
  const auto local = socket.local_endpoint(error);
  const auto peer = error ? tcp::endpoint() : socket.remote_endpoint(error);
  if (error) return;  // it has gone already
  const bool has_room = make_room(core);
  const Limits& limits = core.options.limits;
  const auto most = limits.bytes(Limit::kConnections) + limits.bytes(Limit::kTurnedAway);
  if (core.connections.size() >= most) return core.metrics.beyond(Limit::kTurnedAway);
  socket.set_option(tcp::no_delay(true), error);
  socket.set_option(asio::socket_base::keep_alive(true), error);
  socket.set_option(asio::socket_base::send_buffer_size(static_cast<int>(limits[Limit::kSendBufferBytes])), error);
  const auto connection = std::make_shared<Connection>(
      core, std::move(socket), LocalAddress{address_text(local.address()), local.port()}, address_text(peer.address()));
  core.connections.insert(connection);
  core.connections_open = core.connections.size();
  if (has_room) {
    connection->start();
  } else {
    connection->turn_away();
  }
}

void accept(ServerCore& core, ServerCore::Acceptor& acceptor) {
  if (core.stopping || acceptor.accepts) return;
  acceptor.socket.async_accept([&core, &acceptor](const boost::system::error_code& error, tcp::socket socket) {
    acceptor.accepts = false;
    if (core.stopping) return;
    if (!error) {
      try {
        welcome(core, std::move(socket));
      } catch (const std::bad_alloc&) {
        // This client's socket is closed; others are still let in.
      }
      return accept(core, acceptor);
    }
    const auto timer = std::make_shared<asio::steady_timer>(core.io, kAcceptPause);
    timer->async_wait([&core, &acceptor, timer](const boost::system::error_code&) { accept(core, acceptor); });
  });
  acceptor.accepts = true;
}

// False where there is no memory for one of them.
bool accept_everywhere(ServerCore& core) {
  try {
    for (ServerCore::Acceptor& acceptor : core.acceptors) accept(core, acceptor);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void finish_if_empty(ServerCore& core) {
  if (core.stopping && core.connections.empty()) core.io.stop();
}

void stop_gracefully(ServerCore& core) {
  if (std::exchange(core.stopping, true)) return core.io.stop();
  boost::system::error_code ignored;
  for (ServerCore::Acceptor& acceptor : core.acceptors) acceptor.socket.close(ignored);
  core.drain.expires_after(std::chrono::milliseconds(core.options.limits[Limit::kDrainMs]));
  core.drain.async_wait([&core](const boost::system::error_code& error) {
    if (!error) core.io.stop();
  });
  const std::vector<std::shared_ptr<Connection>> connections(core.connections.begin(), core.connections.end());
  for (const auto& connection : connections) connection->stop();
  finish_if_empty(core);
}

void wait_for_signals(ServerCore& core) {
  core.signals.async_wait([&core](const boost::system::error_code& error, int) {
    if (error) return;
    stop_gracefully(core);
    wait_for_signals(core);
  });
}

void add_own_routes(ServerCore& core, std::vector<Route>& routes) {
  routes.push_back({"GET", "/health", [](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
                      reply->send(200, "application/json", "{\"status\":\"ok\"}");
                    }});
  routes.back().open = true;
  if (!core.options.metrics) return;
  routes.push_back({"GET", "/metrics", [&core](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
                      std::vector<Gauge> gauges = core.gauges ? core.gauges() : std::vector<Gauge>();
                      const auto count = [](const std::atomic<size_t>& of) { return static_cast<double>(of.load()); };
                      gauges.push_back({"andiron_http_connections", "Open now.", count(core.connections_open)});
                      gauges.push_back({"andiron_http_requests", "Not answered yet, or still worked for.",
                                        count(core.counts->requests)});
                      gauges.push_back({"andiron_http_body_bytes", "Of their bodies.", count(core.counts->body_bytes)});
                      reply->send(200, "text/plain; version=0.0.4", core.metrics.text(gauges));
                    }});
}

}  // namespace

void ServerCore::forget(const std::shared_ptr<Connection>& connection) {
  connections.erase(connection);
  connections_open = connections.size();
  finish_if_empty(*this);
}

HttpListener::HttpListener(std::unique_ptr<ServerCore> core) : core_(std::move(core)) {}
HttpListener::HttpListener(HttpListener&& other) noexcept = default;
HttpListener::~HttpListener() = default;

Result<HttpListener> HttpListener::open(ServerOptions options) {
  auto core = std::make_unique<ServerCore>(std::move(options));
  ANDIRON_CHECK(!core->options.addresses.empty());
  for (const std::string& address : core->options.addresses) {
    TRY(check_may_listen(address, core->options.security));
    TRY(listen(*core, address));
  }
  return HttpListener(std::move(core));
}

uint16_t HttpListener::port() const { return core_->port; }

HttpServer::HttpServer(std::unique_ptr<ServerCore> core) : core_(std::move(core)) {}

HttpServer::~HttpServer() {
  const std::shared_ptr<ServerDoor> door = core_->door;
  const std::lock_guard lock(door->mutex);
  door->core = nullptr;
}

Result<std::unique_ptr<HttpServer>> HttpServer::create(HttpListener listener, std::vector<Route> routes,
                                                       Gauges gauges) {
  std::unique_ptr<ServerCore> core = std::move(listener.core_);
  ANDIRON_CHECK(core != nullptr);
  core->gauges = std::move(gauges);
  add_own_routes(*core, routes);
  core->router = Router(std::move(routes));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(core)));
}

Result<std::unique_ptr<HttpServer>> HttpServer::create(ServerOptions options, std::vector<Route> routes,
                                                       Gauges gauges) {
  TRY_ASSIGN(HttpListener listener, HttpListener::open(std::move(options)));
  return create(std::move(listener), std::move(routes), std::move(gauges));
}

uint16_t HttpServer::port() const { return core_->port; }

std::vector<std::string> HttpServer::urls() const {
  std::vector<std::string> urls;
  for (const ServerCore::Acceptor& acceptor : core_->acceptors) {
    const auto end = acceptor.socket.local_endpoint();
    const std::string address = end.address().to_string();
    urls.push_back(format("http://{}:{}", end.address().is_v6() ? "[" + address + "]" : address, end.port()));
  }
  return urls;
}

const Router& HttpServer::router() const { return core_->router; }

void HttpServer::run() {
  ServerCore& core = *core_;
  if (core.options.stops_on_signals) {
    core.signals.add(SIGINT);
    core.signals.add(SIGTERM);
    wait_for_signals(core);
  }
  // Memory that runs out in a connection costs that connection, which its timers close. Where it runs out before an
  // address waits for its next client, it is asked again until it does.
  while (!core.stopping || !core.io.stopped()) {
    const bool all_accept = accept_everywhere(core);
    try {
      if (core.io.stopped()) core.io.restart();  // nobody was accepted anywhere, and there was nothing to wait for
      if (all_accept) {
        core.io.run();
      } else {
        core.io.run_for(kAcceptPause);
      }
    } catch (const std::bad_alloc&) {
      continue;
    }
  }
  core.signals.cancel();
}

void HttpServer::stop() {
  asio::post(core_->io, [core = core_.get()] {
    if (!core->stopping) stop_gracefully(*core);
  });
}

HttpServer::Counts HttpServer::counts() const {
  return {core_->connections_open, core_->counts->requests, core_->counts->body_bytes};
}

}  // namespace andiron
