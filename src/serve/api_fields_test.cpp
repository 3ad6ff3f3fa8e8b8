// Requests of every API: each field of each table is given once as it should be, and wrong in every way that its checks
// name. A field that is added to a table without a case here fails the test.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "serve/api_anthropic.h"
#include "serve/api_fields_fixture.h"
#include "serve/api_ollama.h"
#include "serve/api_openai.h"
#include "serve/api_tuning.h"

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

struct Wrong {
  const char* value;
  const char* says;  // in the message
};

struct FieldCase {
  const char* name;
  const char* good;
  std::vector<Wrong> wrong;
};

struct Fixture {
  const char* name;
  const ApiTable& table;
  Parse parse;
  const char* base;    // a request that is taken
  const char* before;  // in front of fields ("options."), whose object stands in the base
  std::vector<FieldCase> cases;
};

Json request_with(const Fixture& api, const ApiField& field, Json value) {
  Json request = json(api.base);
  const std::string_view before = api.before;
  if (before.empty()) return with(std::move(request), field.name, std::move(value));
  Json* holder = request.find(before.substr(0, before.size() - 1));
  *holder = with(*holder, field.name, std::move(value));
  return request;
}

void check_supported(const Fixture& api, const ApiField& field, const std::string& place) {
  const auto known =
      std::find_if(api.cases.begin(), api.cases.end(), [&](const FieldCase& one) { return field.name == one.name; });
  ASSERT_NE(known, api.cases.end()) << api.name << ": no case for \"" << field.name << "\"";
  const auto refusal = api.parse(request_with(api, field, json(known->good)));
  EXPECT_FALSE(refusal) << place << ": " << (refusal ? refusal->message : "");
  EXPECT_FALSE(known->wrong.empty()) << place << " cannot be wrong";
  for (const Wrong& wrong : known->wrong) {
    const auto error = api.parse(request_with(api, field, json(wrong.value)));
    ASSERT_TRUE(error) << place << " = " << wrong.value << " was taken";
    EXPECT_EQ(error->status, 400);
    EXPECT_NE(error->message.find(wrong.says), std::string::npos)
        << place << " = " << wrong.value << ": " << error->message;
    EXPECT_FALSE(error->code.empty()) << place;
  }
}

void check_field(const Fixture& api, const ApiField& field) {
  const std::string place = std::string(api.before) + std::string(field.name);
  if (field.use == FieldUse::kSupported) return check_supported(api, field, place);
  EXPECT_FALSE(field.reason.empty()) << place << " has no reason";
  const auto error = api.parse(request_with(api, field, json(R"({"anything": [1]})")));
  if (field.use == FieldUse::kIgnored) {
    EXPECT_FALSE(error) << place << ": " << (error ? error->message : "");
    return;
  }
  ASSERT_TRUE(error) << place << " was taken";
  EXPECT_EQ(error->param, place);
  EXPECT_EQ(error->code, "unsupported_parameter");
  EXPECT_NE(error->message.find(field.reason), std::string::npos) << error->message;
  EXPECT_FALSE(api.parse(request_with(api, field, Json()))) << place << ": null is the same as nothing";
}

const std::vector<FieldCase> kLocalCases = {
    {"adapters",
     R"({"me": 0.8})",
     {{"3", "a list of names"},
      {R"([{"name": "a", "x": 1}])", "a list of names"},
      {R"({"me": 101})", "from -100 to 100"},
      {R"([""])", "names"}}},
    {"top_k", "40", {{"-1", "from 0 to"}, {"1.5", "a whole number"}, {"\"x\"", "not \"x\""}}},
    {"typical_p", "0.5", {{"0", "from 1e-06 to 1"}, {"1.1", "not 1.1"}}},
    {"min_p", "0.1", {{"-0.1", "from 0 to 1"}, {"2", "not 2"}}},
    {"xtc_probability", "0.5", {{"1.5", "from 0 to 1"}}},
    {"xtc_threshold", "0.1", {{"-1", "from 0 to 1"}}},
    {"mirostat", "true", {{"2", "true or false"}}},
    {"mirostat_tau", "5", {{"-1", "from 0 to"}}},
    {"mirostat_eta", "0.1", {{"1.1", "from 0 to 1"}}},
    {"penalty_last_n", "-1", {{"-2", "from -1 to 65536"}, {"65537", "65537"}}},
    {"grammar", R"("root ::= \"a\"")", {{"7", "must be text"}}},
    {"dry_multiplier", "0.8", {{"-1", "from 0 to"}}},
    {"repetition_penalty", "1.1", {{"0", "a number from"}}},
    {"repeat_penalty", "1.1", {{"\"1\"", "a number from"}}},
    {"dry_base", "1.75", {{"0.5", "from 1 to"}}},
    {"dry_last_n", "-1", {{"-2", "from -1 to"}}},
    {"dry_allowed_length", "2", {{"0", "from 1 to"}}}};

