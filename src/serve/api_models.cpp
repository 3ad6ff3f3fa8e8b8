#include "serve/api_models.h"

#include <utility>

#include "serve/api_write.h"

namespace andiron {

namespace {

Json ollama_details(const ModelCard& card) {
  Json families = Json::array();
  families.push(card.family);
  return object_of(at("parent_model", ""), at("format", "gguf"), at("family", card.family),
                   at("families", std::move(families)), at("parameter_size", card.parameters),
                   at("quantization_level", card.quantization));
}

Json ollama_model(const ModelCard& card) {
  return object_of(at("name", card.name), at("model", card.name), at("modified_at", utc_time(card.created)),
                   at("size", static_cast<int64_t>(card.bytes)), at("digest", card.digest),
                   at("details", ollama_details(card)));
}

Json list_of(std::span<const ModelCard> cards, Json (*one)(const ModelCard&)) {
  Json list = Json::array();
  for (const ModelCard& card : cards) list.push(one(card));
  return list;
}

// A model stays as long as the server runs, for which there is no word but a far day.
constexpr std::string_view kNever = "2318-01-01T00:00:00Z";

}  // namespace

Json openai_model(const ModelCard& card) {
  return object_of(at("id", card.name), at("object", "model"), at("created", card.created), at("owned_by", "andiron"),
                   at("context_length", card.context));
}

Json openai_models(std::span<const ModelCard> cards) {
  return object_of(at("object", "list"), at("data", list_of(cards, openai_model)));
}

Json anthropic_model(const ModelCard& card) {
  return object_of(at("type", "model"), at("id", card.name), at("display_name", card.name),
                   at("created_at", utc_time(card.created)));
}

Json anthropic_models(std::span<const ModelCard> cards) {
  const auto id = [&](bool first) {
    return cards.empty() ? Json() : Json(first ? cards.front().name : cards.back().name);
  };
  return object_of(at("data", list_of(cards, anthropic_model)), at("has_more", false), at("first_id", id(true)),
                   at("last_id", id(false)));
}

Json ollama_tags(std::span<const ModelCard> cards) { return object_of(at("models", list_of(cards, ollama_model))); }

Json ollama_ps(std::span<const ModelCard> cards) {
  Json list = Json::array();
  for (const ModelCard& card : cards) {
    Json model = ollama_model(card);
    model.set("expires_at", kNever).set("size_vram", int64_t{0}).set("context_length", card.context);
    list.push(std::move(model));
  }
  return object_of(at("models", std::move(list)));
}

Json ollama_show(const ModelCard& card, bool verbose) {
  Json capabilities = Json::array();
  capabilities.push("completion");
  if (card.tools) capabilities.push("tools");
  if (card.thinking) capabilities.push("thinking");
  if (card.embeds) capabilities.push("embedding");
  Json info = object_of(at("general.architecture", card.family), at("general.name", card.name));
  info.set(card.family + ".context_length", card.context_trained);
  for (const auto& [key, value] : card.metadata.members()) {
    // Vocabularies are long: null stands for them there too, unless they are asked for.
    if (info.find(key) == nullptr) info.set(key, value.is_array() && !verbose ? Json() : value);
  }
  return object_of(at("license", card.license), at("modelfile", "FROM " + card.name), at("parameters", ""),
                   at("template", card.chat_template), at("details", ollama_details(card)),
                   at("model_info", std::move(info)), at("capabilities", std::move(capabilities)),
                   at("modified_at", utc_time(card.created)));
}

}  // namespace andiron
