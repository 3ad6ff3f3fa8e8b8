#include "serve/api_exchange.h"

#include <gtest/gtest.h>

namespace andiron {
namespace {

ExchangeOptions options(bool stream, int32_t choices = 1) {
  ExchangeOptions out;
  out.ask.api = Api::kOpenAiChat;
  out.ask.stream = stream;
  out.ask.stream_usage = true;
  out.ask.choices = choices;
  out.head = {"id", 0, "m", "fp"};
  out.style = {{"<think>", "</think>"}, find_call_style("<tool_call></tool_call>\"name\"", true)};
  out.splitter.tools = {{"f", Json::object()}};
  out.splitter.prompt = "<think>\n";
  out.splitter.id_seed = 5;
  return out;
}

TokenEvent event(int32_t token, std::string_view text, const Logprobs* logprobs = nullptr) {
  return {token, text, logprobs};
}

ChoiceReport report(int64_t tokens, FinishReason reason = FinishReason::kStop) {
  ChoiceReport out;
  out.reason = reason;
  out.prompt_tokens = 10;
  out.prompt_reused = 3;
  out.tokens = tokens;
  return out;
}

Json json(const std::string& text) {
  auto parsed = parse_json(text, "test");
  EXPECT_TRUE(parsed.ok()) << text;
  return *parsed;
}

TEST(Exchange, WholeAnswersOfTwoChoices) {
  Exchange exchange(options(false, 2));
  std::string out = exchange.begin(10);
  out += exchange.on_token(1, event(1, "Hm</think>"));
  out += exchange.on_token(0, event(1, "So"));
  out += exchange.on_token(0, event(2, ".</think>\n\nYes"));
  out += exchange.on_token(1, event(2, "<tool_call>{\"name\": \"f\"}"));
  out += exchange.on_end(1, report(2));
  EXPECT_FALSE(exchange.finished());
  out += exchange.on_token(0, event(-1, "!"));
  out += exchange.on_end(0, report(2, FinishReason::kLength));
  EXPECT_EQ(out, "");
  ASSERT_TRUE(exchange.finished());
  const Json answer = json(exchange.finish(1));
  const auto& choices = answer.member("choices").items();
  ASSERT_EQ(choices.size(), 2u);
  EXPECT_EQ(choices[0].member("message").member("content").as_string(), "Yes!");
  EXPECT_EQ(choices[0].member("message").member("reasoning_content").as_string(), "So.");
  EXPECT_EQ(choices[0].member("finish_reason").as_string(), "length");
  EXPECT_EQ(choices[1].member("finish_reason").as_string(), "tool_calls");
  const Json& usage = answer.member("usage");
  EXPECT_EQ(usage.member("prompt_tokens").as_int(), 10);  // once, for both
  EXPECT_EQ(usage.member("completion_tokens").as_int(), 4);
  EXPECT_EQ(usage.member("completion_tokens_details").member("reasoning_tokens").as_int(), 1);
}

TEST(Exchange, OneCallAndNoMore) {
  ExchangeOptions single = options(false);
  single.splitter.parallel = false;
  single.splitter.prompt = "";
  Exchange exchange(std::move(single));
  exchange.begin(10);
  exchange.on_token(0, event(1, "<tool_call>{\"name\": \"f\"}"));
  EXPECT_TRUE(exchange.done(0));
  exchange.on_token(0, event(2, "</tool_call><tool_call>{\"name\": \"f\"}"));
  exchange.on_end(0, report(2, FinishReason::kCancelled));
  const Json answer = json(exchange.finish(1));
  const Json& choice = answer.member("choices").items()[0];
  EXPECT_EQ(choice.member("message").member("tool_calls").items().size(), 1u);
  EXPECT_EQ(choice.member("finish_reason").as_string(), "tool_calls");
}

TEST(Exchange, StreamsOfPromptsThatAreEchoed) {
  ExchangeOptions echoing;
  echoing.ask.api = Api::kOpenAiCompletion;
  echoing.ask.stream = true;
  echoing.ask.logprobs_top = 0;
  echoing.prompts = {"a", "b"};
  echoing.piece = [](int32_t token) { return token == 7 ? "x" : "?"; };
  Exchange exchange(std::move(echoing));
  EXPECT_EQ(exchange.content_type(), "text/event-stream");
  ASSERT_EQ(exchange.choices(), 2);
  const std::string begin = exchange.begin(2);
  EXPECT_NE(begin.find("\"index\": 0, \"text\": \"a\""), std::string::npos) << begin;
  EXPECT_NE(begin.find("\"index\": 1, \"text\": \"b\""), std::string::npos) << begin;
  const Logprobs logprobs = {{7, -0.5f}, {}};
  const std::string token = exchange.on_token(1, event(7, "x", &logprobs));
  EXPECT_NE(token.find("\"tokens\": [\"x\"]"), std::string::npos) << token;
  EXPECT_EQ(exchange.on_token(1, event(8, "")), "");
  exchange.on_end(0, report(1));
  exchange.on_end(1, report(1));
  EXPECT_TRUE(exchange.finish(1).ends_with("data: [DONE]\n\n"));
}

}  // namespace
}  // namespace andiron
