// One JSON record of a data file as an Example.
#pragma once

#include <optional>

#include "base/json.h"
#include "base/result.h"
#include "data/example.h"

namespace andiron {

// The format that a record has by its members, or nothing when it is none of them.
std::optional<DataFormat> detect_record(const Json& record);

// Reads a record as `format` (not kText or kMarkdown). An Error is the reason why the row is bad. `document`, `file`
// and `line` are left to the caller.
//
// What is checked: members have the type they should; roles are known; content is text, or parts that are all text;
// there is an answer, and it is not empty. Unknown members are ignored, as every data set has its own.
Result<Example> read_record(const Json& record, DataFormat format);

}  // namespace andiron
