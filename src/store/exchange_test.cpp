#include "store/exchange.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "store/schema.h"
#include "store/store_fixture.h"

namespace andiron {
namespace {

constexpr std::string_view kHead = R"({"andiron":"store","version":1})";

class ExchangeTest : public StoreTest {
 protected:
  ExchangeTest() : other_(must(Store::open(folder_.file("other/chats.db"), options()))) {}

  void fill() {
    Conversation given;
    given.title = "Tea \"and\" cake\n";
    given.system = "Be brief.";
    given.for_training = true;
    given.sampling.set("top_p", 0.1);
    conversation_ = converse(given);
    question_ = say(conversation_, "", "user", std::string("What is\0 tea? 猫", 17));
    Message answer;
    answer.conversation = conversation_;
    answer.parent = question_;
    answer.role = "assistant";
    answer.content = "A leaf.";
    answer.reasoning = "hm";
    answer.extra.set("name", "x").set("deep", Json(Json::Array{Json(Json::Array{}), Json(1e300)}));
    answer.files = {must(store_->put_file("image/png", std::vector<uint8_t>{0, 1, 2, 250}))};
    answer_ = must(store_->add_message(answer)).id;
    say(conversation_, question_, "assistant", "A drink.", answer_);
    must(store_->set_thumb(answer_, -1));
    ConversationChange change;
    change.shown = answer_;
    must(store_->change_conversation(conversation_, change));
    converse();
    must(store_->put_setting("theme", Json("dark")));
    StoredRun run;
    run.adapter = "me";
    run.state = "kept";
    run.details.set("loss", 0.25);
    run_ = must(store_->put_run(run)).id;
    must(store_->add_lessons({{run_, conversation_, answer_, "chat"}, {run_, "gone", "gone", "preference"}}));
  }

  // Lines with what stands around them.
  static std::string lines(const std::vector<std::string>& inner) {
    std::string text = std::string(kHead) + "\n";
    for (const std::string& line : inner) text += line + "\n";
    return text + format("{{\"end\":{}}}\n", inner.size() + 1);
  }
  std::string refusal(const std::string& text) {
    const std::string before = exported(*other_);
    const std::string message = error_of(other_->import(text, true));
    EXPECT_EQ(exported(*other_), before) << message;
    return message;
  }