std::vector<FieldCase> with_local(std::vector<FieldCase> cases) {
  cases.insert(cases.end(), kLocalCases.begin(), kLocalCases.end());
  return cases;
}

const FieldCase kModel = {"model",
                          "\"ember+me:0.8+work:0.5\"",
                          {{"\"\"", "1 to 1024 bytes"},
                           {"1", "must be text"},
                           {"\"a+\"", "beside every +"},
                           {"\"a++b\"", "beside every +"},
                           {"\"a+b:x\"", "the strength of the adapter \"b\""},
                           {"\"a+b:1000\"", "from -100 to 100"},
                           {"\"+a\"", "begins with +"},
                           {"null", "is missing"}}};
const FieldCase kLogitBias = {"logit_bias",
                              R"({"5": -100, "7": 2.5})",
                              {{"[]", "an object of token ids"},
                               {R"({"x": 1})", "token ids"},
                               {R"({"1": 101})", "from -100 to 100"},
                               {R"({"-1": 1})", "token ids"}}};
const FieldCase kStop = {
    "stop",
    R"(["a", "b"])",
    {{"[1]", "a list of at most 16 texts"}, {"\"\"", "none of them empty"}, {"{}", "text, or a list"}}};
const FieldCase kSeed = {"seed", "-3", {{"0.5", "a whole number"}, {"\"a\"", "a whole number"}}};
const FieldCase kFormat = {"response_format",
                           R"({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}})",
                           {{"{}", "whose \"type\" is"},
                            {R"({"type": "xml"})", "\"json_schema\""},
                            {R"({"type": "json_schema"})", "has no \"json_schema\""},
                            {R"({"type": "json_schema", "json_schema": {"schema": 1}})", "has no"}}};
const FieldCase kVariables = {"chat_template_kwargs", R"({"enable_thinking": false})", {{"[]", "an object"}}};
const FieldCase kTemperature = {
    "temperature", "0.7", {{"-0.1", "a number from 0 to 2, not -0.1"}, {"2.1", "not 2.1"}, {"\"hot\"", "not \"hot\""}}};
const FieldCase kTopP = {"top_p", "0.9", {{"1.1", "from 0 to 1"}, {"[]", "a list of 0"}}};
const FieldCase kStream = {"stream", "true", {{"1", "true or false, not 1"}}};
const FieldCase kPenalty = {"frequency_penalty", "-2", {{"-2.1", "from -2 to 2"}}};
const FieldCase kPresence = {"presence_penalty", "2", {{"2.1", "from -2 to 2"}}};
const FieldCase kChoices = {"n", "16", {{"0", "from 1 to 16"}, {"17", "17"}, {"1.5", "a whole number"}}};

constexpr const char* kToolJson =
    R"([{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}])";
const FieldCase kMessages = {
    "messages",
    R"([{"role": "developer", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}], "name": "x"},
        {"role": "assistant", "content": null, "refusal": null, "reasoning_content": "r", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "c"}])",
    {{"[]", "a list of 1 to"},
     {"{}", "a list of 1 to"},
     {"[1]", "\"messages[0]\" must be an object"},
     {R"([{"content": "a"}])", "\"messages[0].role\" is missing"},
     {R"([{"role": "robot", "content": "a"}])", "\"messages[0].role\" must be \"system\""},
     {R"([{"role": "user"}])", "\"messages[0].content\" is missing"},
     {R"([{"role": "user", "content": 1}])", "\"messages[0].content\" must be text or a list"},
     {R"([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])",
      "\"messages[0].content[0].type\" is \"image_url\"; only text"},
     {R"([{"role": "user", "content": [{"type": "text"}]}])", "\"messages[0].content[0].text\" must be text"},
     {R"([{"role": "user", "content": "a", "zz": 1}])", "\"messages[0].zz\" is not a field"},
     {R"([{"role": "user", "content": "a", "function_call": {}}])", "\"messages[0].function_call\" is not supported"},
     {R"([{"role": "user", "content": "a", "tool_calls": []}])", "but in messages of the assistant"},
     {R"([{"role": "tool", "content": "a"}])", "\"messages[0].tool_call_id\" is missing"},
     {R"([{"role": "assistant", "tool_calls": {}}])", "\"messages[0].tool_calls\" must be a list"},
     {R"([{"role": "assistant", "tool_calls": [{"type": "custom"}]}])", "\"messages[0].tool_calls[0].type\""},
     {R"([{"role": "assistant", "tool_calls": [{"function": {}}]}])",
      "\"messages[0].tool_calls[0].function.name\" is missing"},
     {R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}])",
      "arguments\" must be text"}}};
