// Every route over a socket, whole and as a stream, against the answer that a session gives alone.
#include <cmath>

#include "serve/serve_fixture.h"

namespace andiron {
namespace {

// How each API asks for an answer to one text, and where it stands in what comes back.
struct Way {
  const char* path;
  const char* body;  // {} twice: the text as JSON, and "true" or "false" for stream
  std::string (*whole)(const Json&);
  std::string (*piece)(const Json&);  // of an event
  const char* end;                    // the last thing of a stream
};

std::string text_of(const Json& json) { return std::string(json.text_or("")); }
const Json& first(const Json& list) {
  static const Json kNone;
  return list.items_or_none().empty() ? kNone : list.items_or_none()[0];
}

const Way kWays[] = {
    {"/v1/chat/completions",
     R"({{"model":"tiny","messages":[{{"role":"user","content":{}}}],"max_tokens":24,"seed":5,"stream":{}}})",
     [](const Json& j) { return text_of(first(j.member("choices")).member("message").member("content")); },
     [](const Json& j) { return text_of(first(j.member("choices")).member("delta").member("content")); },
     "data: [DONE]\n\n"},
    {"/v1/responses", R"({{"model":"tiny","input":{},"max_output_tokens":24,"seed":5,"stream":{}}})",
     [](const Json& j) { return text_of(first(first(j.member("output")).member("content")).member("text")); },
     [](const Json& j) {
       return j.member("type").text_or("") == "response.output_text.delta" ? text_of(j.member("delta")) : "";
     },
     ""},
    {"/v1/messages",
     R"({{"model":"tiny","messages":[{{"role":"user","content":{}}}],"max_tokens":24,"seed":5,"stream":{}}})",
     [](const Json& j) { return text_of(first(j.member("content")).member("text")); },
     [](const Json& j) { return text_of(j.member("delta").member("text")); },
     "event: message_stop\ndata: {\"type\": \"message_stop\"}\n\n"},
    {"/api/chat",
     R"({{"model":"tiny","messages":[{{"role":"user","content":{}}}],"options":{{"num_predict":24,"seed":5}},"stream":{}}})",
     [](const Json& j) { return text_of(j.member("message").member("content")); },
     [](const Json& j) { return text_of(j.member("message").member("content")); }, ""},
    {"/api/generate", R"({{"model":"tiny","prompt":{},"options":{{"num_predict":24,"seed":5}},"stream":{}}})",
     [](const Json& j) { return text_of(j.member("response")); },
     [](const Json& j) { return text_of(j.member("response")); }, ""},
};

std::string body_of(const Way& way, std::string_view text, bool stream) {
  return fmt::format(fmt::runtime(way.body), json_quote(text), stream);
}

TEST_F(ServeTest, EveryApiAnswersAsASessionAlone) {
  start();
  const std::string expected = alone(prompt_of("tell me"), chat_options(5, 24)).text;
  ASSERT_FALSE(expected.empty());
  for (const Way& way : kWays) {
    const HttpAnswer whole = post(way.path, body_of(way, "tell me", false));
    ASSERT_EQ(whole.status, 200) << way.path << whole.body;
    EXPECT_EQ(way.whole(whole.json()), expected) << way.path << whole.body;
    const HttpAnswer stream = post(way.path, body_of(way, "tell me", true));
    ASSERT_EQ(stream.status, 200) << way.path;
    std::string text;
    for (const Json& event : stream.events()) text += way.piece(event);
    EXPECT_EQ(text, expected) << way.path << stream.body;
    EXPECT_TRUE(stream.body.ends_with(way.end)) << way.path << stream.body;
  }
}

TEST_F(ServeTest, CompletionsGoOnWithTextsAndIds) {
  start();
  GenerateOptions options = chat_options(9, 8);
  options.strip_first_space = false;
  const auto ids = text_prompt_tokens(*words_, "once", {.add_special = true, .parse_special = false});
  const std::string expected = alone(ids, options).text;
  const Json text = ask("/v1/completions", R"({"model":"tiny","prompt":"once","max_tokens":8,"seed":9})");
  EXPECT_EQ(text_of(first(text.member("choices")).member("text")), expected);
  EXPECT_EQ(text.member("usage").member("prompt_tokens").as_int(), static_cast<int64_t>(ids.size()));
  Json list = Json::array();
  for (const int32_t id : ids) list.push(int64_t{id});
  const Json by_ids =
      ask("/v1/completions", format(R"({{"model":"tiny","prompt":{},"max_tokens":8,"seed":9}})", list.dump()));
  EXPECT_EQ(text_of(first(by_ids.member("choices")).member("text")), expected);
  const Json echo =
      ask("/v1/completions", R"({"model":"tiny","prompt":["once","twice"],"max_tokens":8,"seed":9,"n":2,"echo":true})");
  ASSERT_EQ(echo.member("choices").items().size(), 4u);
  EXPECT_EQ(text_of(first(echo.member("choices")).member("text")), "once" + expected);
  EXPECT_TRUE(text_of(echo.member("choices").items()[3].member("text")).starts_with("twice"));
}

TEST_F(ServeTest, LogProbabilitiesAndChoicesHaveTheBitsOfASession) {
  start();
  const Json answer = ask("/v1/chat/completions",
                          R"({"model":"tiny","messages":[{"role":"user","content":"hm"}],"max_tokens":12,"seed":3,)"
                          R"("n":3,"logprobs":true,"top_logprobs":2,"temperature":1.1,"logit_bias":{"300":4}})");
  ASSERT_EQ(answer.member("choices").items().size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    GenerateOptions options = chat_options(3 + i, 12);
    options.sampling.temperature = 1.1;
    options.sampling.logit_bias = {{300, 4}};
    options.logprobs_top = 2;
    const Alone expected = alone(prompt_of("hm"), options);
    const Json& choice = answer.member("choices").items()[i];
    EXPECT_EQ(text_of(choice.member("message").member("content")), expected.text);
    const auto scores = choice.member("logprobs").member("content").items_or_none();
    ASSERT_EQ(scores.size(), expected.logprobs.size());
    for (size_t t = 0; t < scores.size(); ++t) {
      EXPECT_EQ(scores[t].member("logprob").as_double(), static_cast<double>(expected.logprobs[t])) << i << " " << t;
      EXPECT_EQ(scores[t].member("top_logprobs").items().size(), 2u);
    }
  }
}

TEST_F(ServeTest, StopStringsEndAnAnswerWithoutThem) {
  start();
  const Alone whole = alone(prompt_of("tell me"), chat_options(5, 24));
  size_t at = whole.text.size() / 3;
  const auto is_word = [&](size_t i) { return whole.text[i] >= 'a' && whole.text[i] <= 'z'; };
  while (at + 2 < whole.text.size() && !(is_word(at) && is_word(at + 1))) ++at;
  const std::string stop = whole.text.substr(at, 2);
  const Json answer =
      ask("/v1/chat/completions", format(R"({{"model":"tiny","messages":[{{"role":"user","content":"tell me"}}],)"
                                         R"("max_tokens":24,"seed":5,"stop":[{}]}})",
                                         json_quote(stop)));
  const Json& choice = first(answer.member("choices"));
  EXPECT_EQ(text_of(choice.member("message").member("content")), whole.text.substr(0, whole.text.find(stop)));
  EXPECT_EQ(choice.member("finish_reason").text_or(""), "stop");
}

TEST_F(ServeTest, WithoutASeedAnswersDiffer) {
  start();
  const char* body =
      R"({"model":"tiny","messages":[{"role":"user","content":"x"}],"max_tokens":32,"temperature":1.5,"top_k":0})";
  const auto text = [&] {
    return text_of(first(ask("/v1/chat/completions", body).member("choices")).member("message").member("content"));
  };
  EXPECT_NE(text(), text());
}

TEST_F(ServeTest, FormatsAndForcedCallsAreWhatTheySay) {
  start();
  for (int round = 0; round < 2; ++round) {  // compiled, then kept
    const Json answer = ask(
        "/v1/chat/completions",
        R"({"model":"tiny","messages":[{"role":"user","content":"x"}],"max_tokens":200,"seed":1,)"
        R"("response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":)"
        R"({"yes":{"type":"boolean"},"n":{"enum":[1,2,3]}},"required":["yes","n"],"additionalProperties":false}}}})");
    const Json value = json(text_of(first(answer.member("choices")).member("message").member("content")));
    EXPECT_NE(value.find("yes"), nullptr) << answer.dump();
  }
  const Json called = ask(
      "/v1/chat/completions",
      R"({"model":"tiny","messages":[{"role":"user","content":"x"}],"max_tokens":400,"seed":1,"tool_choice":"required",)"
      R"("tools":[{"type":"function","function":{"name":"add","parameters":{"type":"object","properties":)"
      R"({"a":{"enum":[1,2]}},"required":["a"],"additionalProperties":false}}}]})");
  const Json& choice = first(called.member("choices"));
  const Json& call = first(choice.member("message").member("tool_calls"));
  EXPECT_EQ(call.member("function").member("name").text_or(""), "add") << called.dump();
  const Json arguments = json(call.member("function").member("arguments").text_or(""));
  EXPECT_TRUE(arguments.member("a").is_int()) << called.dump();
  EXPECT_EQ(choice.member("finish_reason").text_or(""), "tool_calls");
  const HttpAnswer refused = post(
      "/v1/chat/completions", R"({"model":"tiny","messages":[{"role":"user","content":"x"}],"grammar":"root ::= ("})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.json().member("error").member("param").text_or(""), "grammar");
}

TEST_F(ServeTest, EmbeddingsHaveTheLengthOne) {
  start();
  const Json open = ask("/v1/embeddings", R"({"model":"tiny","input":["one","two words"]})");
  ASSERT_EQ(open.member("data").items().size(), 2u);
  const auto vector = open.member("data").items()[1].member("embedding").items_or_none();
  double square = 0;
  for (const Json& number : vector) square += number.as_double() * number.as_double();
  EXPECT_NEAR(square, 1, 1e-5);  // floats of about 2^-24 each, of 256 numbers
  const Json ollama = ask("/api/embed", R"({"model":"tiny","input":"two words"})");
  EXPECT_EQ(first(ollama.member("embeddings")).dump(), open.member("data").items()[1].member("embedding").dump());
}

TEST_F(ServeTest, TokensAreCounted) {
  start();
  const auto prompt = prompt_of("tell me");
  const Json counted =
      ask("/v1/messages/count_tokens", R"({"model":"tiny","messages":[{"role":"user","content":"tell me"}]})");
  EXPECT_EQ(counted.member("input_tokens").as_int(), static_cast<int64_t>(prompt.size()));
  const Json chat = ask("/tokenize", R"({"messages":[{"role":"user","content":"tell me"}]})");
  EXPECT_EQ(chat.member("count").as_int(), static_cast<int64_t>(prompt.size()));
  const Json text = ask("/tokenize", R"({"content":"tell me</s>","with_pieces":true})");
  std::string joined;
  for (const Json& token : text.member("tokens").items()) joined += token.member("piece").text_or("");
  EXPECT_EQ(joined, " tell me</s>");  // SentencePiece puts a space in front
  const Json special = ask("/tokenize", R"({"content":"</s>","parse_special":true,"add_special":true})");
  EXPECT_EQ(special.member("tokens").dump(), "[1, 2]");
}

TEST_F(ServeTest, TooManyTokensAreNotTold) {
  start();
  const auto tokenize = [&](size_t tokens, bool pieces) {
    std::string text;
    for (size_t i = 0; i < tokens; ++i) text += "</s>";
    return post("/tokenize",
                format(R"({{"content":"{}","parse_special":true,"with_pieces":{}}})", text, pieces ? "true" : "false"));
  };
  EXPECT_EQ(tokenize(kPiecesToldMax, true).json().member("count").as_int(), int64_t{kPiecesToldMax});
  const auto refused = tokenize(kPiecesToldMax + 1, true);
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("at most 1000000 are told at once, and 100000 with their pieces"), std::string::npos)
      << refused.body;
  EXPECT_EQ(tokenize(kPiecesToldMax + 1, false).status, 200);
}

TEST_F(ServeTest, ModelsAreListedInEveryShape) {
  add_adapter("me", 1);
  start();
  const Json list = get("/v1/models").json();
  ASSERT_EQ(list.member("data").items().size(), 2u);
  EXPECT_EQ(list.member("data").items()[1].member("id").text_or(""), "tiny+me");
  EXPECT_EQ(get("/v1/models/tiny+me").json().member("id").text_or(""), "tiny+me");
  EXPECT_EQ(get("/v1/models/no").status, 404);
  const Json other = get("/v1/models", "anthropic-version: 2023-06-01\r\n").json();
  EXPECT_EQ(other.member("first_id").text_or(""), "tiny");
  const HttpAnswer none = get("/v1/models/no", "anthropic-version: 2023-06-01\r\n");
  EXPECT_EQ(none.json().member("type").text_or(""), "error");
  EXPECT_EQ(get("/api/tags").json().member("models").items().size(), 2u);
  EXPECT_EQ(get("/api/ps").json().member("models").items().size(), 1u);
  EXPECT_EQ(get("/api/version").json().member("version").text_or(""), "1.2.3");
  const Json shown = ask("/api/show", R"({"model":"tiny:latest"})");
  EXPECT_EQ(shown.member("details").member("family").text_or(""), "llama");
  EXPECT_TRUE(shown.member("model_info").member("tokenizer.ggml.tokens").is_null());
  EXPECT_EQ(shown.member("template").text_or(""), kTemplate);
}

TEST_F(ServeTest, OllamasEmptyRequestsLoadTheModel) {
  start();
  EXPECT_EQ(ask("/api/generate", R"({"model":"tiny"})").member("done_reason").text_or(""), "load");
  EXPECT_EQ(ask("/api/chat", R"({"model":"tiny","messages":[]})").member("done_reason").text_or(""), "load");
  EXPECT_EQ(post("/api/generate", R"({"model":"no"})").status, 404);
}

TEST_F(ServeTest, MetricsTellOfTheEngine) {
  start();
  ask("/v1/completions", R"({"model":"tiny","prompt":"once","max_tokens":3,"seed":9})");
  const std::string text = get("/metrics").body;
  EXPECT_NE(text.find("andiron_generated_tokens_total 3\n"), std::string::npos) << text;
  EXPECT_NE(text.find("andiron_answers_running 0\n"), std::string::npos) << text;
}

TEST_F(ServeTest, ABaseModelGoesOnWithTextAndChatsWithAnAdapterThatLearnedTo) {
  add_adapter("me", 1);
  start({}, "");
  EXPECT_EQ(post("/v1/completions", R"({"model":"tiny","prompt":"once","max_tokens":3})").status, 200);
  EXPECT_EQ(
      post("/api/generate", R"({"model":"tiny","prompt":"once","options":{"num_predict":3},"stream":false})").status,
      200);
  const HttpAnswer refused =
      post("/v1/chat/completions", R"({"model":"tiny","messages":[{"role":"user","content":"x"}]})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("base model"), std::string::npos);
  EXPECT_EQ(
      post("/v1/chat/completions", R"({"model":"tiny+me","messages":[{"role":"user","content":"x"}],"max_tokens":3})")
          .status,
      200);
}

}  // namespace
}  // namespace andiron
