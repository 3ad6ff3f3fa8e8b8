#include "serve/tool_calls.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "serve/answer_splitter.h"
#include "serve/split_fixture.h"
#include "text/chat_template.h"

namespace andiron {
namespace {

using Lines = std::vector<std::string>;

constexpr const char* kTools = R"([
  {"type": "function", "function": {"name": "get_weather", "description": "W", "parameters": {"type": "object",
     "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}}},
  {"type": "function", "function": {"name": "send", "description": "S", "parameters": {"type": "object",
     "properties": {"text": {"type": "string"}, "to": {"type": "array", "items": {"type": "string"}}}}}}])";

Json json(std::string_view text) {
  auto parsed = parse_json(text, "test");
  EXPECT_TRUE(parsed.ok()) << text;
  return *parsed;
}

ToolCallParser parser(std::string_view chat_template, bool parallel = true) {
  return {find_call_style(chat_template, true), offered_tools(json(kTools)), {parallel, 7, ""}};
}

// The same for every way of cutting the text.
Lines split(const ToolCallParser& fresh, std::string_view text) {
  const Lines whole = described(feed(fresh, text, 0));
  for (uint32_t seed = 1; seed < 20; ++seed) {
    const Lines cut = described(feed(fresh, text, seed));
    EXPECT_EQ(cut, whole) << "cut with seed " << seed << ": " << text;
    if (cut != whole) break;
  }
  return whole;
}

constexpr std::string_view kHermes = "<tool_call>{\"name\"</tool_call>";
constexpr std::string_view kXml = "<tool_call><function=<parameter=";
constexpr std::string_view kGlm = "<tool_call><arg_key>";
constexpr std::string_view kMistral = "[TOOL_CALLS][ARGS]";
constexpr std::string_view kLlama = "{\"name\", \"parameters\"}<|python_tag|>";

TEST(ToolCalls, Hermes) {
  EXPECT_EQ(
      split(parser(kHermes),
            "Let me see.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\", "
            "\"days\": 2}}\n</tool_call>\n<tool_call>\n{\"arguments\": {\"a\": [1, {}]}, \"name\": "
            "\"send\"}\n</tool_call>"),
      (Lines{"text:Let me see.", "call:get_weather {\"city\": \"Oslo\", \"days\": 2}", "call:send {\"a\": [1, {}]}"}));
}

TEST(ToolCalls, TextThatIsNoCallIsKept) {
  for (const char* text : {"<tool_call>", "<tool_call>\n{\"name\": \"unknown\", \"arguments\": {}}\n</tool_call>",
                           "a < b <tool", "<tool_call>hello</tool_call>", "<tool_call>{\"x\": 1}</tool_call> and so on",
                           "<tool_call><tool_call>{", "<tool_call>{\"name\": 5", "x\n\n  <tool_call>\n  {}",
                           "<tool_call>{\"name\": \"send\", \"arguments\": 5}</tool_call>", "  \n", "<tool_call>[",
                           "<tool_call>{\"name\": \"se"}) {
    EXPECT_EQ(split(parser(kHermes), text), Lines{std::string("text:") + text});
  }
  EXPECT_EQ(split(parser(kHermes), ""), Lines{});
}

TEST(ToolCalls, TextOnBothSides) {
  EXPECT_EQ(split(parser(kHermes), "<tool_call>?<tool_call>{\"name\": \"send\"}</tool_call> Done."),
            (Lines{"text:<tool_call>?", "call:send {}", "text:Done."}));
  // What JSON does not allow outside its texts ends a call.
  EXPECT_EQ(split(parser(kHermes), "<tool_call>{\"name\": \"send\", \"arguments\": {\"text\": 1</tool_call> Done."),
            (Lines{"call:send {\"text\": 1", "text:Done."}));
}

TEST(ToolCalls, ArgumentsComeAsTheyAreWritten) {
  auto calls = parser(kHermes);
  std::vector<AnswerPart> parts;
  calls.push("<tool_call>{\"name\": \"send\", \"arguments\": {\"text\": \"a", parts);
  EXPECT_EQ(described(parts), Lines{"call:send {\"text\": \"a"});
  EXPECT_EQ(parts[0].id.size(), 9u);
  parts.clear();
  calls.push("b", parts);
  EXPECT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].text, "b");
}

TEST(ToolCalls, FormsOfJsonCalls) {
  EXPECT_EQ(split(parser(kHermes),
                  "<tool_call>{\"type\": \"function\", \"function\": {\"name\": \"send\", \"parameters\": "
                  "\"{\\\"text\\\": 1}\"}}</tool_call>"),
            Lines{"call:send {\"text\": 1}"});
  EXPECT_EQ(split(parser(kHermes), "<tool_call>{\"id\": \"x\", \"name\": \"send\", \"arguments\": null}</tool_call>"),
            Lines{"call:send {}"});
}

TEST(ToolCalls, OneCallAtMost) {
  auto calls = parser(kHermes, false);
  EXPECT_EQ(split(calls, "<tool_call>{\"name\": \"send\"}</tool_call><tool_call>{\"name\": \"send\"}</tool_call> x"),
            Lines{"call:send {}"});
  std::vector<AnswerPart> parts;
  calls.push("<tool_call>{\"name\": \"send\"}</tool_call>", parts);
  EXPECT_TRUE(calls.done());
}

TEST(ToolCalls, LlamaAndPlainJson) {
  const char* call = R"({"name": "get_weather", "parameters": {"city": "Oslo"}})";
  EXPECT_EQ(split(parser(kLlama), call), Lines{R"(call:get_weather {"city": "Oslo"})"});
  EXPECT_EQ(split(parser(kLlama), std::string("<|python_tag|>") + call + "; " + call),
            (Lines{R"(call:get_weather {"city": "Oslo"})", R"(call:get_weather {"city": "Oslo"})"}));
  EXPECT_EQ(split(parser(kLlama), R"({"name": "Bob", "parameters": {}})"),
            Lines{R"(text:{"name": "Bob", "parameters": {}})"});
  EXPECT_EQ(split(parser(kLlama), R"(Use {"name": "send"} so)"), Lines{R"(text:Use {"name": "send"} so)"});
  EXPECT_EQ(split(parser(kLlama), R"({"name": "send"}; and more)"), (Lines{"call:send {}", "text:; and more"}));
  EXPECT_EQ(split(parser(kLlama), "<|python_tag|>print(1)"), Lines{"text:<|python_tag|>print(1)"});
}

TEST(ToolCalls, Mistral) {
  EXPECT_EQ(
      split(parser("[TOOL_CALLS]"),
            R"([TOOL_CALLS] [{"name": "send", "arguments": {"a": 1}}, {"name": "send", "arguments": {}, "id": "x"}])"),
      (Lines{R"(call:send {"a": 1})", "call:send {}"}));
  EXPECT_EQ(split(parser(kMistral),
                  R"(Hm.[TOOL_CALLS]send[CALL_ID]123456789[ARGS]{"a": "]"}[TOOL_CALLS]get_weather[ARGS]{})"),
            (Lines{"text:Hm.", R"(call:send {"a": "]"})", "call:get_weather {}"}));
  EXPECT_EQ(split(parser(kMistral), "[TOOL_CALLS]nothing[ARGS]{}"), Lines{"text:[TOOL_CALLS]nothing[ARGS]{}"});
}

