// What the APIs tell of models: OpenAI's and Anthropic's lists, Ollama's tags, show, ps and version.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace andiron {

struct ModelCard {
  std::string name;  // "ember", or an adapter's "ember+me"
  int64_t created = 0;
  std::string family;        // general.architecture
  std::string parameters;    // "5.5M"
  std::string quantization;  // "Q8_0"
  std::string digest;        // of the file, in hexadecimal
  uint64_t bytes = 0;
  int64_t context = 0;  // that the server was started with
  int64_t context_trained = 0;
  bool tools = false, thinking = false, embeds = true;
  std::string chat_template, license;
  Json metadata = Json::object();  // of the file
};

// {"object": "list", "data": [...]}; one of them alone.
Json openai_models(std::span<const ModelCard> cards);
Json openai_model(const ModelCard& card);
// {"data": [...], "has_more": false, "first_id", "last_id"}
Json anthropic_models(std::span<const ModelCard> cards);
Json anthropic_model(const ModelCard& card);

Json ollama_tags(std::span<const ModelCard> cards);
Json ollama_ps(std::span<const ModelCard> cards);
Json ollama_show(const ModelCard& card, bool verbose);

}  // namespace andiron
