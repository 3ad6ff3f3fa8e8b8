// Who may ask. Loopback is no boundary: any page that is open in the person's browser can send requests there. So every
// request to every route is checked before anything else is done with it:
//
//   Host          names this server: a page whose name was pointed here (DNS rebinding) sends its own
//   Origin        is absent or this server's own; "null" is nobody's. No CORS header is ever sent
//   Sec-Fetch-Site  of a browser says that the request comes from here, or from the person, except on the page itself
//   Authorization or x-api-key  is the key, where there is one
//   Content-Type  of a body is application/json, which no page may send elsewhere without asking first; where files are
//                 taken it is multipart/form-data, which any page may send: there Origin and Sec-Fetch-Site alone stand
//                 between, of which every browser sends one with such a request
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/head.h"
#include "http/http.h"

namespace andiron {

struct SecurityPolicy {
  std::string api_key;                 // "": none is asked for
  std::vector<std::string> own_names;  // that the server is reached by from elsewhere, through a proxy: any port
};

// Where a connection has arrived: "127.0.0.1", "::1", "192.168.1.7".
struct LocalAddress {
  std::string text;
  uint16_t port = 0;
};

// What no route gets round.
std::optional<HttpFault> check_sender(const RequestHead& head, const SecurityPolicy& policy, const LocalAddress& local);
// What a page and its like are free of: see Route.
std::optional<HttpFault> check_site(const RequestHead& head, const Route* route);
std::optional<HttpFault> check_key(const RequestHead& head, const SecurityPolicy& policy, const Route* route);
std::optional<HttpFault> check_content(const RequestHead& head, const Route& route);

// Whether the server may listen at `address` (of any spelling that the system resolves): without a key only at one that
// no other machine reaches. The Error says how to set one.
bool is_loopback(std::string_view address);
Status check_may_listen(const std::string& address, const SecurityPolicy& policy);

// The key in a file: its only line, of 16 to 512 visible characters; a file that others may read is an Error.
Result<std::string> read_api_key(const std::string& path);

// Takes as long for any two texts of these lengths.
bool equal_in_constant_time(std::string_view a, std::string_view b);

// On every answer, unless its handler says otherwise.
const HttpFields& usual_headers();

}  // namespace andiron
