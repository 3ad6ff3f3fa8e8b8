// What is removed is looked for in the bytes of the files.
#include <gtest/gtest.h>

#include <filesystem>

#include "store/store_fixture.h"

namespace andiron {
namespace {

// Words that nothing else has, each with a first letter of its own: the index keeps only what a word does not share
// with the one before it.
constexpr std::string_view kContent = "qcanaryfeather", kReasoning = "jcanaryfeather", kExtra = "xcanaryfeather",
                           kFile = "vcanaryfeather", kTitle = "zcanaryfeather", kSystem = "kcanaryfeather";

class RemovalTest : public StoreTest {
 protected:
  // In how many of the store's files the bytes stand.
  int files_with(std::string_view text) {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.file("chats"))) {
      const auto bytes = read_bytes(entry.path().string());
      const std::string_view view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      if (view.find(text) != std::string_view::npos) ++count;
    }
    return count;
  }
  // Other conversations around it, so that pages and parts of the index are shared.
  void fill(int count) {
    for (int i = 0; i < count; ++i) {
      const std::string c = converse();
      say(c, say(c, "", "user", "question " + std::to_string(i)), "assistant", "quite another answer");
    }
  }
  std::string add_canaries() {
    Conversation given;
    given.title = kTitle;
    given.system = kSystem;
    const std::string c = converse(given);
    Message message;
    message.conversation = c;
    message.role = "assistant";
    message.content = kContent;
    message.reasoning = kReasoning;
    message.extra.set("note", kExtra);
    const std::string bytes = std::string(10'000, '.') + std::string(kFile);
    message.files = {
        must(store_->put_file("image/png", {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}))};
    message_ = must(store_->add_message(message)).id;
    return c;
  }
  static constexpr std::string_view kOfMessage[] = {kContent, kReasoning, kExtra, kFile};

  std::string message_;
};

TEST_F(RemovalTest, NothingOfAConversationStays) {
  fill(50);
  const std::string c = add_canaries();
  fill(50);
  reopen();                                                                     // into the database itself
  say(c, message_, "user", std::string("once more ") + std::string(kContent));  // and into the log
  for (const std::string_view canary : {kContent, kReasoning, kExtra, kFile, kTitle, kSystem}) {
    ASSERT_GT(files_with(canary), 0) << canary;
  }
  const auto removal = must(store_->remove_conversations({c}));
  EXPECT_EQ(removal.removed.messages, 2);
  EXPECT_EQ(removal.removed.files, 1);
  EXPECT_TRUE(removal.traces_gone);
  for (const std::string_view canary : {kContent, kReasoning, kExtra, kFile, kTitle, kSystem}) {
    EXPECT_EQ(files_with(canary), 0) << canary;
    EXPECT_EQ(files_with(canary.substr(1)), 0) << canary;
  }
  must(store_->check());
  EXPECT_EQ(must(store_->conversations(1000)).size(), 100U);
}

TEST_F(RemovalTest, NothingOfAMessageStays) {
  fill(20);
  const std::string c = add_canaries();
  fill(20);
  must(store_->remove_message(message_));
  for (const std::string_view canary : kOfMessage) EXPECT_EQ(files_with(canary), 0) << canary;
  EXPECT_GT(files_with(kTitle), 0) << "the conversation is there still";
  must(store_->check());
}

TEST_F(RemovalTest, NothingOfARunStays) {
  StoredRun given;
  given.details.set("sample", kContent);
  const StoredRun run = must(store_->put_run(given));
  fill(20);
  reopen();
  ASSERT_GT(files_with(kContent), 0);
  EXPECT_TRUE(must(store_->remove_run(run.id)));
  EXPECT_EQ(files_with(kContent), 0);
  must(store_->check());
}

// Those that learned from it may be nobody's to tell just then.
TEST_F(RemovalTest, NorWhatRunsShowOfAConversation) {
  const std::string c = add_canaries();
  StoredRun given;
  Json samples = Json::array();
  samples.push(kContent);
  given.details.set("samples", std::move(samples)).set("loss", 1.5);
  const StoredRun run = must(store_->put_run(given)), other = must(store_->put_run(given));
  must(store_->add_lessons({{run.id, c, message_, "chat"}}));
  reopen();
  EXPECT_FALSE(must(store_->misses_lessons(run.id)));
  must(store_->remove_conversations({c}));
  EXPECT_EQ(must(store_->run(run.id))->details.dump(), R"({"samples": [], "loss": 1.5})");
  EXPECT_EQ(must(store_->run(other.id))->details.dump(), given.details.dump()) << "it has learned from others";
  EXPECT_TRUE(must(store_->misses_lessons(run.id)));
  EXPECT_FALSE(must(store_->misses_lessons(other.id)));
  EXPECT_FALSE(must(store_->misses_lessons("none")));
  EXPECT_TRUE(must(store_->remove_run(other.id)));
  EXPECT_EQ(files_with(kContent), 0);
  must(store_->check());
}

// A process may be killed between the removal and what others have to do after it.
TEST_F(RemovalTest, ForgettingIsOwedUntilItIsDone) {
  EXPECT_FALSE(must(store_->owes_forgetting()));
  const std::string c = add_canaries();
  EXPECT_FALSE(store_->remove_conversations({"none"}).ok());
  EXPECT_FALSE(must(store_->owes_forgetting()));
  must(store_->remove_message(message_));
  reopen();
  EXPECT_TRUE(must(store_->owes_forgetting()));
  must(store_->remove_conversations({c}));
  must(store_->forgotten());
  reopen();
  EXPECT_FALSE(must(store_->owes_forgetting()));
  must(store_->remove_conversations({converse()}));
  EXPECT_TRUE(must(store_->owes_forgetting()));
  must(store_->check());
}

TEST_F(RemovalTest, NothingOfASettingStays) {
  must(store_->put_setting("page", Json(kContent)));
  fill(20);
  reopen();
  ASSERT_GT(files_with(kContent), 0);
  EXPECT_TRUE(must(store_->remove_setting("page")));
  EXPECT_EQ(files_with(kContent), 0);
  EXPECT_TRUE(must(store_->setting("page")).is_null());
  EXPECT_TRUE(must(store_->remove_setting("page"))) << "there is none any more";
  must(store_->check());
}

TEST_F(RemovalTest, NothingOfWhatWasWrittenOverStays) {
  StoredRun run;
  run.details.set("note", kContent);
  run = must(store_->put_run(run));
  reopen();
  run.details = Json::object();
  must(store_->put_run(run));
  ASSERT_GT(files_with(kContent), 0);
  EXPECT_TRUE(must(store_->forget_overwritten()));
  EXPECT_EQ(files_with(kContent), 0);
  must(store_->check());
}

// Another program that reads keeps the log from being emptied; that is said, and made good later.
TEST_F(RemovalTest, TracesThatAReaderKeepsGoLater) {
  add_canaries();
  const std::string c = converse();
  auto reader = must(SqliteConnection::open(path_, {.vfs = vfs_.name(), .busy_ms = 0}));
  {
    auto look = SqliteTransaction::begin(*reader, SqliteTransaction::Kind::kRead);
    must(reader->number("SELECT count(*) FROM message"));
    EXPECT_FALSE(must(store_->remove_message(message_)).traces_gone);
    EXPECT_GT(files_with(kContent), 0);
  }
  EXPECT_TRUE(must(store_->remove_conversations({c})).traces_gone);
  for (const std::string_view canary : kOfMessage) EXPECT_EQ(files_with(canary), 0) << canary;
}

}  // namespace
}  // namespace andiron
