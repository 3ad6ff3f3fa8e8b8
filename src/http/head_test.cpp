// Request smuggling (two programs that read one request as two): each published way of it has its name here.
#include "http/head.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/strings.h"

namespace andiron {
namespace {

using Outcome = std::variant<RequestHead, HttpFault>;

// What the server makes of these bytes; a head that never ends is a fault of status 0.
Outcome read(const std::string& bytes, const Limits& limits = {}) {
  auto end = find_head_end(bytes, 0, limits);
  if (auto* fault = std::get_if<HttpFault>(&end)) return *fault;
  const auto size = std::get<std::optional<size_t>>(end);
  if (!size) return HttpFault{0, "more is needed"};
  return parse_head(std::string_view(bytes).substr(0, *size), limits);
}

int status_of(const std::string& bytes, const Limits& limits = {}) {
  const Outcome outcome = read(bytes, limits);
  const auto* fault = std::get_if<HttpFault>(&outcome);
  return fault != nullptr ? fault->status : 200;
}

RequestHead good(const std::string& bytes) {
  Outcome outcome = read(bytes);
  const auto* fault = std::get_if<HttpFault>(&outcome);
  EXPECT_EQ(fault, nullptr) << fault->message;
  return fault == nullptr ? std::get<RequestHead>(outcome) : RequestHead();
}

std::string get(const std::string& fields) { return "GET / HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n"; }
std::string post(const std::string& fields) { return "POST /v1/x HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n"; }

TEST(Head, OfAnOrdinaryRequest) {
  const RequestHead head = good(
      "POST /v1/models/a%2Fb?q=two+words&empty=&flag&%C3%A9=%26 HTTP/1.1\r\nHost: localhost:8080\r\n"
      "Content-Type:application/json\r\nX-Blank: \t a b \t\r\nContent-Length: 012\r\n\r\n");
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.path, "/v1/models/a/b");
  EXPECT_EQ(head.segments, (std::vector<std::string>{"v1", "models", "a/b"}));
  EXPECT_EQ(head.query, (HttpFields{{"q", "two words"}, {"empty", ""}, {"flag", ""}, {"é", "&"}}));
  EXPECT_EQ(head.header("content-type"), "application/json");
  EXPECT_EQ(head.header("x-blank"), "a b");
  EXPECT_EQ(head.header("missing"), "");
  EXPECT_EQ(head.content_length, 12U);
  EXPECT_TRUE(head.has_body && head.keep_alive && !head.chunked && !head.http10 && !head.expects_continue);
}

TEST(Head, ConnectionsStayOpenAsTheVersionSays) {
  EXPECT_TRUE(good(get("")).keep_alive);
  EXPECT_FALSE(good(get("Connection: Close\r\n")).keep_alive);
  EXPECT_FALSE(good(get("Connection: x, close\r\n")).keep_alive);
  EXPECT_TRUE(good(get("Connection: closed\r\n")).keep_alive);
  EXPECT_FALSE(good("GET / HTTP/1.0\r\nHost: x\r\n\r\n").keep_alive);
}

TEST(Head, OneThatWaitsToBeAskedForItsBody) {
  EXPECT_TRUE(good(post("Expect: 100-Continue\r\nContent-Length: 1\r\n")).expects_continue);
  EXPECT_FALSE(good(post("Expect: 100-continue\r\n")).expects_continue);
  EXPECT_EQ(status_of(post("Expect: gold\r\n")), 417);
}

TEST(Smuggling, LengthAndTransferEncoding) {
  EXPECT_EQ(status_of(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")), 400);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")), 400);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n")), 400);
}

TEST(Smuggling, TwoLengths) {
  EXPECT_EQ(status_of(post("Content-Length: 5\r\nContent-Length: 6\r\n")), 400);
  EXPECT_EQ(status_of(post("Content-Length: 5\r\ncontent-length: 5\r\n")), 400);
  EXPECT_EQ(status_of(post("Content-Length: 5, 5\r\n")), 400);
}

TEST(Smuggling, LengthsThatAreNoPlainNumber) {
  for (const char* length : {"", "-1", "+5", "0x10", "5 5", "5;", "1e3", "5.0", "1844674407370955161",
                             "18446744073709551616", "99999999999999999999999", "\xd9\xa3", "five"}) {
    EXPECT_EQ(status_of(post(format("Content-Length: {}\r\n", length))), 400) << length;
  }
}

TEST(Smuggling, TransferEncodingsThatHideChunked) {
  for (const char* coding : {"gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "xchunked", "chunked;q=1",
                             "\"chunked\"", "identity", "chunked,", ", chunked"}) {
    EXPECT_EQ(status_of(post(format("Transfer-Encoding: {}\r\n", coding))), 501) << coding;
  }
  EXPECT_EQ(status_of(post("Transfer-Encoding: \vchunked\r\n")), 400);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")), 400);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_TRUE(good(post("Transfer-Encoding:\tChunked \r\n")).chunked);
}

TEST(Smuggling, FoldedLines) {
  EXPECT_EQ(status_of(post("X: a\r\n b\r\n")), 400);
  EXPECT_EQ(status_of(post("X: a\r\n\tContent-Length: 5\r\n")), 400);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\n Host: x\r\n\r\n"), 400);
}

TEST(Smuggling, SpacesBeforeTheColon) {
  EXPECT_EQ(status_of(post("Content-Length : 5\r\n")), 400);
  EXPECT_EQ(status_of(post("Content-Length\t: 5\r\n")), 400);
  EXPECT_EQ(status_of(post("Content Length: 5\r\n")), 400);
}

TEST(Smuggling, NamesThatAreNone) {
  for (const char* line : {": x", "no colon", "a\x80: x", "(a): x", "a@b: x", "\"a\": x", "[a]: x", "a,b: x"}) {
    EXPECT_EQ(status_of(get(format("{}\r\n", line))), 400) << line;
  }
}

