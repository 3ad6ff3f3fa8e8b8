// Conversations in the forms that data sets have, as OpenAI messages. Part of record.cpp, apart for its length.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace andiron {

Json text_message(std::string_view role, std::string text);

// Messages with "role" and "content", or ShareGPT's with "from" and "value": the members decide, message by message.
// ShareGPT's function_call becomes an assistant's tool call, an observation a tool's message; calls without an id get
// one, and results refer to the latest calls, as templates want. `trained`, if given, gets 1 for each message that is
// an answer to learn: of the assistant, and without OpenAI's "weight": 0.
Result<Json> read_messages(const Json& list, std::vector<uint8_t>* trained = nullptr);

// Tool definitions: a list of them, the same as JSON text, or nothing (null, "", an empty list: gives null). Bare
// function definitions are wrapped in {"type": "function", "function": ...}.
Result<Json> read_tools(const Json& tools);

// Whether a message says anything: text that is not blank, or a tool call.
bool has_content(const Json& message);

}  // namespace andiron
