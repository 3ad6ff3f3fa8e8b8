#include "http/errors.h"

#include <gtest/gtest.h>

#include "http/metrics.h"
#include "http/response.h"

namespace andiron {
namespace {

TEST(Errors, LookAsEachApiSaysTheyDo) {
  const HttpFault fault{400, "n must be at most 8", "n"};
  EXPECT_EQ(
      error_body(ErrorShape::kOpenAi, fault),
      R"({"error": {"message": "n must be at most 8", "type": "invalid_request_error", "param": "n", "code": null}})");
  EXPECT_EQ(error_body(ErrorShape::kAnthropic, fault),
            R"({"type": "error", "error": {"type": "invalid_request_error", "message": "n must be at most 8"}})");
  EXPECT_EQ(error_body(ErrorShape::kOllama, fault), R"({"error": "n must be at most 8"})");
}

TEST(Errors, HaveTheTypeOfTheirStatus) {
  const auto type = [](ErrorShape shape, int status) {
    const auto body = parse_json(error_body(shape, {status, "x"}), "body");
    return std::string(body->member("error").member("type").text_or(""));
  };
  for (const auto& [status, openai, anthropic] :
       std::vector<std::tuple<int, std::string, std::string>>{{401, "authentication_error", "authentication_error"},
                                                              {403, "permission_error", "permission_error"},
                                                              {404, "not_found_error", "not_found_error"},
                                                              {409, "conflict_error", "invalid_request_error"},
                                                              {413, "invalid_request_error", "request_too_large"},
                                                              {415, "invalid_request_error", "invalid_request_error"},
                                                              {429, "rate_limit_error", "rate_limit_error"},
                                                              {500, "server_error", "api_error"},
                                                              {503, "server_error", "overloaded_error"}}) {
    EXPECT_EQ(type(ErrorShape::kOpenAi, status), openai) << status;
    EXPECT_EQ(type(ErrorShape::kAnthropic, status), anthropic) << status;
  }
}

TEST(Errors, InAStreamAreEventsOfItsKind) {
  const HttpFault fault{503, "stopped"};
  EXPECT_EQ(error_event(ErrorShape::kOpenAi, "text/event-stream", fault),
            "data: " + error_body(ErrorShape::kOpenAi, fault) + "\n\n");
  EXPECT_EQ(error_event(ErrorShape::kAnthropic, "text/event-stream; charset=utf-8", fault),
            "event: error\ndata: " + error_body(ErrorShape::kAnthropic, fault) + "\n\n");
  EXPECT_EQ(error_event(ErrorShape::kOllama, "application/x-ndjson", fault), "{\"error\": \"stopped\"}\n");
}

// A line end inside an event's data would end it and begin one of the sender's choice.
TEST(Sse, NoDataCanEndItsEvent) {
  EXPECT_EQ(sse_event("", "x"), "data: x\n\n");
  EXPECT_EQ(sse_event("a", ""), "event: a\ndata: \n\n");
  EXPECT_EQ(sse_event("", "a\nb"), "data: a\ndata: b\n\n");
  EXPECT_EQ(sse_event("", "a\r\nb"), "data: a\ndata: b\n\n");
  EXPECT_EQ(sse_event("", "a\rdata: b"), "data: a\ndata: data: b\n\n");
  EXPECT_EQ(sse_event("", "a\n\nevent: b\n"), "data: a\ndata: \ndata: event: b\ndata: \n\n");
}

TEST(Response, HasAHeadWhoseValuesStayInTheirLines) {
  ResponseHead head{200, "text/plain", {{"x-name", "a\r\nset-cookie: b"}, {"cache-control", "no-cache"}}, 5};
  head.now = 784111777;
  const std::string text = response_head(head);
  EXPECT_TRUE(
      text.starts_with("HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-type: text/plain\r\n"
                       "content-length: 5\r\n"))
      << text;
  EXPECT_NE(text.find("x-name: a  set-cookie: b\r\n"), std::string::npos) << text;
  EXPECT_NE(text.find("cache-control: no-cache\r\n"), std::string::npos);
  EXPECT_EQ(text.find("no-store"), std::string::npos) << "replaced";
  EXPECT_NE(text.find("default-src 'none'"), std::string::npos);
  EXPECT_EQ(text.find("access-control"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\r\n\r\n"));
}

TEST(Response, OfChunksHasNoneThatEndsIt) {
  EXPECT_EQ(chunk_of("hello wide world"), "10\r\nhello wide world\r\n");
  EXPECT_EQ(chunk_of(""), "");
}

TEST(Metrics, AreTextForPrometheus) {
  Metrics metrics;
  metrics.answered("GET /health", 200, 0.5);
  metrics.answered("GET /health", 200, 0.25);
  metrics.answered("none", 404, 0);
  metrics.beyond(Limit::kHeadBytes);
  const std::string text = metrics.text({{"andiron_answers_running", "Being written.", 3}});
  EXPECT_NE(text.find("andiron_http_requests_total{route=\"GET /health\",status=\"200\"} 2\n"), std::string::npos);
  EXPECT_NE(text.find("andiron_http_request_seconds_total{route=\"GET /health\",status=\"200\"} 0.750000\n"),
            std::string::npos);
  EXPECT_NE(text.find("andiron_http_requests_total{route=\"none\",status=\"404\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("andiron_http_beyond_limit_total{limit=\"head_bytes\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("# TYPE andiron_answers_running gauge\nandiron_answers_running 3\n"), std::string::npos);
}

}  // namespace
}  // namespace andiron
