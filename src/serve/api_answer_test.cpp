// Answers in the shape of every API: golden JSON, written by hand from the APIs' references, and that a stream put
// together the way clients do it is the whole answer.
#include "serve/api_answer.h"

#include <gtest/gtest.h>

#include <map>

#include "serve/api_models.h"

namespace andiron {
namespace {

using Kind = AnswerPart::Kind;

const AnswerHead kHead = {"abc123", 1'700'000'000, "ember+me:0.8", "fp_1"};

Json json(const std::string& text) {
  auto parsed = parse_json(text, "test");
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? *parsed : Json();
}

// The same text but for white space: members in the same order, numbers of the same kind.
std::string same(const std::string& text) { return json(text).dump(); }

AnswerAsk ask_for(Api api, int32_t logprobs = -1) {
  AnswerAsk ask;
  ask.api = api;
  ask.logprobs_top = logprobs;
  return ask;
}

AnswerUsage usage() {
  AnswerUsage out;
  out.prompt = 10;
  out.prompt_reused = 4;
  out.generated = 6;
  out.thinking = 2;
  out.prompt_ms = 1;
  out.decode_ms = 2;
  out.total_ms = 3.5;
  return out;
}

std::vector<AnswerPart> parts_in_full() {
  return {{Kind::kThinking, "Hm", ""},
          {Kind::kThinking, ".", ""},
          {Kind::kText, "I ", ""},
          {Kind::kText, "look.", ""},
          {Kind::kCall, "get_weather", "call00001"},
          {Kind::kArguments, "{\"city\": ", ""},
          {Kind::kArguments, "\"Oslo\"}", ""},
          {Kind::kCall, "send", "call00002"},
          {Kind::kArguments, "{}", ""}};
}

AnswerChoice whole_choice(const std::vector<AnswerPart>& parts, FinishReason reason = FinishReason::kStop) {
  AnswerChoice choice;
  choice.add(parts);
  choice.end.reason = reason;
  return choice;
}

const TokenScore kScore = {{"\xc3", -0.5}, {{"\xc3", -0.5}, {"a", -1.5}}};

// The stream of one answer, each part by itself.
std::string stream(AnswerWriter& writer, const std::vector<AnswerPart>& parts, const ChoiceEnd& end = {},
                   std::span<const TokenScore> scores = {}) {
  std::string out = writer.begin(10);
  for (const AnswerPart& part : parts) {
    out += writer.add(0, {&part, 1}, scores);
    scores = {};
  }
  out += writer.end_choice(0, end);
  return out += writer.end(usage());
}

struct Event {
  std::string name;
  std::string data;
};

std::vector<Event> events_of(const std::string& text) {
  std::vector<Event> events;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find("\n\n", at);
    EXPECT_NE(end, std::string::npos);
    std::string event = text.substr(at, end - at);
    Event out;
    if (event.starts_with("event: ")) {
      out.name = event.substr(7, event.find('\n') - 7);
      event.erase(0, event.find('\n') + 1);
    }
    EXPECT_TRUE(event.starts_with("data: ")) << event;
    out.data = event.substr(6);
    events.push_back(out);
    at = end + 2;
  }
  return events;
}

TEST(ApiAnswer, ChatCompletion) {
  const auto writer = make_answer_writer(ask_for(Api::kOpenAiChat), kHead);
  const std::vector<AnswerChoice> choices = {whole_choice(parts_in_full()),
                                             whole_choice({{Kind::kText, "No", ""}}, FinishReason::kLength)};
  EXPECT_EQ(
      writer->whole(choices, usage()).dump(),
      same(
          R"({"id":"chatcmpl-abc123","object":"chat.completion","created":1700000000,"model":"ember+me:0.8","system_fingerprint":"fp_1","choices":[)"
          R"({"index":0,"message":{"role":"assistant","content":"I look.","refusal":null,"reasoning_content":"Hm.","tool_calls":[)"
          R"({"id":"call00001","type":"function","function":{"name":"get_weather","arguments":"{\"city\": \"Oslo\"}"}},)"
          R"({"id":"call00002","type":"function","function":{"name":"send","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"},)"
          R"({"index":1,"message":{"role":"assistant","content":"No","refusal":null},"logprobs":null,"finish_reason":"length"}],)"
          R"("usage":{"prompt_tokens":10,"completion_tokens":6,"total_tokens":16,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}})"));
}

