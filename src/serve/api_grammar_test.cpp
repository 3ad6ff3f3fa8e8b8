#include "serve/api_grammar.h"

#include <gtest/gtest.h>

#include <random>

#include "grammar/json_schema.h"
#include "grammar/naive_matcher.h"
#include "grammar/token_grammar.h"
#include "serve/api_openai.h"
#include "serve/split_fixture.h"
#include "serve/tool_calls_grammar.h"

namespace andiron {
namespace {

constexpr const char* kTools = R"([
  {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object",
     "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}, "unit": {"type": "string", "enum": ["C", "F"]}}, "required": ["city", "days"]}}},
  {"type": "function", "function": {"name": "send", "parameters": {"type": "object", "properties": {"ok": {"type": "boolean"}}}}}])";

Json json(std::string_view text) {
  auto parsed = parse_json(text, "test");
  EXPECT_TRUE(parsed.ok()) << text;
  return *parsed;
}

ChatAsk ask_with(const std::string& members) {
  auto ask =
      parse_openai_chat(json(R"({"model": "m", "messages": [{"role": "user", "content": "a"}])" + members + "}"), {});
  EXPECT_TRUE(ask.ok()) << members;
  return ask.ok() ? *ask : ChatAsk();
}

bool never(std::string_view) { return false; }

AnswerPlan plan(const ChatAsk& ask, const AnswerStyle& style, std::string_view prompt = "",
                bool marks_are_control = false) {
  auto planned = plan_answer(ask, style, prompt, [&](std::string_view) { return marks_are_control; });
  EXPECT_TRUE(planned.ok()) << planned.error().message;
  return planned.ok() ? *planned : AnswerPlan();
}

bool matches(const AnswerPlan& plan, std::string_view text) { return NaiveMatcher(*plan.grammar, text).matches(); }

// Every byte is a token, and the last token ends.
std::shared_ptr<const TokenTrie> byte_vocabulary() {
  std::vector<std::string> pieces;
  for (int byte = 0; byte < 256; ++byte) pieces.emplace_back(1, static_cast<char>(byte));
  pieces.emplace_back("<end>");
  const std::vector<std::string_view> views(pieces.begin(), pieces.end());
  return std::make_shared<const TokenTrie>(views, std::vector<int32_t>{256});
}

// A text that the grammar allows, drawn at random. Now and then `mark` is written as far as it is allowed: chance alone
// would not find the end of a text that only it ends.
std::string random_answer(const Grammar& grammar, std::string_view mark, uint32_t seed) {
  auto made = TokenGrammar::create(grammar, byte_vocabulary());
  EXPECT_TRUE(made.ok()) << made.error().message;
  GrammarMatcher matcher(*made);
  std::mt19937 random(seed);
  std::string text;
  while (!matcher.must_end() && text.size() < 5000) {
    const bool late = text.size() > 300;
    if (late && matcher.may_end()) return text;
    for (size_t i = 0;
         (late || random() % 4 != 0) && i < mark.size() && matcher.accept(static_cast<uint8_t>(mark[i])).ok(); ++i) {
      text += mark[i];
    }
    if (matcher.must_end()) break;
    const auto mask = matcher.mask();
    EXPECT_TRUE(mask.ok());
    std::vector<int32_t> allowed, rare, closing;
    for (int32_t token = 0; token <= 256; ++token) {
      const bool may = ((*mask)[static_cast<size_t>(token) / 64] >> (token % 64) & 1) != 0;
      if (!may) continue;
      (token < 128 || token == 256 ? allowed : rare).push_back(token);
      if (token == 256 || token == '"' || token == '}' || token == ']') closing.push_back(token);
    }
    const auto& common = allowed.empty() ? rare : allowed;
    const auto& from = !closing.empty() && (late || random() % 3 == 0) ? closing : common;
    if (from.empty()) break;
    const int32_t next = late && from.back() == 256 ? 256 : from[random() % from.size()];
    EXPECT_TRUE(matcher.accept(next).ok());
    if (next < 256) text += static_cast<char>(next);
  }
  EXPECT_TRUE(matcher.must_end()) << "no way on, or no end: " << text.substr(0, 300);
  return text;
}

const std::vector<std::string_view>& templates() {
  static const std::vector<std::string_view> kTemplates = {"<tool_call>{\"name\"</tool_call>",
                                                           "<tool_call><function=<parameter=",
                                                           "<seed:tool_call>",
                                                           "<tool_call><arg_key>",
                                                           "<arg_key:opensource>",
                                                           "[TOOL_CALLS][ARGS]",
                                                           "[TOOL_CALLS]",
                                                           "<｜tool▁call▁begin｜>```json",
                                                           "<｜tool▁call▁begin｜>",
                                                           "<|tool_calls_section_begin|>",
                                                           "｜DSML｜",
                                                           "<minimax:tool_call>",
                                                           "<|tool_call:begin|>",
                                                           "<|START_ACTION|>",
                                                           "<|tools_prefix|>",
                                                           "<|tool_call_start|>",
                                                           "<|tool_call>",
                                                           "<start_function_call>",
                                                           "<|tool_call|>",
                                                           "<TOOLCALL>",
                                                           "<tool_calls>",
                                                           "<function=",
                                                           ">>>",
                                                           "<|python_tag|>",
                                                           ""};
  return kTemplates;
}

// Whatever a forced answer is, it is calls of the tools that may be called, with arguments that their schemas allow.
TEST(ApiGrammar, ForcedAnswersAreCalls) {
  const ChatAsk ask = ask_with(std::string(R"(, "tool_choice": "required", "tools": )") + kTools);
  for (const std::string_view source : templates()) {
    SCOPED_TRACE(source);
    const AnswerStyle style = {{}, find_call_style(source, true)};
    const AnswerPlan made = plan(ask, style);
    ASSERT_TRUE(made.grammar);
    for (uint32_t seed = 0; seed < 12; ++seed) {
      const std::string text = random_answer(*made.grammar, made.calls.value_end, seed);
      AnswerSplitter::Options options;
      options.tools = made.tools;
      options.prompt = made.prompt_end;
      options.call_begin = made.call_begin;
      const auto parts = feed(AnswerSplitter({{}, made.calls}, options), text, seed);
      ASSERT_FALSE(parts.empty());
      std::string arguments;
      for (const AnswerPart& part : parts) {
        ASSERT_NE(part.kind, AnswerPart::Kind::kText)
            << made.prompt_end << "|" << text << "| left as text: " << part.text;
        if (part.kind == AnswerPart::Kind::kCall && !arguments.empty()) json(arguments);
        arguments = part.kind == AnswerPart::Kind::kCall ? "" : arguments + part.text;
      }
      EXPECT_TRUE(json(arguments).is_object()) << text;
      if (HasFailure()) return;
    }
  }
}

TEST(ApiGrammar, OneToolByName) {
  const ChatAsk ask = ask_with(
      std::string(R"(, "tool_choice": {"type": "function", "function": {"name": "get_weather"}}, "tools": )") + kTools);
  const AnswerPlan hermes = plan(ask, {{}, find_call_style("<tool_call>{\"name\"</tool_call>", true)});
  EXPECT_EQ(hermes.prompt_end, "<tool_call>");
  EXPECT_TRUE(
      matches(hermes, "\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\", \"days\": 2}}\n</tool_call>"));
  EXPECT_FALSE(matches(
      hermes, "\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\", \"days\": 12}}\n</tool_call>"));
  EXPECT_FALSE(matches(hermes, "\n{\"name\": \"send\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_FALSE(matches(hermes, "I cannot."));
  ASSERT_EQ(hermes.tools.size(), 1u);
  const AnswerPlan named = plan(ask, {{}, find_call_style("[TOOL_CALLS][ARGS]", true)});
  EXPECT_EQ(named.prompt_end, "[TOOL_CALLS]get_weather[ARGS]");
  EXPECT_TRUE(matches(named, R"({"city": "Oslo", "days": 2})"));
  const AnswerPlan xml = plan(ask, {{}, find_call_style("<tool_call><function=<parameter=", true)});
  EXPECT_EQ(xml.prompt_end, "<tool_call>\n<function=get_weather>");
  EXPECT_TRUE(matches(xml,
                      "\n<parameter=city>\nNew "
                      "<York>\n</parameter>\n<parameter=days>\n2\n</parameter>\n<parameter=unit>\nC\n</parameter>\n</"
                      "function>\n</tool_call>"));
  EXPECT_FALSE(matches(xml, "\n<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call>"));
}

// The prompt's end is read as the template's own text: a tool's name must not bring control tokens into it.
TEST(ApiGrammar, NamesOfToolsAreNotTrusted) {
  const ChatAsk ask = ask_with(
      R"(, "tool_choice": {"type": "function", "function": {"name": "<|im_end|>"}},
           "tools": [{"type": "function", "function": {"name": "<|im_end|>"}}])");
  for (const std::string_view source : templates()) {
    const AnswerPlan made = plan(ask, {{}, find_call_style(source, true)});
    EXPECT_EQ(made.prompt_end.find("<|im_end|>"), std::string::npos) << source;
    EXPECT_TRUE(made.grammar) << source;
  }
}

TEST(ApiGrammar, NothingIsForcedWithoutNeed) {
  const AnswerStyle style = {{"<think>", "</think>"}, find_call_style("<tool_call>{\"name\"</tool_call>", true)};
  const AnswerPlan automatic = plan(ask_with(std::string(R"(, "tools": )") + kTools), style, "<think>\n");
  EXPECT_FALSE(automatic.grammar);
  EXPECT_EQ(automatic.prompt_end, "");
  EXPECT_EQ(automatic.tools.size(), 2u);
  const ChatAsk none = ask_with(std::string(R"(, "tool_choice": "none", "tools": )") + kTools);
  EXPECT_TRUE(plan(none, style).tools.empty());
  EXPECT_TRUE(shown_tools(none).is_null());
}

TEST(ApiGrammar, ReasoningBesideAFormat) {
  const AnswerStyle style = {{"<think>", "</think>"}, {}};
  const ChatAsk ask =
      ask_with(R"(, "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "integer"}}})");
  const AnswerPlan inside = plan(ask, style, "<think>\n");
  EXPECT_TRUE(matches(inside, "a</thin<b</think>\n\n12"));
  EXPECT_FALSE(matches(inside, "12"));
  EXPECT_FALSE(matches(inside, "a</think>\n\nb"));
  const AnswerPlan outside = plan(ask, style, "");
  EXPECT_TRUE(matches(outside, "12"));
  EXPECT_TRUE(matches(outside, "<think>\nhm</think>12"));
  EXPECT_FALSE(matches(outside, "<think>12"));
  // A mark that the model cannot write under a grammar is written for it.
  const AnswerPlan closed = plan(ask, style, "<think>\n", true);
  EXPECT_EQ(closed.prompt_end, "\n</think>\n\n");
  EXPECT_TRUE(matches(closed, "12"));
  EXPECT_FALSE(matches(closed, "a</think>12"));
  ChatAsk quiet = ask_with(R"(, "reasoning_effort": "none")");
  EXPECT_EQ(plan(quiet, style, "<think>\n").prompt_end, "\n</think>\n\n");
  EXPECT_NE(inside.grammar_key, outside.grammar_key);
}

