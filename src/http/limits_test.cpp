// Every row of the table of limits is enforced by a server that is running: a row without a proof here fails.
#include "http/limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "http/raw_client.h"
#include "http/test_routes.h"

namespace andiron {
namespace {

// A server in which one limit is low.
class Limited {
 public:
  explicit Limited(const std::vector<std::pair<Limit, int64_t>>& low) : server_(test_routes(engine_), options(low)) {}
  TestServer& server() { return server_; }
  FakeEngine& engine() { return engine_; }
  RawClient connect() { return server_.connect(); }

  std::string post(const std::string& path, const std::string& body) const {
    return format("POST {} HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", path,
                  server_.host(), body.size(), body);
  }
  std::string get(const std::string& path, const std::string& fields = "") const {
    return format("GET {} HTTP/1.1\r\n{}{}\r\n", path, server_.host(), fields);
  }
  // The status of the answer to these bytes.
  int status(const std::string& bytes) {
    RawClient client = connect();
    client.send(bytes);
    return status_in(client.answer());
  }
  // That a request went beyond this limit has been counted.
  bool counted(Limit limit) {
    const std::string line = format("limit=\"{}\"}} ", limit_row(limit).name);
    const std::string text = server_.ask("GET /metrics HTTP/1.1\r\nHost: HERE\r\n\r\n");
    const size_t at = text.find(line);
    return at != std::string::npos && text[at + line.size()] != '0';
  }

