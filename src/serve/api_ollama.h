// Ollama's requests (its docs/api.md). Pure functions. Unlike the other APIs it streams unless told not to.
#pragma once

#include "serve/api_ask.h"
#include "serve/api_error.h"
#include "serve/api_fields.h"

namespace andiron {

ApiResult<ChatAsk> parse_ollama_chat(const Json& body, const ApiDefaults& defaults);
// With `raw`, or where the model has no chat template, text to go on with; else a question with a system message.
struct GenerateAsk {
  bool is_chat = true;
  ChatAsk chat;
  CompletionAsk text;
};
ApiResult<GenerateAsk> parse_ollama_generate(const Json& body, const ApiDefaults& defaults);
ApiResult<ShowAsk> parse_ollama_show(const Json& body);
ApiResult<EmbeddingsAsk> parse_ollama_embed(const Json& body);

const ApiTable& ollama_chat_fields();
const ApiTable& ollama_generate_fields();
const ApiTable& ollama_options_fields();
const ApiTable& ollama_show_fields();
const ApiTable& ollama_embed_fields();
// Of the objects within.
const std::vector<const ApiTable*>& ollama_tables();

}  // namespace andiron
