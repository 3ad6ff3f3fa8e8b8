// Arguments of calls that are not written as JSON. Internal to tool_calls.*.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "serve/tool_calls.h"

namespace andiron {

struct WholeCall {
  std::string name;
  Json arguments;
};

// The property `key` of a tool's parameters can be nothing but text.
bool is_text_property(const Json& parameters, std::string_view key);
// A value between marks as JSON: as the schema says, else JSON where it is, else text.
Json tagged_value(const Json& parameters, std::string_view key, std::string_view text);

// [name(key='value', other=1), ...]
Result<std::vector<WholeCall>> parse_pythonic_calls(std::string_view text);
// name{key:<quote>value<quote>,other:1,list:[1,2],object:{a:true}}
Result<WholeCall> parse_gemma_call(std::string_view text, std::string_view quote);

}  // namespace andiron
