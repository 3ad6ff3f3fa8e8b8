// For tests only: routes of every kind, whose handlers answer at once, later, in pieces or never.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http/errors.h"
#include "http/http.h"

namespace andiron {

// Stands where the engine will: a thread of its own that writes a piece to each running answer in every step.
class FakeEngine {
 public:
  FakeEngine() : thread_([this] { run(); }) {}
  ~FakeEngine() {
    stopping_ = true;
    thread_.join();
  }
  // `piece`: what is written in a step; "": nothing, ever. `steps`: how many; -1: until the client has gone.
  void submit(const std::shared_ptr<HttpReply>& reply, std::string piece, int steps) {
    auto answer = std::make_shared<Answer>();
    answer->reply = reply;
    answer->piece = std::move(piece);
    answer->left = steps;
    reply->on_gone([this, weak = std::weak_ptr<Answer>(answer)] {
      ++gone;
      if (const auto alive = weak.lock()) alive->cancelled = true;
    });
    const std::lock_guard lock(mutex_);
    ++submitted;
    answers_.push_back(std::move(answer));
  }
  size_t running() {
    const std::lock_guard lock(mutex_);
    return answers_.size();
  }
  std::atomic<int> gone{0}, submitted{0};

 private:
  struct Answer {
    std::shared_ptr<HttpReply> reply;
    std::string piece;
    int left = 0;
    std::atomic<bool> cancelled{false};
  };

  void run() {
    while (!stopping_) {
      step();
      std::this_thread::yield();
    }
  }
  void step() {
    const std::lock_guard lock(mutex_);
    std::erase_if(answers_, [](const std::shared_ptr<Answer>& answer) {
      if (answer->cancelled) return true;
      if (answer->left == 0) {
        answer->reply->end();
        return true;
      }
      if (!answer->piece.empty()) answer->reply->write(answer->piece);
      if (answer->left > 0) --answer->left;
      return false;
    });
  }

  std::mutex mutex_;
  std::vector<std::shared_ptr<Answer>> answers_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// `engine` must outlive the server.
inline std::vector<Route> test_routes(FakeEngine& engine) {
  using Reply = std::shared_ptr<HttpReply>;
  const auto echo = [](const HttpRequest& request, const Reply& reply) {
    reply->send(200, "application/json", request.json.dump());
  };
  const auto stream = [&engine](const HttpRequest& request, const Reply& reply) {
    reply->begin_stream("text/event-stream");
    engine.submit(reply, sse_event("", request.json.member("piece").text_or("x")),
                  static_cast<int>(request.json.member("steps").number_or(-1)));
  };
  std::vector<Route> routes;
  routes.push_back({"GET", "/", [](const HttpRequest&, const Reply& reply) {
                      reply->send(200, "text/html; charset=utf-8", "<!doctype html>");
                    }});
  routes.back().page = true;
  routes.push_back({"GET", "/v1/things/{id}", [](const HttpRequest& request, const Reply& reply) {
                      reply->send(200, "text/plain", request.captures.at("id"));
                    }});
  routes.push_back(
      {"DELETE", "/v1/things/{id}", [](const HttpRequest&, const Reply& reply) { reply->send(204, "", ""); }});
  routes.push_back({"POST", "/v1/echo", echo, ErrorShape::kOpenAi, BodyKind::kText});
  routes.push_back({"POST", "/v1/messages", echo, ErrorShape::kAnthropic, BodyKind::kText});
  routes.push_back({"POST", "/api/chat", echo, ErrorShape::kOllama, BodyKind::kImage});
  routes.push_back({"POST", "/v1/stream", stream, ErrorShape::kOpenAi, BodyKind::kText});
  routes.push_back({"POST", "/v1/stream2", stream, ErrorShape::kAnthropic, BodyKind::kText});
  routes.push_back({"POST", "/v1/form",
                    [](const HttpRequest& request, const Reply& reply) {
                      std::string text;
                      for (const FormPart& part : request.form) text += part.name + "=" + part.value + "\n";
                      reply->send(200, "text/plain", text);
                    },
                    ErrorShape::kOpenAi, BodyKind::kForm});
  // Never answers by itself.
  routes.push_back({"POST", "/v1/hold",
                    [&engine](const HttpRequest&, const Reply& reply) { engine.submit(reply, "", -1); },
                    ErrorShape::kOpenAi, BodyKind::kText});
  routes.push_back(
      {"POST", "/v1/forget", [](const HttpRequest&, const Reply&) {}, ErrorShape::kOpenAi, BodyKind::kText});
  routes.push_back({"POST", "/v1/throw", [](const HttpRequest&, const Reply&) { throw std::bad_alloc(); },
                    ErrorShape::kOpenAi, BodyKind::kText});
  return routes;
}

}  // namespace andiron