  std::unique_ptr<Store> other_;
  std::string conversation_, question_, answer_, run_;
};

TEST_F(ExchangeTest, TheImportOfAnExportGivesTheSameExport) {
  fill();
  const std::string text = exported();
  const ImportReport report = must(other_->import(text, true));
  EXPECT_EQ(report.conversations, 2);
  EXPECT_EQ(report.messages, 3);
  EXPECT_EQ(report.files, 1);
  EXPECT_EQ(report.runs, 1);
  EXPECT_EQ(report.settings, 1);
  EXPECT_EQ(report.kept, 0);
  EXPECT_EQ(exported(*other_), text);
  EXPECT_EQ(must(other_->search("drink", 10)).size(), 1U);
  must(other_->check());
}

TEST_F(ExchangeTest, TheSameImportOnceMoreChangesNothing) {
  fill();
  const std::string text = exported();
  must(other_->import(text, true));
  const ImportReport again = must(other_->import(text, true));
  EXPECT_EQ(again.conversations + again.messages + again.files + again.runs + again.settings, 0);
  EXPECT_EQ(again.kept, 2 + 3 + 1 + 1 + 1);
  EXPECT_EQ(exported(*other_), text);
}

TEST_F(ExchangeTest, NewerMessagesJoinAConversationThatStaysAsItIs) {
  fill();
  must(other_->import(exported(), true));
  ConversationChange change;
  change.title = "Mine";
  must(other_->change_conversation(conversation_, change));
  const auto before = must(other_->conversation(conversation_));
  say(conversation_, answer_, "user", "And cake?");
  EXPECT_EQ(must(other_->import(exported(), true)).messages, 1);
  EXPECT_EQ(must(other_->messages(conversation_)).size(), 4U);
  EXPECT_EQ(to_json(*must(other_->conversation(conversation_))).dump(), to_json(*before).dump());
}

TEST_F(ExchangeTest, ConsentIsTheImportersToGive) {
  fill();
  must(other_->import(exported(), false));
  EXPECT_FALSE(must(other_->conversation(conversation_))->for_training);
}

TEST_F(ExchangeTest, SomeConversationsAlone) {
  fill();
  std::string text;
  must(store_->export_conversations({conversation_}, [&](std::string_view line) {
    text += line;
    return Status();
  }));
  const ImportReport report = must(other_->import(text, true));
  EXPECT_EQ(report.conversations, 1);
  EXPECT_EQ(report.files, 1);
  EXPECT_EQ(report.runs + report.settings, 0);
  EXPECT_FALSE(store_->export_conversations({"none"}, [](std::string_view) { return Status(); }).ok());
}

TEST_F(ExchangeTest, ASinksErrorEndsTheExport) {
  fill();
  int lines = 0;
  const Status ended = store_->export_all([&](std::string_view) { return ++lines < 3 ? Status() : Error{"enough"}; });
  EXPECT_EQ(error_of(ended), "enough");
  EXPECT_EQ(lines, 3);
}

TEST_F(ExchangeTest, AnExportCutAnywhereIsRefused) {
  fill();
  const std::string text = exported();
  for (size_t size = 0; size < text.size(); ++size) {
    const auto read = other_->import(std::string_view(text).substr(0, size), true);
    ASSERT_FALSE(read.ok()) << size;
  }
  EXPECT_EQ(must(other_->conversations(10)).size(), 0U);
  must(other_->import(text, true));
}

// A byte changed anywhere is an Error, or another text in a store that is whole.
TEST_F(ExchangeTest, AnExportSpoiltAnywhereDoesNoHarm) {
  fill();
  const std::string text = exported();
  const auto db = must(SqliteConnection::open(":memory:", {}));
  must(migrate(*db, store_migrations()));
  int taken = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    for (const int flip : {0x01, 0x20, 0x80}) {
      std::string spoilt = text;
      spoilt[at] = static_cast<char>(spoilt[at] ^ flip);
      const auto undone = SqliteTransaction::begin(*db, SqliteTransaction::Kind::kWrite);
      if (!import_store(*db, spoilt, true).ok()) continue;
      ++taken;
      must(check_words(*db));
      must(db->query("PRAGMA foreign_key_check", {}, [](SqliteRow&) { return Error{"a reference to nothing"}; }));
    }
  }
  EXPECT_GT(taken, 100) << "most bytes are of texts, which may be any";
}

TEST_F(ExchangeTest, HostileLinesAreRefusedByNumberAndReason) {
  const std::string conversation =
      R"({"conversation":{"id":"c","title":"","system":"","model":"","adapters":"","sampling":{},"for_training":false,"shown":"","created_ms":1,"changed_ms":1}})";
  const auto message = [](std::string_view id, std::string_view parent, std::string_view more = "") {
    return format(
        R"({{"message":{{"id":"{}","conversation":"c","parent":"{}","edit_of":"","role":"user","content":"","reasoning":"","extra":{{}},"files":[],"model":"","adapters":"","thumb":0,"created_ms":1{}}}}})",
        id, parent, more);
  };
  const auto spoil = [&](std::string line, const std::string& from, const std::string& to) {
    const size_t at = line.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return line.replace(at, from.size(), to);
  };
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"{}"}, "line 2: expected an object with one member"},
      {{"[]"}, "line 2: expected an object"},
      {{""}, "line 2: "},
      {{R"({"wish":{}})"}, "line 2: \"wish\" is not known here"},
      {{R"({"message":[]})"}, "line 2: \"message\" is not an object"},
      {{conversation, conversation.substr(0, conversation.size() - 1)}, "line 3: "},
      {{spoil(conversation, "\"title\":\"\",", "")}, "\"title\" of the conversation is missing"},
      {{spoil(conversation, "\"title\":\"\"", "\"title\":1")},
       "\"title\" of the conversation is missing, or of the wrong"},
      {{spoil(conversation, "\"title\":\"\"", "\"title\":\"\",\"title\":\"\"")}, "line 2: "},
      {{spoil(conversation, "\"created_ms\":1", "\"created_ms\":1.5")}, "\"created_ms\""},
      {{spoil(conversation, "\"created_ms\":1", "\"created_ms\":9223372036854775808")}, "\"created_ms\""},
      {{spoil(conversation, "\"id\":\"c\"", "\"id\":\"\"")}, "the id of the conversation is \"\""},
      {{spoil(conversation, "\"id\":\"c\"", "\"id\":\"a/b\"")}, "the id of the conversation is \"a/b\""},
      {{spoil(conversation, "\"sampling\":{}", "\"sampling\":[]")}, "\"sampling\" is not an object"},
      {{spoil(conversation, "\"sampling\":{}", "\"sampling\":{},\"x\":1")}, "a member that is not known here"},
      {{spoil(conversation, "\"shown\":\"\"", "\"shown\":\"m\"")}, "\"m\" is no message of this conversation"},
      {{message("m", "")}, "line 2: there is no conversation \"c\""},
      {{conversation, message("m", "m")}, "line 3: the parent \"m\" is no message of this conversation"},
      {{conversation, message("a", "b"), message("b", "a")}, "line 3: the parent \"b\""},
      {{conversation, message("m", "", ",\"x\":1")}, "line 3: the message has a member that is not known here"},
      {{conversation, spoil(message("m", ""), "\"user\"", "\"root\"")}, "the role is \"root\""},
      {{conversation, spoil(message("m", ""), "\"thumb\":0", "\"thumb\":2147483648")}, "\"thumb\""},
      {{conversation, spoil(message("m", ""), "\"thumb\":0", "\"thumb\":7")}, "the thumb is 7"},
      {{conversation, spoil(message("m", ""), "\"files\":[]", "\"files\":[\"f\"]")}, "there is no file \"f\""},
      {{conversation, message("m", ""), spoil(message("m", ""), "\"content\":\"\"", "\"content\":\"x\"")},
       "line 4: there is another message \"m\" already"},
      {{R"({"file":{"hash":"a","media":"","base64":"AA=="}})"}, "line 2: the file has the hash "},
      {{R"({"file":{"hash":"a","media":"","base64":"A"}})"}, "line 2: the file is not Base64"},
      {{R"({"file":{"hash":"a","media":"","base64":""}})"}, "line 2: the file has 0 B"},
      {{R"({"setting":{"name":"","value":1}})"}, "line 2: a setting has no name"},
      {{R"({"lesson":{"run":"r","conversation":"c","message":"m","kind":"chat"}})"}, "there is no run \"r\""},
      {{R"({"end":1})", "{}"}, "line 3: there is something behind the end"},
      {{R"({"end":2})"}, "line 2: expected \"end\": 1, the number of lines before it"},
      {{R"({"setting":{"name":"x","value":)" + std::string(40, '[') + std::string(40, ']') + "}}"}, "line 2: "},
      {{std::string(1000, '[')}, "line 2: "},
      {{"\xff"}, "line 2: "},
  };
  for (const auto& [inner, reason] : cases) {
    const std::string said = refusal(lines(inner));
    EXPECT_NE(said.find(reason), std::string::npos) << said << "\nexpected: " << reason;
  }
  for (const std::string_view text : {"", "\n", "{}\n",
                                      R"({"andiron":"store","version":2})"
                                      "\n",
                                      R"({"andiron":"x","version":1})"
                                      "\n"}) {
    refusal(std::string(text));
  }
  EXPECT_NE(refusal(std::string(kHead) + "\n").find("it was cut off"), std::string::npos);
  EXPECT_EQ(must(other_->import(lines({conversation, message("m", "")}), true)).messages, 1)
      << "the cases begin from good";
}

