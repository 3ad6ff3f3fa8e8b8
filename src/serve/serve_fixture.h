// For tests only: a server with a small random model, and clients of it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine_fixture.h"
#include "engine/scheduler.h"
#include "http/raw_client.h"
#include "model/random_stack.h"
#include "serve/api_fields_fixture.h"
#include "serve/model_host.h"
#include "serve/service.h"

namespace andiron {

// What a server has answered.
struct HttpAnswer {
  int status = 0;
  std::string head, body;  // of a stream, put together from its chunks

  Json json() const {
    auto parsed = parse_json(body, "answer");
    EXPECT_TRUE(parsed.ok()) << body;
    return parsed.ok() ? *parsed : Json();
  }
  // The data of the events of a stream, or its lines.
  std::vector<Json> events() const {
    std::vector<Json> out;
    const bool is_sse = head.find("text/event-stream") != std::string::npos;
    for (size_t at = 0; at < body.size();) {
      const size_t end = std::min(body.find('\n', at), body.size());
      std::string_view line = std::string_view(body).substr(at, end - at);
      at = end + 1;
      if (is_sse && !line.starts_with("data: ")) continue;
      if (is_sse) line.remove_prefix(6);
      if (line.empty() || line == "[DONE]") continue;
      out.push_back(andiron::json(line));
    }
    return out;
  }
};

inline std::string unchunked(std::string_view chunks) {
  std::string out;
  for (;;) {
    const size_t line = chunks.find("\r\n");
    if (line == std::string_view::npos) return out;
    const size_t size = std::stoul(std::string(chunks.substr(0, line)), nullptr, 16);
    if (size == 0) return out;
    out += chunks.substr(line + 2, size);
    chunks.remove_prefix(line + 2 + size + 2);
  }
}

class ServeTest : public EngineTest {
 protected:
  // Plain words around each message, which end with the end token; <think> marks reasoning.
  static constexpr std::string_view kTemplate =
      "{{ bos_token }}{% for message in messages %}{{ message.role }}: {{ message.content }}"
      "{% if message.tool_calls %}{{ message.tool_calls | tojson }}{% endif %}{{ eos_token }}{% endfor %}"
      "{% if tools %}{{ tools | tojson }}{{ eos_token }}{% endif %}"
      "{% if note is defined %}{{ note }}{{ eos_token }}{% endif %}"
      "{% if add_generation_prompt %}assistant: {% endif %}";

  void start(SchedulerOptions options = {}, std::string_view chat_template = kTemplate) {
    model_ = load(write_model("tiny", "q4_0"));
    auto spec = tokenizer_spec(model_->source());
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    spec->chat_template = chat_template;
    auto tokenizer = Tokenizer::create(std::move(*spec));
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    words_ = std::make_shared<const Tokenizer>(std::move(*tokenizer));
    ModelHost::Options host;
    host.name = "tiny";
    host.adapters.names = [this] {
      std::vector<std::string> names;
      for (const auto& [name, path] : adapters_) {
        if (std::filesystem::exists(path)) names.push_back(name);
      }
      return names;
    };
    host.adapters.path_of = [this](const std::string& name) {
      const auto found = adapters_.find(name);
      return found == adapters_.end() ? "" : found->second;
    };
    host.adapters.has_chatted = [](const std::string&) { return true; };
    auto made = ModelHost::create(model_, words_, kernels_, std::move(host));
    ASSERT_TRUE(made.ok()) << made.error().message;
    host_ = std::move(*made);
    auto scheduler = Scheduler::create(model_, *words_, kernels_, team_, options);
    ASSERT_TRUE(scheduler.ok()) << scheduler.error().message;
    scheduler_ = std::move(*scheduler);
    service_ = std::make_unique<Service>(*host_, *scheduler_, ServiceOptions{.sampling = {}, .version = "1.2.3"});
    ServerOptions http;
    http.metrics = true;
    server_ = std::make_unique<TestServer>(service_->routes(), std::move(http), [this] { return service_->gauges(); });
  }
  void TearDown() override {
    server_.reset();
    service_.reset();
    scheduler_.reset();
  }