TEST(ApiAnswer, ChatCompletionStream) {
  AnswerAsk ask = ask_for(Api::kOpenAiChat);
  ask.stream_usage = true;
  const auto writer = make_answer_writer(ask, kHead);
  const auto events = events_of(stream(*writer, parts_in_full()));
  const std::string head =
      R"({"id":"chatcmpl-abc123","object":"chat.completion.chunk","created":1700000000,"model":"ember+me:0.8","system_fingerprint":"fp_1","choices":[)";
  const auto chunk = [&](const std::string& delta, const std::string& reason = "null") {
    return head + R"({"index":0,"delta":)" + delta + R"(,"logprobs":null,"finish_reason":)" + reason +
           R"(}],"usage":null})";
  };
  const std::vector<std::string> expected = {
      chunk(R"({"role":"assistant","content":""})"),
      chunk(R"({"reasoning_content":"Hm"})"),
      chunk(R"({"reasoning_content":"."})"),
      chunk(R"({"content":"I "})"),
      chunk(R"({"content":"look."})"),
      chunk(
          R"({"tool_calls":[{"index":0,"id":"call00001","type":"function","function":{"name":"get_weather","arguments":""}}]})"),
      chunk(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"city\": "}}]})"),
      chunk(R"({"tool_calls":[{"index":0,"function":{"arguments":"\"Oslo\"}"}}]})"),
      chunk(
          R"({"tool_calls":[{"index":1,"id":"call00002","type":"function","function":{"name":"send","arguments":""}}]})"),
      chunk(R"({"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]})"),
      chunk("{}", R"("tool_calls")"),
      head +
          R"(],"usage":{"prompt_tokens":10,"completion_tokens":6,"total_tokens":16,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}})",
      "[DONE]"};
  ASSERT_EQ(events.size(), expected.size());
  for (size_t i = 0; i < events.size(); ++i)
    EXPECT_EQ(events[i].data, expected[i] == "[DONE]" ? expected[i] : same(expected[i]));
}

TEST(ApiAnswer, ChatLogprobs) {
  const auto writer = make_answer_writer(ask_for(Api::kOpenAiChat, 2), kHead);
  const std::string score =
      R"({"content":[{"token":"\ufffd","logprob":-0.5,"bytes":[195],"top_logprobs":[{"token":"\ufffd","logprob":-0.5,"bytes":[195]},{"token":"a","logprob":-1.5,"bytes":[97]}]}],"refusal":null})";
  AnswerChoice choice = whole_choice({{Kind::kText, "x", ""}});
  choice.scores = {kScore};
  EXPECT_EQ(writer->whole({&choice, 1}, usage()).member("choices").items()[0].member("logprobs").dump(),
            json(score).dump());
  // Tokens whose text is held back come with a chunk of their own.
  const auto events = events_of(writer->add(0, {}, {&kScore, 1}));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(json(events[0].data).member("choices").items()[0].member("logprobs").dump(), json(score).dump());
}

TEST(ApiAnswer, SeveralChoicesAtOnce) {
  AnswerAsk ask = ask_for(Api::kOpenAiChat);
  ask.choices = 2;
  const auto writer = make_answer_writer(ask, kHead);
  std::string text = writer->begin(10);
  const AnswerPart call = {Kind::kCall, "send", "call00001"};
  const AnswerPart said = {Kind::kText, "a", ""};
  text += writer->add(1, {&call, 1}, {});
  text += writer->add(0, {&said, 1}, {});
  text += writer->end_choice(1, {});
  text += writer->end_choice(0, {});
  std::map<int64_t, std::string> reasons;
  for (const Event& event : events_of(text)) {
    const Json chunk = json(event.data);
    const Json& choice = chunk.member("choices").items()[0];
    if (choice.member("finish_reason").is_string())
      reasons[choice.member("index").as_int()] = choice.member("finish_reason").as_string();
    EXPECT_EQ(chunk.find("usage"), nullptr);
  }
  EXPECT_EQ(reasons, (std::map<int64_t, std::string>{{0, "stop"}, {1, "tool_calls"}}));
}

