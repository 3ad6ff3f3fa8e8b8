// Messages, tools and tool choices in OpenAI's form, checked. Used by api_openai.cpp and api_responses.cpp.
#pragma once

#include <optional>

#include "serve/api_ask.h"
#include "serve/api_fields.h"

namespace andiron {

void read_openai_messages(const Json& messages, ChatAsk& ask, std::optional<ApiError>& error);
// Each {"type": "function", "function": {...}}.
void read_openai_tools(const Json& tools, ChatAsk& ask, std::optional<ApiError>& error);
// "auto", "none", "required", or an object that names a function; `nested`: in a member "function".
void read_openai_tool_choice(FieldReader& in, bool nested, ChatAsk& ask, std::optional<ApiError>& error);

}  // namespace andiron
