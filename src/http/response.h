// The head of an answer, and the framing of its pieces.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "http/http.h"

namespace andiron {

struct ResponseHead {
  int status = 200;
  std::string_view content_type;  // "": no body
  HttpFields headers = {};        // replace the usual ones of the same names
  std::optional<uint64_t> length = std::nullopt;
  bool chunked = false;
  bool close = false;
  std::time_t now = 0;
};

// With its empty line. Control characters in values become spaces, so that no value can end its line.
std::string response_head(const ResponseHead& head);

// "Sun, 06 Nov 1994 08:49:37 GMT"
std::string http_date(std::time_t time);

// A chunk of a chunked answer; "" of "", which would end it.
std::string chunk_of(std::string_view piece);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace andiron
