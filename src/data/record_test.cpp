#include "data/record.h"

#include <gtest/gtest.h>

#include <string>

namespace andiron {
namespace {

Json json(std::string_view text) {
  auto parsed = parse_json(text, "test");
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? std::move(*parsed) : Json();
}

// What a record becomes, on a few short lines; or why it is bad.
std::string read(std::string_view text) {
  const Json record = json(text);
  const auto format = detect_record(record);
  if (!format) return "no format";
  const auto example = read_record(record, *format);
  if (!example.ok()) return "bad: " + example.error().message;
  std::string out(data_format_name(*format));
  const auto add = [&](const Json& messages) {
    for (size_t i = 0; i < messages.items().size(); ++i) {
      const Json& message = messages.items()[i];
      const bool trained = &messages == &example->messages && i < example->trained.size() && example->trained[i] != 0;
      out += " " + message.find("role")->as_string() + (trained ? "*" : "") + "=" + message.find("content")->dump();
      if (const Json* calls = message.find("tool_calls")) out += calls->dump();
      if (const Json* id = message.find("tool_call_id")) out += "(" + id->as_string() + ")";
    }
  };
  add(example->messages);
  if (!example->chosen.is_null()) {
    out += " +";
    add(example->chosen);
    out += " -";
    add(example->rejected);
  }
  if (!example->tools.is_null()) out += " tools=" + example->tools.dump();
  if (example->kind == Example::Kind::kCompletion) out += " [" + example->prompt + "][" + example->completion + "]";
  if (example->kind == Example::Kind::kText) out += " [" + example->text + "]";
  if (example->desirable) out += *example->desirable ? " good" : " bad";
  return out;
}

TEST(Record, Chat) {
  EXPECT_EQ(read(R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
                                  {"role": "assistant", "content": "a"}], "id": 7})"),
            R"(chat system="s" user="u" assistant*="a")");
  EXPECT_EQ(read(R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "u"}]},
                                  {"role": "assistant", "content": "a", "weight": 0},
                                  {"role": "assistant", "content": "b", "weight": 1}]})"),
            R"(chat user=[{"type": "text", "text": "u"}] assistant="a" assistant*="b")");
  EXPECT_EQ(
      read(R"({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": null,
      "tool_calls": [{"id": "x", "function": {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "content": "r"},
      {"role": "assistant", "content": "a"}], "tools": [{"name": "f"}]})"),
      R"(chat user="u" assistant*=""[{"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}])"
      R"( tool="r"(x) assistant*="a" tools=[{"type": "function", "function": {"name": "f"}}])");
}

TEST(Record, ShareGpt) {
  EXPECT_EQ(read(R"({"conversations": [{"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}], "system": "s",
                     "tools": "[]"})"),
            R"(sharegpt system="s" user="u" assistant*="a")");
  EXPECT_EQ(read(R"({"conversations": [{"from": "human", "value": "u"},
      {"from": "function_call", "value": "[{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"g\"}]"},
      {"from": "observation", "value": "1"}, {"from": "observation", "value": "2"}, {"from": "gpt", "value": "a"}],
      "tools": "[{\"name\": \"f\"}]"})"),
            R"(sharegpt user="u" assistant*=""[{"id": "call00000", "type": "function", "function": )"
            R"({"name": "f", "arguments": {}}}, {"id": "call00001", "type": "function", "function": )"
            R"({"name": "g", "arguments": {}}}] tool="1"(call00000) tool="2"(call00001) assistant*="a")"
            R"( tools=[{"type": "function", "function": {"name": "f"}}])");
}

TEST(Record, Alpaca) {
  EXPECT_EQ(read(R"({"instruction": "i", "input": "", "output": "o"})"), R"(alpaca user="i" assistant*="o")");
  EXPECT_EQ(read(R"({"instruction": "i", "input": "n", "output": "o", "system": "s", "history": [["q", "r"]]})"),
            R"(alpaca system="s" user="q" assistant*="r" user="i\nn" assistant*="o")");
  EXPECT_EQ(read(R"({"instruction": "i", "context": "c", "response": "r"})"), R"(alpaca user="i\nc" assistant*="r")");
}

TEST(Record, Completion) {
  EXPECT_EQ(read(R"({"prompt": "p", "completion": "c"})"), "completion [p][c]");
  EXPECT_EQ(read(R"({"question": "p", "answer": "c"})"), "completion [p][c]");
  EXPECT_EQ(read(R"({"prompt": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "x"},
                                {"role": "user", "content": "v"}],
                     "completion": [{"role": "assistant", "content": "a"}]})"),
            R"(completion user="u" assistant="x" user="v" assistant*="a")");
  EXPECT_EQ(read(R"({"text": "t"})"), "text-rows [t]");
}

