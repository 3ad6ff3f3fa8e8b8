// What a service does not answer, and how it says so; and what it does when clients leave.
#include "http/security_matrix.h"
#include "serve/serve_fixture.h"

namespace andiron {
namespace {

// Answers that only the context ends: 2 is the end token.
constexpr const char* kEndless =
    R"({"model":"tiny","prompt":"once","max_tokens":100000,"logit_bias":{"2":-100},"stream":true})";

TEST_F(ServeTest, UnknownModelsAre404InEachShape) {
  add_adapter("me", 1);
  start();
  const HttpAnswer openai =
      post("/v1/chat/completions", R"({"model":"gpt-4o","messages":[{"role":"user","content":"x"}]})");
  EXPECT_EQ(openai.status, 404);
  EXPECT_EQ(openai.json().member("error").member("code").text_or(""), "model_not_found");
  EXPECT_EQ(openai.json().member("error").member("message").text_or(""),
            R"(there is no model "gpt-4o" here; there is "tiny"; it can wear "me", as in "tiny+me")");
  const HttpAnswer anthropic =
      post("/v1/messages", R"({"model":"tiny+you","max_tokens":3,"messages":[{"role":"user","content":"x"}]})");
  EXPECT_EQ(anthropic.status, 404);
  EXPECT_EQ(anthropic.json().member("error").member("type").text_or(""), "not_found_error");
  EXPECT_EQ(anthropic.json().member("error").member("message").text_or(""),
            R"(there is no adapter "you" here; there is "me")");
  const HttpAnswer ollama = post("/api/embed", R"({"model":"llama3","input":"x"})");
  EXPECT_EQ(ollama.status, 404);
  EXPECT_TRUE(ollama.json().member("error").is_string());
}

TEST_F(ServeTest, WhatIsWrongInARequestIsNamed) {
  start();
  const auto message = [&](std::string_view path, std::string_view body) {
    const HttpAnswer answer = post(path, body);
    EXPECT_EQ(answer.status, 400) << answer.body;
    return answer.body;
  };
  EXPECT_NE(message("/v1/chat/completions",
                    R"({"model":"tiny","messages":[{"role":"user","content":"x"}],"logit_bias":{"512":1}})")
                .find("no token 512"),
            std::string::npos);
  EXPECT_NE(message("/v1/completions", R"({"model":"tiny","prompt":[1,600]})").find("no token 600"), std::string::npos);
  EXPECT_NE(message("/v1/completions", R"({"model":"tiny","prompt":"x","colour":1})").find("colour"),
            std::string::npos);
  EXPECT_NE(message("/v1/completions", R"({"model":"tiny","n":16,"prompt":["a","b","c","d","e","f","g","h","i"]})")
                .find("144 answers"),
            std::string::npos);
}

TEST_F(ServeTest, APromptThatDoesNotFitIsRefusedWithTheNumbers) {
  SchedulerOptions options;
  options.context = 64;
  start(options);
  std::string words;
  for (int i = 0; i < 100; ++i) words += "x y ";
  for (const char* stream : {"true", "false"}) {
    const HttpAnswer answer =
        post("/v1/chat/completions",
             format(R"({{"model":"tiny","messages":[{{"role":"user","content":"{}"}}],"stream":{}}})", words, stream));
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(answer.json().member("error").member("code").text_or(""), "context_length_exceeded");
    EXPECT_EQ(answer.json().member("error").member("param").text_or(""), "messages");
    EXPECT_NE(answer.body.find("64"), std::string::npos) << answer.body;
  }
}

TEST_F(ServeTest, AFullQueueIs429WithATimeToComeAgain) {
  SchedulerOptions options;
  options.sequences = 1;
  options.queue = 1;
  options.context = 1 << 18;
  start(options);
  RawClient running = server_->connect(), waiting = server_->connect();
  running.send(request("POST", "/v1/completions", kEndless));
  ASSERT_TRUE(comes_true([&] { return scheduler_->stats().running == 1; }));
  waiting.send(request("POST", "/v1/completions", kEndless));
  ASSERT_TRUE(comes_true([&] { return scheduler_->stats().waiting == 1; }));
  for (const char* path : {"/v1/completions", "/api/generate"}) {
    const HttpAnswer answer = post(path, R"({"model":"tiny","prompt":"x"})");
    EXPECT_EQ(answer.status, 429) << answer.body;
    EXPECT_NE(answer.head.find("retry-after: "), std::string::npos) << answer.head;
  }
  // Of several answers none is begun where not all can be: the second finds no room.
  running.close();
  waiting.close();
  ASSERT_TRUE(comes_true([&] { return scheduler_->stats().running + scheduler_->stats().waiting == 0; }));
  EXPECT_EQ(post("/v1/completions", R"({"model":"tiny","prompt":"x","n":16,"max_tokens":400})").status, 429);
  EXPECT_TRUE(comes_true([&] { return scheduler_->stats().running + scheduler_->stats().waiting == 0; }));
}

TEST_F(ServeTest, AClientThatLeavesFreesItsPlaces) {
  SchedulerOptions options;
  options.context = 1 << 20;  // nobody waits for the end of that
  start(options);
  for (const bool stream : {true, false}) {
    const std::string body =
        format(R"({{"model":"tiny","prompt":"once","n":3,"max_tokens":1000000,"logit_bias":{{"2":-100}},"stream":{}}})",
               stream);
    RawClient client = server_->connect();
    client.send(request("POST", "/v1/completions", body));
    ASSERT_TRUE(comes_true([&] { return scheduler_->stats().running == 3; }));
    client.close();
    EXPECT_TRUE(comes_true([&] { return scheduler_->stats().running == 0; }));
  }
  // A place is free a moment before it is counted whose it was.
  EXPECT_TRUE(comes_true([&] { return scheduler_->stats().cancelled >= 6; }));
  EXPECT_EQ(scheduler_->stats().cancelled, 6u) << "none was counted twice";
  EXPECT_TRUE(comes_true([&] { return server_->server().counts().requests == 0; }));
}

TEST_F(ServeTest, MetricsTellWhatAnswersHoldAndThatItIsGivenBack) {
  SchedulerOptions options;
  options.context = 1 << 20;
  start(options);
  const auto tells = [&](std::string_view line) {
    return get("/metrics").body.find(format("\n{}\n", line)) != std::string::npos;
  };
  EXPECT_TRUE(tells("andiron_kv_bytes 0"));
  EXPECT_TRUE(tells("andiron_prefix_cache_bytes 0"));
  RawClient client = server_->connect();
  client.send(request("POST", "/v1/completions", kEndless));
  ASSERT_TRUE(comes_true([&] { return scheduler_->stats().kv_bytes > 0 && scheduler_->stats().prefix_bytes > 0; }));
  EXPECT_FALSE(tells("andiron_kv_bytes 0"));
  client.close();
  ASSERT_TRUE(comes_true([&] { return scheduler_->stats().kv_bytes == 0; }));
  EXPECT_TRUE(tells("andiron_kv_bytes 0"));
  EXPECT_FALSE(tells("andiron_prefix_cache_bytes 0")) << "what was read is kept";
}

TEST_F(ServeTest, AServerThatStopsEndsItsStreams) {
  SchedulerOptions options;
  options.context = 1 << 20;
  start(options);
  RawClient client = server_->connect();
  client.send(request("POST", "/v1/completions", kEndless));
  ASSERT_TRUE(comes_true([&] { return scheduler_->stats().running == 1; }));
  server_->stop();
  EXPECT_NE(client.all().find("\"error\""), std::string::npos);
  EXPECT_TRUE(comes_true([&] { return scheduler_->stats().running == 0; }));
}

TEST_F(ServeTest, EveryRouteIsHeldToEveryRule) {
  start();
  const auto passes = [](const Route&, int status) { return status == 200 || status == 400 || status == 404; };
  const auto routes = static_cast<int>(service_->routes().size());
  for (const std::string key : {"", "0123456789abcdef0123456789abcdef"}) {
    ServerOptions options;
    options.security.api_key = key;
    const TestServer server(service_->routes(), std::move(options));
    EXPECT_GE(SecurityMatrix(server, server.server().router(), key).run(passes),
              routes * SecurityMatrix::kCellsOfRoute);
  }
}

// A control token that is spelled takes one token; as text "</s>" takes as many as "^/s^", whose characters are no
// words of this vocabulary either.
TEST_F(ServeTest, SpecialTokensStayTextInEveryField) {
  std::string shows_all(kTemplate);
  shows_all.insert(shows_all.find("{{ message.content }}"),
                   "{% if message.reasoning_content %}{{ message.reasoning_content }} {% endif %}"
                   "{% if message.tool_call_id %}{{ message.tool_call_id }} {% endif %}"
                   "{% if message.name %}{{ message.name }} {% endif %}");
  start({}, shows_all);
  struct Field {
    const char* path;
    const char* body;  // {} stands for the text
    int64_t (*tokens)(const Json&);
  };
  const auto openai = [](const Json& j) { return j.member("usage").member("prompt_tokens").as_int(); };
  const auto input = [](const Json& j) { return j.member("usage").member("input_tokens").as_int(); };
  const auto anthropic = [](const Json& j) {
    return j.member("usage").member("input_tokens").as_int() +
           j.member("usage").member("cache_read_input_tokens").as_int();
  };
  const auto ollama = [](const Json& j) { return j.member("prompt_eval_count").as_int(); };
  const auto count = [](const Json& j) { return j.member("count").as_int(); };
  const auto only = [](const Json& j) { return j.member("input_tokens").as_int(); };
  const Field fields[] = {
      {"/v1/chat/completions", R"({"model":"tiny","messages":[{"role":"user","content":"{}"}],"max_tokens":1})",
       openai},
      {"/v1/chat/completions",
       R"({"model":"tiny","messages":[{"role":"system","content":"{}"},{"role":"user","content":[{"type":"text","text":"{}"}]}],"max_tokens":1})",
       openai},
      {"/v1/chat/completions",
       R"({"model":"tiny","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"{}","tool_calls":[{"id":"a{}","type":"function","function":{"name":"f{}","arguments":"{\"a\":\"{}\"}"}}]},{"role":"tool","tool_call_id":"a{}","content":"{}"}],"max_tokens":1})",
       openai},
      {"/v1/chat/completions",
       R"({"model":"tiny","messages":[{"role":"user","content":"x"}],"max_tokens":1,"tools":[{"type":"function","function":{"name":"f","description":"{}","parameters":{"type":"object","properties":{"{}":{"type":"string","description":"{}"}}}}}]})",
       openai},
      {"/v1/chat/completions",
       R"({"model":"tiny","messages":[{"role":"user","content":"x"}],"max_tokens":1,"chat_template_kwargs":{"note":"{}"}})",
       openai},
      {"/v1/chat/completions",
       R"({"model":"tiny","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y","reasoning_content":"{}"},{"role":"user","content":"z"}],"max_tokens":1})",
       openai},
      {"/v1/completions", R"({"model":"tiny","prompt":"a {}","max_tokens":1})", openai},
      {"/v1/responses", R"({"model":"tiny","instructions":"{}","input":"{}","max_output_tokens":16})", input},
      {"/v1/responses",
       R"({"model":"tiny","input":[{"role":"user","content":[{"type":"input_text","text":"{}"}]}],"max_output_tokens":16})",
       input},
      {"/v1/responses",
       R"({"model":"tiny","input":[{"role":"user","content":"x"},{"type":"function_call","call_id":"a","name":"f{}","arguments":"{\"a\":\"{}\"}"},{"type":"function_call_output","call_id":"a","output":"y"}],"max_output_tokens":16})",
       input},
      {"/v1/responses",
       R"({"model":"tiny","input":[{"role":"user","content":"x"},{"type":"function_call","call_id":"a","name":"f","arguments":"{ }"},{"type":"function_call_output","call_id":"a{}","output":"y"}],"max_output_tokens":16})",
       input},
      {"/v1/responses",
       R"({"model":"tiny","input":[{"role":"user","content":"x"},{"type":"function_call","call_id":"a","name":"f","arguments":"{ }"},{"type":"function_call_output","call_id":"a","output":"{}"}],"max_output_tokens":16})",
       input},
      {"/v1/responses",
       R"({"model":"tiny","input":[{"role":"user","content":"x"},{"type":"reasoning","summary":[{"type":"summary_text","text":"{}"}]},{"role":"assistant","content":"y"}],"max_output_tokens":16})",
       input},
      {"/v1/responses",
       R"({"model":"tiny","input":"x","max_output_tokens":16,"tools":[{"type":"function","name":"f","description":"{}","parameters":{"type":"object","properties":{"{}":{"type":"string","description":"{}"}}}}]})",
       input},
      {"/v1/messages", R"({"model":"tiny","system":"{}","messages":[{"role":"user","content":"{}"}],"max_tokens":1})",
       anthropic},
      {"/v1/messages",
       R"({"model":"tiny","system":[{"type":"text","text":"{}"}],"messages":[{"role":"user","content":[{"type":"text","text":"{}"}]}],"max_tokens":1})",
       anthropic},
      {"/v1/messages/count_tokens",
       R"({"model":"tiny","messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"i","name":"f","input":{"{}":"{}"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"i","content":"{}"}]}]})",
       only},
      {"/v1/messages/count_tokens",
       R"({"model":"tiny","messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"thinking","thinking":"{}","signature":""},{"type":"text","text":"y"}]},{"role":"user","content":"z"}]})",
       only},
      {"/v1/messages/count_tokens",
       R"({"model":"tiny","messages":[{"role":"user","content":"x"}],"tools":[{"name":"f","description":"{}","input_schema":{"type":"object","properties":{"{}":{"type":"string","description":"{}"}}}}]})",
       only},
      {"/v1/embeddings", R"({"model":"tiny","input":"{}"})", openai},
      {"/api/chat",
       R"({"model":"tiny","messages":[{"role":"user","content":"{}"}],"stream":false,"options":{"num_predict":1}})",
       ollama},
      {"/api/chat",
       R"({"model":"tiny","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y","thinking":"{}"},{"role":"user","content":"z"}],"stream":false,"options":{"num_predict":1}})",
       ollama},
      {"/api/chat",
       R"({"model":"tiny","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y","tool_calls":[{"function":{"name":"f{}","arguments":{"{}":"{}"}}}]},{"role":"tool","tool_name":"f","content":"y"}],"stream":false,"options":{"num_predict":1}})",
       ollama},
      {"/api/chat",
       R"({"model":"tiny","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y","tool_calls":[{"function":{"name":"f","arguments":{"a":"b"}}}]},{"role":"tool","tool_name":"f{}","content":"y"}],"stream":false,"options":{"num_predict":1}})",
       ollama},
      {"/api/chat",
       R"({"model":"tiny","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y","tool_calls":[{"function":{"name":"f","arguments":{"a":"b"}}}]},{"role":"tool","tool_name":"f","content":"{}"}],"stream":false,"options":{"num_predict":1}})",
       ollama},
      {"/api/chat",
       R"({"model":"tiny","messages":[{"role":"user","content":"x"}],"stream":false,"options":{"num_predict":1},"tools":[{"type":"function","function":{"name":"f","description":"{}","parameters":{"type":"object","properties":{"{}":{"type":"string","description":"{}"}}}}}]})",
       ollama},
      {"/api/generate", R"({"model":"tiny","system":"{}","prompt":"{}","stream":false,"options":{"num_predict":1}})",
       ollama},
      {"/api/embed", R"({"model":"tiny","input":"{}"})", ollama},
      {"/tokenize", R"({"content":"{}"})", count},
      {"/tokenize", R"({"messages":[{"role":"user","content":"{}"}]})", count}};
  const auto filled = [](std::string_view body, std::string_view text) {
    std::string out;
    for (size_t at = 0; at < body.size();) {
      if (body.substr(at, 2) == "{}") {
        out += text;
        at += 2;
      } else {
        out += body[at++];
      }
    }
    return out;
  };
  for (const Field& field : fields) {
    const Json as_text = ask(field.path, filled(field.body, "^/s^")),
               as_token = ask(field.path, filled(field.body, "</s>")),
               more = ask(field.path, filled(field.body, "^/s^^/s^"));
    EXPECT_EQ(field.tokens(as_token), field.tokens(as_text)) << field.path << field.body;
    EXPECT_GT(field.tokens(more), field.tokens(as_text)) << "the prompt shows it: " << field.path << field.body;
  }
  // What would be seen otherwise.
  const Json raw =
      ask("/api/generate", R"({"model":"tiny","prompt":"</s>","raw":true,"stream":false,"options":{"num_predict":1}})");
  EXPECT_EQ(ollama(raw), 2);
}

}  // namespace
}  // namespace andiron
