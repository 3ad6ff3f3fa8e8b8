// Bodies of the kind multipart/form-data (RFC 7578), by which browsers and clients send files. Read strictly: what two
// readers could take for different parts is refused, and so is text in front of the first part and behind the last.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "http/http.h"
#include "http/limits.h"

namespace andiron {

// The boundary that a content-type names, of 1 to 70 of the characters that RFC 2046 allows. None where it names
// another type, no boundary, or two.
std::optional<std::string> form_boundary(std::string_view content_type);

// The parts of a whole body, in order. A fault names the part by its number. Of a part's own headers
// content-disposition and content-type are read; a content-transfer-encoding that is one is refused, for nobody sends
// it.
std::variant<std::vector<FormPart>, HttpFault> parse_form(std::string_view body, std::string_view boundary,
                                                          const Limits& limits);

}  // namespace andiron
