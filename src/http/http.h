// What the server and those who answer requests say to each other.
//
// A route's handler is called on the network's thread, of which there is one: it must not wait. It answers through the
// HttpReply, at once or later, from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "http/limits.h"

namespace andiron {

using HttpFields = std::vector<std::pair<std::string, std::string>>;

// The first of this name, or "".
inline std::string_view value_or_empty(const HttpFields& fields, std::string_view name) {
  for (const auto& [key, value] : fields) {
    if (key == name) return value;
  }
  return "";
}

// A part of a form (http/form.h).
struct FormPart {
  std::string name;
  bool is_file = false;
  std::string file_name;     // as the client says it; "" where it says none
  std::string content_type;  // likewise
  std::string value;
};

struct HttpRequest {
  std::string method;
  std::string path;    // decoded; valid UTF-8 without control characters
  HttpFields query;    // decoded likewise, in order
  HttpFields headers;  // names in lower case; the API key is not among them
  std::string body;
  Json json;                                    // the body, where the route reads one and there is one
  std::vector<FormPart> form;                   // the same of a route for forms; `body` is empty then
  std::map<std::string, std::string> captures;  // "{id}" of the route's pattern
  uint64_t client = 0;                          // the same for requests of the same sender, as far as can be told

  // "" where there is none.
  std::string_view header(std::string_view name) const { return value_or_empty(headers, name); }
  std::string_view query_value(std::string_view name) const { return value_or_empty(query, name); }
};

// How errors look: {"error": {"message", "type", "param", "code"}}, {"type": "error", "error": {"type", "message"}},
// {"error": "..."}.
enum class ErrorShape : uint8_t { kOpenAi, kAnthropic, kOllama };

// Any thread. Whatever is called after the client has gone, or after the answer's end, does nothing. One that is
// destroyed without an answer gives 500; without an end, a cut stream. The request counts in Limit::kRequests and
// Limit::kBodiesBytes until then, its client there or not: hold one only while there is something to do for it.
class HttpReply {
 public:
  HttpReply() = default;
  HttpReply(const HttpReply&) = delete;
  HttpReply& operator=(const HttpReply&) = delete;
  virtual ~HttpReply() = default;

  // The whole answer. `headers` replace those that every answer has.
  virtual void send(int status, std::string_view content_type, std::string body, HttpFields headers = {}) = 0;
  // 200, in pieces. A stream that the server has to end by itself (it stops) gets an error event in the route's shape.
  virtual void begin_stream(std::string_view content_type) = 0;
  // 200, in pieces that are `bytes` in all. Where they are more, or fewer at the end, or the server stops, the
  // connection is cut: the client knows by the length that it has not all.
  virtual void begin_body(std::string_view content_type, uint64_t bytes, HttpFields headers = {}) = 0;
  virtual void write(std::string piece) = 0;
  virtual void end() = 0;
  // Called once, on the network's thread, when the client has taken all that was written so far: then it is time for
  // the next piece of what should not lie in memory for a slow one. Never, where it has gone or the answer has ended.
  virtual void on_taken(std::function<void()> callback) = 0;
  // Called once, on the network's thread, when the client has gone, takes nothing any more, or the server stops, before
  // the answer's end; at once where that was before this call.
  virtual void on_gone(std::function<void()> callback) = 0;
  // The client has gone, or the answer has ended: what only that client needs can be left undone.
  virtual bool is_over() const = 0;
  // Keeps this until the client has taken the last byte of the answer, or never will. What is handed out with answers
  // can so be counted: an answer lies in memory as long as its client is slow.
  virtual void keep(std::shared_ptr<void> thing) = 0;
};

enum class BodyKind : uint8_t {
  kNone,   // a body is refused
  kText,   // JSON of at most Limit::kTextBodyBytes
  kImage,  // JSON of at most Limit::kImageBodyBytes
  kForm,   // multipart/form-data of as much; or JSON in its place
};

struct Route {
  std::string_view method;  // "GET" answers HEAD too
  // "/v1/models/{id}": a name in braces stands for one part of the path, at the end "{name*}" for any that follow.
  std::string_view pattern;
  std::function<void(HttpRequest, std::shared_ptr<HttpReply>)> handler;
  ErrorShape errors = ErrorShape::kOpenAi;
  BodyKind body = BodyKind::kNone;
  // What the browser loads by itself: no API key is asked for, and links on other sites may lead to it.
  bool page = false;
  // For load balancers: no API key is asked for.
  bool open = false;
};

// A refusal or a failure, before it has a shape.
struct HttpFault {
  int status = 500;
  std::string message;                        // a sentence for people
  std::string param = {};                     // the field that is wrong
  std::string code = {};                      // for programs
  HttpFields headers = {};                    // such as retry-after
  std::optional<Limit> limit = std::nullopt;  // that was gone beyond
};

}  // namespace andiron
