// What becomes of requests: messages, tools and settings in one form, whichever API they came by.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "serve/api_anthropic.h"
#include "serve/api_fields_fixture.h"
#include "serve/api_ollama.h"
#include "serve/api_openai.h"

namespace andiron {
namespace {

// The request with a member set, or replaced.
Json with(Json request, std::string_view key, Json value) {
  if (Json* found = request.find(key)) {
    *found = std::move(value);
  } else {
    request.set(std::string(key), std::move(value));
  }
  return request;
}

TEST(ApiParse, ModelsAndAdapters) {
  auto ask = parse_openai_chat(json(R"({"model": "qwen3:4b+me:0.8+work", "adapters": ["a", {"name": "b", "scale": -1}],
                                       "messages": [{"role": "user", "content": "x"}]})"),
                               kDefaults);
  ASSERT_TRUE(ask.ok());
  const ModelChoice& model = ask->answer.model;
  EXPECT_EQ(model.asked, "qwen3:4b+me:0.8+work");
  EXPECT_EQ(model.model, "qwen3:4b");
  ASSERT_EQ(model.adapters.size(), 4u);
  EXPECT_EQ(model.adapters[0].name, "me");
  EXPECT_EQ(model.adapters[0].strength, 0.8);
  EXPECT_EQ(model.adapters[1].strength, 1);
  EXPECT_EQ(model.adapters[2].name, "a");
  EXPECT_EQ(model.adapters[3].strength, -1);
}

TEST(ApiParse, OpenAiChatInFull) {
  auto ask = parse_openai_chat(
      json(
          R"({"model": "m", "messages": [{"role": "developer", "content": "be"}, {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
               "temperature": 0.5, "top_p": 0.25, "max_tokens": 3, "max_completion_tokens": 7, "n": 2, "seed": 11, "stop": "x", "stream": true,
               "stream_options": {"include_usage": true, "include_obfuscation": false}, "logprobs": true, "top_logprobs": 4, "logit_bias": {"3": -100, "4": 1},
               "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "function", "function": {"name": "f"}},
               "parallel_tool_calls": false, "reasoning_effort": "low", "chat_template_kwargs": {"reasoning_effort": "high", "x": 1}})"),
      kDefaults);
  ASSERT_TRUE(ask.ok()) << ask.error().message;
  EXPECT_EQ(ask->messages.dump(),
            json(R"([{"role":"system","content":"be"},{"role":"user","content":"a\nb"}])").dump());
  EXPECT_EQ(
      ask->tools.dump(),
      json(
          R"([{"type":"function","function":{"name":"f","description":"","parameters":{"type":"object","properties":{}}}}])")
          .dump());
  EXPECT_EQ(ask->answer.sampling.temperature, 0.5);
  EXPECT_EQ(ask->answer.sampling.top_p, 0.25);
  EXPECT_EQ(ask->answer.tokens_max, 7);
  EXPECT_EQ(ask->answer.choices, 2);
  EXPECT_TRUE(ask->answer.has_seed);
  EXPECT_EQ(ask->answer.sampling.seed, 11u);
  EXPECT_EQ(ask->answer.stop, std::vector<std::string>{"x"});
  EXPECT_TRUE(ask->answer.stream && ask->answer.stream_usage);
  EXPECT_EQ(ask->answer.logprobs_top, 4);
  ASSERT_EQ(ask->answer.sampling.logit_bias.size(), 2u);
  EXPECT_TRUE(std::isinf(ask->answer.sampling.logit_bias[0].bias));
  EXPECT_EQ(ask->tool_choice.mode, ToolMode::kRequired);
  EXPECT_EQ(ask->tool_choice.name, "f");
  EXPECT_FALSE(ask->tool_choice.parallel);
  EXPECT_EQ(ask->think, true);
  EXPECT_EQ(ask->variables.dump(), json(R"({"reasoning_effort":"high","x":1})").dump());
}

