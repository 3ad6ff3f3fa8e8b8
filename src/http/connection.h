// One client's connection: its requests are read, checked, handed on and answered one after another. On the network's
// thread only. It lives in ServerCore::connections and in what it waits for.
#pragma once

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/body.h"
#include "http/head.h"
#include "http/response.h"
#include "http/server_core.h"

namespace andiron {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;

  Connection(ServerCore& core, boost::asio::ip::tcp::socket socket, LocalAddress local, std::string peer);
  void start();
  void turn_away();  // in place of start(): the server has too many
  // Waits for a request, for the rest of one, or for the client to take its answer; since when.
  bool is_waiting() const { return state_ != State::kClosed && !current_.answering; }
  Clock::time_point waits_since() const { return since_; }
  void close();
  // Ends it as the server ends.
  void stop();

  // Of a reply, whose request is the `number`th: nothing happens when that has been answered.
  void send(uint64_t number, int status, std::string_view content_type, const std::string& body, HttpFields headers);
  void begin_stream(uint64_t number, std::string_view content_type);
  void begin_body(uint64_t number, std::string_view content_type, uint64_t bytes, HttpFields headers);
  void write(uint64_t number, std::string_view piece);
  void end(uint64_t number);
  void on_taken(uint64_t number, std::function<void()> callback);
  void on_gone(uint64_t number, std::function<void()> callback);
  void keep(uint64_t number, std::shared_ptr<void> thing);
  void abandon(uint64_t number);

 private:
  enum class State : uint8_t { kHead, kBody, kAnswer, kLinger, kClosed };
  // What is known of the request that is being read or answered.
  struct Current {
    RequestHead head;
    RouteMatch match;
    std::optional<BodyReader> body;
    std::shared_ptr<RequestShare> share;
    bool answering = false;  // a handler has it
    bool streaming = false;
    std::string stream_type;
    std::optional<uint64_t> left = std::nullopt;  // bytes of a stream whose length has been told
    std::function<void()> gone, taken;
    Clock::time_point began;
  };

  void read();
  void on_read(bool failed, size_t bytes);
  void advance();
  bool advance_head();
  bool advance_body();
  bool accept_head();
  std::optional<HttpFault> check_head();
  bool hold(uint64_t body_bytes);
  void give_back();
  bool hold_answer(uint64_t bytes);
  void dispatch();
  std::optional<HttpFault> parse_body(HttpRequest& request);
  std::optional<HttpFault> parse_form_body(HttpRequest& request);
  HttpRequest make_request();
  void refuse(const HttpFault& fault);
  void begin(ResponseHead head);
  void respond(int status, std::string_view content_type, const std::string& body, HttpFields headers);
  void finish(int status);
  void next_request();
  void lost();
  void linger();

  void queue(std::string bytes);
  void flush();
  void on_written(bool failed, size_t bytes);
  void on_drained();
  void watch_stall();

  void arm(Limit limit, void (Connection::*late)());
  void idle_too_long();
  void head_too_late();
  void body_too_late();

  bool is_current(uint64_t number) const { return current_.answering && number == number_; }
  ErrorShape shape() const;

  ServerCore& core_;
  const Limits& limits_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer read_timer_, write_timer_;
  LocalAddress local_;
  std::string peer_;

  State state_ = State::kHead;
  Clock::time_point since_;
  bool reading_ = false;
  std::array<char, 8192> piece_;
  std::string in_;         // came and is not yet used
  size_t scanned_ = 0;     // of it, without a head's end in it
  uint64_t received_ = 0;  // of a body, since its timer was set; while lingering, in all
  uint64_t held_ = 0;      // of RequestCounts::body_bytes, until the request has a share
  uint64_t answer_ = 0;    // of ServerCore::answers_bytes
  uint64_t number_ = 0;    // of the request
  Current current_;

  std::string out_, flight_;    // to be written; being written
  size_t flown_ = 0;            // of flight_
  uint64_t taken_ = 0;          // by the client since the timer was set
  std::shared_ptr<void> kept_;  // until all is written
  bool close_when_drained_ = false;
};

// The reply to that request of that connection, for any thread.
std::shared_ptr<HttpReply> make_reply(std::shared_ptr<ServerDoor> door, std::weak_ptr<Connection> connection,
                                      uint64_t number, std::shared_ptr<const RequestShare> share);

}  // namespace andiron