TEST(Record, Preference) {
  EXPECT_EQ(read(R"({"prompt": "p", "chosen": "c", "rejected": "r"})"),
            R"(preference user="p" + assistant="c" - assistant="r")");
  EXPECT_EQ(read(R"({"conversations": [{"from": "human", "value": "u"}], "chosen": {"from": "gpt", "value": "c"},
                     "rejected": {"from": "gpt", "value": "r"}})"),
            R"(preference user="u" + assistant="c" - assistant="r")");
  EXPECT_EQ(read(R"({"instruction": "i", "input": "n", "chosen": "c", "rejected": "r"})"),
            R"(preference user="i\nn" + assistant="c" - assistant="r")");
  EXPECT_EQ(read(R"({"prompt": [{"role": "user", "content": "u"}], "chosen": [{"role": "assistant", "content": "c"}],
                     "rejected": [{"role": "assistant", "content": "r"}]})"),
            R"(preference user="u" + assistant="c" - assistant="r")");
  // Whole conversations, whatever "prompt" repeats.
  EXPECT_EQ(read(R"({"prompt": "u", "chosen": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "c"}],
                     "rejected": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "r"}]})"),
            R"(preference user="u" + assistant="c" - assistant="r")");
}

TEST(Record, Labelled) {
  EXPECT_EQ(read(R"({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}],
                     "label": false})"),
            R"(labelled user="u" assistant*="a" bad)");
  EXPECT_EQ(read(R"({"prompt": "p", "completion": "c", "label": true})"), "labelled [p][c] good");
  EXPECT_EQ(read(R"({"instruction": "i", "output": "o", "kto_tag": true})"),
            R"(labelled user="i" assistant*="o" good)");
  // A label that is no boolean is somebody's class of texts.
  EXPECT_EQ(read(R"({"prompt": "p", "completion": "c", "label": "sports"})"), "completion [p][c]");
}

TEST(Record, WhatIsWrongIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"([1])", "no format"},
      {R"({"question": "no answer"})", "no format"},
      {R"({"messages": "x"})", "bad: \"messages\" is not a list"},
      {R"({"messages": []})", "bad: there is no answer of the assistant to learn"},
      {R"({"messages": [{"role": "user", "content": "u"}]})", "bad: there is no answer of the assistant to learn"},
      {R"({"messages": [{"role": "assistant", "content": " \n"}]})", "bad: an answer is empty"},
      {R"({"messages": [{"role": "wizard\u001b", "content": "u"}]})", "bad: the role \"wizard\\x1b\" is unknown"},
      {R"({"messages": [{"role": "user"}]})", "bad: a message of the role user has no \"content\""},
      {R"({"messages": [{"role": "user", "content": 5}]})", "bad: \"content\" is neither text nor a list of parts"},
      {R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})",
       "bad: a content part is \"image_url\"; only text can be trained on"},
      {R"({"messages": [7]})", "bad: a message is not an object"},
      {R"({"messages": [{"content": "u"}]})", "bad: a message has no \"role\" or \"from\""},
      {R"({"messages": [{"role": "assistant", "content": "a", "weight": "x"}]})",
       "bad: \"weight\" of a message is not a number"},
      {R"({"messages": [{"role": "assistant", "content": "a", "tool_calls": 1}]})",
       "bad: \"tool_calls\" is not a list"},
      {R"({"messages": [{"role": "assistant", "content": "", "tool_calls": [{"function": {}}]}]})",
       "bad: a tool call has no function name"},
      {R"({"conversations": [{"from": "alien", "value": "u"}]})", "bad: the role \"alien\" is unknown"},
      {R"({"conversations": [{"from": "gpt", "value": null}]})", "bad: a message from gpt has no \"value\" as text"},
      {R"({"conversations": [{"from": "function_call", "value": "{"}]})",
       "bad: function_call: not valid JSON: a member name in quotes is expected (line 1, byte 1)"},
      {R"({"conversations": [{"from": "gpt", "value": "a"}], "tools": "7"})", "bad: \"tools\" is not a list"},
      {R"({"instruction": "", "output": "o"})", "bad: \"instruction\" is empty"},
      {R"({"instruction": "i", "output": ""})", "bad: \"output\" is empty"},
      {R"({"instruction": "i", "output": 3})", "bad: \"output\" is not text"},
      {R"({"instruction": "i", "output": "o", "history": [["q"]]})",
       "bad: a turn of \"history\" is not a question and an answer"},
      {R"({"prompt": "p", "completion": " "})", "bad: \"completion\" is empty"},
      {R"({"text": ""})", "bad: \"text\" is empty"},
      {R"({"prompt": "p", "chosen": "same", "rejected": "same"})", "bad: \"chosen\" and \"rejected\" are the same"},
      {R"({"chosen": "c", "rejected": "r"})", "bad: \"prompt\" is missing"},
      {R"({"prompt": "p", "chosen": "c", "rejected": null})", "bad: \"rejected\" is missing"},
      {R"({"prompt": "p", "chosen": {"role": "user", "content": "c"}, "rejected": "r"})",
       "bad: \"chosen\" does not end with an answer"},
      {R"({"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "u"}], "label": true})",
       "bad: the last message is no answer"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(read(text), expected) << text;
}

