// The head of a request: RFC 9112 with every freedom taken away in which two programs might read one request as two
// (request smuggling): lines end in CR LF and nothing else does, no folded lines, no space before a colon, one length
// and one only, chunked or not, no byte that is not text. Pure functions over bytes.
//
// Why not Boost.Beast's parser: it joins folded lines before anyone can see that they were folded ("Transfer-Encoding:
// x," and "chunked" on the next line becomes one value), lets through lists of lengths, "gzip, chunked", chunks in
// HTTP/1.0 and trailers, and has no bound on the line before a chunk. To refuse these the raw bytes have to be looked
// at first, line by line; behind that look there is hardly anything left for another parser to do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "http/http.h"
#include "http/limits.h"

namespace andiron {

struct RequestHead {
  std::string method;
  std::vector<std::string> segments;  // of the path, decoded: "/v1/a%2Fb" is {"v1", "a/b"}; "/" is {""}
  std::string path;                   // the whole of it, decoded
  HttpFields query;
  HttpFields headers;  // names in lower case, values without blanks around them
  uint64_t content_length = 0;
  bool chunked = false;
  bool has_body = false;  // chunked, or a length above 0
  bool keep_alive = true;
  bool http10 = false;
  bool expects_continue = false;

  // "" where there is none.
  std::string_view header(std::string_view name) const { return value_or_empty(headers, name); }
};

// Looks at what has come of a head, from `from` on (what came before has been looked at). The head's length with its
// empty line; none where more is needed; or a fault, as early as it can be told.
std::variant<std::optional<size_t>, HttpFault> find_head_end(std::string_view bytes, size_t from, const Limits& limits);

// `head`: what find_head_end() found.
std::variant<RequestHead, HttpFault> parse_head(std::string_view head, const Limits& limits);

// "%2F" to "/"; none where a percent sign is not followed by two hexadecimal digits, or what comes out is not UTF-8 or
// has control characters in it. `plus`: "+" is a space, as in queries.
std::optional<std::string> percent_decoded(std::string_view text, bool plus);

// Letters of ASCII made small: names of fields and hosts, and values that are compared without regard to case.
std::string lowered(std::string_view text);
// Without the spaces and tabs around it.
std::string_view without_blanks(std::string_view text);

// A field's name: RFC 9110, 5.6.2.
bool is_token(std::string_view text);

}  // namespace andiron