TEST(ApiParse, ToolsThatAreNotThere) {
  auto ask = parse_openai_chat(
      json(
          R"({"model": "m", "messages": [{"role": "user", "content": "a"}], "tools": [{"type": "function", "function": {"name": "f"}}],
                                       "tool_choice": {"type": "function", "function": {"name": "g"}}})"),
      kDefaults);
  ASSERT_FALSE(ask.ok());
  EXPECT_EQ(ask.error().message, "\"tool_choice\" names the tool \"g\", which is not among the request's tools");
  auto twice = parse_openai_chat(
      json(
          R"({"model": "m", "messages": [{"role": "user", "content": "a"}], "grammar": "root ::= \"a\"", "response_format": {"type": "json_object"}})"),
      kDefaults);
  ASSERT_FALSE(twice.ok());
  EXPECT_NE(twice.error().message.find("exclude one another"), std::string::npos);
}

TEST(ApiParse, ResponseItemsBecomeMessages) {
  auto ask = parse_openai_response(json(R"({"model": "m", "instructions": "be", "input": [
        {"role": "user", "content": "q"},
        {"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": "r"}]},
        {"type": "message", "role": "assistant", "id": "msg", "status": "completed", "content": [{"type": "output_text", "text": "t", "annotations": []}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{\"a\":1}"},
        {"type": "function_call", "call_id": "2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "one"},
        {"type": "function_call_output", "call_id": "2", "output": [{"type": "input_text", "text": "two"}]}]})"),
                                   kDefaults);
  ASSERT_TRUE(ask.ok()) << ask.error().message;
  EXPECT_EQ(
      ask->messages.dump(),
      json(R"([{"role":"system","content":"be"},{"role":"user","content":"q"},)"
           R"({"role":"assistant","content":"t","reasoning_content":"r","tool_calls":[)"
           R"({"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},)"
           R"({"id":"2","type":"function","function":{"name":"g","arguments":"{}"}}]},)"
           R"({"role":"tool","content":"one","tool_call_id":"1"},{"role":"tool","content":"two","tool_call_id":"2"}])")
          .dump());
}

TEST(ApiParse, AnthropicBlocksBecomeMessages) {
  auto ask = parse_anthropic(
      json(
          R"({"model": "m", "max_tokens": 5, "system": [{"type": "text", "text": "be"}], "stop_sequences": ["x"], "messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "r", "signature": "s"}, {"type": "text", "text": "t"}, {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "one", "is_error": true}, {"type": "text", "text": "go on"}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "any"}, "thinking": {"type": "disabled"}})"),
      kDefaults);
  ASSERT_TRUE(ask.ok()) << ask.error().message;
  EXPECT_EQ(
      ask->messages.dump(),
      json(
          R"([{"role":"system","content":"be"},{"role":"user","content":"q"},)"
          R"({"role":"assistant","content":"t","reasoning_content":"r","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}]},)"
          R"({"role":"tool","content":"Error: one","tool_call_id":"1"},{"role":"user","content":"go on"}])")
          .dump());
  EXPECT_EQ(ask->tool_choice.mode, ToolMode::kRequired);
  EXPECT_EQ(ask->think, false);
  auto count = parse_anthropic_count(json(R"({"model": "m", "messages": [{"role": "user", "content": "q"}]})"));
  ASSERT_TRUE(count.ok());
  EXPECT_FALSE(
      parse_anthropic_count(json(R"({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "q"}]})"))
          .ok());
}