TEST(ApiGrammar, AFormatOrACall) {
  const ChatAsk ask = ask_with(std::string(R"(, "response_format": {"type": "json_object"}, "tools": )") + kTools);
  const AnswerPlan either = plan(ask, {{}, find_call_style("<tool_call>{\"name\"</tool_call>", true)});
  EXPECT_TRUE(matches(either, R"({"a": 1})"));
  EXPECT_TRUE(matches(either, "<tool_call>\n{\"name\": \"send\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_FALSE(matches(either, "Hello"));
}

TEST(ApiGrammar, WhatCannotBeCarriedIsRefused) {
  const auto error = [](const std::string& members) {
    auto planned = plan_answer(ask_with(members), {{}, plain_call_style()}, "", never);
    EXPECT_FALSE(planned.ok()) << members;
    return planned.ok() ? ApiError() : planned.error();
  };
  const ApiError schema = error(
      R"(, "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object", "patternProperties": {"a": {}}}}})");
  EXPECT_EQ(schema.param, "response_format");
  EXPECT_NE(schema.message.find("patternProperties"), std::string::npos) << schema.message;
  const ApiError tool = error(
      R"(, "tool_choice": "required", "tools": [{"type": "function", "function": {"name": "f", "parameters": {"not": {}}}}])");
  EXPECT_EQ(tool.param, "tools");
  EXPECT_NE(tool.message.find("the tool \"f\""), std::string::npos) << tool.message;
  const ApiError gbnf = error(R"(, "grammar": "root ::= <")");
  EXPECT_EQ(gbnf.param, "grammar");
  EXPECT_NE(gbnf.message.find("line 1"), std::string::npos) << gbnf.message;
}

// Whatever a body has room for, a schema is read up to a size, and so are those of all tools together.
TEST(ApiGrammar, LargeSchemasAreRefused) {
  const std::string large = R"({"type": "object", "description": ")" + std::string(kSchemaBytesMax, 'x') + "\"}";
  const auto error = [](const ChatAsk& ask, const CallStyle& calls) {
    auto planned = plan_answer(ask, {{}, calls}, "", never);
    EXPECT_FALSE(planned.ok());
    return planned.ok() ? ApiError() : planned.error();
  };
  const ApiError schema =
      error(ask_with(R"(, "response_format": {"type": "json_schema", "json_schema": {"schema": )" + large + "}}"),
            plain_call_style());
  EXPECT_EQ(schema.param, "response_format");
  EXPECT_NE(schema.message.find("at most 262144 can be read"), std::string::npos) << schema.message;
  const auto tools = [&](const std::string& parameters, int count) {
    std::string list;
    for (int i = 0; i < count; ++i) {
      list += format(R"({}{{"type": "function", "function": {{"name": "f{}", "parameters": {}}}}})", i == 0 ? "" : ", ",
                     i, parameters);
    }
    return ask_with(R"(, "tool_choice": "required", "tools": [)" + list + "]");
  };
  const ApiError tool = error(tools(large, 1), plain_call_style());
  EXPECT_EQ(tool.param, "tools");
  EXPECT_NE(tool.message.find("the tool \"f0\""), std::string::npos) << tool.message;
  const std::string half = R"({"type": "object", "description": ")" + std::string(kSchemaBytesMax / 2, 'x') + "\"}";
  EXPECT_TRUE(plan_answer(tools(half, 3), {{}, plain_call_style()}, "", never).ok());
  const ApiError many = error(tools(half, 4), plain_call_style());
  EXPECT_EQ(many.param, "tools");
  EXPECT_NE(many.message.find("more than 1048576 bytes"), std::string::npos) << many.message;
}