const FieldCase kTools = {
    "tools",
    kToolJson,
    {{"{}", "a list of at most 512 tools"},
     {R"([{"type": "web_search"}])", "\"tools[0].type\" is \"web_search\""},
     {R"([{"type": "function"}])", "\"tools[0].function\" is missing"},
     {R"([{"type": "function", "function": {"name": ""}}])", "1 to 256 bytes"},
     {R"([{"type": "function", "function": {"name": "f", "parameters": 1}}])", "a JSON schema"},
     {R"([{"type": "function", "function": {"name": "f", "zz": 1}}])", "\"tools[0].function.zz\""}}};
const FieldCase kToolChoice = {"tool_choice",
                               "\"auto\"",
                               {{"\"maybe\"", "\"auto\", \"none\" or \"required\""},
                                {"{}", "\"auto\", \"none\", \"required\" or {"},
                                {"\"required\"", "no tools"},
                                {"1", "\"auto\""}}};
const FieldCase kParallel = {"parallel_tool_calls", "false", {{"0", "true or false"}}};
const FieldCase kStreamOptions = {"stream_options", "null", {{"{}", "only with \"stream\": true"}}};

const std::vector<Fixture>& fixtures() {
  static const std::vector<Fixture> kFixtures = {
      {"openai chat", openai_chat_fields(), parser([](const Json& body) { return parse_openai_chat(body, kDefaults); }),
       R"({"model": "m", "messages": [{"role": "user", "content": "a"}]})", "",
       with_local({kModel,
                   kMessages,
                   kTools,
                   kToolChoice,
                   kParallel,
                   kTemperature,
                   kTopP,
                   kStream,
                   kPenalty,
                   kPresence,
                   kChoices,
                   kLogitBias,
                   kStop,
                   kSeed,
                   kFormat,
                   kVariables,
                   kStreamOptions,
                   {"logprobs", "true", {{"5", "true or false"}}},
                   {"top_logprobs", "null", {{"3", "only with \"logprobs\": true"}, {"21", "from 0 to 20"}}},
                   {"max_completion_tokens", "5", {{"0", "from 1 to"}, {"\"5\"", "a whole number"}}},
                   {"max_tokens", "5", {{"0", "from 1 to"}, {"-1", "not -1"}}},
                   {"modalities", R"(["text"])", {{R"(["text", "audio"])", "[\"text\"]"}, {"\"text\"", "[\"text\"]"}}},
                   {"reasoning_effort", "\"low\"", {{"\"huge\"", "\"none\", \"minimal\""}, {"1", "\"none\""}}}})},
      {"openai completion", openai_completion_fields(),
       parser([](const Json& body) { return parse_openai_completion(body, kDefaults); }),
       R"({"model": "m", "prompt": "a"})", "",
       with_local({kModel,
                   kTemperature,
                   kTopP,
                   kStream,
                   kPenalty,
                   kPresence,
                   kChoices,
                   kLogitBias,
                   kStop,
                   kSeed,
                   kFormat,
                   kStreamOptions,
                   {"prompt",
                    R"([[1, 2], "text"])",
                    {{"[]", "a list of token ids"},
                     {"[[]]", "a list"},
                     {"[-1]", "a list"},
                     {"[1.5]", "text"},
                     {"{}", "text"},
                     {"null", "is missing"}}},
                   {"echo", "true", {{"1", "true or false"}}},
                   {"logprobs", "5", {{"6", "from 0 to 5"}, {"true", "a whole number"}}},
                   {"max_tokens", "0", {{"-1", "from 0 to"}}},
                   {"best_of", "1", {{"2", "the same as \"n\""}, {"0", "from 1 to"}}}})},
      {"openai embeddings",
       openai_embeddings_fields(),
       parser(parse_openai_embeddings),
       R"({"model": "m", "input": "a"})",
       "",
       {kModel,
        kLocalCases[0],
        {"input", R"(["a", "b"])", {{"[]", "text, a list"}, {"null", "is missing"}}},
        {"encoding_format", "\"base64\"", {{"\"int8\"", "\"float\" or \"base64\""}}}}},
      {"openai response", openai_response_fields(),
       parser([](const Json& body) { return parse_openai_response(body, kDefaults); }),
       R"({"model": "m", "input": "a"})", "",
       with_local(
           {kModel,
            kTemperature,
            kTopP,
            kStream,
            kStop,
            kSeed,
            kLogitBias,
            kParallel,
            kVariables,
            {"input",
             R"([{"role": "user", "content": [{"type": "input_text", "text": "a"}]}, {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "r"}]},
                                 {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}, {"type": "function_call_output", "call_id": "1", "output": "x"}])",
             {{"[]", "1 to"},
              {"1", "text, or a list"},
              {"[1]", "\"input[0]\" must be an object"},
              {R"([{"type": "item_reference", "id": "x"}])", "\"input[0].type\" is \"item_reference\""},
              {R"([{"role": "user", "content": [{"type": "input_image"}]}])",
               "\"input[0].content[0].type\" is \"input_image\""},
              {R"([{"role": "tool", "content": "a"}])", "\"input[0].role\" must be"},
              {R"([{"type": "function_call", "name": "f"}])", "\"input[0].call_id\" is missing"},
              {R"([{"type": "function_call_output", "call_id": "1"}])", "\"input[0].output\" is missing"},
              {R"([{"role": "user", "content": "a", "zz": 1}])", "\"input[0].zz\""}}},
            {"instructions", "\"be kind\"", {{"[]", "must be text"}}},
            {"max_output_tokens", "16", {{"0", "from 1 to"}}},
            {"reasoning",
             R"({"effort": "high", "summary": "auto"})",
             {{"1", "must be an object"},
              {R"({"effort": "x"})", "\"reasoning.effort\" must be"},
              {R"({"mode": "x"})", "\"reasoning.mode\" is not supported"}}},
            {"text",
             R"({"format": {"type": "json_schema", "name": "a", "schema": {}}, "verbosity": "low"})",
             {{"1", "must be an object"},
              {R"({"format": {"type": "json_schema"}})", "has no \"schema\""},
              {R"({"zz": 1})", "\"text.zz\""}}},
            {"tool_choice",
             "\"none\"",
             {{R"({"type": "web_search"})", "{\"type\": \"function\", \"name\": ...}"},
              {R"({"type": "function", "name": "g"})", "no tools"}}},
            {"tools",
             R"([{"type": "function", "name": "f", "parameters": {}, "strict": true}])",
             {{"1", "a list of at most"},
              {R"([{"type": "mcp"}])", "\"tools[0].type\" is \"mcp\""},
              {R"([{"type": "function"}])", "\"tools[0].name\" is missing"}}},
            {"top_logprobs", "3", {{"21", "from 0 to 20"}}},
            {"include",
             R"(["message.output_text.logprobs"])",
             {{R"(["file_search_call.results"])", "a list of \"message.output_text.logprobs\""}, {"1", "a list"}}},
            {"truncation", "\"disabled\"", {{"\"auto\"", "never cut silently"}, {"1", "\"disabled\" or \"auto\""}}},
            {"background", "false", {{"true", "on the connection that asked"}}},
            {"metadata", "{}", {{"1", "an object"}}}})},
      {"tokenize",
       tokenize_fields(),
       parser(parse_tokenize),
       R"({"content": "a"})",
       "",
       {{"content", "\"b\"", {{"1", "must be text"}, {"null", "either \"content\" or \"messages\""}}},
        {"messages", "null", {{R"([{"role": "user", "content": "a"}])", "either"}}},
        {"tools", "null", {{"[]", "left away"}}},
        {"add_special", "true", {{"1", "true or false"}}},
        {"parse_special", "true", {{"1", "true or false"}}},
        {"with_pieces", "true", {{"1", "true or false"}}}}},
      {"anthropic", anthropic_fields(), parser([](const Json& body) { return parse_anthropic(body, kDefaults); }),
       R"({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}]})", "",
       with_local(
           {kModel,
            kTopP,
            kStream,
            kSeed,
            kLogitBias,
            kVariables,
            {"max_tokens", "1", {{"0", "from 1 to"}, {"null", "is missing"}}},
            {"temperature", "1", {{"1.1", "from 0 to 1"}}},
            {"stop_sequences", R"(["a"])", {{"[1]", "a list of at most 16 texts"}}},
            {"messages",
             R"([{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
                        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": ""}, {"type": "text", "text": "b"}, {"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
                        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "c"}], "is_error": true}, {"type": "text", "text": "d"}]}])",
             {{"[]", "a list of 1 to"},
              {R"([{"role": "tool", "content": "a"}])", "\"messages[0].role\" must be \"user\""},
              {R"([{"role": "user"}])", "\"messages[0].content\" is missing"},
              {R"([{"role": "user", "content": 1}])", "text or a list of blocks"},
              {R"([{"role": "user", "content": [{"type": "image", "source": {}}]}])",
               "\"messages[0].content[0].type\" is \"image\""},
              {R"([{"role": "user", "content": [{"type": "tool_use"}]}])",
               "messages of the user may hold \"text\" and \"tool_result\""},
              {R"([{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": 1}]}])",
               "input\" must be an object"},
              {R"([{"role": "user", "content": [{"type": "tool_result"}]}])", "tool_use_id\" is missing"},
              {R"([{"role": "user", "content": "a", "name": "x"}])", "\"messages[0].name\" is not a field"}}},
            {"system",
             R"([{"type": "text", "text": "a"}])",
             {{"1", "\"system\" must be text or a list"}, {R"([{"type": "image"}])", "\"system[0].type\""}}},
            {"tools",
             R"([{"name": "f", "description": "d", "input_schema": {"type": "object"}}])",
             {{"{}", "a list of at most"},
              {R"([{"type": "bash_20250124", "name": "bash"}])", "\"tools[0].type\" is \"bash_20250124\""},
              {R"([{"input_schema": {}}])", "\"tools[0].name\" is missing"},
              {R"([{"name": "f", "defer_loading": true}])", "\"tools[0].defer_loading\" is not supported"}}},
            {"tool_choice",
             R"({"type": "auto", "disable_parallel_tool_use": true})",
             {{"\"auto\"", "must be an object"},
              {R"({"type": "all"})", "\"tool_choice.type\" must be \"auto\""},
              {R"({"type": "any"})", "no tools"},
              {R"({"type": "tool"})", "\"tool_choice.name\" is missing"}}},
            {"thinking",
             R"({"type": "enabled", "budget_tokens": 1024})",
             {{"true", "must be an object"}, {R"({"type": "on"})", "\"thinking.type\" must be \"disabled\""}}},
            {"output_config",
             R"({"effort": "low", "format": {"type": "json_schema", "schema": {}}})",
             {{"1", "must be an object"},
              {R"({"effort": "x"})", "\"output_config.effort\""},
              {R"({"format": {"type": "json_schema"}})", "has no \"schema\""}}}})},
      {"ollama chat",
       ollama_chat_fields(),
       parser([](const Json& body) { return parse_ollama_chat(body, kDefaults); }),
       R"({"model": "m", "messages": [{"role": "user", "content": "a"}]})",
       "",
       {kModel,
        kLocalCases[0],
        kStream,
        {"messages",
         R"([{"role": "assistant", "content": "", "thinking": "t", "images": [], "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}, {"role": "tool", "content": "c", "tool_name": "f"}])",
         {{"{}", "a list of at most"},
          {R"([{"role": "x"}])", "\"messages[0].role\" must be"},
          {R"([{"role": "user", "content": "a", "images": ["aGk="]}])", "\"messages[0].images\" is not supported"},
          {R"([{"role": "assistant", "tool_calls": 1}])", "\"messages[0].tool_calls\" must be a list"},
          {R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}])",
           "arguments\" must be an object"}}},
        {"tools",
         kToolJson,
         {{"1", "a list of at most"}, {R"([{"type": "function"}])", "\"tools[0].function\" is missing"}}},
        {"format", "\"json\"", {{"\"xml\"", "\"json\" or a JSON schema"}, {"1", "\"json\""}}},
        {"options",
         R"({"temperature": 0})",
         {{"1", "must be an object"}, {R"({"zz": 1})", "\"options.zz\" is not a field"}}},
        {"think", "\"high\"", {{"\"x\"", "\"low\", \"medium\" or \"high\""}, {"1", "\"low\""}}},
        {"logprobs", "true", {{"1", "true or false"}}},
        {"top_logprobs", "5", {{"21", "from 0 to 20"}}}}},
      {"ollama generate",
       ollama_generate_fields(),
       parser([](const Json& body) { return parse_ollama_generate(body, kDefaults); }),
       R"({"model": "m", "prompt": "a"})",
       "",
       {kModel,
        kLocalCases[0],
        kStream,
        {"prompt", "\"a\"", {{"1", "must be text"}}},
        {"system", "\"a\"", {{"1", "must be text"}}},
        {"raw", "true", {{"1", "true or false"}}},
        {"images", "[]", {{R"(["aGk="])", "\"images\" is not supported"}}},
        {"format", R"({"type": "object"})", {{"1", "\"json\""}}},
        {"options", "{}", {{"[]", "must be an object"}}},
        {"think", "true", {{"1", "\"low\""}}},
        {"logprobs", "true", {{"1", "true or false"}}},
        {"top_logprobs", "5", {{"-1", "from 0 to 20"}}}}},
      {"ollama options",
       ollama_options_fields(),
       parser([](const Json& body) { return parse_ollama_chat(body, kDefaults); }),
       R"({"model": "m", "options": {}})",
       "options.",
       {kSeed,
        kTopP,
        kPenalty,
        kPresence,
        kStop,
        kLocalCases[1],
        kLocalCases[2],
        kLocalCases[3],
        {"num_predict", "-2", {{"-3", "from -2 to"}}},
        {"repeat_last_n", "64", {{"-2", "from -1 to 65536"}}},
        {"temperature", "3", {{"-1", "from 0 to"}}},
        {"repeat_penalty", "1.1", {{"0", "a number from"}}},
        {"mirostat", "2", {{"1", "version 1 is not built"}, {"3", "from 0 to 2"}}},
        {"mirostat_tau", "5", {{"-1", "from 0"}}},
        {"mirostat_eta", "0.1", {{"2", "from 0 to 1"}}}}},
      {"ollama show",
       ollama_show_fields(),
       parser(parse_ollama_show),
       R"({"model": "m"})",
       "",
       {kModel, kLocalCases[0], {"verbose", "true", {{"1", "true or false"}}}, {"name", "null", {{"", ""}}}}},
      {"file",
       file_fields(),
       parser([](const Json& body) {
         HttpRequest request;
         request.json = body;
         return parse_file(request);
       }),
       R"({"purpose": "fine-tune", "filename": "a.txt", "content": "a"})",
       "",
       {{"purpose", "\"fine-tune\"", {{"\"assistants\"", "must be \"fine-tune\""}, {"null", "is missing"}}},
        {"filename", "\"b.md\"", {{"1", "must be text"}, {"null", "is missing"}}},
        {"content", "\"b\"", {{"[]", "must be text"}, {"null", "is missing"}}}}},
      {"fine-tuning job",
       tuning_job_fields(),
       parser(parse_tuning_job),
       R"({"model": "m", "training_file": "file-a"})",
       "",
       {{"model", "\"m\"", {{"null", "is missing"}, {"1", "must be text"}}},
        {"training_file", "\"chats\"", {{"null", "\"training_file\" is missing"}, {"1", "the id of a file"}}},
        {"training_files",
         R"(["file-a", "chats"])",
         {{"1", "a list of at most 64"}, {R"([""])", "none of them empty"}}},
        {"chats", "true", {{"1", "true or false"}}},
        {"suffix", "\"me\"", {{"1", "must be text"}}},
        {"hyperparameters", R"({"n_epochs": "auto"})", {{"1", "must be an object"}}},
        {"method", R"({"type": "dpo"})", {{"\"dpo\"", "must be an object"}, {"{}", "\"method.type\" is missing"}}},
        {"seed", "7", {{"-1", "from 0 to"}}},
        {"metadata",
         R"({"a": "b"})",
         {{"1", "an object of at most 16 names"}, {R"({"a": 1})", "an object of at most"}}},
        {"rank", "8", {{"0", "from 1 to 256"}}},
        {"budget_seconds", "60", {{"0", "from 1 to"}}},
        {"study", "\"off\"", {{"true", "\"auto\", \"on\" or \"off\""}}},
        {"plan_only", "true", {{"1", "true or false"}}}}},
      {"fine-tuning method",
       tuning_method_fields(),
       parser(parse_tuning_job),
       R"({"model": "m", "training_file": "file-a", "method": {"type": "dpo"}})",
       "method.",
       {{"type", "\"dpo\"", {{"\"ppo\"", "\"supervised\" or \"dpo\""}, {"null", "is missing"}}},
        {"supervised", "null", {{R"({"hyperparameters": {}})", "the method is \"dpo\""}}},
        {"dpo",
         R"({"hyperparameters": {"beta": 0.1, "n_epochs": 2}})",
         {{"1", "must be an object"},
          {R"({"zz": 1})", "\"method.dpo.zz\" is not a field"},
          {R"({"hyperparameters": {"beta": 3}})", "\"method.dpo.hyperparameters.beta\" must be a number"}}}}},
      {"hyperparameters",
       tuning_numbers_fields(),
       parser(parse_tuning_job),
       R"({"model": "m", "training_file": "file-a", "hyperparameters": {}, "method": {"type": "dpo"}})",
       "hyperparameters.",
       {{"n_epochs", "3", {{"0", "from 1 to 1000"}, {"\"many\"", "not \"many\""}}},
        {"batch_size", "\"auto\"", {{"0", "from 1 to 256"}}},
        {"learning_rate_multiplier", "0.5", {{"0", "from 1e-06 to 100"}}},
        {"beta", "0.2", {{"0", "from 1e-06 to 2"}}}}},
      {"ollama embed",
       ollama_embed_fields(),
       parser(parse_ollama_embed),
       R"({"model": "m", "input": "a"})",
       "",
       {kModel, kLocalCases[0], {"input", R"(["a"])", {{"null", "is missing"}}}}},
  };
  return kFixtures;
}

