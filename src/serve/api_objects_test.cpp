// The fields of the objects within requests: messages, tools, blocks.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "serve/api_anthropic.h"
#include "serve/api_fields_fixture.h"
#include "serve/api_ollama.h"
#include "serve/api_openai.h"

namespace andiron {
namespace {

// An object within a request: members that it needs, and the request around it.
struct Within {
  std::string table, before, members, after;
};

struct NestedFixture {
  const std::vector<const ApiTable*>& tables;
  Parse parse;
  std::vector<Within> places;
};

const std::vector<NestedFixture>& nested_fixtures() {
  static const std::string chat = R"({"model": "m", "max_tokens": 5, "messages": [)";
  static const std::string openai = R"({"model": "m", "messages": [)";
  static const std::string asked = R"({"model": "m", "messages": [{"role": "user", "content": "a"}], )";
  static const std::string counted =
      R"({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "a"}], )";
  static const std::string input = R"({"model": "m", "input": )";
  static const std::vector<NestedFixture> kFixtures = {
      {openai_message_tables(),
       parser([](const Json& body) { return parse_openai_chat(body, kDefaults); }),
       {{"a message", openai + "{", R"("role": "user", "content": "a")", "}]}"},
        {"a tool call", openai + R"({"role": "assistant", "tool_calls": [{)", R"("function": {"name": "f"})", "}]}]}"},
        {"a called function", openai + R"({"role": "assistant", "tool_calls": [{"function": {)", R"("name": "f")",
         "}}]}]}"},
        {"a tool", asked + R"("tools": [{)", R"("type": "function", "function": {"name": "f"})", "}]}"},
        {"a function", asked + R"("tools": [{"type": "function", "function": {)", R"("name": "f")", "}}]}"}}},
      {openai_response_tables(),
       parser([](const Json& body) { return parse_openai_response(body, kDefaults); }),
       {{"a message", input + "[{", R"("role": "user", "content": "a")", "}]}"},
        {"a function call", input + "[{", R"("type": "function_call", "call_id": "1", "name": "f")", "}]}"},
        {"the output of a function call", input + "[{",
         R"("type": "function_call_output", "call_id": "1", "output": "x")", "}]}"},
        {"reasoning", input + "[{", R"("type": "reasoning")", "}]}"},
        {"a function", input + R"("a", "tools": [{)", R"("type": "function", "name": "f")", "}]}"},
        {"text", input + R"("a", "text": {)", R"("format": {"type": "text"})", "}}"},
        {"reasoning options", input + R"("a", "reasoning": {)", R"("effort": "low")", "}}"}}},
      {anthropic_tables(),
       parser([](const Json& body) { return parse_anthropic(body, kDefaults); }),
       {{"a message", chat + "{", R"("role": "user", "content": "a")", "}]}"},
        {"a text block", chat + R"({"role": "user", "content": [{)", R"("type": "text", "text": "a")", "}]}]}"},
        {"a thinking block", chat + R"({"role": "assistant", "content": [{)", R"("type": "thinking", "thinking": "a")",
         "}]}]}"},
        {"a tool_use block", chat + R"({"role": "assistant", "content": [{)",
         R"("type": "tool_use", "id": "1", "name": "f", "input": {})", "}]}]}"},
        {"a tool_result block", chat + R"({"role": "user", "content": [{)",
         R"("type": "tool_result", "tool_use_id": "1")", "}]}]}"},
        {"a tool", counted + R"("tools": [{)", R"("name": "f", "input_schema": {})", "}]}"},
        {"a tool choice", counted + R"("tools": [{"name": "f"}], "tool_choice": {)", R"("type": "any")", "}}"},
        {"thinking", counted + R"("thinking": {)", R"("type": "enabled")", "}}"},
        {"output_config", counted + R"("output_config": {)", R"("effort": "low")", "}}"}}},
      {ollama_tables(),
       parser([](const Json& body) { return parse_ollama_chat(body, kDefaults); }),
       {{"a message", openai + "{", R"("role": "user", "content": "a")", "}]}"},
        {"a tool call", openai + R"({"role": "assistant", "tool_calls": [{)", R"("function": {"name": "f"})", "}]}]}"},
        {"a called function", openai + R"({"role": "assistant", "tool_calls": [{"function": {)", R"("name": "f")",
         "}}]}]}"},
        {"a tool", asked + R"("tools": [{)", R"("function": {"name": "f"})", "}]}"},
        {"a function", asked + R"("tools": [{"function": {)", R"("name": "f")", "}}]}"}}},
  };
  return kFixtures;
}

// A field that nobody knows is refused in every object; so is each that a table refuses, and each ignored one is taken.
TEST(ApiFields, ObjectsWithin) {
  for (const NestedFixture& api : nested_fixtures()) {
    ASSERT_EQ(api.tables.size(), api.places.size());
    for (size_t i = 0; i < api.tables.size(); ++i) {
      const Within& place = api.places[i];
      SCOPED_TRACE(place.table);
      EXPECT_EQ(api.tables[i]->name, place.table == "reasoning options" ? "reasoning" : place.table);
      const auto error_of = [&](std::string_view member) {
        return api.parse(json(place.before + place.members + std::string(member) + place.after));
      };
      const auto plain = error_of("");
      EXPECT_FALSE(plain) << plain->message;
      const auto unknown = error_of(R"(, "zz": 1)");
      ASSERT_TRUE(unknown);
      EXPECT_TRUE(unknown->param.ends_with(".zz")) << unknown->param;
      EXPECT_EQ(unknown->code, "unknown_parameter");
      for (const ApiField& field : api.tables[i]->fields) {
        if (field.use == FieldUse::kSupported) continue;
        EXPECT_FALSE(field.reason.empty()) << field.name;
        const auto error = error_of(", \"" + std::string(field.name) + R"(": {"a": [1]})");
        EXPECT_EQ(error.has_value(), field.use == FieldUse::kRefused) << field.name;
        EXPECT_TRUE(!error || error->code == "unsupported_parameter") << error->message;
      }
    }
  }
}

}  // namespace
}  // namespace andiron