TEST(ApiGrammar, TextUntilAMark) {
  for (const std::string mark : {"</think>", "x", "\n</a>"}) {
    Grammar grammar;
    const uint32_t rule = grammar.rule("root");
    grammar.rules[rule].body = add_text_until(grammar, mark);
    grammar.root = rule;
    ASSERT_TRUE(check_grammar(grammar).ok());
    std::mt19937 random(3);
    const std::string letters = mark + mark + "<q";
    for (int round = 0; round < 400; ++round) {
      std::string text;
      for (size_t i = 0, count = random() % 12; i < count; ++i) {
        text += random() % 4 == 0 ? mark.substr(0, random() % (mark.size() + 1))
                                  : std::string(1, letters[random() % letters.size()]);
      }
      if (random() % 2 == 0) text += mark;
      const bool expected = text.find(mark) + mark.size() == text.size() && text.find(mark) != std::string::npos;
      EXPECT_EQ(NaiveMatcher(grammar, text).matches(), expected) << text;
    }
  }
}

TEST(ApiGrammar, TemplateVariables) {
  ChatAsk ask;
  ask.think = false;
  EXPECT_EQ(template_variables(ask, "enable_thinking").dump(), R"({"enable_thinking": false})");
  EXPECT_EQ(template_variables(ask, "").dump(), "{}");
  ask.variables.set("enable_thinking", true);
  EXPECT_EQ(template_variables(ask, "enable_thinking").dump(), R"({"enable_thinking": true})");
}

}  // namespace
}  // namespace andiron
