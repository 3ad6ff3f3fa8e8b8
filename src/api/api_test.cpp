// The public library as its users see it, over small models with random weights.
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "andiron/chat.h"
#include "andiron/model.h"
#include "andiron/session.h"
#include "andiron/tokenizer.h"
#include "andiron/version.h"
#include "base/test_folder.h"
#include "base/test_sanitizers.h"
#include "format/gguf.h"
#include "model/synth.h"

namespace {

namespace api = andiron::v1;

class ApiTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new andiron::TestFolder();
    const andiron::Status written = andiron::write_synthetic_model({.shape = "tiny", .mix = "q8_0"}, path());
    ASSERT_TRUE(written.ok()) << written.error().message;
  }
  static void TearDownTestSuite() { delete folder_; }

  static std::string path() { return folder_->file("tiny.gguf"); }

  static api::Model open(api::ModelOptions options = {}) {
    options.cache_folder = folder_->file("cache");
    auto model = api::Model::open(path(), options);
    EXPECT_TRUE(model.ok()) << model.error().message;
    return std::move(model).value();
  }

  static api::Session session_of(const api::Model& model, const api::SessionOptions& options = {}) {
    auto session = api::Session::create(model, options);
    EXPECT_TRUE(session.ok()) << session.error().message;
    return std::move(session).value();
  }

  static api::Answer answer_of(api::Session& session, const std::vector<int32_t>& prompt,
                               const api::GenerateOptions& options) {
    const auto report = session.set_prompt(prompt);
    EXPECT_TRUE(report.ok()) << report.error().message;
    auto answer = session.generate(options);
    EXPECT_TRUE(answer.ok()) << answer.error().message;
    return std::move(answer).value();
  }

  // A fixed number of tokens, whatever the random model thinks of ending.
  static api::GenerateOptions tokens(int64_t count) {
    api::GenerateOptions options;
    options.tokens_max = count;
    options.ignore_end = true;
    return options;
  }

  static inline andiron::TestFolder* folder_ = nullptr;
};

TEST_F(ApiTest, SaysWhatAModelIs) {
  const api::Model model = open();
  const api::ModelInfo& info = model.info();
  EXPECT_EQ(info.path, path());
  EXPECT_EQ(info.architecture, "llama");
  // The shape "tiny" of andiron synth.
  EXPECT_EQ(info.layers, 2);
  EXPECT_EQ(info.width, 256);
  EXPECT_EQ(info.context, 512);
  EXPECT_EQ(info.vocabulary, 512);
  EXPECT_FALSE(info.instruction_set.empty());
  EXPECT_FALSE(std::string(api::version()).empty());
}

TEST_F(ApiTest, ErrorsNameWhatIsWrong) {
  const auto no_model = api::Model::open(folder_->file("absent.gguf"));
  ASSERT_FALSE(no_model.ok());
  EXPECT_NE(no_model.error().message.find("absent.gguf"), std::string::npos) << no_model.error().message;
  EXPECT_FALSE(api::Tokenizer::open(folder_->file("absent.gguf")).ok());
  EXPECT_FALSE(api::Model::open(folder_->write("text.gguf", "no model")).ok());

  api::ModelOptions options;
  options.instruction_set = "abacus";
  EXPECT_FALSE(api::Model::open(path(), options).ok());
  options = {};
  options.threads = -1;
  EXPECT_FALSE(api::Model::open(path(), options).ok());

  const api::Model model = open();
  EXPECT_FALSE(api::Session::create(model, {.context = -5}).ok());
  EXPECT_FALSE(api::Session::create(model, {.threads = 1'000'000}).ok());
}

TEST_F(ApiTest, OpeningCanBeStopped) {
  api::ModelOptions options;
  options.cache = false;
  options.progress = [](uint64_t, uint64_t) { return false; };
  EXPECT_FALSE(api::Model::open(path(), options).ok());
}

TEST_F(ApiTest, TheTokenizerStandsAlone) {
  const auto alone = api::Tokenizer::open(path());
  ASSERT_TRUE(alone.ok()) << alone.error().message;
  const api::Model model = open();
  const api::Tokenizer& tokenizer = model.tokenizer();
  EXPECT_EQ(tokenizer.size(), alone->size());
  const std::string text = "A text.";
  EXPECT_EQ(tokenizer.encode(text), alone->encode(text));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  EXPECT_EQ(tokenizer.piece(-1), "");
  EXPECT_EQ(tokenizer.piece(1'000'000), "");
  EXPECT_EQ(tokenizer.find("no token is spelled so"), api::Tokenizer::kNone);
  ASSERT_NE(tokenizer.eos(), api::Tokenizer::kNone);
  EXPECT_TRUE(tokenizer.is_end(tokenizer.eos()));
  EXPECT_TRUE(tokenizer.is_control(tokenizer.eos()));
}

