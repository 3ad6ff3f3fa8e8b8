#include "http/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <mutex>
#include <vector>

#include "base/test_sanitizers.h"
#include "http/raw_client.h"
#include "http/security_matrix.h"
#include "http/test_routes.h"

namespace andiron {
namespace {

class ServerTest : public ::testing::Test {
 protected:
  std::string post(const std::string& path, const std::string& body) const {
    return format("POST {} HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", path,
                  server_.host(), body.size(), body);
  }
  static std::string body_of(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }

  FakeEngine engine_;
  TestServer server_{test_routes(engine_)};
};

TEST_F(ServerTest, AnswersOnOneConnectionAgainAndAgain) {
  RawClient client = server_.connect();
  for (int i = 0; i < 3; ++i) {
    client.send(post("/v1/echo", format("{{\"i\": {}}}", i)));
    const std::string answer = client.answer();
    EXPECT_EQ(status_in(answer), 200);
    EXPECT_EQ(body_of(answer), format("{{\"i\": {}}}", i));
  }
  client.send(format("GET /v1/things/a%20b HTTP/1.1\r\n{}Connection: close\r\n\r\n", server_.host()));
  const std::string last = client.all();
  EXPECT_NE(last.find("connection: close\r\n"), std::string::npos);
  EXPECT_EQ(body_of(last), "a b");
}

TEST_F(ServerTest, AnswersInTheOrderOfTheQuestions) {
  RawClient client = server_.connect();
  client.send(post("/v1/echo", "{\"i\":1}") + post("/v1/echo", "{\"i\":2}") + post("/v1/echo", "{\"i\":3}"));
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(body_of(client.answer()), format("{{\"i\": {}}}", i));
}

TEST_F(ServerTest, TheAnswerIsTheSameHoweverTheRequestComes) {
  const std::string bytes = post("/v1/echo", "{\"a\": \"b\"}");
  for (size_t cut = 1; cut < bytes.size(); cut += 7) {
    RawClient client = server_.connect();
    client.send(bytes.substr(0, cut));
    client.send(bytes.substr(cut));
    EXPECT_EQ(body_of(client.answer()), "{\"a\": \"b\"}") << cut;
  }
}

TEST_F(ServerTest, HeadIsGetWithoutItsBody) {
  RawClient client = server_.connect();
  client.send(format("HEAD /v1/things/abc HTTP/1.1\r\n{}Connection: close\r\n\r\n", server_.host()));
  const std::string answer = client.all();
  EXPECT_EQ(status_in(answer), 200);
  EXPECT_NE(answer.find("content-length: 3\r\n"), std::string::npos);
  EXPECT_EQ(body_of(answer), "");
}

TEST_F(ServerTest, AsksForABodyThatWaits) {
  RawClient client = server_.connect();
  client.send(
      format("POST /v1/echo HTTP/1.1\r\n{}Content-Type: application/json\r\nExpect: 100-continue\r\n"
             "Content-Length: 2\r\n\r\n",
             server_.host()));
  EXPECT_EQ(client.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("{}");
  EXPECT_EQ(status_in(client.answer()), 200);
}

TEST_F(ServerTest, WhatIsNotThereIsSaidInTheRoutesOwnWay) {
  EXPECT_EQ(status_in(server_.ask("GET /none HTTP/1.1\r\nHost: HERE\r\n\r\n")), 404);
  const std::string wrong = server_.ask("GET /v1/messages HTTP/1.1\r\nHost: HERE\r\n\r\n");
  EXPECT_EQ(status_in(wrong), 405);
  EXPECT_NE(wrong.find("allow: POST\r\n"), std::string::npos);
  EXPECT_TRUE(body_of(wrong).starts_with("{\"type\": \"error\"")) << wrong;
  const auto bad = [&](const std::string& path) { return body_of(server_.ask(post(path, "[1]"))); };
  EXPECT_TRUE(bad("/v1/echo").starts_with("{\"error\": {\"message\": "));
  EXPECT_TRUE(bad("/v1/messages").starts_with("{\"type\": \"error\", \"error\": {\"type\": \"invalid_request_error\""));
  EXPECT_TRUE(bad("/api/chat").starts_with("{\"error\": \""));
}

TEST_F(ServerTest, BodiesThatAreNoJsonAreRefused) {
  for (const char* body :
       {"{", "[]", "null", "{\"a\":1,\"a\":2}", "{\"a\":\"\xff\"}", "{\"a\":NaN}", "{} x", "\xef\xbb\xbf{}"}) {
    EXPECT_EQ(status_in(server_.ask(post("/v1/echo", body))), 400) << body;
  }
}

TEST_F(ServerTest, AHandlerThatFailsCostsItsRequestAlone) {
  EXPECT_EQ(status_in(server_.ask(post("/v1/forget", "{}"))), 500);
  EXPECT_EQ(status_in(server_.ask(post("/v1/throw", "{}"))), 503);
  EXPECT_EQ(status_in(server_.ask(post("/v1/echo", "{}"))), 200);
}

TEST_F(ServerTest, StreamsInChunks) {
  RawClient client = server_.connect();
  client.send(post("/v1/stream", R"({"piece":"token","steps":3})"));
  const std::string head = client.until("\r\n\r\n");
  EXPECT_NE(head.find("transfer-encoding: chunked\r\n"), std::string::npos);
  EXPECT_NE(head.find("content-type: text/event-stream\r\n"), std::string::npos);
  EXPECT_NE(head.find("cache-control: no-store\r\n"), std::string::npos);
  EXPECT_EQ(client.until("0\r\n\r\n"),
            "d\r\ndata: token\n\n\r\nd\r\ndata: token\n\n\r\nd\r\ndata: token\n\n\r\n0\r\n\r\n");
  client.send(post("/v1/echo", "{}"));
  EXPECT_EQ(body_of(client.answer()), "{}") << "the connection goes on";
}

TEST_F(ServerTest, StreamsToTheEndForOldClients) {
  RawClient client = server_.connect();
  const std::string body = R"({"steps":2})";
  client.send(format("POST /v1/stream HTTP/1.0\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                     server_.host(), body.size(), body));
  EXPECT_EQ(body_of(client.all()), "data: x\n\ndata: x\n\n");
}

// What is called first runs first, whichever thread calls it: here the handler's own, another and the handler's again.
TEST(Server, WritesInTheOrderOfTheCalls) {
  Route route{"POST", "/v1/stream", [](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
                reply->begin_stream("text/plain");
                std::thread([&] { reply->write("one "); }).join();
                reply->write("two");
                std::thread([&] { reply->end(); }).join();
              }};
  route.body = BodyKind::kText;
  TestServer server({route});
  RawClient client = server.connect();
  const std::string head = "POST /v1/stream HTTP/1.0\r\n" + server.host();
  client.send(head + "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_TRUE(client.all().ends_with("\r\n\r\none two"));
}

constexpr size_t kPieceBytes = 100'000;

// Each when the one before has been taken.
void send_pieces(const std::shared_ptr<HttpReply>& reply, int count) {
  if (count == 0) return reply->end();
  reply->write(std::string(kPieceBytes, 'x'));
  reply->on_taken([reply, count] { send_pieces(reply, count - 1); });
}

// All together are several times what may wait for a client.
TEST(Server, SendsInPiecesWhatHasALength) {
  constexpr int kPieces = 60;
  const auto route = [](std::string_view pattern, int pieces) {
    return Route{"GET", pattern, [pieces](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
                   reply->begin_body("text/plain", kPieces * kPieceBytes, {{"content-disposition", "attachment"}});
                   send_pieces(reply, pieces);
                 }};
  };
  TestServer server({route("/whole", kPieces), route("/short", kPieces - 1), route("/long", kPieces + 1)});
  const std::string whole = format("GET /whole HTTP/1.1\r\n{}\r\n", server.host());
  RawClient client = server.connect();
  for (int i = 0; i < 2; ++i) {  // on one connection
    client.send(whole);
    const std::string head = client.until("\r\n\r\n");
    EXPECT_EQ(status_in(head), 200);
    EXPECT_NE(head.find(format("content-length: {}\r\n", kPieces * kPieceBytes)), std::string::npos) << head;
    EXPECT_NE(head.find("content-disposition: attachment\r\n"), std::string::npos);
    EXPECT_EQ(head.find("transfer-encoding"), std::string::npos);
    size_t bytes = 0;
    while (bytes < kPieces * kPieceBytes) {
      const std::string more = client.some();
      ASSERT_FALSE(more.empty()) << bytes;
      EXPECT_EQ(more.find_first_not_of('x'), std::string::npos);
      bytes += more.size();
    }
    EXPECT_EQ(bytes, kPieces * kPieceBytes);
  }
  const auto body_of = [&](const char* request) {
    RawClient other = server.connect();
    other.send(format("{}\r\n{}\r\n", request, server.host()));
    const std::string answer = other.all();
    EXPECT_EQ(status_in(answer), 200);
    return answer.size() - (answer.find("\r\n\r\n") + 4);
  };
  EXPECT_EQ(body_of("GET /whole HTTP/1.0"), kPieces * kPieceBytes);
  EXPECT_EQ(body_of("HEAD /whole HTTP/1.1\r\nConnection: close"), 0U);
  // The connection is closed before the length is reached, and never goes beyond it.
  EXPECT_EQ(body_of("GET /short HTTP/1.1"), (kPieces - 1) * kPieceBytes);
  EXPECT_LE(body_of("GET /long HTTP/1.1"), kPieces * kPieceBytes);
}

// Nor does a stream of which a part has been sent get our words at its end when the server stops.
TEST(Server, LetsGoOfPiecesWhoseClientHasGone) {
  const auto held = std::make_shared<int>(0);
  const auto began = std::make_shared<std::atomic<int>>(0);
  Route route{"GET", "/pieces", [held, began](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
                reply->begin_body("text/plain", uint64_t{1} << 40);
                reply->write(std::string(size_t{64} << 20, 'x'));  // more than the system takes for a client
                reply->on_taken([held, reply] { reply->write("never"); });
                ++*began;
              }};
  auto server = std::make_unique<TestServer>(std::vector<Route>{std::move(route)});
  const std::string request = format("GET /pieces HTTP/1.1\r\n{}\r\n", server->host());
  const auto slow_client = [&] {
    RawClient client = server->connect();
    client.send(request);
    EXPECT_EQ(status_in(client.until("\r\n\r\n")), 200);
    return client;
  };
  const long before = held.use_count();
  {
    const RawClient client = slow_client();
    EXPECT_TRUE(comes_true([&] { return held.use_count() == before + 1; }));
  }
  EXPECT_TRUE(comes_true([&] { return held.use_count() == before; }));
  RawClient last = slow_client();
  EXPECT_TRUE(comes_true([&] { return held.use_count() == before + 1; }));
  server->stop();
  const std::string rest = last.all();
  EXPECT_EQ(rest.find_first_not_of('x'), std::string::npos);
  server.reset();
  EXPECT_EQ(began->load(), 2);
}

// The work of a client that has gone ends with the engine's next step, whether or not there was something to write.
TEST_F(ServerTest, AClientThatHasGoneIsNoticed) {
  int gone = 0;
  for (const char* path : {"/v1/stream", "/v1/hold"}) {
    for (int i = 0; i < 20; ++i) {
      RawClient client = server_.connect();
      client.send(post(path, "{}"));
      if (std::string_view(path) == "/v1/stream") client.until("data: x\n\n");
      ASSERT_TRUE(comes_true([&] { return engine_.submitted == gone + 1; }));
      client.close();
      ++gone;
      ASSERT_TRUE(comes_true([&] { return engine_.gone == gone && engine_.running() == 0; }));
    }
  }
  EXPECT_TRUE(comes_true([&] {
    const auto counts = server_.server().counts();
    return counts.connections == 0 && counts.requests == 0;
  }));
}

TEST_F(ServerTest, AnAnswerThatEndedIsNotGone) {
  RawClient client = server_.connect();
  client.send(post("/v1/stream", R"({"steps":1})"));
  client.until("0\r\n\r\n");
  client.close();
  EXPECT_TRUE(comes_true([&] { return server_.server().counts().connections == 0; }));
  EXPECT_EQ(engine_.gone, 0);
}

// What is kept with an answer goes when the client has taken it, or has gone; not when the handler has sent it.
TEST(Server, KeepsSomethingAsLongAsAnAnswerIsNotTaken) {
  std::atomic<int> kept{0}, sent{0};
  const std::string large(3 << 20, 'x');
  const auto handler = [&](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
    ++kept;
    reply->keep(std::shared_ptr<void>(&kept, [](void* count) { --*static_cast<std::atomic<int>*>(count); }));
    reply->send(200, "text/plain", large);
    ++sent;
  };
  std::vector<Route> routes;
  routes.push_back({"GET", "/large", handler});
  const TestServer server(std::move(routes));
  for (const bool leaves : {false, true}) {
    RawClient client(server.port(), 4096);
    client.send(format("GET /large HTTP/1.1\r\n{}\r\n", server.host()));
    size_t got = client.some().size();
    ASSERT_GT(got, 0U);
    EXPECT_EQ(sent, leaves ? 2 : 1);
    EXPECT_EQ(kept, 1) << "most of it has not been taken";
    while (!leaves && got < large.size()) {
      const std::string more = client.some();
      ASSERT_FALSE(more.empty());
      got += more.size();
    }
    if (leaves) client.close();
    EXPECT_TRUE(comes_true([&] { return kept == 0; }));
  }
}

// Raw bytes that two programs might read differently: the server answers once, with an error, and closes.
TEST_F(ServerTest, SmuggledRequestsAreNeverAnswered) {
  const std::string here = server_.host(), json = "Content-Type: application/json\r\n";
  const std::string inner = "GET /v1/things/smuggled HTTP/1.1\r\n" + here + "\r\n";
  const std::string post = "POST /v1/echo HTTP/1.1\r\n" + here + json;
  const std::vector<std::pair<std::string, std::string>> attacks = {
      {"CL and TE", post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner},
      {"TE and CL", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + inner},
      {"two CL", post + "Content-Length: 2\r\nContent-Length: 50\r\n\r\n{}" + inner},
      {"two equal CL", post + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" + inner},
      {"hidden TE", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner},
      {"folded", post + "Content-Length: 2\r\nX: a\r\n b\r\n\r\n{}" + inner},
      {"bare LF", "POST /v1/echo HTTP/1.1\n" + here + "Content-Length: 0\n\n" + inner},
      {"bare CR", post + "X: a\rY: b\r\nContent-Length: 2\r\n\r\n{}" + inner},
      {"NUL", post + std::string("X: a\0b\r\n", 8) + "Content-Length: 2\r\n\r\n{}" + inner},
      {"space before colon", post + "Content-Length : 2\r\n\r\n{}" + inner},
      {"chunk size of sign", post + "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n" + inner},
      {"chunk size too long", post + "Transfer-Encoding: chunked\r\n\r\n00000000000000002\r\n{}\r\n0\r\n\r\n" + inner},
      {"chunk longer than its size", post + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n" + inner},
      {"chunk that ends in LF", post + "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n" + inner},
      {"trailer", post + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n" + inner},
      {"body where none belongs", "GET /v1/things/a HTTP/1.1\r\n" + here + "Content-Length: 5\r\n\r\nhello" + inner},
      {"two hosts", "GET /v1/things/a HTTP/1.1\r\n" + here + "Host: evil.example\r\n\r\n" + inner},
      {"absolute target", "GET http://evil.example/ HTTP/1.1\r\n" + here + "\r\n" + inner},
  };
  for (const auto& [name, bytes] : attacks) {
    RawClient client = server_.connect();
    client.send(bytes);
    const std::string answer = client.all();
    const int status = status_in(answer);
    EXPECT_TRUE(status == 400 || status == 501) << name << ": " << answer;
    EXPECT_EQ(answer.find("HTTP/1.1 ", 1), std::string::npos) << name << ": answered twice";
    EXPECT_EQ(answer.find("smuggled"), std::string::npos) << name;
    EXPECT_NE(answer.find("connection: close\r\n"), std::string::npos) << name;
  }
}

// CVE-2025-52887 and CVE-2025-46728 of another server.
TEST_F(ServerTest, WhatNeverEndsIsEnded) {
  RawClient headers = server_.connect();
  headers.send("GET / HTTP/1.1\r\n" + server_.host());
  for (int i = 0; i < 10'000 && headers.send(format("X-{}: {}\r\n", i, i)); ++i) continue;
  EXPECT_EQ(status_in(headers.all()), 431);
  RawClient chunks = server_.connect();
  chunks.send(format("POST /v1/echo HTTP/1.1\r\n{}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
                     server_.host()));
  const std::string chunk = "10000\r\n" + std::string(65536, ' ') + "\r\n";
  for (int i = 0; i < 10'000 && chunks.send(chunk); ++i) continue;
  EXPECT_EQ(status_in(chunks.all()), 413);
}

TEST_F(ServerTest, StopsWithAnErrorForWhatIsRunning) {
  RawClient open_ai = server_.connect(), anthropic = server_.connect(), waiting = server_.connect();
  RawClient idle = server_.connect(), half = server_.connect();
  open_ai.send(post("/v1/stream", "{}"));
  open_ai.until("data: x\n\n");
  anthropic.send(post("/v1/stream2", "{}"));
  anthropic.until("data: x\n\n");
  waiting.send(post("/v1/hold", "{}"));
  half.send("GET / HTTP/1.1\r\n");
  ASSERT_TRUE(comes_true([&] { return engine_.submitted == 3; }));
  std::thread stopping([&] { server_.stop(); });
  const std::string last = open_ai.all(), other = anthropic.all(), whole = waiting.all();
  EXPECT_EQ(idle.all(), "");
  EXPECT_EQ(half.all(), "");
  for (RawClient* client : {&open_ai, &anthropic, &waiting}) client->close();
  stopping.join();
  EXPECT_NE(last.find("data: {\"error\": {\"message\": \"the server has been stopped\""), std::string::npos) << last;
  EXPECT_TRUE(last.ends_with("\r\n0\r\n\r\n")) << last;
  EXPECT_NE(other.find("event: error\ndata: {\"type\": \"error\""), std::string::npos) << other;
  EXPECT_EQ(status_in(whole), 503) << whole;
  EXPECT_EQ(engine_.gone, 3) << "their work has been cancelled";
}

TEST_F(ServerTest, RepliesMayComeAfterTheServerIsGone) {
  std::shared_ptr<HttpReply> kept;
  {
    std::vector<Route> routes;
    std::atomic<bool> has{false};
    routes.push_back({"GET", "/", [&](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
                        kept = reply;
                        has = true;
                      }});
    TestServer server(std::move(routes));
    RawClient client = server.connect();
    client.send("GET / HTTP/1.1\r\n" + server.host() + "\r\n");
    ASSERT_TRUE(comes_true([&] { return has.load(); }));
    client.close();
    ASSERT_TRUE(comes_true([&] { return server.server().counts().connections == 0; }));
    bool told = false;
    kept->on_gone([&] { told = true; });
    server.stop();
    EXPECT_TRUE(told) << "at once, where the client has gone before";
  }
  kept->begin_stream("text/event-stream");
  kept->write("x");
  kept->end();
  kept->on_gone([] {});
}

// The matrix waits for the head of every answer.
std::vector<Route> answering_routes(FakeEngine& engine) {
  std::vector<Route> routes = test_routes(engine);
  std::erase_if(routes, [](const Route& route) { return route.pattern == "/v1/hold"; });
  return routes;
}

bool passes(const Route& route, int status) {
  if (route.pattern == "/v1/forget") return status == 500;
  if (route.pattern == "/v1/throw") return status == 503;
  return status < 300;
}

TEST(Server, HoldsEveryRouteToEveryRule) {
  FakeEngine engine;
  const TestServer server(answering_routes(engine));
  EXPECT_GE(SecurityMatrix(server, server.server().router(), "").run(passes), 300);
}

TEST(Server, AsksForTheKeyOnEveryRoute) {
  FakeEngine engine;
  ServerOptions options;
  options.metrics = true;
  options.security.api_key = "0123456789abcdef0123456789abcdef";
  const std::string key = options.security.api_key;
  const TestServer server(answering_routes(engine), std::move(options));
  EXPECT_GE(SecurityMatrix(server, server.server().router(), key).run(passes), 300);
}

TEST(Server, ListensElsewhereOnlyWithAKey) {
  ServerOptions options;
  options.addresses = {"0.0.0.0"};
  options.port = 0;
  auto refused = HttpServer::create(options, {});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("--api-key-file"), std::string::npos);
  options.security.api_key = "0123456789abcdef";
  EXPECT_TRUE(HttpServer::create(options, {}).ok());
  options.addresses = {"nowhere.example"};
  EXPECT_FALSE(HttpServer::create(options, {}).ok());
}

TEST(Server, SaysWhichPortIsTaken) {
  TestServer server({});
  ServerOptions options;
  options.addresses = {"127.0.0.1"};
  options.port = server.port();
  const auto second = HttpServer::create(options, {});
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find(std::to_string(server.port())), std::string::npos);
}

// As the server's program does while it loads its model.
TEST(Server, ListensBeforeItServes) {
  FakeEngine engine;
  ServerOptions options;
  options.addresses = {"127.0.0.1"};
  options.port = 0;
  auto listener = HttpListener::open(options);
  ASSERT_TRUE(listener.ok()) << listener.error().message;
  const uint16_t port = listener->port();
  options.port = port;
  EXPECT_FALSE(HttpListener::open(options).ok()) << "it is taken";
  RawClient early(port);
  ASSERT_TRUE(early.send(format("GET /health HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", port)));
  auto server = HttpServer::create(std::move(*listener), test_routes(engine));
  ASSERT_TRUE(server.ok()) << server.error().message;
  EXPECT_EQ((*server)->port(), port);
  std::thread serving([&] { (*server)->run(); });
  EXPECT_EQ(status_in(early.answer()), 200) << "who came early has waited";
  (*server)->stop();
  serving.join();
}

// A client that leaves takes nothing of what it asked for with it: that counts until nobody has its reply any more.
TEST(Server, CountsARequestAsLongAsItsReplyIsHeld) {
  std::mutex mutex;
  std::vector<std::shared_ptr<HttpReply>> held;
  Route route{"POST", "/hold", [&](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
                const std::lock_guard lock(mutex);
                held.push_back(reply);
              }};
  route.body = BodyKind::kText;
  ServerOptions options;
  options.limits.set(Limit::kRequests, 1);
  const TestServer server({route}, options);
  const std::string ask = format(
      "POST /hold HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{{\"a\":1}}", server.host());
  const auto first = [&] {
    const std::lock_guard lock(mutex);
    return held.empty() ? nullptr : held[0];
  };
  {
    RawClient client = server.connect();
    client.send(ask);
    ASSERT_TRUE(comes_true([&] { return first() != nullptr; }));
    EXPECT_FALSE(first()->is_over());
  }
  ASSERT_TRUE(comes_true([&] { return first()->is_over(); }));
  EXPECT_EQ(server.server().counts().requests, 1U);
  EXPECT_EQ(server.server().counts().body_bytes, 7 + sizeof(Json::Object) + sizeof(Json::Member));
  EXPECT_EQ(status_in(server.ask(ask)), 429);
  held.clear();
  EXPECT_TRUE(comes_true([&] { return server.server().counts().requests == 0; }));
  EXPECT_TRUE(comes_true([&] { return server.server().counts().body_bytes == 0; }));
}

// What is said to the server is in no line of its log, and in no metric.
TEST(Server, LogsNothingThatWasSaid) {
  FakeEngine engine;
  std::string log;
  ServerOptions options;
  options.metrics = true;
  options.security.api_key = "canary-canary-canary";
  options.log = [&](std::string_view line) { log.append(line).append("\n"); };
  TestServer server(test_routes(engine), std::move(options));
  const std::string auth = "Authorization: Bearer canary-canary-canary\r\nX-Canary: canary\r\n";
  const auto ask = [&](const std::string& line, const std::string& fields, const std::string& body) {
    return server.ask(
        format("{} HTTP/1.1\r\nHost: HERE\r\n{}{}Content-Length: {}\r\n\r\n{}", line, auth, fields, body.size(), body));
  };
  const std::string json = "Content-Type: application/json\r\n";
  EXPECT_EQ(status_in(ask("POST /v1/echo?q=canary", json, "{\"canary\":\"canary\"}")), 200);
  EXPECT_EQ(status_in(ask("POST /v1/echo", json, "{\"canary")), 400);
  EXPECT_EQ(status_in(ask("POST /canary", json, "{}")), 404);
  EXPECT_EQ(status_in(ask("GET /v1/things/canary", "", "")), 200);
  EXPECT_EQ(status_in(ask("CANARY /v1/things/canary", "", "")), 405);
  const std::string metrics = ask("GET /metrics", "", "");
  server.stop();
  EXPECT_NE(log.find("POST /v1/echo 200 "), std::string::npos) << log;
  EXPECT_NE(log.find("GET /v1/things/{id} 200 "), std::string::npos) << log;
  EXPECT_NE(metrics.find("route=\"POST /v1/echo\",status=\"400\"} 1\n"), std::string::npos) << metrics;
  for (const std::string& text : {log, metrics}) {
    EXPECT_EQ(text.find("canary"), std::string::npos) << text;
    EXPECT_EQ(text.find("CANARY"), std::string::npos) << text;
  }
}

// Anonymous memory of this process in bytes, what is swapped out included.
uint64_t memory_bytes() {
  std::ifstream status("/proc/self/status");
  uint64_t kib = 0;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:") || line.starts_with("VmSwap:"))
      kib += std::strtoull(line.c_str() + 8, nullptr, 10);
  }
  return kib << 10;
}

// Slowloris: 400 clients each send all but the end of the largest head there may be.
TEST_F(ServerTest, SlowClientsCostLittleAndStopNobody) {
  EXPECT_EQ(status_in(server_.ask(post("/v1/echo", "{}"))), 200);
  const uint64_t before = memory_bytes();
  std::vector<RawClient> slow;
  for (int i = 0; i < 400; ++i) {
    slow.push_back(server_.connect());
    slow.back().send("GET / HTTP/1.1\r\nX: " + std::string(16'000, 'x'));
  }
  ASSERT_TRUE(comes_true([&] { return server_.server().counts().connections == 400; }));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(status_in(server_.ask(post("/v1/echo", "{}"))), 200);
  const uint64_t after = memory_bytes();
  if (!kSanitized) {  // which keep what is given back
    EXPECT_LE(after - std::min(before, after), 400 * (uint64_t{64} << 10));
  }
}

}  // namespace
}  // namespace andiron
