#include "serve/tool_calls_prompt.h"

#include <gtest/gtest.h>

namespace andiron {
namespace {

Json json(std::string_view text) {
  auto parsed = parse_json(text, "test");
  EXPECT_TRUE(parsed.ok()) << text;
  return *parsed;
}

constexpr const char* kMessages = R"([{"role": "user", "content": "q"},
  {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
  {"role": "tool", "tool_call_id": "1", "content": "r"}])";
constexpr const char* kTools =
    R"([{"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}}])";

ToolConversation fit(const char* source) {
  auto chat = ChatTemplate::create(source, "test");
  EXPECT_TRUE(chat.ok());
  const ChatCapabilities& can = chat->capabilities();
  return fit_tools(json(kMessages), json(kTools), *chat, find_call_style(source, can.tools || can.tool_calls));
}

TEST(ToolCallsPrompt, ATemplateWithoutTools) {
  const auto fitted = fit("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
  EXPECT_TRUE(fitted.tools.is_null());
  const auto& messages = fitted.messages.items();
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_NE(messages[0].member("content").as_string().find(R"({"name": "f", "description": "d", "parameters": {}})"),
            std::string::npos);
  EXPECT_EQ(messages[2].dump(),
            json(R"({"role":"assistant","content":"{\"name\": \"f\", \"parameters\": {\"a\":1}}"})").dump());
  // It shows whatever role there is, results too.
  EXPECT_EQ(messages[3].member("role").as_string(), "tool");
}

TEST(ToolCallsPrompt, ATemplateOfTwoRoles) {
  const auto fitted =
      fit("{% for m in messages %}{% if m.role in ['user', 'assistant', 'system'] %}{{ m.content }}{% endif %}{% "
          "endfor %}");
  EXPECT_EQ(fitted.messages.items()[3].dump(), json(R"({"role":"user","content":"The function returned: r"})").dump());
}

// What it says of a style is what the parser reads.
TEST(ToolCallsPrompt, CallsOfEveryStyleAreReadBack) {
  for (const char* source : {"<tool_call></tool_call>\"name\"",
                             "<function=<parameter=",
                             "<arg_key>",
                             "[TOOL_CALLS][ARGS]",
                             "[TOOL_CALLS]",
                             "｜DSML｜",
                             "<｜tool▁call▁begin｜>",
                             "<｜tool▁call▁begin｜>```json",
                             "<|tool_calls_section_begin|>",
                             "<|tool_call:begin|>",
                             "<|START_ACTION|>",
                             "<|tools_prefix|>",
                             "<|tool_call_start|>",
                             "<|tool_call>",
                             "<start_function_call>",
                             "<|tool_call|>",
                             "<function=",
                             ">>>",
                             "<|python_tag|>",
                             ""}) {
    const CallStyle style = find_call_style(source, true);
    const std::string arguments = R"({"a": "b c", "d": 1})";
    std::vector<OfferedTool> tools = {{"f", json(R"({"properties": {"a": {"type": "string"}}})")}};
    ToolCallParser parser(style, std::move(tools), {});
    std::vector<AnswerPart> parts;
    parser.push(call_text(style, "f", arguments), parts);
    parser.finish(parts);
    ASSERT_EQ(parts.size(), 2u) << call_text(style, "f", arguments);
    EXPECT_EQ(parts[0].text, "f");
    EXPECT_EQ(json(parts[1].text).dump(), arguments);
  }
}

TEST(ToolCallsPrompt, ToolsInTheSystemMessage) {
  const auto fitted =
      fit("{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message %}<|tool|>{{ "
          "message['tools'] }}<|/tool|>{% endif %}{{ message['content'] }}{% endfor %}");
  EXPECT_EQ(fitted.messages.items()[0].member("tools").as_string(),
            json(R"([{"name":"f","description":"d","parameters":{}}])").dump());
  EXPECT_EQ(find_call_style("message['tools']", false).name, "phi");
}

TEST(ToolCallsPrompt, ATemplateThatKnowsToolsIsLeftAlone) {
  const auto fitted =
      fit("{{ tools | tojson if tools else '' }}{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] "
          "%}{{ c.function.name }}{{ c.function.arguments }}{% endfor %}{% endfor %}");
  EXPECT_EQ(fitted.messages.dump(), json(kMessages).dump());
  EXPECT_EQ(fitted.tools.dump(), json(kTools).dump());
}

}  // namespace
}  // namespace andiron