TEST_F(ApiTest, TheSameSeedGivesTheSameTextOnAnyThreads) {
  const api::Model model = open();
  const std::vector<int32_t> prompt = {1, 20, 30, 40};
  api::GenerateOptions options = tokens(40);
  options.sampling.seed = 7;
  std::set<std::vector<int32_t>> answers;
  for (const int threads : andiron::thread_counts()) {
    api::Session session = session_of(model, {.threads = threads});
    answers.insert(answer_of(session, prompt, options).tokens);
  }
  EXPECT_EQ(answers.size(), 1U);
  options.sampling.seed = 8;
  api::Session session = session_of(model);
  answers.insert(answer_of(session, prompt, options).tokens);
  EXPECT_EQ(answers.size(), 2U);
}

TEST_F(ApiTest, EventsAddUpToTheAnswer) {
  const api::Model model = open();
  api::Session session = session_of(model);
  ASSERT_TRUE(session.set_prompt(std::vector<int32_t>{1, 5, 9}).ok());
  api::GenerateOptions options = tokens(30);
  options.logprobs = 3;
  std::string text;
  std::vector<int32_t> ids;
  const auto answer = session.generate(options, [&](const api::Token& token) {
    text += token.text;
    if (token.id == api::Tokenizer::kNone) return true;
    ids.push_back(token.id);
    EXPECT_LE(token.logprob, 0);
    EXPECT_EQ(token.top.size(), 3U);
    EXPECT_GE(token.top[0].logprob, token.logprob);
    return true;
  });
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->text, text);
  EXPECT_EQ(answer->tokens, ids);
  EXPECT_EQ(answer->tokens.size(), 30U);
  EXPECT_EQ(answer->reason, api::FinishReason::kLength);
  EXPECT_EQ(session.tokens().size(), 33U);
}

TEST_F(ApiTest, ALongerConversationComputesOnlyWhatIsNew) {
  const api::Model model = open();
  api::Session session = session_of(model);
  answer_of(session, {1, 5, 9}, tokens(10));
  std::vector<int32_t> longer(session.tokens().begin(), session.tokens().end());
  longer.insert(longer.end(), {7, 8, 9});
  const auto report = session.set_prompt(longer);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->tokens, 16);
  EXPECT_GE(report->reused, 12);  // all but the last token of the answer, which was chosen and never run
}

TEST_F(ApiTest, AnswersEndForTheReasonTheySay) {
  const api::Model model = open();
  api::Session session = session_of(model, {.context = 24});
  EXPECT_EQ(answer_of(session, {1, 5, 9}, tokens(5)).reason, api::FinishReason::kLength);
  EXPECT_EQ(answer_of(session, {1, 5, 9}, tokens(-1)).reason, api::FinishReason::kContext);

  const std::atomic<bool> cancel = true;
  api::GenerateOptions options = tokens(10);
  options.cancel = &cancel;
  EXPECT_EQ(answer_of(session, {1, 5, 9}, options).reason, api::FinishReason::kCancelled);

  ASSERT_TRUE(session.set_prompt(std::vector<int32_t>{1, 5, 9}).ok());
  const auto stopped = session.generate(tokens(10), [](const api::Token&) { return false; });
  ASSERT_TRUE(stopped.ok());
  EXPECT_EQ(stopped->reason, api::FinishReason::kCancelled);
  EXPECT_EQ(stopped->tokens.size(), 1U);

  options = tokens(20);
  const std::string text = answer_of(session, {1, 5, 9}, options).text;
  ASSERT_GE(text.size(), 4U);
  options.stop = {text.substr(2, 2)};
  const api::Answer cut = answer_of(session, {1, 5, 9}, options);
  EXPECT_EQ(cut.reason, api::FinishReason::kStopText);
  EXPECT_EQ(cut.stop_text, options.stop[0]);
  EXPECT_EQ(cut.text, text.substr(0, text.find(options.stop[0])));
}