// The question, the choices and which is right.
std::string read_question(std::string_view text) {
  const auto example = read_record(json(text), DataFormat::kChoice);
  if (!example.ok()) return "bad: " + example.error().message;
  std::string out = example->prompt.empty() ? example->messages.dump() : example->prompt;
  for (size_t i = 0; i < example->choices.size(); ++i) {
    out += (i == example->right ? " *" : " ") + example->choices[i];
  }
  return out;
}

TEST(Record, ReadsQuestionsWithChoices) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"question": "q", "choices": ["x", "y"], "answer": 1})", "q x *y"},
      {R"({"question": "q", "choices": ["x", "y"], "answer": "x"})", "q *x y"},
      {R"({"prompt": "q", "choices": ["x", "y", "z"], "answer": "C"})", "q x y *z"},
      {R"({"question": "q", "choices": ["B", "A"], "answer": "A"})", "q B *A"},  // a text goes before a letter
      {R"({"question": "q", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"})", "q x *y"},
      {R"({"messages": [{"role": "user", "content": "q"}], "choices": ["x", "y"], "answer": 0})",
       R"([{"role": "user", "content": "q"}] *x y)"},
      {R"({"question": "q", "choices": ["x"], "answer": 0})", "bad: \"choices\" has fewer than two"},
      {R"({"question": "q", "choices": ["x", " "], "answer": 0})", "bad: \"choices\" is empty"},
      {R"({"question": "q", "choices": ["x", 3], "answer": 0})", "bad: \"choices\" is not text"},
      {R"({"question": "q", "choices": "x", "answer": 0})", "bad: \"choices\" is not a list of texts"},
      {R"({"question": "q", "answer": 0})", "bad: \"choices\" is not a list of texts"},
      {R"({"question": "q", "choices": ["x", "y"], "answer": 2})",
       "bad: \"answer\" is 2; there are 2 choices, the first of them 0"},
      {R"({"question": "q", "choices": ["x", "y"], "answer": -1})",
       "bad: \"answer\" is -1; there are 2 choices, the first of them 0"},
      {R"({"question": "q", "choices": ["x", "y"], "answer": "w"})",
       "bad: \"answer\" is \"w\", which is none of the choices nor a letter of one"},
      {R"({"question": "q", "choices": ["x", "y"], "answer": null})", "bad: \"answer\" is missing"},
      {R"({"question": "q", "choices": ["x", "y"], "answer": 0.5})",
       "bad: \"answer\" is neither the index of a choice nor text"},
      {R"({"choices": ["x", "y"], "answer": 0})", "bad: \"question\" is missing"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(read_question(text), expected) << text;
  const auto pair = read_record(json(R"({"prompt": "q", "chosen": "x", "rejected": "y"})"), DataFormat::kChoice);
  ASSERT_TRUE(pair.ok());
  EXPECT_EQ(pair->kind, Example::Kind::kPreference) << "a question with two choices";
}

TEST(DataFormats, NamesGoBothWays) {
  for (int i = 0; i <= static_cast<int>(DataFormat::kMarkdown); ++i) {
    const auto format = static_cast<DataFormat>(i);
    const auto back = parse_data_format(data_format_name(format));
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(*back, format);
  }
  const auto unknown = parse_data_format("csv");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().message.rfind("\"csv\" is no data format; there are chat, sharegpt,", 0), 0U);
}

}  // namespace
}  // namespace andiron
