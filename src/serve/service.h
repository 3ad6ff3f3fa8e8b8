// Service: what the server answers with, of one model: the routes of every API.
//
//   Service service(*host, *scheduler, options);
//   TRY_ASSIGN(auto server, HttpServer::create(http, service.routes()));
//   server->run();
//
// A request is read on the network's thread, prepared by a worker (templates, tokens, grammars and adapters take their
// time), answered by the scheduler's thread. Nothing that a request or an answer contains is logged. The model host
// must outlive the scheduler, the scheduler the service, and the service the server.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/scheduler.h"
#include "http/http.h"
#include "http/metrics.h"
#include "serve/api_ask.h"
#include "serve/api_error.h"
#include "serve/api_ollama.h"
#include "serve/grammar_cache.h"
#include "serve/model_host.h"
#include "serve/prepare.h"
#include "serve/workers.h"

namespace andiron {

struct ServiceOptions {
  SamplerOptions sampling = {};  // where a request says nothing
  std::string version;           // of the program
  int workers = 2;               // one that loads an adapter leaves another for the rest
};

class Service {
 public:
  using Reply = std::shared_ptr<HttpReply>;

  Service(ModelHost& host, Scheduler& scheduler, ServiceOptions options);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  std::vector<Route> routes();
  // For /metrics.
  std::vector<Gauge> gauges() const;

 private:
  using Prepare = std::function<ApiResult<PreparedAnswer>(uint64_t drawn)>;

  void add_openai(std::vector<Route>& routes);
  void add_anthropic(std::vector<Route>& routes);
  void add_ollama(std::vector<Route>& routes);
  void add_models(std::vector<Route>& routes);

  // Each on the network's thread.
  void answer(const HttpRequest& request, const Reply& reply, ErrorShape shape, Prepare prepare);
  void answer_chat(const HttpRequest& request, const Reply& reply, ErrorShape shape, ApiResult<ChatAsk> ask);
  void answer_generate(const HttpRequest& request, const Reply& reply, ApiResult<GenerateAsk> ask);
  void answer_ollama_chat(const HttpRequest& request, const Reply& reply, ApiResult<ChatAsk> ask);
  void answer_embeddings(const HttpRequest& request, const Reply& reply, ErrorShape shape,
                         ApiResult<EmbeddingsAsk> ask);
  // What a worker finds out, as the whole answer.
  void answer_json(const Reply& reply, ErrorShape shape, std::function<ApiResult<Json>()> find);
  // Ollama's way to load a model: it is there, and nothing is asked.
  void answer_loaded(const Reply& reply, const AnswerAsk& ask);

  AnswerHead new_head();

  ModelHost& host_;
  Scheduler& scheduler_;
  const ServiceOptions options_;
  const std::string fingerprint_;
  GrammarCache grammars_;
  std::atomic<uint64_t> answers_{0};
  Workers workers_;  // last: what they do uses the others
};

}  // namespace andiron