TEST(ToolCalls, XmlValuesByTheSchema) {
  EXPECT_EQ(
      split(parser(kXml),
            "I look.\n\n<tool_call>\n<function=get_weather>\n<parameter=city>\nNew \"York\"\n</parameter>\n"
            "<parameter=days>\n2\n</parameter>\n<parameter=more>\n[1, 2]\n</parameter>\n</function>\n</tool_call>"),
      (Lines{"text:I look.", R"(call:get_weather {"city": "New \"York\"", "days": 2, "more": [1, 2]})"}));
  EXPECT_EQ(split(parser(kXml), "<function=send>\n</function>"), Lines{"call:send {}"});
  EXPECT_EQ(split(parser(kXml), "<tool_call><function=send><parameter=text>12</parameter></function></tool_call>ok"),
            (Lines{R"(call:send {"text": "12"})", "text:ok"}));
  // Lines within a text are kept; a tag within one too.
  EXPECT_EQ(split(parser(kXml), "<function=send><parameter=text>\n\na\n</b>\n\n</parameter></function>"),
            Lines{R"(call:send {"text": "\na\n</b>\n"})"});
  // An answer that was cut.
  EXPECT_EQ(split(parser(kXml), "<function=send><parameter=text>\nab</para"),
            Lines{R"(call:send {"text": "ab</para"})"});
}

TEST(ToolCalls, Glm) {
  EXPECT_EQ(
      split(parser(kGlm),
            "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n<arg_key>days</arg_key>\n"
            "<arg_value>2</arg_value>\n</tool_call>"),
      Lines{R"(call:get_weather {"city": "Oslo", "days": 2})"});
  EXPECT_EQ(split(parser(kGlm), "<tool_call>send</tool_call>"), Lines{"call:send {}"});
}

TEST(ToolCalls, PythonicAndGemma) {
  EXPECT_EQ(
      split(parser("<|tool_call_start|>"),
            "<|tool_call_start|>[get_weather(city='O\\'slo', days=2), send(to=[\"a\", 'b'], x=None, y={'k': True})]"
            "<|tool_call_end|>Done"),
      (Lines{R"(call:get_weather {"city": "O'slo", "days": 2})",
             R"(call:send {"to": ["a", "b"], "x": null, "y": {"k": true}})", "text:Done"}));
  EXPECT_EQ(split(parser("<|tool_call_start|>"), "<|tool_call_start|>[1, 2]<|tool_call_end|>"),
            Lines{"text:<|tool_call_start|>[1, 2]<|tool_call_end|>"});
  EXPECT_EQ(split(parser("<start_function_call>"),
                  "<start_function_call>call:get_weather{city:<escape>Os, {lo<escape>,days:2}<end_function_call>"),
            Lines{R"(call:get_weather {"city": "Os, {lo", "days": 2})"});
  EXPECT_EQ(
      split(parser("<|tool_call>"),
            "<|tool_call>call:send{to:[<|\"|>a<|\"|>],x:{y:-1.5}}<tool_call|><|tool_call>call:send{}<tool_call|>"),
      (Lines{R"(call:send {"to": ["a"], "x": {"y": -1.5}})", "call:send {}"}));
}

TEST(ToolCalls, FunctionaryNamesItsText) {
  ToolCallParser calls(find_call_style(">>>", true), offered_tools(json(kTools)), {true, 1, ">>>"});
  EXPECT_EQ(split(calls, "all\nHello"), Lines{"text:Hello"});
  EXPECT_EQ(split(calls, "send\n{\"text\": \"a\"}>>>send\n{}"), (Lines{R"(call:send {"text": "a"})", "call:send {}"}));
}

TEST(ToolCalls, NothingIsReadWithoutTools) {
  ToolCallParser calls(find_call_style(kHermes, true), {}, {});
  const std::string text = "<tool_call>{\"name\": \"send\"}</tool_call>";
  EXPECT_EQ(split(calls, text), Lines{"text:" + text});
}

TEST(ToolCalls, IdsDiffer) {
  std::set<std::string> ids;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    for (uint64_t number = 0; number < 100; ++number) ids.insert(call_id(seed << 32, number));
  }
  EXPECT_EQ(ids.size(), 10'000u);
}

// Text made of the marks of a style and of pieces of calls: whatever comes, cutting changes nothing, and what is no
// call is kept but for white space.
TEST(ToolCalls, RandomTextsOfEveryStyle) {
  const std::map<std::string, std::string_view> templates = {{"hermes", kHermes},
                                                             {"xml", kXml},
                                                             {"glm", kGlm},
                                                             {"mistral", kMistral},
                                                             {"llama", kLlama},
                                                             {"list", "[TOOL_CALLS]"},
                                                             {"deepseek", "<｜tool▁call▁begin｜>"},
                                                             {"kimi", "<|tool_calls_section_begin|>"},
                                                             {"dsml", "｜DSML｜"},
                                                             {"gemma", "<|tool_call>"},
                                                             {"lfm2", "<|tool_call_start|>"}};
  for (const auto& [name, chat_template] : templates) {
    const CallStyle style = find_call_style(chat_template, true);
    const Lines pieces = {style.section_open,
                          style.section_close,
                          style.open,
                          style.close,
                          style.name_end,
                          style.key_open,
                          style.key_end,
                          style.value_open,
                          style.value_end,
                          "send",
                          "get_weather",
                          "{",
                          "}",
                          "[",
                          "]",
                          "\"",
                          ":",
                          ",",
                          "\"name\": \"send\"",
                          "\"arguments\": {\"a\": 1}",
                          "\n",
                          " ",
                          "text",
                          "ä",
                          "<",
                          "=",
                          "1",
                          "(",
                          ")"};
    std::mt19937 random(1);
    for (int round = 0; round < 300; ++round) {
      std::string text;
      for (size_t i = 0, count = random() % 30; i < count; ++i) text += pieces[random() % pieces.size()];
      const auto parts = split(parser(chat_template), text);
      if (std::all_of(parts.begin(), parts.end(), [](const std::string& part) { return part.starts_with("text:"); })) {
        EXPECT_EQ(parts, text.empty() ? Lines{} : Lines{"text:" + text}) << name;
      }
      if (HasFailure()) FAIL() << name << ": " << text;
    }
  }
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

constexpr const char* kCall =
    R"({"id": "call0000A", "type": "function",
        "function": {"name": "get_weather", "arguments": {"city": "Oslo \"x\"", "days": 2}}})";

// What a template shows of an assistant's answer of `count` calls; "" where it refuses.
std::string shown_answer(const ChatTemplate& chat, int count) {
  ChatOptions options;
  options.now = 0;
  const std::string question = R"({"role": "user", "content": "QUESTION"})";
  const std::string calls = count == 2 ? std::string(kCall) + "," + kCall : kCall;
  const std::string answer = R"({"role": "assistant", "content": "", "tool_calls": [)" + calls + "]}";
  const auto asked = chat.render(json("[" + question + "]"), json(kTools), options);
  options.add_generation_prompt = false;
  const auto answered = chat.render(json("[" + question + "," + answer + "]"), json(kTools), options);
  if (!asked.ok() || !answered.ok()) return {};
  const std::string& text = answered->text;
  size_t at = 0;
  while (at < text.size() && at < asked->text.size() && text[at] == asked->text[at]) ++at;
  const size_t mark = text.rfind('<', at);  // two marks may begin alike
  return text.substr(mark != std::string::npos && text.find('>', mark) >= at ? mark : at);
}

size_t count_of(std::string_view text, std::string_view word) {
  size_t count = 0;
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

// What real templates show as an assistant's calls is read back as these calls.
TEST(ToolCalls, WhatTemplatesWriteIsReadBack) {
  const std::string folder = ANDIRON_SOURCE_DIR "/../shared/data/templates";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no templates in " << folder;
  // Without calls of tools, or with what templates may not do here (Kimi's change lists); a call that begins in the
  // header of its message; tags named by the arguments.
  const std::set<std::string> without = {"google-gemma-2-2b-it", "ibm-granite-granite-3.3-2B-Instruct",
                                         "LFM2-8B-A1B",          "Kimi-K2-Instruct",
                                         "Kimi-K2-Thinking",     "llama-cpp-deepseek-r1",
                                         "openai-gpt-oss-120b",  "MiniMax-M3"};
  const std::string arguments = json(R"({"city": "Oslo \"x\"", "days": 2})").dump();
  size_t templates = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().stem().string();
    SCOPED_TRACE(name);
    auto chat = ChatTemplate::create(read_file(entry.path()), name);
    ASSERT_TRUE(chat.ok()) << chat.error().message;
    const ChatCapabilities& can = chat->capabilities();
    const AnswerStyle style = find_answer_style(chat->source(), can.tools || can.tool_calls);
    std::string answer = shown_answer(*chat, 2);
    if (answer.find("get_weather") == std::string::npos) answer = shown_answer(*chat, 1);
    AnswerSplitter::Options options;
    options.tools = offered_tools(json(kTools));
    if (answer.starts_with("get_weather")) answer = style.calls.open + answer;  // the prompt ends with the mark
    const Lines read = described(feed(AnswerSplitter(style, options), answer, 3));
    size_t calls = 0;
    for (const std::string& one : read) {
      if (!one.starts_with("call:get_weather ")) continue;
      EXPECT_EQ(json(one.substr(17)).dump(), arguments);
      ++calls;
    }
    const bool expected = without.count(name) == 0;
    EXPECT_EQ(calls > 0, expected) << style.calls.name << " read of: " << answer;
    if (expected && answer.find("<atem") == std::string::npos) {
      EXPECT_EQ(calls, count_of(answer, "get_weather")) << style.calls.name << " read of: " << answer;
    }
    ++templates;
  }
  EXPECT_GE(templates, 40u);
}

}  // namespace
}  // namespace andiron
