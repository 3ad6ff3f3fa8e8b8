#include "cli/chat_history.h"

#include <gtest/gtest.h>

namespace andiron {
namespace {

ChatHistory parsed(const char* text) {
  const auto json = parse_json(text, "test");
  EXPECT_TRUE(json.ok()) << text;
  auto conversation = ChatHistory::from_json(*json, "test");
  EXPECT_TRUE(conversation.ok()) << text;
  return std::move(conversation).value();
}

void expect_messages(const ChatHistory& conversation, const char* text) {
  EXPECT_EQ(conversation.all().dump(), parse_json(text, "test")->dump());
}

ChatHistory three_exchanges() {
  ChatHistory conversation("Be kind.");
  for (const char* number : {"1", "2", "3"}) {
    conversation.add("user", std::string("question ") + number);
    conversation.add("assistant", std::string("answer ") + number);
  }
  return conversation;
}

TEST(ChatHistory, IsWrittenAsItIsRead) {
  const ChatHistory conversation = three_exchanges();
  const Json all = conversation.all();
  EXPECT_EQ(all.items().size(), 7U);
  const ChatHistory again = parsed(all.dump().c_str());
  EXPECT_EQ(again.system(), "Be kind.");
  EXPECT_EQ(again.all().dump(), all.dump());
  EXPECT_EQ(parsed(R"({"messages": [], "model": "m"})").size(), 0U);
}

TEST(ChatHistory, RefusesWhatIsNoConversation) {
  for (const char* text : {"{}", "3", R"({"messages": 1})", "[1]", R"([{"content": "x"}])", R"([{"role": 1}])"}) {
    const auto conversation = ChatHistory::from_json(*parse_json(text, "test"), "saved.json");
    ASSERT_FALSE(conversation.ok()) << text;
    EXPECT_NE(conversation.error().message.find("saved.json"), std::string::npos);
  }
}

TEST(ChatHistory, DropsWholeExchangesFromTheFront) {
  ChatHistory conversation = three_exchanges();
  conversation.drop_oldest(2);
  EXPECT_EQ(conversation.exchanges(), 1U);
  expect_messages(conversation, R"([{"role":"system","content":"Be kind."},{"role":"user","content":"question 3"},)"
                                R"({"role":"assistant","content":"answer 3"}])");
  conversation.drop_oldest(5);
  EXPECT_TRUE(conversation.empty());
  conversation.drop_oldest(1);
  EXPECT_TRUE(conversation.empty());
}

TEST(ChatHistory, AnExchangeHoldsAllThatFollowsTheQuestion) {
  ChatHistory conversation = parsed(
      R"([{"role":"assistant","content":"Hello."},{"role":"user","content":"a"},{"role":"assistant","content":""},)"
      R"({"role":"tool","content":"7"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}])");
  EXPECT_EQ(conversation.exchanges(), 2U);
  conversation.drop_oldest(1);
  expect_messages(conversation, R"([{"role":"user","content":"c"}])");
}

TEST(ChatHistory, GoesBackToTheLastQuestion) {
  ChatHistory conversation = three_exchanges();
  ASSERT_TRUE(conversation.rewind_to_question());
  EXPECT_EQ(conversation.size(), 5U);
  EXPECT_EQ(conversation.last_text(), "question 3");
  ChatHistory none("");
  EXPECT_FALSE(none.rewind_to_question());
  none.add("assistant", "Hello.");
  EXPECT_FALSE(none.rewind_to_question());
  EXPECT_EQ(none.size(), 1U);
}

TEST(ChatHistory, AnotherTextLeavesTheOtherPartsOfAMessage) {
  ChatHistory conversation =
      parsed(R"([{"role":"user","name":"Ann","content":[{"type":"image","url":"x"},{"type":"text","text":"old"}]}])");
  EXPECT_EQ(conversation.last_text(), "old");
  conversation.set_last_text("new");
  expect_messages(
      conversation,
      R"([{"role":"user","name":"Ann","content":[{"type":"image","url":"x"},{"type":"text","text":"new"}]}])");
}

TEST(ChatHistory, AMessageWithoutTextCanGetOne) {
  struct Case {
    const char *before, *after;
  };
  for (const Case& c : {Case{R"([{"role":"user"}])", R"([{"role":"user","content":"new"}])"},
                        Case{R"([{"role":"user","content":null}])", R"([{"role":"user","content":"new"}])"},
                        Case{R"([{"role":"user","content":[{"type":"image"}]}])",
                             R"([{"role":"user","content":[{"type":"image"},{"type":"text","text":"new"}]}])"}}) {
    ChatHistory conversation = parsed(c.before);
    EXPECT_EQ(conversation.last_text(), "");
    conversation.set_last_text("new");
    expect_messages(conversation, c.after);
  }
}

}  // namespace
}  // namespace andiron
