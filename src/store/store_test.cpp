#include "store/store.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "base/strings.h"
#include "store/store_fixture.h"

namespace andiron {
namespace {

using namespace std::string_literals;

std::vector<std::string> ids(const std::vector<Message>& messages) {
  std::vector<std::string> out;
  for (const Message& message : messages) out.push_back(message.id);
  return out;
}

TEST_F(StoreTest, AConversationKeepsWhatItWasGiven) {
  Conversation given;
  given.title = "Über Katzen";
  given.system = "Answer in rhyme.";
  given.model = "ember";
  given.adapters = "me:0.8+work:0.5";
  given.sampling.set("temperature", 0.7).set("seed", int64_t{1} << 62);
  const std::string id = converse(given);
  reopen();
  const auto kept = must(store_->conversation(id));
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(kept->title, given.title);
  EXPECT_EQ(kept->system, given.system);
  EXPECT_EQ(kept->model, given.model);
  EXPECT_EQ(kept->adapters, given.adapters);
  EXPECT_EQ(kept->sampling.dump(), given.sampling.dump());
  EXPECT_FALSE(kept->for_training) << "nobody was asked yet";
  EXPECT_EQ(kept->shown, "");
  EXPECT_EQ(kept->created_ms, 1'000'001);
  EXPECT_FALSE(must(store_->conversation("another")).has_value());
}

TEST_F(StoreTest, WhatIsGivenIsChangedAndNothingElse) {
  Conversation given;
  given.title = "a";
  given.system = "s";
  const std::string id = converse(given);
  ConversationChange change;
  change.title = "b";
  change.for_training = true;
  must(store_->change_conversation(id, change));
  const auto kept = must(store_->conversation(id));
  EXPECT_EQ(kept->title, "b");
  EXPECT_EQ(kept->system, "s");
  EXPECT_TRUE(kept->for_training);
  EXPECT_GT(kept->changed_ms, kept->created_ms);
  EXPECT_EQ(error_of(store_->change_conversation("x", change)), "there is no conversation \"x\"");
}

TEST_F(StoreTest, ConversationsChangedLastComeFirst) {
  const std::string a = converse(), b = converse(), c = converse();
  say(a, "", "user", "hello");
  std::vector<std::string> order;
  for (const auto& conversation : must(store_->conversations(2))) order.push_back(conversation.id);
  for (const auto& conversation : must(store_->conversations(2, 2))) order.push_back(conversation.id);
  EXPECT_EQ(order, (std::vector<std::string>{a, c, b}));
}

TEST_F(StoreTest, EditsAndAnswersWrittenAgainAreBranches) {
  const std::string c = converse();
  const std::string q = say(c, "", "user", "2 + 2?");
  const std::string wrong = say(c, q, "assistant", "5");
  const std::string right = say(c, q, "assistant", "4");
  const std::string thanks = say(c, right, "user", "Thanks.");
  const std::string q2 = say(c, "", "user", "2 + 3?", q);
  EXPECT_EQ(ids(must(store_->messages(c))), (std::vector<std::string>{q, wrong, right, thanks, q2}));
  EXPECT_EQ(ids(must(store_->path(thanks))), (std::vector<std::string>{q, right, thanks}));
  EXPECT_EQ(must(store_->conversation(c))->shown, q2);
  ConversationChange back;
  back.shown = wrong;
  must(store_->change_conversation(c, back));
  EXPECT_EQ(must(store_->conversation(c))->shown, wrong);
}

TEST_F(StoreTest, EveryByteOfAMessageComesBack) {
  const std::string c = converse();
  Message given;
  given.conversation = c;
  given.role = "assistant";
  given.content = "zero \0 inside, \x01\x7f, \"quotes\", 猫 \U0001F600\r\n"s;
  given.reasoning = "first this";
  given.extra.set("tool_calls", Json(Json::Array{Json("x")}));
  given.model = "ember";
  given.adapters = "me";
  given.thumb = 1;
  const Message added = must(store_->add_message(given));
  reopen();
  const auto kept = must(store_->message(added.id));
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(to_json(*kept).dump(), to_json(added).dump());
  EXPECT_EQ(kept->content, given.content);
}

TEST_F(StoreTest, TheSameMessageAgainIsNotThereTwice) {
  const std::string c = converse();
  Message given;
  given.id = "once";
  given.conversation = c;
  given.role = "user";
  given.content = "hello";
  const Message first = must(store_->add_message(given));
  const Message again = must(store_->add_message(given));
  EXPECT_EQ(again.created_ms, first.created_ms);
  EXPECT_EQ(must(store_->messages(c)).size(), 1U);
  given.content = "goodbye";
  EXPECT_EQ(error_of(store_->add_message(given)), "there is another message \"once\" already");
}

TEST_F(StoreTest, RecordsThatCannotBeAreRefusedByName) {
  const std::string c = converse(), other = converse();
  const std::string q = say(c, "", "user", "?");
  const std::string a = say(c, q, "assistant", "!");
  const std::string elsewhere = say(other, "", "user", "?");
  Message good;
  good.conversation = c;
  good.parent = q;
  good.role = "assistant";
  good.content = "x";
  const auto refused = [&](const std::function<void(Message&)>& spoil) {
    Message bad = good;
    spoil(bad);
    return error_of(store_->add_message(bad));
  };
  EXPECT_NE(refused([](Message& m) { m.role = "wizard"; }).find("the role is \"wizard\""), std::string::npos);
  EXPECT_NE(refused([](Message& m) { m.content = "\xff"; }).find("the content is not UTF-8"), std::string::npos);
  EXPECT_NE(refused([](Message& m) { m.content.assign((4 << 20) + 1, 'x'); }).find("the content has 4.00 MiB"),
            std::string::npos);
  EXPECT_NE(refused([](Message& m) { m.id = "../x"; }).find("the id of the message is \"../x\""), std::string::npos);
  EXPECT_NE(refused([](Message& m) { m.thumb = 2; }).find("the thumb is 2"), std::string::npos);
  EXPECT_NE(refused([](Message& m) { m.extra = Json("x"); }).find("\"extra\" is not an object"), std::string::npos);
  EXPECT_NE(refused([](Message& m) { m.extra.set("a", 1).set("a", 2); }).find("\"extra\""), std::string::npos);
  EXPECT_NE(refused([](Message& m) { m.parent = "none"; }).find("the parent \"none\" is no message of this"),
            std::string::npos);
  EXPECT_NE(refused([&](Message& m) { m.parent = elsewhere; }).find("is no message of this"), std::string::npos);
  EXPECT_NE(refused([&](Message& m) { m.edit_of = q; }).find("cannot be an edit"), std::string::npos);
  EXPECT_NE(refused([](Message& m) { m.conversation = "none"; }).find("no conversation \"none\""), std::string::npos);
  EXPECT_NE(refused([](Message& m) { m.files = {"none"}; }).find("there is no file \"none\""), std::string::npos);
  EXPECT_NE(refused([](Message& m) { m.files.assign(65, "x"); }).find("65 files"), std::string::npos);
  EXPECT_EQ(ids(must(store_->messages(c))), (std::vector<std::string>{q, a})) << "nothing of these is kept";
  EXPECT_TRUE(store_->add_message(good).ok());

  ConversationChange bad;
  bad.title = std::string(1001, 'x');
  EXPECT_NE(error_of(store_->change_conversation(c, bad)).find("the title has 1001 B"), std::string::npos);
  bad = {};
  bad.shown = elsewhere;
  EXPECT_NE(error_of(store_->change_conversation(c, bad)).find("is no message of this"), std::string::npos);
}

TEST_F(StoreTest, RemovingAMessageRemovesWhatIsBelowIt) {
  const std::string c = converse();
  const std::string q = say(c, "", "user", "?");
  const std::string a = say(c, q, "assistant", "1");
  const std::string b = say(c, q, "assistant", "2", a);
  const std::string d = say(c, a, "user", "more");
  const auto removal = must(store_->remove_message(a));
  EXPECT_EQ(removal.removed.messages, 2);
  EXPECT_TRUE(removal.traces_gone);
  EXPECT_EQ(ids(must(store_->messages(c))), (std::vector<std::string>{q, b}));
  EXPECT_EQ(must(store_->message(b))->edit_of, "") << "what it was an edit of is gone";
  EXPECT_EQ(must(store_->conversation(c))->shown, b) << "the newest that is left below the parent";
  must(store_->remove_message(q));
  EXPECT_EQ(must(store_->conversation(c))->shown, "");
  EXPECT_EQ(error_of(store_->remove_message(d)), "there is no message \"" + d + "\"");
  must(store_->check());
}

TEST_F(StoreTest, AConversationAsDeepAsOneMayBe) {
  const std::string c = converse();
  std::string last;
  for (int i = 0; i < 3000; ++i) last = say(c, last, "user", "x");
  EXPECT_EQ(must(store_->path(last)).size(), 3000U);
  const auto first = must(store_->messages(c)).front().id;
  EXPECT_EQ(must(store_->remove_message(first)).removed.messages, 3000);
  must(store_->check());
}

TEST_F(StoreTest, AConversationHasLimitsInBytes) {
  const std::string c = converse();
  for (int i = 0; i < 8; ++i) say(c, "", "user", std::string(StoreLimits::kTextBytes - 2, 'x'));  // and "{}"
  Message message;
  message.conversation = c;
  message.role = "user";
  message.content = std::string(300'000, 'x');
  EXPECT_NE(error_of(store_->add_message(message)).find("begin another"), std::string::npos);
  // Small ones are looked at now and then.
  message.content = "x";
  size_t more = 0;
  for (auto added = store_->add_message(message); added.ok(); added = store_->add_message(message)) ++more;
  EXPECT_EQ(more, 64U - 8U);
  EXPECT_EQ(must(store_->messages(c)).size(), 64U);
}

TEST_F(StoreTest, FilesAreKeptOnceAndGoWithTheirLastMessage) {
  const std::vector<uint8_t> bytes = {0, 1, 2, 255};
  const std::string hash = must(store_->put_file("image/png", bytes));
  EXPECT_EQ(must(store_->put_file("image/png", bytes)), hash);
  const std::string c = converse();
  Message message;
  message.conversation = c;
  message.role = "user";
  message.files = {hash, hash};
  const std::string a = must(store_->add_message(message)).id;
  const std::string b = must(store_->add_message(message)).id;
  EXPECT_EQ(must(store_->message(b))->files, message.files);
  must(store_->remove_message(a));
  ASSERT_TRUE(must(store_->file(hash)).has_value());
  EXPECT_EQ(must(store_->file(hash))->bytes, bytes);
  EXPECT_EQ(must(store_->file(hash))->media, "image/png");
  EXPECT_EQ(must(store_->remove_message(b)).removed.files, 1);
  EXPECT_FALSE(must(store_->file(hash)).has_value());

  const std::string loose = must(store_->put_file("image/png", bytes));
  reopen();
  EXPECT_FALSE(must(store_->file(loose)).has_value()) << "no message ever had it";
  EXPECT_NE(error_of(store_->put_file("image/png", {})).find("the file has 0 B"), std::string::npos);
}

TEST_F(StoreTest, TheLedgerOutlivesTheConversation) {
  StoredRun run;
  run.adapter = "me";
  run.state = "running";
  run.details.set("loss", 1.5);
  run = must(store_->put_run(run));
  run.state = "kept";
  must(store_->put_run(run));
  const std::string c = converse();
  const std::string a = say(c, "", "assistant", "secret");
  const Lesson lesson = {run.id, c, a, "chat"};
  must(store_->add_lessons({lesson}));
  must(store_->add_lessons({lesson}));
  EXPECT_EQ(must(store_->remove_conversations({c})).runs, std::vector<std::string>{run.id});
  reopen();
  EXPECT_EQ(must(store_->lessons_of_run(run.id)), std::vector<Lesson>{lesson});
  EXPECT_EQ(must(store_->runs_that_learned(c)), std::vector<std::string>{run.id});
  ASSERT_EQ(must(store_->runs()).size(), 1U);
  EXPECT_EQ(must(store_->run(run.id))->state, "kept");
  EXPECT_EQ(must(store_->run(run.id))->details.dump(), run.details.dump());
  EXPECT_EQ(error_of(store_->add_lessons({{"none", c, a, "chat"}})), "there is no run \"none\"");
  EXPECT_FALSE(store_->add_lessons({{run.id, c, a, "magic"}}).ok());
}

TEST_F(StoreTest, ARunGoesWithItsPartOfTheLedger) {
  StoredRun given;
  given.adapter = "me";
  const StoredRun one = must(store_->put_run(given)), other = must(store_->put_run(given));
  const std::string c = converse();
  const std::string a = say(c, "", "assistant", "an answer");
  must(store_->add_lessons({{one.id, c, a, "chat"}, {other.id, c, a, "chat"}}));
  EXPECT_TRUE(must(store_->remove_run(one.id)));
  const auto again = store_->remove_run(one.id);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().kind, ErrorKind::kNotFound);
  EXPECT_FALSE(must(store_->run(one.id)).has_value());
  EXPECT_TRUE(must(store_->lessons_of_run(one.id)).empty());
  EXPECT_EQ(must(store_->runs_that_learned(c)), std::vector<std::string>{other.id});
  EXPECT_EQ(must(store_->messages(c)).size(), 1U);
  must(store_->check());
}

TEST_F(StoreTest, SettingsAreAnyJson) {
  EXPECT_TRUE(must(store_->setting("theme")).is_null());
  must(store_->put_setting("theme", Json("dark")));
  must(store_->put_setting("width", Json(1.25)));
  must(store_->put_setting("theme", Json("light")));
  reopen();
  EXPECT_EQ(must(store_->setting("theme")).as_string(), "light");
  EXPECT_EQ(must(store_->settings()).size(), 2U);
  must(store_->put_setting("theme", Json()));
  EXPECT_TRUE(must(store_->setting("theme")).is_null());
  EXPECT_FALSE(store_->put_setting("", Json(1)).ok());
}

TEST_F(StoreTest, SettingsHaveALimitTogether) {
  const Json large(std::string(StoreLimits::kJsonBytes - 2, 'x'));  // and its quotes
  must(store_->put_setting("a", large));
  must(store_->put_setting("b", Json(std::string(StoreLimits::kJsonBytes - 1000, 'x'))));
  EXPECT_NE(error_of(store_->put_setting("c", large)).find("all together may have 8.00 MiB"), std::string::npos);
  must(store_->put_setting("a", large));
  must(store_->put_setting("a", Json()));
  must(store_->put_setting("c", large));
}

// Readers on their own threads while messages are added and removed: each sees a whole chain, never shorter than what
// it saw before the removals begin, and no error.
TEST_F(StoreTest, ReadersSeeOneStateWhileItChanges) {
  const std::string c = converse(), doomed = converse();
  say(doomed, "", "user", "doomed");
  constexpr size_t kMessages = 300;
  std::vector<std::thread> readers;
  std::array<std::string, 4> faults;
  for (std::string& fault : faults) {
    readers.emplace_back([&, this] {
      for (size_t seen = 0; seen < kMessages;) {
        const auto messages = store_->messages(c);
        const auto hits = store_->search("chain", 10);
        if (!messages.ok() || !hits.ok()) {
          fault = messages.ok() ? hits.error().message : messages.error().message;
          return;
        }
        std::string parent;
        for (const Message& message : *messages) {
          if (message.parent != parent) fault = "a gap";
          parent = message.id;
        }
        if (messages->size() < seen) fault = "fewer than before";
        seen = messages->size();
      }
    });
  }
  std::string last;
  for (size_t i = 0; i < kMessages; ++i) {
    last = say(c, last, "user", "chain");
    if (i == kMessages / 2) must(store_->remove_conversations({doomed}));
  }
  for (std::thread& reader : readers) reader.join();
  for (const std::string& fault : faults) EXPECT_EQ(fault, "");
  must(store_->check());
}

}  // namespace
}  // namespace andiron
