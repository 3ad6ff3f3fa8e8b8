#include "http/body.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace andiron {
namespace {

RequestHead chunked_head() {
  RequestHead head;
  head.chunked = head.has_body = true;
  return head;
}

RequestHead head_of_length(uint64_t length) {
  RequestHead head;
  head.content_length = length;
  head.has_body = length > 0;
  return head;
}

struct Outcome {
  int status = 0;  // 0: it needs more; 200: it is whole
  std::string body, rest;
};

// Reads what comes in pieces.
Outcome read(const RequestHead& head, const std::vector<std::string>& pieces, const Limits& limits = {}) {
  BodyReader reader(head, Limit::kTextBodyBytes, limits);
  Outcome outcome;
  for (const std::string& piece : pieces) {
    auto taken = reader.read(piece);
    if (const auto* fault = std::get_if<HttpFault>(&taken)) return {fault->status, "", ""};
    outcome.rest += piece.substr(std::get<size_t>(taken));
  }
  if (!reader.done()) return outcome;
  outcome.status = 200;
  outcome.body = reader.take();
  return outcome;
}

int status_of(const std::string& chunks, const Limits& limits = {}) {
  const int whole = read(chunked_head(), {chunks}, limits).status;
  // The same byte by byte.
  std::vector<std::string> bytes;
  for (const char c : chunks) bytes.emplace_back(1, c);
  EXPECT_EQ(read(chunked_head(), bytes, limits).status, whole) << chunks;
  return whole;
}

TEST(Body, OfALengthEndsThere) {
  EXPECT_EQ(read(head_of_length(0), {}).status, 200);
  const Outcome outcome = read(head_of_length(5), {"he", "llo", "GET /"});
  EXPECT_EQ(outcome.body, "hello");
  EXPECT_EQ(outcome.rest, "GET /");
  EXPECT_EQ(read(head_of_length(5), {"hell"}).status, 0);
}

TEST(Body, InChunksIsTheSameHoweverItComes) {
  const std::string chunks = "5\r\nhello\r\n001;name=value\r\n \r\nA\r\nwide world\r\n0;x\r\n\r\n", next = "GET / HTTP";
  for (size_t cut = 0; cut <= chunks.size(); ++cut) {
    const Outcome outcome = read(chunked_head(), {chunks.substr(0, cut), chunks.substr(cut) + next});
    EXPECT_EQ(outcome.status, 200) << cut;
    EXPECT_EQ(outcome.body, "hello wide world") << cut;
    EXPECT_EQ(outcome.rest, next) << cut;
    if (cut < chunks.size()) {
      EXPECT_EQ(read(chunked_head(), {chunks.substr(0, cut)}).status, 0) << cut;
    }
  }
}

TEST(Smuggling, SizesOfChunksThatAreNone) {
  for (const char* size : {"", "-2", "+2", "0x2", " 2", "2 ", "g", "2\t", "123456789", "ffffffffffffffff", "2,2",
                           "\"2\"", ";x", "2\n", "2;\x01", "2;\x80"}) {
    EXPECT_EQ(status_of(std::string(size) + "\r\nab\r\n0\r\n\r\n"), 400) << size;
  }
}

TEST(Smuggling, ChunksThatDoNotEndWhereTheyShould) {
  EXPECT_EQ(status_of("2\r\nabc\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of("2\r\nab0\r\n\r\n"), 400);
  EXPECT_EQ(status_of("2\r\nab\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of("2\nab\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of("2\r\nab\r\r\n0\r\n\r\n"), 400);
  EXPECT_EQ(status_of("2\rab\r\n0\r\n\r\n"), 400);
}

TEST(Smuggling, Trailers) {
  EXPECT_EQ(status_of("0\r\nContent-Length: 5\r\n\r\n"), 400);
  EXPECT_EQ(status_of("0\r\n\r\n"), 200);
  EXPECT_EQ(status_of("0\r\n\n"), 400);
}

// CVE-2025-46728 of another server: a body in chunks that never ends.
TEST(Smuggling, ChunksWithoutEndStopAtTheLimit) {
  Limits limits;
  limits.set(Limit::kTextBodyBytes, 10);
  EXPECT_EQ(status_of("5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n", limits), 200);
  EXPECT_EQ(status_of("5\r\nhello\r\n5\r\nworld\r\n1\r\n", limits), 413);
  EXPECT_EQ(status_of("b\r\n", limits), 413);
  EXPECT_EQ(status_of("ffffffff\r\n", limits), 413);
  limits = {};
  limits.set(Limit::kChunkLineBytes, 6);
  EXPECT_EQ(status_of("1;abc\r\nx\r\n0\r\n\r\n", limits), 200);
  EXPECT_EQ(status_of("1;abcdefgh", limits), 400);
}

TEST(Body, ThatSaysItIsTooLongIsRefusedAtOnce) {
  Limits limits;
  limits.set(Limit::kTextBodyBytes, 10);
  EXPECT_EQ(read(head_of_length(10), {""}, limits).status, 0);
  EXPECT_EQ(read(head_of_length(11), {""}, limits).status, 413);
  EXPECT_EQ(read(head_of_length(999'999'999'999'999'999), {""}, limits).status, 413);
}

TEST(Body, ValuesAreCountedWithTheRoomOfTheirLists) {
  EXPECT_EQ(sizeof(Json), 40U) << "what the table of limits says";
  EXPECT_EQ(sizeof(Json::Member), 72U);
  EXPECT_EQ(json_bytes(Json("a text")), 0U);
  const auto read = [](std::string_view text) { return parse_json(text, "test").value(); };
  EXPECT_EQ(json_bytes(read("[]")), sizeof(Json::Array));
  EXPECT_EQ(json_bytes(read(R"({"a": [1]})")), sizeof(Json::Object) + 72 + sizeof(Json::Array) + 40);
  EXPECT_GE(json_bytes(read("[1, 2, 3, 4, 5]")), sizeof(Json::Array) + 5 * 40);
  EXPECT_LE(json_bytes(read("[1, 2, 3, 4, 5]")), sizeof(Json::Array) + 10 * 40);
}

}  // namespace
}  // namespace andiron
