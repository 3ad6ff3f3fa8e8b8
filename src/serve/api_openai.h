// OpenAI's requests (API reference: chat completions, completions, embeddings, responses). Pure functions.
#pragma once

#include "serve/api_ask.h"
#include "serve/api_error.h"
#include "serve/api_fields.h"

namespace andiron {

ApiResult<ChatAsk> parse_openai_chat(const Json& body, const ApiDefaults& defaults);
ApiResult<CompletionAsk> parse_openai_completion(const Json& body, const ApiDefaults& defaults);
ApiResult<EmbeddingsAsk> parse_openai_embeddings(const Json& body);
ApiResult<ChatAsk> parse_openai_response(const Json& body, const ApiDefaults& defaults);
// POST /tokenize, which is no one's standard: llama.cpp's names ("content", "add_special", "parse_special",
// "with_pieces"), and "messages" with "tools" for a whole conversation.
ApiResult<TokenizeAsk> parse_tokenize(const Json& body);

// For tests and documents.
const ApiTable& openai_chat_fields();
const ApiTable& openai_completion_fields();
const ApiTable& openai_embeddings_fields();
const ApiTable& openai_response_fields();
const ApiTable& tokenize_fields();
// Of the objects within.
const std::vector<const ApiTable*>& openai_message_tables();
const std::vector<const ApiTable*>& openai_response_tables();

}  // namespace andiron