  // Before start(), or later: adapters may come while it runs.
  void add_adapter(const std::string& name, uint64_t seed) {
    if (model_ == nullptr) model_ = load(write_model("tiny", "q4_0"));
    adapters_[name] = folder_.file(name + ".gguf");
    write_random_adapter(*model_, seed, adapters_[name]);
  }

  std::string request(std::string_view method, std::string_view path, std::string_view body,
                      std::string_view headers = "") const {
    std::string out = format("{} {} HTTP/1.1\r\n{}{}", method, path, server_->host(), headers);
    if (method == "POST") {
      out += format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
    }
    return out + "\r\n" + std::string(body);
  }
  static HttpAnswer read(RawClient& client) {
    HttpAnswer answer;
    answer.head = client.until("\r\n\r\n");
    answer.status = status_in(answer.head);
    if (answer.head.find("transfer-encoding: chunked") != std::string::npos) {
      std::string chunks = client.until("0\r\n\r\n");
      while (!chunks.ends_with("\r\n0\r\n\r\n") && chunks != "0\r\n\r\n" && !chunks.empty()) {
        const std::string more = client.until("0\r\n\r\n");
        if (more.empty()) break;
        chunks += more;
      }
      answer.body = unchunked(chunks);
      return answer;
    }
    const size_t at = answer.head.find("content-length: ");
    size_t left = at == std::string::npos ? 0 : std::stoul(answer.head.substr(at + 16));
    while (answer.body.size() < left) {
      const std::string more = client.some();
      if (more.empty()) break;
      answer.body += more;
    }
    return answer;
  }
  HttpAnswer post(std::string_view path, std::string_view body, std::string_view headers = "") const {
    RawClient client = server_->connect();
    client.send(request("POST", path, body, headers));
    return read(client);
  }
  HttpAnswer get(std::string_view path, std::string_view headers = "") const {
    RawClient client = server_->connect();
    client.send(request("GET", path, "", headers));
    return read(client);
  }
  // The answer, which is to be a 200.
  Json ask(std::string_view path, std::string_view body) const {
    const HttpAnswer answer = post(path, body);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.json();
  }

  // The prompt of one message of the user's.
  std::vector<int32_t> prompt_of(std::string_view text) const {
    const auto chat = ChatPrompt::create(*words_, "tiny");
    EXPECT_TRUE(chat.ok());
    const Json messages = json(format(R"([{{"role": "user", "content": {}}}])", json_quote(text)));
    const auto rendered = chat->render(messages);
    EXPECT_TRUE(rendered.ok());
    return chat->tokens(*rendered);
  }
  struct Alone {
    std::string text;
    std::vector<float> logprobs;
    FinishReason reason = FinishReason::kStop;
  };
  // What a session of its own answers.
  Alone alone(std::span<const int32_t> prompt, GenerateOptions options,
              std::shared_ptr<const AdapterStack> adapters = nullptr) {
    SessionOptions session_options;
    session_options.context = scheduler_->context();
    auto session = Session::create(model_, *words_, kernels_, session_team_, session_options);
    EXPECT_TRUE(session.ok());
    (*session)->wear(std::move(adapters));
    EXPECT_TRUE((*session)->prefill(prompt, {}).ok());
    Alone out;
    const auto report = (*session)->generate(options, [&](const TokenEvent& event) {
      out.text += event.text;
      if (event.logprobs != nullptr) out.logprobs.push_back(event.logprobs->chosen.logprob);
      return true;
    });
    EXPECT_TRUE(report.ok()) << (report.ok() ? "" : report.error().message);
    if (report.ok()) out.reason = report->reason;
    out.text = json(json_quote(out.text)).as_string();  // a random model writes bytes that are no text
    return out;
  }
  // As a chat is generated.
  static GenerateOptions chat_options(uint64_t seed, int64_t tokens_max) {
    GenerateOptions options;
    options.sampling.seed = seed;
    options.tokens_max = tokens_max;
    options.strip_first_space = true;
    return options;
  }

  std::map<std::string, std::string> adapters_;  // paths by name
  std::shared_ptr<const Tokenizer> words_;
  ThreadTeam session_team_{1};
  std::unique_ptr<ModelHost> host_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<TestServer> server_;
};

}  // namespace andiron