TEST(Smuggling, LinesThatEndInLfAlone) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\nHost: x\n\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\r\n\n"), 400);
  EXPECT_EQ(status_of("\n"), 400);
}

TEST(Smuggling, CrWithoutLf) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\r\nHost: x\r\n\r\n"), 400);
}

TEST(Smuggling, NulAndOtherControlCharacters) {
  for (int c = 0; c < 0x20; ++c) {
    if (c == '\t' || c == '\r' || c == '\n') continue;
    EXPECT_EQ(status_of(get(std::string("X: a") + static_cast<char>(c) + "b\r\n")), 400) << c;
    EXPECT_EQ(status_of("GET /" + std::string(1, static_cast<char>(c)) + " HTTP/1.1\r\nHost: x\r\n\r\n"), 400) << c;
  }
  EXPECT_EQ(status_of(get("X: a\x7f\r\n")), 400);
  EXPECT_EQ(status_of(std::string("GET /\0", 6)), 400) << "before the head has ended";
}

TEST(Smuggling, RequestLinesThatAreNone) {
  for (const char* line :
       {"GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1", "GET\t/\tHTTP/1.1", "get / HTTP/1.1",
        "G3T / HTTP/1.1", "GETGETGETGETGETGET / HTTP/1.1", "GET / /x HTTP/1.1", "GET http://x/ HTTP/1.1",
        "CONNECT x:80 HTTP/1.1", "OPTIONS * HTTP/1.1", "GET x HTTP/1.1", "GET /#a HTTP/1.1", "GET /\xc3\xa9 HTTP/1.1",
        "GET / http/1.1", "GET / HTTP/1.10", "GET /", "/ HTTP/1.1"}) {
    EXPECT_EQ(status_of(format("{}\r\nHost: x\r\n\r\n", line)), 400) << line;
  }
  EXPECT_EQ(status_of("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
  EXPECT_EQ(status_of("GET / HTTP/0.9\r\nHost: x\r\n\r\n"), 505);
  EXPECT_EQ(status_of("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
}

TEST(Smuggling, HostsMissingAndTwice) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\n\r\n"), 400);
  EXPECT_EQ(status_of(get("host: y\r\n")), 400);
}

TEST(Smuggling, TwoOfWhatDecidesWhoMayAsk) {
  for (const char* name : {"Origin", "Authorization", "X-Api-Key", "Content-Type", "Sec-Fetch-Site", "Expect"}) {
    EXPECT_EQ(status_of(post(format("{}: 100-continue\r\n{}: 100-continue\r\n", name, name))), 400) << name;
  }
}

TEST(Head, PathsThatAreNoText) {
  for (const char* path :
       {"/%", "/%2", "/%zz", "/%00", "/a%0d%0ab", "/%ff", "/%c3", "/%ed%a0%80", "/x?a=%", "/x?%80=1", "/%7f"}) {
    EXPECT_EQ(status_of(format("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", path)), 400) << path;
  }
}

TEST(Head, WhatIsTooMuch) {
  Limits limits;
  limits.set(Limit::kHeadFields, 3);
  EXPECT_EQ(status_of(get("A: 1\r\nB: 2\r\n"), limits), 200);
  EXPECT_EQ(status_of(get("A: 1\r\nB: 2\r\nC: 3\r\n"), limits), 431);
  limits = {};
  limits.set(Limit::kTargetBytes, 4);
  EXPECT_EQ(status_of("GET /abc HTTP/1.1\r\nHost: x\r\n\r\n", limits), 200);
  EXPECT_EQ(status_of("GET /abcd HTTP/1.1\r\nHost: x\r\n\r\n", limits), 414);
  limits = {};
  limits.set(Limit::kHeadBytes, static_cast<int64_t>(get("").size()));
  EXPECT_EQ(status_of(get(""), limits), 200);
  EXPECT_EQ(status_of(get("A:\r\n"), limits), 431);
  // Without an end, as soon as the limit is reached.
  EXPECT_EQ(status_of("GET /" + std::string(1000, 'a'), limits), 431);
}

TEST(Head, IsTheSameHoweverItComes) {
  const std::string whole = post("Content-Length: 3\r\nX: y\r\n");
  for (size_t cut = 0; cut < whole.size(); ++cut) {
    auto first = find_head_end(std::string_view(whole).substr(0, cut), 0, {});
    ASSERT_TRUE(std::holds_alternative<std::optional<size_t>>(first)) << cut;
    EXPECT_EQ(std::get<std::optional<size_t>>(first), std::nullopt) << cut;
    auto second = find_head_end(whole + "rest", cut, {});
    ASSERT_TRUE(std::holds_alternative<std::optional<size_t>>(second)) << cut;
    EXPECT_EQ(std::get<std::optional<size_t>>(second), whole.size()) << cut;
  }
}

// Whatever comes out was in the head: no byte is taken for what it is not.
TEST(Head, OfEveryFlippedBitIsReadOrRefused) {
  const std::string whole = post("Content-Length: 3\r\nContent-Type: application/json\r\nOrigin: http://x\r\n");
  int refused = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bent = whole;
      bent[at] = static_cast<char>(bent[at] ^ (1 << bit));
      const Outcome outcome = read(bent);
      if (std::holds_alternative<HttpFault>(outcome)) {
        ++refused;
        continue;
      }
      const auto& head = std::get<RequestHead>(outcome);
      EXPECT_FALSE(head.chunked);
      EXPECT_LE(head.headers.size(), 4U);
      EXPECT_TRUE(is_valid_utf8(head.path));
      for (const auto& [name, value] : head.headers) EXPECT_TRUE(is_token(name)) << name;
    }
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace andiron
