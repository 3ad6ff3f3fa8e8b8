#include "http/connection.h"

#include <ctime>
#include <exception>
#include <utility>

#include "base/keyed_hash.h"
#include "base/strings.h"
#include "http/errors.h"
#include "http/form.h"
#include "http/response.h"

namespace andiron {

namespace {

constexpr int kGoneStatus = 499;  // in counts and logs alone: the client has gone before the answer's end

HttpFault too_much_held() {
  return beyond(Limit::kBodiesBytes, "the server holds too much of other requests; try again in a second");
}

template <typename T>
bool take_fault(std::variant<T, HttpFault>& outcome, HttpFault& fault) {
  auto* found = std::get_if<HttpFault>(&outcome);
  if (found != nullptr) fault = std::move(*found);
  return found != nullptr;
}

}  // namespace

Connection::Connection(ServerCore& core, boost::asio::ip::tcp::socket socket, LocalAddress local, std::string peer)
    : core_(core),
      limits_(core.options.limits),
      socket_(std::move(socket)),
      read_timer_(core.io),
      write_timer_(core.io),
      local_(std::move(local)),
      peer_(std::move(peer)),
      since_(Clock::now()) {}

void Connection::start() {
  arm(Limit::kIdleMs, &Connection::idle_too_long);
  read();
}

void Connection::turn_away() {
  refuse(beyond(Limit::kConnections, "the server has too many connections; try again in a second"));
}

// ---- Reading -------------------------------------------------------------------------------------------------------

void Connection::read() {
  if (reading_ || state_ == State::kClosed) return;
  reading_ = true;
  socket_.async_read_some(boost::asio::buffer(piece_),
                          [self = shared_from_this()](const boost::system::error_code& error, size_t bytes) {
                            self->reading_ = false;
                            self->on_read(static_cast<bool>(error), bytes);
                          });
}

void Connection::on_read(bool failed, size_t bytes) {
  if (state_ == State::kClosed) return;
  // One who says no more may still wait for an answer that is on its way.
  const bool answered = state_ == State::kAnswer && !current_.answering;
  if (failed && answered) close_when_drained_ = true;
  if (failed) return answered ? void() : lost();
  if (state_ == State::kLinger) {
    received_ += bytes;
    return received_ > limits_.bytes(Limit::kLingerBytes) ? close() : read();
  }
  in_.append(piece_.data(), bytes);
  advance();
}

// Goes on with what has come, as far as that leads.
void Connection::advance() {
  bool more = true;
  while (more) {
    switch (state_) {
      case State::kHead: more = advance_head(); break;
      case State::kBody: more = advance_body(); break;
      // Of the next request no more than a head is kept; reading is also how a client's going is noticed.
      case State::kAnswer:
        if (in_.size() < limits_.bytes(Limit::kHeadBytes)) {
          read();
        } else if (current_.answering) {
          lost();  // its going could no longer be noticed
        }
        return;
      default: return;
    }
  }
}

bool Connection::advance_head() {
  if (in_.empty()) {
    read();
    return false;
  }
  if (scanned_ == 0) arm(Limit::kHeadMs, &Connection::head_too_late);
  auto end = find_head_end(in_, scanned_, limits_);
  HttpFault fault;
  if (take_fault(end, fault)) {
    refuse(fault);
    return false;
  }
  const auto length = std::get<std::optional<size_t>>(end);
  if (!length) {
    scanned_ = in_.size();
    read();
    return false;
  }
  auto head = parse_head(std::string_view(in_).substr(0, *length), limits_);
  in_.erase(0, *length);
  scanned_ = 0;
  if (take_fault(head, fault)) {
    refuse(fault);
    return false;
  }
  current_.head = std::move(std::get<RequestHead>(head));
  return accept_head();
}

std::optional<HttpFault> Connection::check_head() {
  const RequestHead& head = current_.head;
  const SecurityPolicy& policy = core_.options.security;
  if (auto fault = check_sender(head, policy, local_)) return fault;
  current_.match = core_.router.find(head.method, head.segments);
  const Route* route = current_.match.route;
  if (auto fault = check_site(head, route)) return fault;
  if (auto fault = check_key(head, policy, route)) return fault;
  if (route != nullptr) return check_content(head, *route);
  if (current_.match.allowed.empty()) return HttpFault{404, format("there is no \"{}\" here", in_quotes(head.path))};
  return HttpFault{
      405,
      format("{} is not among what \"{}\" takes: {}", head.method, in_quotes(head.path), current_.match.allowed),
      "",
      "",
      {{"allow", current_.match.allowed}}};
}

bool Connection::accept_head() {
  current_.began = Clock::now();
  if (const auto fault = check_head()) {
    refuse(*fault);
    return false;
  }
  const BodyKind kind = current_.match.route->body;
  const bool large = kind == BodyKind::kImage || kind == BodyKind::kForm;
  const Limit most = large ? Limit::kImageBodyBytes : Limit::kTextBodyBytes;
  current_.body.emplace(current_.head, most, limits_);
  state_ = State::kBody;
  received_ = 0;
  if (!current_.head.has_body) return true;
  arm(Limit::kBodyGraceMs, &Connection::body_too_late);
  if (current_.head.expects_continue && current_.head.content_length <= limits_.bytes(most)) {
    queue("HTTP/1.1 100 Continue\r\n\r\n");
  }
  return true;
}

bool Connection::advance_body() {
  auto taken = current_.body->read(in_);
  if (HttpFault fault; take_fault(taken, fault)) {
    refuse(fault);
    return false;
  }
  const size_t bytes = std::get<size_t>(taken);
  received_ += bytes;
  in_.erase(0, bytes);
  if (!hold(bytes)) {
    refuse(too_much_held());
    return false;
  }
  if (!current_.body->done()) {
    read();
    return false;
  }
  dispatch();
  return state_ == State::kAnswer;
}

// Counts what has come of a body, framing included, and its values, as of all; false where there is too much already.
bool Connection::hold(uint64_t body_bytes) {
  if (core_.counts->body_bytes + body_bytes > limits_.bytes(Limit::kBodiesBytes)) return false;
  core_.counts->body_bytes += body_bytes;
  held_ += body_bytes;
  return true;
}

// No handler has seen the request, and none will; or its share counts it.
void Connection::give_back() {
  current_.body.reset();
  core_.counts->body_bytes -= std::exchange(held_, 0);
}

std::optional<HttpFault> Connection::parse_form_body(HttpRequest& request) {
  const std::string bytes = current_.body->take();
  auto parts = parse_form(bytes, form_boundary(request.header("content-type")).value_or(""), limits_);
  if (HttpFault fault; take_fault(parts, fault)) return fault;
  request.form = std::move(std::get<std::vector<FormPart>>(parts));
  return std::nullopt;
}

std::optional<HttpFault> Connection::parse_body(HttpRequest& request) {
  const bool takes_form = current_.match.route->body == BodyKind::kForm;
  if (takes_form && form_boundary(request.header("content-type"))) return parse_form_body(request);
  request.body = current_.body->take();
  if (!current_.head.has_body) return std::nullopt;
  auto json = andiron::parse_json(request.body, "the request's body",
                                  {static_cast<int>(limits_[Limit::kJsonDepth]), limits_.bytes(Limit::kJsonValues)});
  if (!json.ok()) return HttpFault{400, json.error().message};
  if (!json->is_object()) return HttpFault{400, "the request's body must be a JSON object"};
  if (!hold(json_bytes(*json))) return too_much_held();
  request.json = std::move(*json);
  return std::nullopt;
}

HttpRequest Connection::make_request() {
  HttpRequest request;
  const std::string_view bearer = current_.head.header("authorization"), key = current_.head.header("x-api-key");
  // Where there is a key all have the same; elsewhere what a program says of itself tells it from others.
  request.client = keyed_hash(peer_);
  if (core_.options.security.api_key.empty()) request.client ^= (3 * keyed_hash(bearer)) ^ (5 * keyed_hash(key));
  request.method = current_.head.method;
  request.path = std::move(current_.head.path);
  request.query = std::move(current_.head.query);
  request.headers = std::move(current_.head.headers);
  std::erase_if(request.headers, [](const auto& field) {  // nobody behind needs the key
    return field.first == "authorization" || field.first == "x-api-key";
  });
  request.captures = std::move(current_.match.captures);
  return request;
}

void Connection::dispatch() {
  read_timer_.cancel();
  const Route& route = *current_.match.route;
  const bool is_light = route.open || route.page;  // health and the page, however busy it is
  if (!is_light && core_.counts->requests >= limits_.bytes(Limit::kRequests)) {
    return refuse(beyond(Limit::kRequests, "the server has too many requests at a time; try again in a second"));
  }
  std::shared_ptr<HttpReply> reply;
  // Memory that runs out costs the request, not the server.
  try {
    HttpRequest request = make_request();
    if (const auto fault = parse_body(request)) return refuse(*fault);
    current_.body.reset();
    current_.share = std::make_shared<RequestShare>(core_.counts);
    current_.share->body_bytes = std::exchange(held_, 0);
    reply = make_reply(core_.door, weak_from_this(), ++number_, current_.share);
    current_.answering = true;
    state_ = State::kAnswer;
    current_.match.route->handler(std::move(request), reply);
  } catch (const std::exception&) {
    const HttpFault fault{503, "the server has no memory left for this request"};
    if (!current_.answering) return refuse(fault);
    // Of an answer that has begun, the reply's end is the cut.
    send_error(*reply, shape(), fault);
  }
}

void Connection::arm(Limit limit, void (Connection::*late)()) {
  since_ = Clock::now();
  read_timer_.expires_after(std::chrono::milliseconds(limits_[limit]));
  read_timer_.async_wait([self = shared_from_this(), late](const boost::system::error_code& error) {
    if (error || self->state_ == State::kClosed || self->read_timer_.expiry() > Clock::now()) return;
    (self.get()->*late)();
  });
}

void Connection::idle_too_long() {
  if (state_ != State::kHead) return;
  core_.metrics.beyond(Limit::kIdleMs);
  close();
}

void Connection::head_too_late() {
  if (state_ != State::kHead) return;
  refuse(beyond(Limit::kHeadMs, format("the request's head took longer than {} ms", limits_[Limit::kHeadMs])));
}

void Connection::body_too_late() {
  if (state_ != State::kBody) return;
  const auto least = limits_.bytes(Limit::kTransferBytesPerS) * limits_.bytes(Limit::kBodyGraceMs) / 1000;
  if (received_ >= least) {
    received_ = 0;
    return arm(Limit::kBodyGraceMs, &Connection::body_too_late);
  }
  refuse(beyond(Limit::kTransferBytesPerS,
                format("the request's body comes slower than {} bytes a second", limits_[Limit::kTransferBytesPerS])));
}

// ---- Answering -----------------------------------------------------------------------------------------------------

ErrorShape Connection::shape() const {
  return current_.match.route != nullptr ? current_.match.route->errors : current_.match.errors;
}

// Answers a request that no handler has, and reads no further one: where it ends may not be known.
void Connection::refuse(const HttpFault& fault) {
  if (fault.limit) core_.metrics.beyond(*fault.limit);
  read_timer_.cancel();
  close_when_drained_ = true;
  state_ = State::kAnswer;
  respond(fault.status, "application/json", error_body(shape(), fault), fault.headers);
}

void Connection::respond(int status, std::string_view content_type, const std::string& body, HttpFields headers) {
  if (!current_.head.keep_alive || core_.stopping) close_when_drained_ = true;
  const bool bodiless = status == 204 || status == 304;
  ResponseHead head{status, bodiless ? "" : content_type, std::move(headers)};
  if (!bodiless) head.length = body.size();
  head.close = close_when_drained_;
  head.now = std::time(nullptr);
  std::string bytes = response_head(head);
  if (!bodiless && current_.head.method != "HEAD") bytes += body;
  queue(std::move(bytes));
  finish(status);
}

void Connection::send(uint64_t number, int status, std::string_view content_type, const std::string& body,
                      HttpFields headers) {
  if (!is_current(number) || current_.streaming) return;
  if (hold_answer(body.size())) return respond(status, content_type, body, std::move(headers));
  const HttpFault fault = beyond(Limit::kAnswersBytes, "the server holds too many answers that others have not taken");
  core_.metrics.beyond(Limit::kAnswersBytes);
  respond(fault.status, "application/json", error_body(shape(), fault), fault.headers);
}

// Counts a whole answer as of all; false where there is too much already.
bool Connection::hold_answer(uint64_t bytes) {
  if (current_.match.route->open || current_.match.route->page) return true;
  if (core_.answers_bytes + bytes > limits_.bytes(Limit::kAnswersBytes)) return false;
  core_.answers_bytes += bytes;
  answer_ += bytes;
  return true;
}

void Connection::begin_stream(uint64_t number, std::string_view content_type) {
  if (!is_current(number) || current_.streaming) return;
  ResponseHead head{200, content_type, {}};
  head.chunked = !current_.head.http10;
  begin(std::move(head));
}

void Connection::begin_body(uint64_t number, std::string_view content_type, uint64_t bytes, HttpFields headers) {
  if (!is_current(number) || current_.streaming) return;
  ResponseHead head{200, content_type, std::move(headers)};
  head.length = current_.left = bytes;
  begin(std::move(head));
}

void Connection::begin(ResponseHead head) {
  if (!current_.head.keep_alive || core_.stopping) close_when_drained_ = true;
  head.close = close_when_drained_;
  head.now = std::time(nullptr);
  current_.streaming = true;
  current_.stream_type = head.content_type;
  queue(response_head(head));
}

void Connection::write(uint64_t number, std::string_view piece) {
  if (!is_current(number) || !current_.streaming || current_.head.method == "HEAD") return;
  if (out_.size() + flight_.size() - flown_ > limits_.bytes(Limit::kPendingBytes)) {  // of the pieces before
    core_.metrics.beyond(Limit::kPendingBytes);
    return lost();
  }
  if (current_.left) {
    if (piece.size() > *current_.left) return lost();
    *current_.left -= piece.size();
  }
  try {
    queue(current_.head.http10 || current_.left ? std::string(piece) : chunk_of(piece));
  } catch (const std::bad_alloc&) {
    lost();  // cut, so that the client does not take it for whole
  }
}

void Connection::end(uint64_t number) {
  if (!is_current(number) || !current_.streaming) return;
  const bool has_body = current_.head.method != "HEAD";
  if (has_body && current_.left.value_or(0) != 0) return lost();
  if (has_body && !current_.head.http10 && !current_.left) queue(std::string(kLastChunk));
  finish(200);
}

void Connection::on_taken(uint64_t number, std::function<void()> callback) {
  if (!is_current(number)) return;
  if (out_.empty() && flight_.empty()) return callback();
  current_.taken = std::move(callback);
}

void Connection::on_gone(uint64_t number, std::function<void()> callback) {
  if (state_ == State::kClosed) return callback();
  if (is_current(number)) current_.gone = std::move(callback);
}

void Connection::keep(uint64_t number, std::shared_ptr<void> thing) {
  if (is_current(number)) kept_ = std::move(thing);
}

void Connection::abandon(uint64_t number) {
  if (!is_current(number)) return;
  if (current_.streaming) return lost();  // without the last chunk: the client sees that it was cut
  const HttpFault fault{500, "the server has lost this request"};
  respond(fault.status, "application/json", error_body(shape(), fault), {});
}

void Connection::finish(int status) {
  const Route* route = current_.match.route;
  const std::string name = route != nullptr ? format("{} {}", route->method, route->pattern) : "none";
  const bool began = current_.began != Clock::time_point();
  const double seconds = began ? std::chrono::duration<double>(Clock::now() - current_.began).count() : 0;
  core_.metrics.answered(name, status, seconds);
  if (core_.options.log) core_.options.log(format("{} {} {:.3f} s", name, status, seconds));
  if (current_.share) current_.share->over = true;
  current_.share = nullptr;
  give_back();
  current_.answering = false;
  current_.gone = nullptr;
  current_.taken = nullptr;
  since_ = Clock::now();
  if (state_ == State::kAnswer && out_.empty() && flight_.empty()) on_drained();
}

void Connection::next_request() {
  current_ = Current();
  state_ = State::kHead;
  arm(Limit::kIdleMs, &Connection::idle_too_long);
  advance();
}

void Connection::stop() {
  const HttpFault fault{503, "the server has been stopped"};
  close_when_drained_ = true;
  if (!current_.answering) {
    if (state_ == State::kHead || state_ == State::kBody) close();
    return;
  }
  if (current_.left) return lost();  // its length has been told: words of ours would be taken for a part of it
  const auto gone = std::move(current_.gone);
  if (current_.streaming) {
    write(number_, error_event(shape(), current_.stream_type, fault));
    end(number_);
  } else {
    respond(fault.status, "application/json", error_body(shape(), fault), {});
  }
  if (gone) gone();
}

// ---- Writing and closing -------------------------------------------------------------------------------------------

void Connection::queue(std::string bytes) {
  if (out_.empty()) {
    out_ = std::move(bytes);
  } else {
    out_ += bytes;
  }
  if (flight_.empty() && !out_.empty()) {
    watch_stall();
    flush();
  }
}

void Connection::flush() {
  if (flight_.empty()) {
    flight_ = std::move(out_);
    out_.clear();
    flown_ = 0;
  }
  socket_.async_write_some(boost::asio::buffer(flight_.data() + flown_, flight_.size() - flown_),
                           [self = shared_from_this()](const boost::system::error_code& error, size_t bytes) {
                             self->on_written(static_cast<bool>(error), bytes);
                           });
}

void Connection::on_written(bool failed, size_t bytes) {
  if (state_ == State::kClosed) return;
  if (failed) return lost();
  flown_ += bytes;
  taken_ += bytes;
  if (flown_ == flight_.size()) {
    flight_.clear();
    if (flight_.capacity() > (64 << 10)) flight_.shrink_to_fit();
    flown_ = 0;
  }
  if (!flight_.empty() || !out_.empty()) return flush();
  core_.answers_bytes -= std::exchange(answer_, 0);
  write_timer_.cancel();
  on_drained();
}

void Connection::on_drained() {
  if (state_ != State::kAnswer) return;
  if (current_.answering) {
    if (const auto taken = std::exchange(current_.taken, nullptr)) taken();
    return;
  }
  kept_ = nullptr;
  if (close_when_drained_) return linger();
  next_request();
}

void Connection::watch_stall() {
  taken_ = 0;
  write_timer_.expires_after(std::chrono::milliseconds(limits_[Limit::kStallMs]));
  write_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error || self->state_ == State::kClosed || self->write_timer_.expiry() > Clock::now()) return;
    const Limits& limits = self->limits_;
    const auto least = limits.bytes(Limit::kTransferBytesPerS) * limits.bytes(Limit::kStallMs) / 1000;
    if (self->taken_ >= least) return self->watch_stall();
    self->core_.metrics.beyond(Limit::kStallMs);
    self->lost();
  });
}

// The answer has been written and no request will follow: what the client still sends is read and thrown away, for
// closing at once would take the answer from it.
void Connection::linger() {
  state_ = State::kLinger;
  in_ = std::string();
  received_ = 0;
  boost::system::error_code ignored;
  socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
  arm(Limit::kLingerMs, &Connection::close);
  read();
}

void Connection::lost() {
  const auto gone = std::move(current_.gone);
  close();
  if (current_.answering) finish(kGoneStatus);
  if (gone) gone();
}

void Connection::close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  boost::system::error_code ignored;
  socket_.close(ignored);
  read_timer_.cancel();
  write_timer_.cancel();
  give_back();
  core_.answers_bytes -= std::exchange(answer_, 0);
  kept_ = nullptr;
  core_.forget(shared_from_this());
}

}  // namespace andiron