TEST(ApiAnswer, Completion) {
  const auto writer = make_answer_writer(ask_for(Api::kOpenAiCompletion, 2), kHead);
  AnswerChoice choice = whole_choice({{Kind::kText, "ab", ""}}, FinishReason::kContext);
  choice.scores = {{{"\xc3\xa4", -1}, {{"\xc3\xa4", -1}}}, {{"b", -2}, {}}};
  EXPECT_EQ(
      writer->whole({&choice, 1}, usage()).dump(),
      same(
          R"({"id":"cmpl-abc123","object":"text_completion","created":1700000000,"model":"ember+me:0.8","system_fingerprint":"fp_1","choices":[)"
          R"({"index":0,"text":"ab","logprobs":{"tokens":["ä","b"],"token_logprobs":[-1.0,-2.0],"top_logprobs":[{"ä":-1.0},{}],"text_offset":[0,1]},"finish_reason":"length"}],)"
          R"("usage":{"prompt_tokens":10,"completion_tokens":6,"total_tokens":16,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}})"));
  const auto streamed = make_answer_writer(ask_for(Api::kOpenAiCompletion), kHead);
  const auto events = events_of(stream(*streamed, {{Kind::kText, "a", ""}}));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(
      events[0].data,
      same(
          R"({"id":"cmpl-abc123","object":"text_completion","created":1700000000,"model":"ember+me:0.8","system_fingerprint":"fp_1","choices":[{"index":0,"text":"a","logprobs":null,"finish_reason":null}]})"));
  EXPECT_EQ(json(events[1].data).member("choices").items()[0].member("finish_reason").as_string(), "stop");
  EXPECT_EQ(events[2].data, "[DONE]");
}

TEST(ApiAnswer, AnthropicMessage) {
  const auto writer = make_answer_writer(ask_for(Api::kAnthropic), kHead);
  const AnswerChoice choice = whole_choice(parts_in_full());
  EXPECT_EQ(
      writer->whole({&choice, 1}, usage()).dump(),
      same(
          R"({"id":"msg_abc123","type":"message","role":"assistant","model":"ember+me:0.8","content":[{"type":"thinking","thinking":"Hm.","signature":""},{"type":"text","text":"I look."},)"
          R"({"type":"tool_use","id":"call00001","name":"get_weather","input":{"city":"Oslo"}},{"type":"tool_use","id":"call00002","name":"send","input":{}}],)"
          R"("stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":6}})"));
  const auto reason = [&](FinishReason why, const std::string& sequence = "") {
    AnswerChoice text = whole_choice({{Kind::kText, "a", ""}}, why);
    text.end.stop_string = sequence;
    const Json message = writer->whole({&text, 1}, usage());
    return message.member("stop_reason").as_string() + " " + message.member("stop_sequence").dump();
  };
  EXPECT_EQ(reason(FinishReason::kStop), "end_turn null");
  EXPECT_EQ(reason(FinishReason::kLength), "max_tokens null");
  EXPECT_EQ(reason(FinishReason::kContext), "model_context_window_exceeded null");
  EXPECT_EQ(reason(FinishReason::kStopString, "END"), "stop_sequence \"END\"");
}

TEST(ApiAnswer, AnthropicStream) {
  const auto writer = make_answer_writer(ask_for(Api::kAnthropic), kHead);
  const auto events = events_of(stream(*writer, parts_in_full()));
  const std::vector<Event> expected = {
      {"message_start",
       R"({"type":"message_start","message":{"id":"msg_abc123","type":"message","role":"assistant","model":"ember+me:0.8","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}})"},
      {"content_block_start",
       R"({"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}})"},
      {"content_block_delta",
       R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}})"},
      {"content_block_delta",
       R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"."}})"},
      {"content_block_delta",
       R"({"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":""}})"},
      {"content_block_stop", R"({"type":"content_block_stop","index":0})"},
      {"content_block_start", R"({"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}})"},
      {"content_block_delta", R"({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"I "}})"},
      {"content_block_delta",
       R"({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"look."}})"},
      {"content_block_stop", R"({"type":"content_block_stop","index":1})"},
      {"content_block_start",
       R"({"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"call00001","name":"get_weather","input":{}}})"},
      {"content_block_delta",
       R"({"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"city\": "}})"},
      {"content_block_delta",
       R"({"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"\"Oslo\"}"}})"},
      {"content_block_stop", R"({"type":"content_block_stop","index":2})"},
      {"content_block_start",
       R"({"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"call00002","name":"send","input":{}}})"},
      {"content_block_delta",
       R"({"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{}"}})"},
      {"content_block_stop", R"({"type":"content_block_stop","index":3})"},
      {"message_delta",
       R"({"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":6}})"},
      {"message_stop", R"({"type":"message_stop"})"}};
  ASSERT_EQ(events.size(), expected.size());
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].name, expected[i].name);
    EXPECT_EQ(events[i].data, same(expected[i].data));
  }
}