 private:
  static ServerOptions options(const std::vector<std::pair<Limit, int64_t>>& low) {
    ServerOptions options;
    options.metrics = true;
    for (const auto& [limit, value] : low) options.limits.set(limit, value);
    return options;
  }
  FakeEngine engine_;
  TestServer server_;
};

void head_bytes(Limit limit) {
  Limited low({{limit, 200}});
  EXPECT_EQ(low.status(low.get("/health")), 200);
  EXPECT_EQ(low.status(low.get("/health", "X: " + std::string(200, 'x') + "\r\n")), 431);
  EXPECT_TRUE(low.counted(limit));
}

void head_fields(Limit limit) {
  Limited low({{limit, 3}});
  EXPECT_EQ(low.status(low.get("/health", "A: 1\r\nB: 2\r\n")), 200);
  EXPECT_EQ(low.status(low.get("/health", "A: 1\r\nB: 2\r\nC: 3\r\n")), 431);
  EXPECT_TRUE(low.counted(limit));
}

void target_bytes(Limit limit) {
  Limited low({{limit, 20}});
  EXPECT_EQ(low.status(low.get("/health?a=" + std::string(10, 'x'))), 200);
  EXPECT_EQ(low.status(low.get("/health?a=" + std::string(11, 'x'))), 414);
  EXPECT_TRUE(low.counted(limit));
}

// With its length and in chunks, on a route that takes texts or images.
void body_bytes(Limit limit, const std::string& path) {
  Limited low({{limit, 20}});
  const std::string fits = R"({"a":"0123456789ab"})", over = R"({"a":"0123456789abc"})";
  ASSERT_EQ(fits.size(), 20U);
  EXPECT_EQ(low.status(low.post(path, fits)), 200);
  EXPECT_EQ(low.status(low.post(path, over)), 413);
  const auto chunked = [&](const std::string& body) {
    return format(
        "POST {} HTTP/1.1\r\n{}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        path, low.server().host(), body.substr(0, 3), body.size() - 3, body.substr(3));
  };
  EXPECT_EQ(low.status(chunked(fits)), 200);
  EXPECT_EQ(low.status(chunked(over)), 413);
  EXPECT_TRUE(low.counted(limit));
}
void text_body_bytes(Limit limit) { body_bytes(limit, "/v1/echo"); }
void image_body_bytes(Limit limit) { body_bytes(limit, "/api/chat"); }

// What has come of a body counts before it is whole, and no longer once the request is answered or its client gone.
void bodies_bytes(Limit limit) {
  constexpr int64_t kValues = sizeof(Json::Object) + sizeof(Json::Member);  // of the body below, once it is read
  Limited low({{limit, 30 + kValues}});
  const auto held = [&] { return low.server().server().counts().body_bytes; };
  const std::string body = R"({"a":"0123456789ab"})";
  ASSERT_EQ(body.size(), 20U);
  const std::string request = low.post("/v1/echo", body);
  EXPECT_EQ(low.status(request), 200);
  RawClient slow = low.connect();
  slow.send(std::string_view(request).substr(0, request.size() - 5));
  ASSERT_TRUE(comes_true([&] { return held() == 15; }));
  const std::string refused = low.server().ask(request);
  EXPECT_EQ(status_in(refused), 429) << refused;
  EXPECT_NE(refused.find("retry-after: 1\r\n"), std::string::npos);
  EXPECT_TRUE(low.counted(limit));
  EXPECT_EQ(low.status(low.get("/health")), 200);
  slow.send(std::string_view(request).substr(request.size() - 5));
  EXPECT_EQ(status_in(slow.answer()), 200);
  ASSERT_TRUE(comes_true([&] { return held() == 0; }));
  {
    RawClient gone = low.connect();
    gone.send(std::string_view(request).substr(0, request.size() - 5));
    ASSERT_TRUE(comes_true([&] { return held() == 15; }));
  }
  ASSERT_TRUE(comes_true([&] { return held() == 0; }));
  EXPECT_EQ(low.status(request), 200);
  EXPECT_EQ(low.status(low.post("/v1/echo", R"({"a":[1,1,1,1]})")), 429) << "a shorter text of more values";
}

void chunk_line_bytes(Limit limit) {
  Limited low({{limit, 8}});
  const auto chunked = [&](const std::string& extension) {
    return format(
        "POST /v1/echo HTTP/1.1\r\n{}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        "2{}\r\n{{}}\r\n0\r\n\r\n",
        low.server().host(), extension);
  };
  EXPECT_EQ(low.status(chunked(";a=123")), 200);
  EXPECT_EQ(low.status(chunked(";a=123456")), 400);
  EXPECT_TRUE(low.counted(limit));
}

void json_depth(Limit limit) {
  Limited low({{limit, 3}});
  EXPECT_EQ(low.status(low.post("/v1/echo", R"({"a":[[1]]})")), 200);
  EXPECT_EQ(low.status(low.post("/v1/echo", R"({"a":[[[1]]]})")), 400);
}

void json_values(Limit limit) {
  Limited low({{limit, 5}});
  EXPECT_EQ(low.status(low.post("/v1/echo", R"({"a":[1,2,3]})")), 200);
  EXPECT_EQ(low.status(low.post("/v1/echo", R"({"a":[1,2,3,4]})")), 400);
}

// A form of two parts, of which the first has a name of `letters`.
int form_status(Limited& low, size_t letters) {
  const std::string body =
      format("--x\r\nContent-Disposition: form-data; name={}\r\n\r\na\r\n", std::string(letters, 'n')) +
      "--x\r\nContent-Disposition: form-data; name=b\r\n\r\nb\r\n--x--\r\n";
  return low.status(
      format("POST /v1/form HTTP/1.1\r\n{}Content-Type: multipart/form-data; boundary=x\r\n"
             "Content-Length: {}\r\n\r\n{}",
             low.server().host(), body.size(), body));
}

void form_parts(Limit limit) {
  Limited two({{limit, 2}}), one({{limit, 1}});
  EXPECT_EQ(form_status(two, 1), 200);
  EXPECT_EQ(form_status(one, 1), 400);
  EXPECT_TRUE(one.counted(limit));
}

void form_head_bytes(Limit limit) {
  const size_t around = std::string_view("Content-Disposition: form-data; name=\r\n\r\n").size();
  Limited low({{limit, static_cast<int64_t>(around) + 5}});
  EXPECT_EQ(form_status(low, 5), 200);
  EXPECT_EQ(form_status(low, 6), 400);
  EXPECT_TRUE(low.counted(limit));
}

// Slowloris: a head that never ends. A byte now and then does not buy more time.
void head_ms(Limit limit) {
  Limited low({{limit, 50}, {Limit::kLingerMs, 50}});
  RawClient client = low.connect();
  client.send("GET / HT");
  EXPECT_EQ(status_in(client.answer()), 408);
  RawClient dripping = low.connect();
  std::thread drip([&] {
    while (dripping.send("X")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  });
  EXPECT_EQ(status_in(dripping.answer()), 408);
  dripping.all();
  low.server().stop();
  drip.join();
}

void idle_ms(Limit limit) {
  Limited low({{limit, 50}});
  RawClient client = low.connect();
  EXPECT_EQ(client.all(), "") << "closed without an answer to nothing";
  EXPECT_TRUE(comes_true([&] { return low.counted(limit); }));
}

void body_rate(Limit) {
  // 50 bytes in 50 ms.
  Limited low({{Limit::kBodyGraceMs, 50}, {Limit::kTransferBytesPerS, 1000}});
  RawClient client = low.connect();
  client.send(
      format("POST /v1/echo HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{\"a\"",
             low.server().host()));
  EXPECT_EQ(status_in(client.answer()), 408);
  EXPECT_TRUE(low.counted(Limit::kTransferBytesPerS));
}

// A client that reads nothing of a long answer, which comes as a whole.
void stall_ms_of_whole(Limit limit) {
  Limited low({{limit, 50}});
  RawClient client(low.server().port(), 4096);
  const std::string long_text(3 << 20, 'x');
  client.send(low.post("/v1/echo", "{\"a\":\"" + long_text + "\"}"));
  EXPECT_TRUE(comes_true([&] { return low.counted(limit); }));
  EXPECT_LT(client.all().size(), long_text.size()) << "the rest was thrown away";
}

// Sends a piece whenever its client has taken the one before, for ever.
void go_on(const std::shared_ptr<HttpReply>& reply) {
  reply->write(std::string(100'000, 'x'));
  reply->on_taken([reply] { go_on(reply); });
}

// Nor does one keep its place that asked for a file, which is sent as it is taken.
void stall_ms_of_pieces(Limit limit) {
  std::atomic<int> gone{0};
  const Route route{"GET", "/file", [&gone](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
                      reply->on_gone([&gone] { ++gone; });
                      reply->begin_body("text/plain", uint64_t{1} << 40);
                      go_on(reply);
                    }};
  ServerOptions options;
  options.limits.set(limit, 50);
  TestServer server({route}, options);
  RawClient client(server.port(), 4096);
  client.send(format("GET /file HTTP/1.1\r\n{}\r\n", server.host()));
  EXPECT_EQ(status_in(client.until("\r\n\r\n")), 200);
  EXPECT_TRUE(comes_true([&] { return gone == 1; }));
  EXPECT_TRUE(comes_true([&] { return server.server().counts().connections == 0; }));
  EXPECT_EQ(server.server().counts().requests, 0U);
}

void stall_ms(Limit limit) {
  stall_ms_of_whole(limit);
  stall_ms_of_pieces(limit);
}

// A stream that goes on whether it is read or not.
void pending_bytes(Limit limit) {
  Limited low({{limit, 100'000}});
  RawClient client(low.server().port(), 4096);
  client.send(low.post("/v1/stream", "{\"piece\":\"" + std::string(10'000, 'x') + "\"}"));
  EXPECT_TRUE(comes_true([&] { return low.engine().gone == 1; }));
  EXPECT_TRUE(comes_true([&] { return low.engine().running() == 0; }));
  EXPECT_TRUE(low.counted(limit));
}

void go_on_counting(const std::shared_ptr<HttpReply>& reply, std::atomic<int>& taken) {
  reply->write(std::string(100'000, 'x'));
  reply->on_taken([reply, &taken] {
    ++taken;
    go_on_counting(reply, taken);
  });
}

// How many pieces of a file a client that reads nothing has taken before it is given up: what the system holds for it.
int pieces_taken(int64_t buffer_bytes) {
  std::atomic<int> taken{0}, gone{0};
  const Route route{"GET", "/file", [&](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
                      reply->on_gone([&gone] { ++gone; });
                      reply->begin_body("text/plain", uint64_t{1} << 40);
                      go_on_counting(reply, taken);
                    }};
  ServerOptions options;
  options.limits.set(Limit::kSendBufferBytes, buffer_bytes);
  options.limits.set(Limit::kStallMs, 100);
  const TestServer server({route}, options);
  RawClient client(server.port(), 4096);
  client.send(format("GET /file HTTP/1.1\r\n{}\r\n", server.host()));
  EXPECT_TRUE(comes_true([&] { return gone == 1; }));
  return taken;
}

void send_buffer_bytes(Limit limit) {
  EXPECT_EQ(pieces_taken(4096), 0);
  EXPECT_GE(pieces_taken(limit_row(limit).value), 1);
}

// Of whole answers that come and are not read. What a load balancer asks for is told all the same.
void answers_bytes(Limit limit) {
  Limited low({{limit, 4 << 20}});
  const std::string ask = low.post("/v1/echo", "{\"a\":\"" + std::string(3 << 20, 'x') + "\"}");
  EXPECT_EQ(low.status(ask), 200);
  {
    RawClient slow(low.server().port(), 4096);
    slow.send(ask);
    slow.until("\r\n\r\n");
    const std::string refused = low.server().ask(ask);
    EXPECT_EQ(status_in(refused), 503) << refused.substr(0, 1000);
    EXPECT_NE(refused.find("retry-after: 1\r\n"), std::string::npos);
    EXPECT_TRUE(low.counted(limit));
    EXPECT_EQ(low.status(low.post("/v1/echo", "{}")), 200);
    EXPECT_EQ(low.status(low.get("/health")), 200);
  }
  EXPECT_TRUE(comes_true([&] { return low.status(ask) == 200; }));
}

void requests(Limit limit) {
  Limited low({{limit, 2}});
  RawClient one = low.connect(), two = low.connect();
  one.send(low.post("/v1/hold", "{}"));
  two.send(low.post("/v1/hold", "{}"));
  ASSERT_TRUE(comes_true([&] { return low.engine().submitted == 2; }));
  RawClient three = low.connect();
  three.send(low.get("/health"));  // is told however busy it is
  EXPECT_EQ(status_in(three.answer()), 200);
  three.send(low.post("/v1/echo", "{}"));
  const std::string refused = three.answer();
  EXPECT_EQ(status_in(refused), 429) << refused;
  EXPECT_NE(refused.find("retry-after: 1\r\n"), std::string::npos);
  one.close();
  ASSERT_TRUE(comes_true([&] { return low.engine().gone == 1; }));
  EXPECT_EQ(low.status(low.get("/health")), 200);
}

void connections(Limit limit) {
  Limited low({{limit, 2}, {Limit::kYieldMs, 1'000'000'000}});
  // Those who wait for an answer stay; a stranger is turned away.
  RawClient one = low.connect();
  one.send(low.post("/v1/hold", "{}"));
  ASSERT_TRUE(comes_true([&] { return low.engine().submitted == 1; }));
  {
    RawClient two = low.connect();
    two.send(low.post("/v1/hold", "{}"));
    ASSERT_TRUE(comes_true([&] { return low.engine().submitted == 2; }));
    RawClient three = low.connect();
    const std::string refused = three.all();
    EXPECT_EQ(status_in(refused), 503) << refused;
    EXPECT_NE(refused.find("retry-after: 1\r\n"), std::string::npos);
  }
  // One of a burst of clients, whose request is on its way, keeps its place too.
  ASSERT_TRUE(comes_true([&] { return low.server().server().counts().connections == 1; }));
  RawClient early = low.connect();
  ASSERT_TRUE(comes_true([&] { return low.server().server().counts().connections == 2; }));
  RawClient late = low.connect();
  EXPECT_EQ(status_in(late.all()), 503);
  early.send(low.get("/health"));
  EXPECT_EQ(status_in(early.answer()), 200);
}

// Beyond those who are told that there is no room nobody is told anything.
void turned_away(Limit limit) {
  Limited low({{limit, 1}, {Limit::kConnections, 1}, {Limit::kYieldMs, 1'000'000'000}, {Limit::kLingerMs, 60'000}});
  RawClient one = low.connect();
  one.send(low.get("/health"));
  EXPECT_EQ(status_in(one.answer()), 200);
  RawClient two = low.connect();
  EXPECT_EQ(status_in(two.answer()), 503);
  RawClient three = low.connect();
  EXPECT_EQ(three.all(), "");
  two.close();
  ASSERT_TRUE(comes_true([&] { return low.server().server().counts().connections == 1; }));
  one.send(low.get("/metrics"));
  EXPECT_NE(one.answer().find("limit=\"turned_away\"} 1\n"), std::string::npos);
}

// Whoever keeps the server waiting makes room.
void yield_ms(Limit limit) {
  Limited low({{limit, 0}, {Limit::kConnections, 1}});
  RawClient slow = low.connect();
  slow.send("GET / HTTP/1.1\r\n");
  ASSERT_TRUE(comes_true([&] { return low.server().server().counts().connections == 1; }));
  EXPECT_EQ(low.status(low.get("/health")), 200);
  EXPECT_EQ(slow.all(), "");
  EXPECT_TRUE(low.counted(limit));
}

// After a refusal the server reads on for a while, and no longer.
void linger_ms(Limit limit) {
  Limited low({{limit, 50}});
  RawClient client = low.connect();
  client.send("NONSENSE\r\n\r\n");
  EXPECT_EQ(status_in(client.answer()), 400);
  EXPECT_TRUE(comes_true([&] { return low.server().server().counts().connections == 0; }));
}

// Nor more than so many bytes.
void linger_bytes(Limit limit) {
  Limited low({{limit, 1000}, {Limit::kLingerMs, 1'000'000'000}});
  RawClient client = low.connect();
  client.send("NONSENSE\r\n\r\n");
  EXPECT_EQ(status_in(client.answer()), 400);
  client.send(std::string(1000, 'x'));
  EXPECT_EQ(low.server().server().counts().connections, 1U);
  client.send("x");
  EXPECT_TRUE(comes_true([&] { return low.server().server().counts().connections == 0; }));
}

// An answer that its client does not read keeps the server from ending no longer than this.
void drain_ms(Limit limit) {
  Limited low({{limit, 50}, {Limit::kStallMs, 1'000'000'000}});
  RawClient client(low.server().port(), 4096);
  client.send(low.post("/v1/echo", "{\"a\":\"" + std::string(3 << 20, 'x') + "\"}"));
  client.until("\r\n\r\n");
  low.server().stop();
}

TEST(Limits, EachIsEnforced) {
  const std::map<Limit, void (*)(Limit)> proofs = {{Limit::kHeadBytes, head_bytes},
                                                   {Limit::kHeadFields, head_fields},
                                                   {Limit::kTargetBytes, target_bytes},
                                                   {Limit::kTextBodyBytes, text_body_bytes},
                                                   {Limit::kImageBodyBytes, image_body_bytes},
                                                   {Limit::kBodiesBytes, bodies_bytes},
                                                   {Limit::kChunkLineBytes, chunk_line_bytes},
                                                   {Limit::kJsonDepth, json_depth},
                                                   {Limit::kJsonValues, json_values},
                                                   {Limit::kFormParts, form_parts},
                                                   {Limit::kFormHeadBytes, form_head_bytes},
                                                   {Limit::kHeadMs, head_ms},
                                                   {Limit::kIdleMs, idle_ms},
                                                   {Limit::kBodyGraceMs, body_rate},
                                                   {Limit::kTransferBytesPerS, body_rate},
                                                   {Limit::kStallMs, stall_ms},
                                                   {Limit::kPendingBytes, pending_bytes},
                                                   {Limit::kSendBufferBytes, send_buffer_bytes},
                                                   {Limit::kAnswersBytes, answers_bytes},
                                                   {Limit::kRequests, requests},
                                                   {Limit::kConnections, connections},
                                                   {Limit::kTurnedAway, turned_away},
                                                   {Limit::kYieldMs, yield_ms},
                                                   {Limit::kLingerMs, linger_ms},
                                                   {Limit::kLingerBytes, linger_bytes},
                                                   {Limit::kDrainMs, drain_ms}};
  for (const LimitRow& row : limit_table()) {
    SCOPED_TRACE(row.name);
    ASSERT_TRUE(proofs.count(row.limit) == 1) << "no test proves it";
    proofs.at(row.limit)(row.limit);
  }
}

TEST(Limits, EachHasANameAUnitAndAReason) {
  std::set<std::string_view> names;
  for (const LimitRow& row : limit_table()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_GT(row.value, 0) << row.name;
    EXPECT_FALSE(row.unit.empty()) << row.name;
    EXPECT_GT(row.reason.size(), 20U) << row.name;
    EXPECT_EQ(Limits()[row.limit], row.value);
    if (row.status != 0) {
      EXPECT_FALSE(reason_phrase(row.status).empty()) << row.name;
    }
  }
}

}  // namespace
}  // namespace andiron
