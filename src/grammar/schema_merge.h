// What two JSON schemas ask for together, and whether they exclude one another. Used by json_schema.cpp only.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace andiron {

// title, description, default, ...: says nothing of what is valid.
bool is_annotation(std::string_view keyword);

// What a JSON pointer leads to ("/a/b~1c": RFC 6901); null where that is not there, or the pointer is none.
const Json* at_pointer(const Json& document, std::string_view pointer);

// All members of an object but this one.
Json without(const Json& object, std::string_view key);

// Both at once, without annotations and definitions. Neither has a $ref. The Error names the keyword that both have and
// that cannot be merged.
Result<Json> merge_schemas(const Json& a, const Json& b);

// No value is valid for both. False also where that is not clear.
bool are_disjoint(const Json& a, const Json& b);

}  // namespace andiron
