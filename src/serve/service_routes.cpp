// Which route is answered how.
#include <utility>

#include "http/errors.h"
#include "serve/api_anthropic.h"
#include "serve/api_models.h"
#include "serve/api_openai.h"
#include "serve/api_parts.h"
#include "serve/service.h"

namespace andiron {

namespace {

constexpr ErrorShape kOpenAi = ErrorShape::kOpenAi, kAnthropic = ErrorShape::kAnthropic, kOllama = ErrorShape::kOllama;

// Both APIs have models there; Anthropic's clients name the version of theirs.
ErrorShape shape_of(const HttpRequest& request) {
  return request.header("anthropic-version").empty() ? kOpenAi : kAnthropic;
}

}  // namespace

void Service::add_openai(std::vector<Route>& routes) {
  const ApiDefaults defaults = {options_.sampling};
  const auto post = [&](std::string_view path, std::function<void(HttpRequest, Reply)> handler) {
    routes.push_back({"POST", path, std::move(handler), kOpenAi, BodyKind::kText});
  };
  post("/v1/chat/completions", [this, defaults](const HttpRequest& request, const Reply& reply) {
    answer_chat(request, reply, kOpenAi, parse_openai_chat(request.json, defaults));
  });
  post("/v1/responses", [this, defaults](const HttpRequest& request, const Reply& reply) {
    answer_chat(request, reply, kOpenAi, parse_openai_response(request.json, defaults));
  });
  post("/v1/completions", [this, defaults](const HttpRequest& request, const Reply& reply) {
    auto ask = parse_openai_completion(request.json, defaults);
    if (!ask.ok()) return send_error(*reply, kOpenAi, ask.error());
    answer(request, reply, kOpenAi, [this, ask = std::move(*ask)](uint64_t drawn) mutable {
      return prepare_completion(host_, grammars_, std::move(ask), drawn);
    });
  });
  post("/v1/embeddings", [this](const HttpRequest& request, const Reply& reply) {
    answer_embeddings(request, reply, kOpenAi, parse_openai_embeddings(request.json));
  });
  post("/tokenize", [this](const HttpRequest& request, const Reply& reply) {
    auto ask = parse_tokenize(request.json);
    if (!ask.ok()) return send_error(*reply, kOpenAi, ask.error());
    answer_json(reply, kOpenAi, [this, ask = std::move(*ask)]() -> ApiResult<Json> {
      auto ids = tokenized(host_, ask);
      if (!ids.ok()) return ids.error();
      const size_t most = ask.pieces ? kPiecesToldMax : kTokensToldMax;
      if (ids->size() > most) {
        return refuse(ask.messages.is_null() ? "content" : "messages", "invalid_value",
                      "the text has {} tokens; at most {} are told at once, and {} with their pieces", ids->size(),
                      kTokensToldMax, kPiecesToldMax);
      }
      std::vector<std::string_view> pieces;
      for (const int32_t id : *ids) {
        if (ask.pieces) pieces.push_back(host_.tokenizer().piece(id));
      }
      return tokenize_answer(*ids, pieces);
    });
  });
}

void Service::add_anthropic(std::vector<Route>& routes) {
  const ApiDefaults defaults = {options_.sampling};
  routes.push_back({"POST", "/v1/messages",
                    [this, defaults](const HttpRequest& request, const Reply& reply) {
                      answer_chat(request, reply, kAnthropic, parse_anthropic(request.json, defaults));
                    },
                    kAnthropic, BodyKind::kText});
  routes.push_back({"POST", "/v1/messages/count_tokens",
                    [this](const HttpRequest& request, const Reply& reply) {
                      auto ask = parse_anthropic_count(request.json);
                      if (!ask.ok()) return send_error(*reply, kAnthropic, ask.error());
                      answer_json(reply, kAnthropic, [this, ask = std::move(*ask)]() -> ApiResult<Json> {
                        auto ids = conversation_tokens(host_, ask);
                        if (!ids.ok()) return ids.error();
                        Json out = Json::object();
                        out.set("input_tokens", static_cast<int64_t>(ids->size()));
                        return out;
                      });
                    },
                    kAnthropic, BodyKind::kText});
}

void Service::add_ollama(std::vector<Route>& routes) {
  const ApiDefaults defaults = {options_.sampling};
  const auto post = [&](std::string_view path, std::function<void(HttpRequest, Reply)> handler) {
    routes.push_back({"POST", path, std::move(handler), kOllama, BodyKind::kText});
  };
  const auto get = [&](std::string_view path, std::function<Json()> find) {
    routes.push_back({"GET", path,
                      [this, find = std::move(find)](const HttpRequest&, const Reply& reply) {
                        answer_json(reply, kOllama, [find]() -> ApiResult<Json> { return find(); });
                      },
                      kOllama});
  };
  post("/api/chat", [this, defaults](const HttpRequest& request, const Reply& reply) {
    answer_ollama_chat(request, reply, parse_ollama_chat(request.json, defaults));
  });
  post("/api/generate", [this, defaults](const HttpRequest& request, const Reply& reply) {
    answer_generate(request, reply, parse_ollama_generate(request.json, defaults));
  });
  post("/api/embed", [this](const HttpRequest& request, const Reply& reply) {
    answer_embeddings(request, reply, kOllama, parse_ollama_embed(request.json));
  });
  post("/api/show", [this](const HttpRequest& request, const Reply& reply) {
    auto ask = parse_ollama_show(request.json);
    if (!ask.ok()) return send_error(*reply, kOllama, ask.error());
    answer_json(reply, kOllama, [this, ask = std::move(*ask)]() -> ApiResult<Json> {
      auto card = host_.whole_card(ask.model, scheduler_.context());
      if (!card.ok()) return card.error();
      return ollama_show(*card, ask.verbose);
    });
  });
  get("/api/tags", [this] { return ollama_tags(host_.cards(scheduler_.context())); });
  // Adapters come with requests; what stays in memory is the model.
  get("/api/ps", [this] {
    const auto cards = host_.cards(scheduler_.context());
    return ollama_ps(std::span(cards).first(1));
  });
  get("/api/version", [version = options_.version] {
    Json out = Json::object();
    out.set("version", version);
    return out;
  });
}

void Service::add_models(std::vector<Route>& routes) {
  routes.push_back({"GET", "/v1/models", [this](const HttpRequest& request, const Reply& reply) {
                      const ErrorShape shape = shape_of(request);
                      answer_json(reply, shape, [this, shape]() -> ApiResult<Json> {
                        const auto cards = host_.cards(scheduler_.context());
                        return shape == kAnthropic ? anthropic_models(cards) : openai_models(cards);
                      });
                    }});
  routes.push_back({"GET", "/v1/models/{id*}", [this](const HttpRequest& request, const Reply& reply) {
                      const ErrorShape shape = shape_of(request);
                      ModelChoice choice;
                      if (const auto error = parse_model(request.captures.at("id"), "model", choice)) {
                        return send_error(*reply, shape, *error);
                      }
                      answer_json(reply, shape, [this, shape, choice]() -> ApiResult<Json> {
                        auto card = host_.card(choice, scheduler_.context());
                        if (!card.ok()) return card.error();
                        return shape == kAnthropic ? anthropic_model(*card) : openai_model(*card);
                      });
                    }});
}

}  // namespace andiron