TEST(ApiAnswer, ThinkingThatIsNotToBeShown) {
  for (const Api api : {Api::kAnthropic, Api::kOpenAiChat, Api::kOllamaChat}) {
    const auto writer = make_answer_writer(ask_for(api), kHead, Json::object(), false);
    EXPECT_EQ(stream(*writer, parts_in_full()).find("Hm"), std::string::npos);
    const AnswerChoice choice = whole_choice(parts_in_full());
    EXPECT_EQ(writer->whole({&choice, 1}, usage()).dump().find("Hm"), std::string::npos);
  }
}

TEST(ApiAnswer, Ollama) {
  const auto writer = make_answer_writer(ask_for(Api::kOllamaChat), kHead);
  EXPECT_EQ(writer->stream_type(), "application/x-ndjson");
  const std::string head = R"({"model":"ember+me:0.8","created_at":"2023-11-14T22:13:20Z",)";
  const std::string end =
      R"("done":true,"done_reason":"stop","total_duration":3500000,"load_duration":0,"prompt_eval_count":10,"prompt_eval_duration":1000000,"eval_count":6,"eval_duration":2000000})";
  const std::string one = R"({"id":"call00001","function":{"name":"get_weather","arguments":{"city":"Oslo"}}})";
  const std::string two = R"({"id":"call00002","function":{"name":"send","arguments":{}}})";
  const std::vector<std::string> lines = {
      head + R"("message":{"role":"assistant","content":"","thinking":"Hm"},"done":false})",
      head + R"("message":{"role":"assistant","content":"","thinking":"."},"done":false})",
      head + R"("message":{"role":"assistant","content":"I "},"done":false})",
      head + R"("message":{"role":"assistant","content":"look."},"done":false})",
      head + R"("message":{"role":"assistant","content":"","tool_calls":[)" + one + R"(]},"done":false})",
      head + R"("message":{"role":"assistant","content":"","tool_calls":[)" + two + R"(]},"done":false})",
      head + R"("message":{"role":"assistant","content":""},)" + end};
  std::string expected;
  for (const std::string& line : lines) expected += same(line) + "\n";
  EXPECT_EQ(stream(*writer, parts_in_full()), expected);
  const AnswerChoice choice = whole_choice(parts_in_full());
  EXPECT_EQ(writer->whole({&choice, 1}, usage()).dump(),
            same(head + R"("message":{"role":"assistant","content":"I look.","thinking":"Hm.","tool_calls":[)" + one +
                 "," + two + "]}," + end));
  const auto generate = make_answer_writer(ask_for(Api::kOllamaGenerate), kHead);
  const AnswerChoice text = whole_choice({{Kind::kText, "a", ""}}, FinishReason::kLength);
  const Json generated = generate->whole({&text, 1}, usage());
  EXPECT_EQ(generated.member("response").as_string(), "a");
  EXPECT_EQ(generated.member("done_reason").as_string(), "length");
  EXPECT_EQ(generated.find("message"), nullptr);
}

