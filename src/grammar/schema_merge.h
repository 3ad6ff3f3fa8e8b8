// What schemas refer to, what two ask for together, and whether they exclude one another. Used by json_schema.cpp only.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace andiron {

// title, description, default, ...: says nothing of what is valid.
bool is_annotation(std::string_view keyword);

// What a JSON pointer (RFC 6901) leads to in the document; null where that is nothing.
const Json* pointed_at(const Json& document, std::string_view pointer);

bool is_of_type(const Json& value, std::string_view type);

// What it costs to copy, write out or compare a schema: one step for each value, more for long texts.
size_t schema_steps(const Json& value);
// The part of one of two schemas in what are_disjoint() of them costs.
size_t comparison_steps(const Json& schema);

// Both at once, without annotations and definitions. Neither has a $ref. The Error names the keyword that both have and
// that cannot be merged.
Result<Json> merge_schemas(const Json& a, const Json& b);

// No value is valid for both. False also where that is not clear.
bool are_disjoint(const Json& a, const Json& b);

}  // namespace andiron
