// Anthropic's messages (API reference: Messages). Pure functions.
#pragma once

#include "serve/api_ask.h"
#include "serve/api_error.h"
#include "serve/api_fields.h"

namespace andiron {

ApiResult<ChatAsk> parse_anthropic(const Json& body, const ApiDefaults& defaults);
// POST /v1/messages/count_tokens: the same fields but those of the answer.
ApiResult<ChatAsk> parse_anthropic_count(const Json& body);

const ApiTable& anthropic_fields();
const ApiTable& anthropic_count_fields();
// Of the objects within.
const std::vector<const ApiTable*>& anthropic_tables();

}  // namespace andiron
