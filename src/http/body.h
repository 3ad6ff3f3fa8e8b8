// The body of a request, put together from what arrives: of a known length, or in chunks (RFC 9112, 7.1, without
// extensions of any use and without trailers).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "http/head.h"
#include "http/http.h"
#include "http/limits.h"

namespace andiron {

// What the values of a body take beside its text, which their own texts are not more than.
uint64_t json_bytes(const Json& json);

class BodyReader {
 public:
  // `most`: the limit of the body's bytes. A length beyond it is refused by the first read().
  BodyReader(const RequestHead& head, Limit most, const Limits& limits);

  // Takes bytes from the front of what came and returns how many; when done() those left belong to the next request.
  std::variant<size_t, HttpFault> read(std::string_view bytes);
  bool done() const { return part_ == Part::kDone; }
  std::string take() { return std::move(body_); }

 private:
  enum class Part : uint8_t { kData, kSizeLine, kChunkEnd, kLastLine, kDone };

  std::variant<size_t, HttpFault> read_line(std::string_view bytes);
  std::variant<Part, HttpFault> end_of_line(std::string_view line);
  HttpFault too_large() const;

  Limit most_;
  uint64_t bytes_max_, line_max_;
  bool chunked_;
  Part part_;
  uint64_t left_ = 0;  // of the body, or of the chunk
  std::string line_;   // what has come of a line
  std::string body_;
};

}  // namespace andiron
