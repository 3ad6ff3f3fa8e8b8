// For tests only: a client that sends exactly the bytes it is told to, and a server for it on a thread of its own.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "http/server.h"

namespace andiron {

// Long enough that only a server that hangs reaches it.
inline constexpr int kHangSeconds = 60;

class RawClient {
 public:
  explicit RawClient(uint16_t port, int receive_bytes = 0) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_bytes > 0) ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    const timeval hang{kHangSeconds, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &hang, sizeof hang);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &hang, sizeof hang);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  RawClient(RawClient&& other) noexcept : socket_(std::exchange(other.socket_, -1)), rest_(std::move(other.rest_)) {}
  RawClient& operator=(RawClient&&) = delete;
  ~RawClient() { close(); }

  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  // False where the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // Whatever comes first, up to 64 KiB; "" at the end.
  std::string some() {
    if (!rest_.empty()) return std::exchange(rest_, "");
    std::string bytes(64 << 10, '\0');
    const ssize_t got = ::recv(socket_, bytes.data(), bytes.size(), 0);
    EXPECT_FALSE(got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) << "the server hangs";
    bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return bytes;
  }
  // Until the server closes.
  std::string all() {
    std::string out;
    for (std::string more = some(); !more.empty(); more = some()) out += more;
    return out;
  }
  // Until this comes, inclusive; what follows is kept.
  std::string until(std::string_view mark) {
    std::string out;
    size_t at = std::string::npos;
    while ((at = out.find(mark)) == std::string::npos) {
      const std::string more = some();
      if (more.empty()) return out;
      out += more;
    }
    rest_ = out.substr(at + mark.size());
    return out.substr(0, at + mark.size());
  }
  // One answer with a content-length.
  std::string answer() {
    std::string out = until("\r\n\r\n");
    const size_t at = out.find("content-length: ");
    size_t left = at == std::string::npos ? 0 : static_cast<size_t>(std::atoll(out.c_str() + at + 16));
    while (left > 0) {
      std::string more = some();
      if (more.empty()) return out;
      if (more.size() > left) rest_ = more.substr(left);
      more.resize(std::min(more.size(), left));
      left -= more.size();
      out += more;
    }
    return out;
  }

 private:
  int socket_;
  std::string rest_;
};

inline int status_in(std::string_view answer) {
  return answer.starts_with("HTTP/1.1 ") ? std::atoi(std::string(answer.substr(9, 3)).c_str()) : 0;
}

// Serves until it is destroyed.
class TestServer {
 public:
  explicit TestServer(std::vector<Route> routes, ServerOptions options = {}, HttpServer::Gauges gauges = {}) {
    options.port = 0;
    auto server = HttpServer::create(std::move(options), std::move(routes), std::move(gauges));
    EXPECT_TRUE(server.ok()) << (server.ok() ? "" : server.error().message);
    server_ = std::move(server).value();
    thread_ = std::thread([this] { server_->run(); });
  }
  ~TestServer() { stop(); }
  void stop() {
    server_->stop();
    join();
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  HttpServer& server() const { return *server_; }
  uint16_t port() const { return server_->port(); }
  RawClient connect() const { return RawClient(port()); }
  std::string host() const { return format("Host: localhost:{}\r\n", port()); }

  // The whole answer to these bytes, "Host: HERE" standing for the server's own.
  std::string ask(std::string bytes) const {
    const std::string_view mark = "Host: HERE\r\n";
    if (const size_t at = bytes.find(mark); at != std::string::npos) bytes.replace(at, mark.size(), host());
    RawClient client = connect();
    client.send(bytes);
    return client.answer();
  }

 private:
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

// Waits for something that must come to be.
inline ::testing::AssertionResult comes_true(const std::function<bool()>& what) {
  for (int tries = 0; tries < kHangSeconds * 200; ++tries) {
    if (what()) return ::testing::AssertionSuccess();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return ::testing::AssertionFailure() << "it never did";
}

}  // namespace andiron