// What is larger than a request comes in several exports: the first names the chat, the others go on with its messages.
TEST_F(ExchangeTest, AChatMayComeInParts) {
  Conversation conversation;
  conversation.title = "long";
  const std::string c = converse(conversation);
  const std::string one = say(c, "", "user", "one"), two = say(c, one, "assistant", "two");
  const std::string edited = say(c, one, "assistant", "three", two), last = say(c, two, "user", "four");
  std::vector<std::string> all;
  const std::string text = exported();
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    all.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  ASSERT_EQ(all.size(), 7U) << "a head, a conversation, four messages, an end";
  std::string first = all[1];
  const std::string shown = format("\"shown\": \"{}\"", last);
  ASSERT_NE(first.find(shown), std::string::npos) << first;
  EXPECT_NE(refusal(lines({first, all[2], all[3]})).find("is no message of this conversation"), std::string::npos)
      << "what it shows is in a later part";
  first.replace(first.find(shown), shown.size(), "\"shown\": \"\"");
  EXPECT_EQ(must(other_->import(lines({first, all[2], all[3]}), true)).messages, 2);
  EXPECT_EQ(must(other_->import(lines({all[4], all[5]}), true)).messages, 2);
  ConversationChange change;
  change.shown = last;
  must(other_->change_conversation(c, change));
  EXPECT_EQ(must(other_->message(edited))->edit_of, two);
  EXPECT_EQ(must(other_->messages(c)).size(), 4U);
  EXPECT_EQ(must(other_->conversation(c))->shown, last);
}

TEST_F(ExchangeTest, TheLargestMessageComesBack) {
  const std::string c = converse();
  // Every byte takes six in JSON.
  const std::string text(StoreLimits::kTextBytes, '\x01');
  Message message;
  message.conversation = c;
  message.role = "assistant";
  message.content = text;
  message.reasoning = text;
  const std::string id = must(store_->add_message(message)).id;
  must(other_->import(exported(), true));
  EXPECT_EQ(must(other_->message(id))->content, text);
  const std::string long_line = format("{}\n{}\n", kHead, std::string(StoreLimits::kLineBytes + 1, ' '));
  EXPECT_NE(refusal(long_line).find("line 2: it has 64.0 MiB"), std::string::npos);
}

}  // namespace
}  // namespace andiron
