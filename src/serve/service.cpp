#include "serve/service.h"

#include <ctime>
#include <random>
#include <utility>

#include "base/content_hash.h"
#include "base/strings.h"
#include "http/errors.h"
#include "serve/answer_run.h"
#include "serve/embedding_run.h"

namespace andiron {

namespace {

// 53 bits, so that the number survives every JSON reader.
uint64_t draw() {
  std::random_device random;
  return (uint64_t{random()} << 21) ^ random();
}

}  // namespace

Service::Service(ModelHost& host, Scheduler& scheduler, ServiceOptions options)
    : host_(host),
      scheduler_(scheduler),
      options_(std::move(options)),
      fingerprint_("fp_" +
                   short_hash_digits(format("{} {} {}", options_.version, host.weights_key(), scheduler.context()))),
      grammars_(host.tokenizer()),
      workers_(options_.workers) {}

std::vector<Route> Service::routes() {
  std::vector<Route> routes;
  add_openai(routes);
  add_anthropic(routes);
  add_ollama(routes);
  add_models(routes);
  return routes;
}

std::vector<Gauge> Service::gauges() const {
  const Scheduler::Stats stats = scheduler_.stats();
  const auto counter = [](const char* name, const char* help, uint64_t value) {
    return Gauge{name, help, static_cast<double>(value), true};
  };
  return {{"andiron_answers_running", "Answers and embeddings at work.", static_cast<double>(stats.running)},
          {"andiron_answers_waiting", "Those that wait for a place.", static_cast<double>(stats.waiting)},
          {"andiron_context_tokens", "Positions that one answer may have.", static_cast<double>(stats.context)},
          {"andiron_prefix_cache_bytes", "Of the prefix cache in memory.", static_cast<double>(stats.prefix_bytes)},
          {"andiron_kv_bytes", "Of keys and values of answers at work.", static_cast<double>(stats.kv_bytes)},
          counter("andiron_prompt_tokens_total", "Tokens of prompts, those reused included.", stats.prompt_tokens),
          counter("andiron_prompt_tokens_reused_total", "Of these, found in the prefix cache.", stats.prompt_reused),
          counter("andiron_generated_tokens_total", "Tokens of answers.", stats.tokens),
          counter("andiron_steps_total", "Runs of the model.", stats.steps),
          counter("andiron_answers_cancelled_total", "Cancelled before their end.", stats.cancelled),
          counter("andiron_answers_refused_total", "Told to come again, or that they do not fit.", stats.refused)};
}

AnswerHead Service::new_head() {
  AnswerHead head;
  head.id = format("{:016x}{:08x}", draw() << 11 ^ draw(), answers_.fetch_add(1) & 0xffffffff);
  head.created = std::time(nullptr);
  head.fingerprint = fingerprint_;
  return head;
}

void Service::answer(const HttpRequest& request, const Reply& reply, ErrorShape shape, Prepare prepare) {
  const auto run = AnswerRun::create(scheduler_, reply, shape);
  workers_.post([this, run, client = request.client, prepare = std::move(prepare)] {
    if (run->gone()) return;
    auto prepared = prepare(draw());
    if (!prepared.ok()) return run->fail(prepared.error());
    AnswerHead head = new_head();
    head.model = prepared->exchange.ask.model.asked;
    prepared->exchange.piece = [&words = host_.tokenizer()](int32_t token) { return words.piece(token); };
    run->start(std::move(*prepared), std::move(head), client);
  });
}

void Service::answer_chat(const HttpRequest& request, const Reply& reply, ErrorShape shape, ApiResult<ChatAsk> ask) {
  if (!ask.ok()) return send_error(*reply, shape, ask.error());
  answer(request, reply, shape, [this, ask = std::move(*ask)](uint64_t drawn) mutable {
    return prepare_chat(host_, grammars_, std::move(ask), drawn);
  });
}

void Service::answer_ollama_chat(const HttpRequest& request, const Reply& reply, ApiResult<ChatAsk> ask) {
  if (ask.ok() && ask->messages.items().empty()) return answer_loaded(reply, ask->answer);
  answer_chat(request, reply, ErrorShape::kOllama, std::move(ask));
}

void Service::answer_generate(const HttpRequest& request, const Reply& reply, ApiResult<GenerateAsk> ask) {
  if (!ask.ok()) return send_error(*reply, ErrorShape::kOllama, ask.error());
  if (ask->is_chat && ask->chat.messages.items().empty()) return answer_loaded(reply, ask->chat.answer);
  answer(request, reply, ErrorShape::kOllama, [this, ask = std::move(*ask)](uint64_t drawn) mutable {
    return prepare_generate(host_, grammars_, std::move(ask), drawn);
  });
}

void Service::answer_loaded(const Reply& reply, const AnswerAsk& ask) {
  answer_json(reply, ErrorShape::kOllama, [this, ask]() -> ApiResult<Json> {
    if (auto worn = host_.wear(ask.model); !worn.ok()) return worn.error();
    Json out = Json::object();
    out.set("model", ask.model.asked).set("created_at", utc_time(std::time(nullptr)));
    if (ask.api == Api::kOllamaChat) {
      Json message = Json::object();
      message.set("role", "assistant").set("content", "");
      out.set("message", std::move(message));
    } else {
      out.set("response", "");
    }
    out.set("done", true).set("done_reason", "load");
    return out;
  });
}

void Service::answer_embeddings(const HttpRequest& request, const Reply& reply, ErrorShape shape,
                                ApiResult<EmbeddingsAsk> ask) {
  if (!ask.ok()) return send_error(*reply, shape, ask.error());
  const auto begun = std::chrono::steady_clock::now();
  EmbeddingRun::Body body = [shape, begun, name = ask->model.asked, base64 = ask->base64](
                                std::span<const std::vector<float>> vectors, int64_t prompt_tokens) {
    if (shape != ErrorShape::kOllama) return openai_embeddings(name, vectors, base64, prompt_tokens);
    const std::chrono::duration<double, std::milli> total = std::chrono::steady_clock::now() - begun;
    return ollama_embeddings(name, vectors, prompt_tokens, total.count());
  };
  const auto run = EmbeddingRun::create(scheduler_, reply, shape, std::move(body));
  workers_.post([this, run, client = request.client, ask = std::move(*ask)] {
    if (run->gone()) return;
    auto worn = host_.wear(ask.model);
    if (!worn.ok()) return run->fail(worn.error());
    auto tokens = embedding_tokens(host_, ask);
    if (!tokens.ok()) return run->fail(tokens.error());
    run->start(std::move(*tokens), worn->stack, client);
  });
}

void Service::answer_json(const Reply& reply, ErrorShape shape, std::function<ApiResult<Json>()> find) {
  workers_.post([reply, shape, find = std::move(find)] {
    if (reply->is_over()) return;
    auto found = find();
    if (!found.ok()) return send_error(*reply, shape, found.error());
    reply->send(200, "application/json", found->dump());
  });
}

}  // namespace andiron