TEST(ApiAnswer, ArgumentsThatWereCut) {
  const std::vector<AnswerPart> parts = {{Kind::kCall, "send", "call00001"}, {Kind::kArguments, "{\"a", ""}};
  const AnswerChoice choice = whole_choice(parts, FinishReason::kLength);
  const auto ollama = make_answer_writer(ask_for(Api::kOllamaChat), kHead)->whole({&choice, 1}, usage());
  EXPECT_EQ(ollama.member("message").member("content").as_string(), "send{\"a");
  const auto anthropic = make_answer_writer(ask_for(Api::kAnthropic), kHead)->whole({&choice, 1}, usage());
  EXPECT_EQ(anthropic.member("content").items()[0].member("input").dump(), same(R"({"INVALID_JSON":"{\"a"})"));
}

TEST(ApiAnswer, ResponseStream) {
  Json echo = json(R"({"temperature":1,"tools":[]})");
  const auto writer = make_answer_writer(ask_for(Api::kOpenAiResponse), kHead, echo);
  const std::vector<AnswerPart> parts = {{Kind::kThinking, "Hm", ""},
                                         {Kind::kText, "a", ""},
                                         {Kind::kText, "b", ""},
                                         {Kind::kCall, "send", "call00001"},
                                         {Kind::kArguments, "{}", ""}};
  const auto events = events_of(stream(*writer, parts));
  const std::string reasoning =
      R"({"id":"rs_abc123_0","type":"reasoning","status":"completed","summary":[],"content":[{"type":"reasoning_text","text":"Hm"}]})";
  const std::string part = R"({"type":"output_text","annotations":[],"logprobs":[],"text":"ab"})";
  const std::string message =
      R"({"id":"msg_abc123_1","type":"message","status":"completed","role":"assistant","content":[)" + part + "]}";
  const std::string call =
      R"({"id":"fc_abc123_2","type":"function_call","status":"completed","call_id":"call00001","name":"send","arguments":"{}"})";
  const std::string begin =
      R"({"id":"resp_abc123","object":"response","created_at":1700000000,"status":"in_progress","error":null,"incomplete_details":null,"model":"ember+me:0.8","output":[],"temperature":1,"tools":[],"usage":null})";
  const std::string end =
      R"({"id":"resp_abc123","object":"response","created_at":1700000000,"status":"completed","error":null,"incomplete_details":null,"model":"ember+me:0.8","output":[)" +
      reasoning + "," + message + "," + call +
      R"(],"temperature":1,"tools":[],"usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":6,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":16}})";
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"response.created", R"("response":)" + begin},
      {"response.in_progress", R"("response":)" + begin},
      {"response.output_item.added",
       R"("output_index":0,"item":{"id":"rs_abc123_0","type":"reasoning","status":"in_progress","summary":[],"content":[]})"},
      {"response.content_part.added",
       R"("item_id":"rs_abc123_0","output_index":0,"content_index":0,"part":{"type":"reasoning_text","text":""})"},
      {"response.reasoning_text.delta", R"("item_id":"rs_abc123_0","output_index":0,"content_index":0,"delta":"Hm")"},
      {"response.reasoning_text.done", R"("item_id":"rs_abc123_0","output_index":0,"content_index":0,"text":"Hm")"},
      {"response.content_part.done",
       R"("item_id":"rs_abc123_0","output_index":0,"content_index":0,"part":{"type":"reasoning_text","text":"Hm"})"},
      {"response.output_item.done", R"("output_index":0,"item":)" + reasoning},
      {"response.output_item.added",
       R"("output_index":1,"item":{"id":"msg_abc123_1","type":"message","status":"in_progress","role":"assistant","content":[]})"},
      {"response.content_part.added",
       R"("item_id":"msg_abc123_1","output_index":1,"content_index":0,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""})"},
      {"response.output_text.delta",
       R"("item_id":"msg_abc123_1","output_index":1,"content_index":0,"delta":"a","logprobs":[])"},
      {"response.output_text.delta",
       R"("item_id":"msg_abc123_1","output_index":1,"content_index":0,"delta":"b","logprobs":[])"},
      {"response.output_text.done",
       R"("item_id":"msg_abc123_1","output_index":1,"content_index":0,"text":"ab","logprobs":[])"},
      {"response.content_part.done", R"("item_id":"msg_abc123_1","output_index":1,"content_index":0,"part":)" + part},
      {"response.output_item.done", R"("output_index":1,"item":)" + message},
      {"response.output_item.added",
       R"("output_index":2,"item":{"id":"fc_abc123_2","type":"function_call","status":"in_progress","call_id":"call00001","name":"send","arguments":""})"},
      {"response.function_call_arguments.delta", R"("item_id":"fc_abc123_2","output_index":2,"delta":"{}")"},
      {"response.function_call_arguments.done",
       R"("item_id":"fc_abc123_2","output_index":2,"name":"send","arguments":"{}")"},
      {"response.output_item.done", R"("output_index":2,"item":)" + call},
      {"response.completed", R"("response":)" + end}};
  ASSERT_EQ(events.size(), expected.size());
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].name, expected[i].first);
    EXPECT_EQ(events[i].data, same("{\"type\":\"" + expected[i].first + "\",\"sequence_number\":" + std::to_string(i) +
                                   "," + expected[i].second + "}"));
  }
  // The whole answer is the stream's last response.
  const AnswerChoice choice = whole_choice(parts);
  EXPECT_EQ(make_answer_writer(ask_for(Api::kOpenAiResponse), kHead, echo)->whole({&choice, 1}, usage()).dump(),
            same(end));
}