TEST(ApiFields, EveryFieldOfEveryTable) {
  for (const Fixture& api : fixtures()) {
    SCOPED_TRACE(api.name);
    EXPECT_FALSE(api.parse(json(api.base)));
    for (const ApiField& field : api.table.fields) {
      if (std::string_view(api.name) == "ollama show" && field.name == "name") continue;  // below
      check_field(api, field);
    }
  }
}

TEST(ApiFields, FieldsStandOnce) {
  for (const Fixture& api : fixtures()) {
    for (size_t i = 0; i < api.table.fields.size(); ++i) {
      for (size_t j = 0; j < i; ++j) EXPECT_NE(api.table.fields[i].name, api.table.fields[j].name) << api.name;
    }
  }
}

TEST(ApiFields, UnknownFieldsAndOtherThingsThanObjects) {
  for (const Fixture& api : fixtures()) {
    SCOPED_TRACE(api.name);
    const auto error = api.parse(request_with(api, {"zz", FieldUse::kSupported, ""}, Json(1)));
    ASSERT_TRUE(error);
    EXPECT_EQ(error->param, std::string(api.before) + "zz");
    EXPECT_EQ(error->code, "unknown_parameter");
    for (const char* body : {"1", "[]", "null", "\"a\""}) {
      const auto refusal = api.parse(json(body));
      ASSERT_TRUE(refusal) << body;
      EXPECT_NE(refusal->message.find("must be an object"), std::string::npos) << refusal->message;
    }
  }
}

// docs/apis.md says of every field what becomes of it.
TEST(ApiFields, StandInTheDocument) {
  std::ifstream in(ANDIRON_SOURCE_DIR "/docs/apis.md");
  ASSERT_TRUE(in);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  for (const Fixture& api : fixtures()) {
    for (const ApiField& field : api.table.fields) {
      const std::string name = "`" + std::string(field.name) + "`";
      const std::string line = "| " + name + (field.use == FieldUse::kIgnored ? " | ignored | " : " | refused | ") +
                               std::string(field.reason) + " |";
      EXPECT_NE(text.find(field.use == FieldUse::kSupported ? name : line), std::string::npos)
          << api.name << ": " << name;
    }
  }
}

}  // namespace
}  // namespace andiron