TEST_F(ApiTest, PromptLookupChangesNoToken) {
  const api::Model model = open();
  std::vector<int32_t> prompt = {1};
  for (int i = 0; i < 60; ++i) prompt.push_back(3 + i % 6);
  api::GenerateOptions options = tokens(60);
  options.sampling.temperature = 0;
  api::Session session = session_of(model);
  const auto plain = answer_of(session, prompt, options).tokens;
  options.prompt_lookup = true;
  EXPECT_EQ(answer_of(session, prompt, options).tokens, plain);
}

TEST_F(ApiTest, WhatCannotBeAPromptIsRefusedAndLeavesTheSessionAsItWas) {
  const api::Model model = open();
  api::Session session = session_of(model, {.context = 16});
  EXPECT_FALSE(session.generate().ok());  // there is no prompt yet
  ASSERT_TRUE(session.set_prompt(std::vector<int32_t>{1, 2, 3}).ok());
  for (const std::vector<int32_t>& tokens :
       {std::vector<int32_t>{}, {1, -1}, {1, 512}, {1, INT32_MAX}, std::vector<int32_t>(16, 1)}) {
    EXPECT_FALSE(session.set_prompt(tokens).ok());
    EXPECT_EQ(session.tokens().size(), 3U);
  }
  api::GenerateOptions options;
  options.sampling.top_p = 17;
  EXPECT_FALSE(session.generate(options).ok());
}

TEST_F(ApiTest, ABaseModelDoesNotChat) {
  const auto chat = api::ChatTemplate::create(open());
  ASSERT_FALSE(chat.ok());
  EXPECT_NE(chat.error().message.find("base model"), std::string::npos) << chat.error().message;
}

// The same weights with a chat template beside them.
TEST_F(ApiTest, MessagesAreRenderedByTheModelsTemplate) {
  const auto source = andiron::open_gguf(path());
  ASSERT_TRUE(source.ok()) << source.error().message;
  const auto had = (*source)->metadata();
  std::vector<andiron::MetaEntry> metadata(had.begin(), had.end());
  metadata.push_back(andiron::MetaEntry::text("tokenizer.chat_template",
                                              "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
                                              "{% if add_generation_prompt %}assistant: {% endif %}"));
  const std::string chatty = folder_->file("chatty.gguf");
  auto writer = andiron::GgufWriter::create(chatty, metadata, (*source)->tensors());
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  std::vector<uint8_t> scratch;
  for (const andiron::TensorInfo& tensor : (*source)->tensors()) {
    const auto bytes = (*source)->whole(tensor, scratch);
    ASSERT_TRUE(bytes.ok() && writer->append(*bytes).ok()) << tensor.name;
  }
  ASSERT_TRUE(writer->finish().ok());

  api::ModelOptions options;
  options.cache_folder = folder_->file("cache");
  const auto model = api::Model::open(chatty, options);
  ASSERT_TRUE(model.ok()) << model.error().message;
  const auto chat = api::ChatTemplate::create(*model);
  ASSERT_TRUE(chat.ok()) << chat.error().message;
  const std::vector<api::Message> messages = {{"user", "hi"}, {"assistant", "yes?"}, {"user", "\"go\""}};
  const auto prompt = chat->render(messages);
  ASSERT_TRUE(prompt.ok()) << prompt.error().message;
  EXPECT_NE(prompt->text.find("user: hi\nassistant: yes?\nuser: \"go\"\nassistant: "), std::string::npos)
      << prompt->text;
  EXPECT_FALSE(prompt->tokens.empty());
  const auto json = chat->render_json(
      R"([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"},
          {"role": "user", "content": "\"go\""}])");
  ASSERT_TRUE(json.ok()) << json.error().message;
  EXPECT_EQ(json->text, prompt->text);
}

TEST_F(ApiTest, ASessionOutlivesItsModelAndMoves) {
  api::Session session = session_of(open());
  api::Session moved = std::move(session);
  EXPECT_EQ(answer_of(moved, {1, 2, 3}, tokens(4)).tokens.size(), 4U);
}

TEST_F(ApiTest, ThreadsShareAModel) {
  const api::Model model = open();
  std::vector<std::vector<int32_t>> answers(3);
  std::vector<std::thread> threads;
  for (auto& answer : answers) {
    threads.emplace_back([&] {
      api::Session session = session_of(model, {.threads = 2});
      answer = answer_of(session, {1, 5, 9}, tokens(20)).tokens;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answers[0], answers[1]);
  EXPECT_EQ(answers[0], answers[2]);
}

}  // namespace