TEST(ApiParse, OllamaStreamsUnlessTold) {
  auto ask = parse_ollama_chat(
      json(
          R"({"model": "m", "messages": [{"role": "user", "content": "q"}], "think": "low", "format": {"type": "object"},
                                       "options": {"num_predict": 5, "stop": ["x"], "num_ctx": 4096, "seed": 4}})"),
      kDefaults);
  ASSERT_TRUE(ask.ok()) << ask.error().message;
  EXPECT_TRUE(ask->answer.stream);
  EXPECT_EQ(ask->answer.tokens_max, 5);
  EXPECT_EQ(ask->answer.format.kind, AnswerFormat::Kind::kJsonSchema);
  EXPECT_EQ(ask->think, true);
  auto generate =
      parse_ollama_generate(json(R"({"model": "m", "prompt": "p", "system": "s", "stream": false})"), kDefaults);
  ASSERT_TRUE(generate.ok());
  EXPECT_TRUE(generate->is_chat);
  EXPECT_FALSE(generate->chat.answer.stream);
  EXPECT_EQ(generate->chat.messages.dump(),
            json(R"([{"role":"system","content":"s"},{"role":"user","content":"p"}])").dump());
  auto raw = parse_ollama_generate(json(R"({"model": "m", "prompt": "p", "raw": true})"), kDefaults);
  ASSERT_TRUE(raw.ok());
  EXPECT_FALSE(raw->is_chat);
  EXPECT_TRUE(raw->text.raw);
  EXPECT_EQ(std::get<std::string>(raw->text.prompts[0]), "p");
  auto show = parse_ollama_show(json(R"({"name": "ember:latest"})"));
  ASSERT_TRUE(show.ok()) << show.error().message;
  EXPECT_EQ(show->model.model, "ember:latest");
}

// What chat and generate have in common is read in one place; each says by itself which API it is.
TEST(ApiParse, OllamaReadsChatsAndPromptsAlike) {
  const std::string common = R"("model": "m+me", "think": true, "format": "json", "logprobs": true, "top_logprobs": 3,
                                "keep_alive": "5m", "options": {"temperature": 0.25, "num_predict": -2}})";
  ApiDefaults defaults = kDefaults;
  defaults.sampling.top_k = 7;
  auto chat = parse_ollama_chat(json(R"({"messages": [], )" + common), defaults);
  auto generate = parse_ollama_generate(json(R"({"prompt": "p", )" + common), defaults);
  ASSERT_TRUE(chat.ok()) << chat.error().message;
  ASSERT_TRUE(generate.ok()) << generate.error().message;
  EXPECT_EQ(chat->answer.api, Api::kOllamaChat);
  EXPECT_EQ(generate->chat.answer.api, Api::kOllamaGenerate);
  EXPECT_EQ(generate->text.answer.api, Api::kOllamaGenerate);
  for (const ChatAsk& ask : {*chat, generate->chat}) {
    EXPECT_EQ(ask.answer.model.model, "m");
    EXPECT_EQ(ask.answer.model.adapters.size(), 1u);
    EXPECT_EQ(ask.answer.format.kind, AnswerFormat::Kind::kJsonObject);
    EXPECT_EQ(ask.answer.logprobs_top, 3);
    EXPECT_EQ(ask.answer.tokens_max, -1);
    EXPECT_EQ(ask.answer.sampling.temperature, 0.25);
    EXPECT_EQ(ask.answer.sampling.top_k, 7);
    EXPECT_TRUE(ask.answer.stream);
    EXPECT_EQ(ask.think, true);
  }
}

TEST(ApiParse, PromptsOfFourKinds) {
  const auto prompts = [](const char* prompt) {
    auto ask = parse_openai_completion(with(json(R"({"model": "m"})"), "prompt", json(prompt)), kDefaults);
    EXPECT_TRUE(ask.ok()) << prompt;
    return ask.ok() ? ask->prompts : decltype(ask->prompts)();
  };
  EXPECT_EQ(std::get<std::string>(prompts("\"a\"").at(0)), "a");
  EXPECT_EQ(prompts(R"(["a", "b"])").size(), 2u);
  EXPECT_EQ(std::get<std::vector<int32_t>>(prompts("[1, 2]").at(0)), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(std::get<std::vector<int32_t>>(prompts("[[1, 2], [3]]").at(1)), (std::vector<int32_t>{3}));
}

}  // namespace
}  // namespace andiron