TEST(ApiAnswer, ResponseThatIsCut) {
  const auto writer = make_answer_writer(ask_for(Api::kOpenAiResponse, 1), kHead);
  const ChoiceEnd cut = {FinishReason::kLength, ""};
  const auto events = events_of(stream(*writer, {{Kind::kText, "a", ""}}, cut, {&kScore, 1}));
  EXPECT_EQ(events.back().name, "response.incomplete");
  const Json last = json(events.back().data);
  EXPECT_EQ(last.member("response").member("incomplete_details").dump(), same(R"({"reason":"max_output_tokens"})"));
  const Json& item = last.member("response").member("output").items()[0];
  EXPECT_EQ(item.member("status").as_string(), "incomplete");
  EXPECT_EQ(item.member("content").items()[0].member("logprobs").items().size(), 1u);
  // An answer of nothing has no items.
  const auto silent = make_answer_writer(ask_for(Api::kOpenAiResponse), kHead);
  EXPECT_EQ(events_of(stream(*silent, {})).size(), 3u);
}

TEST(ApiAnswer, Embeddings) {
  const std::vector<std::vector<float>> vectors = {{1, -0.5f}};
  EXPECT_EQ(
      openai_embeddings("m", vectors, false, 3).dump(),
      same(
          R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0,-0.5]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}})"));
  // 00 00 80 3f 00 00 00 bf, by coreutils' base64.
  EXPECT_EQ(openai_embeddings("m", vectors, true, 3).member("data").items()[0].member("embedding").as_string(),
            "AACAPwAAAL8=");
  EXPECT_EQ(
      ollama_embeddings("m", vectors, 3, 2).dump(),
      same(
          R"({"model":"m","embeddings":[[1.0,-0.5]],"total_duration":2000000,"load_duration":0,"prompt_eval_count":3})"));
}

TEST(ApiAnswer, Tokens) {
  const std::vector<int32_t> ids = {1, 2};
  const std::vector<std::string_view> pieces = {"a", "\xc3"};
  EXPECT_EQ(tokenize_answer(ids, {}).dump(), same(R"({"tokens":[1,2],"count":2})"));
  EXPECT_EQ(tokenize_answer(ids, pieces).dump(),
            same(R"({"tokens":[{"id":1,"piece":"a"},{"id":2,"piece":[195]}],"count":2})"));
}

TEST(ApiAnswer, Models) {
  ModelCard card;
  card.name = "ember";
  card.created = 1'700'000'000;
  card.family = "llama";
  card.parameters = "5.5M";
  card.quantization = "Q8_0";
  card.digest = "ff";
  card.bytes = 7;
  card.context = 512;
  card.context_trained = 1024;
  card.tools = true;
  card.metadata = json(R"({"llama.block_count":4,"tokenizer.ggml.tokens":["a"]})");
  EXPECT_EQ(
      openai_models({&card, 1}).dump(),
      same(
          R"({"object":"list","data":[{"id":"ember","object":"model","created":1700000000,"owned_by":"andiron","context_length":512}]})"));
  EXPECT_EQ(
      anthropic_models({&card, 1}).dump(),
      same(
          R"({"data":[{"type":"model","id":"ember","display_name":"ember","created_at":"2023-11-14T22:13:20Z"}],"has_more":false,"first_id":"ember","last_id":"ember"})"));
  EXPECT_EQ(
      ollama_tags({&card, 1}).dump(),
      same(
          R"({"models":[{"name":"ember","model":"ember","modified_at":"2023-11-14T22:13:20Z","size":7,"digest":"ff","details":{"parent_model":"","format":"gguf","family":"llama","families":["llama"],"parameter_size":"5.5M","quantization_level":"Q8_0"}}]})"));
  const Json show = ollama_show(card, false);
  EXPECT_EQ(show.member("capabilities").dump(), same(R"(["completion","tools","embedding"])"));
  EXPECT_EQ(
      show.member("model_info").dump(),
      same(
          R"({"general.architecture":"llama","general.name":"ember","llama.context_length":1024,"llama.block_count":4,"tokenizer.ggml.tokens":null})"));
  EXPECT_EQ(ollama_show(card, true).member("model_info").member("tokenizer.ggml.tokens").dump(), same(R"(["a"])"));
}

}  // namespace
}  // namespace andiron
