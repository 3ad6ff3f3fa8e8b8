// JSON schema (draft 2020-12, as far as a grammar can carry it) compiled to a Grammar.
//
// Whatever matches the grammar is valid; not all that is valid matches. Members come in the order of the schema, and
// those that are not required may be left out; a single space may stand behind { [ , : and before } ]. Carried are
// type, enum, const, anyOf, oneOf of branches that exclude one another, allOf and keywords beside $ref where they can
// be merged, $ref within the document (recursion too); properties, required, additionalProperties; items, prefixItems,
// minItems, maxItems; minLength, maxLength, pattern and format (date, time, date-time, duration, uuid, email,
// hostname, ipv4, ipv6, uri), one of them at a time; minimum, maximum and their exclusive forms. A keyword that cannot
// be carried is refused by its name and place.
//
// Tighter than the standard: an object that names its properties has no others unless additionalProperties says so,
// and an array that has prefixItems no further ones unless items does; a schema without type whose keywords belong to
// some types has these types; whole numbers have no fraction and at most 15 digits; with bounds on `number` see
// json_numbers.h.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "grammar/grammar.h"

namespace andiron {

// As Json::dump() writes it. Subschemas are written out, merged and compared again; the steps of that are counted, and
// a schema that takes too many is refused.
inline constexpr size_t kSchemaBytesMax = 256 << 10;

// `source` names the schema in messages. A schema of more than kSchemaBytesMax is an Error; the result has passed
// check_grammar.
Result<Grammar> grammar_from_schema(const Json& schema, std::string_view source);
// The same of its text.
Result<Grammar> parse_json_schema(std::string_view text, std::string_view source);

}  // namespace andiron
