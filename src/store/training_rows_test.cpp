#include "store/training_rows.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "store/store_fixture.h"

namespace andiron {
namespace {

class TrainingRowsTest : public StoreTest {
 protected:
  TrainingRowsTest() {
    Conversation given;
    given.system = "Be brief.";
    given.for_training = true;
    conversation_ = converse(given);
  }

  std::string ask(const std::string& parent, const std::string& text) {
    return say(conversation_, parent, "user", text);
  }
  std::string answer(const std::string& parent, const std::string& text, const std::string& edit_of = "") {
    return say(conversation_, parent, "assistant", text, edit_of);
  }
  void like(const std::string& message) { must(store_->set_thumb(message, 1)); }
  void dislike(const std::string& message) { must(store_->set_thumb(message, -1)); }
  void show(const std::string& message) {
    ConversationChange change;
    change.shown = message;
    must(store_->change_conversation(conversation_, change));
  }

  // The rows, one a line.
  std::string rows(TrainingKind kind) {
    std::string out;
    learned_.clear();
    report_ = must(store_->training_rows(kind, [&](TrainingRow&& row) {
      out += row.row.dump() + "\n";
      learned_.push_back(row.messages);
      return Status();
    }));
    return out;
  }
  // One row as rows() writes it.
  static std::string line(const std::string& row) { return must(parse_json(row, "the test")).dump() + "\n"; }
  using Ids = std::vector<std::vector<std::string>>;

  std::string conversation_;
  TrainingReport report_;
  Ids learned_;
};

TEST_F(TrainingRowsTest, TheShownBranchIsOneRow) {
  const std::string q = ask("", "2 + 2?");
  answer(q, "5");
  const std::string a = answer(q, "4");
  const std::string q2 = ask(a, "And 3?");
  const std::string a2 = answer(q2, "7");
  ask(a2, "Not answered yet.");
  like(a);
  like(a2);
  EXPECT_EQ(rows(TrainingKind::kChat),
            line(R"({"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"2 + 2?"},)"
                 R"({"role":"assistant","content":"4"},{"role":"user","content":"And 3?"},)"
                 R"({"role":"assistant","content":"7"}]})"));
  EXPECT_EQ(learned_, (Ids{{a, a2}}));
  EXPECT_EQ(report_.rows, 1);
  EXPECT_EQ(report_.conversations, 1);
}

TEST_F(TrainingRowsTest, NothingWithoutConsent) {
  const auto judge = [&](const std::string& conversation) {
    const std::string q = say(conversation, "", "user", "?");
    const std::string bad = say(conversation, q, "assistant", "!");
    dislike(bad);
    const std::string good = say(conversation, q, "assistant", "!!", bad);
    like(good);
    return Ids{{good}, {good, bad}};
  };
  judge(converse());
  const Ids allowed = judge(conversation_);
  rows(TrainingKind::kChat);
  EXPECT_EQ(learned_, Ids{allowed[0]}) << "of the one that is allowed, and of no other";
  rows(TrainingKind::kPreference);
  EXPECT_EQ(learned_, Ids{allowed[1]});
  EXPECT_EQ(report_.conversations, 1);
  ConversationChange change;
  change.for_training = false;
  must(store_->change_conversation(conversation_, change));
  for (const auto kind : {TrainingKind::kChat, TrainingKind::kPreference, TrainingKind::kLabelled}) {
    EXPECT_EQ(rows(kind), "") << "it was taken back";
  }
  EXPECT_EQ(report_.conversations, 0);
}

// Where there are many chats, reading them all takes long, and somebody may wait for its end.
TEST_F(TrainingRowsTest, ReadingThemIsEndedByTheSinkAndFromOutside) {
  for (int i = 0; i < 3; ++i) {
    Conversation given;
    given.for_training = true;
    const std::string c = converse(given);
    must(store_->set_thumb(say(c, say(c, "", "user", "2 + 2?"), "assistant", "4"), 1));
  }
  int rows = 0;
  Status answer = make_error("enough");
  std::atomic<bool> stop{false};
  const TrainingRowSink sink = [&](TrainingRow&&) {
    ++rows;
    stop = true;
    return answer;
  };
  EXPECT_EQ(error_of(store_->training_rows(TrainingKind::kChat, sink)), "enough");
  EXPECT_EQ(rows, 1);
  answer = Status();
  stop = false;
  EXPECT_EQ(error_of(store_->training_rows(TrainingKind::kChat, sink, &stop)), "stopped while the chats were read");
  EXPECT_EQ(rows, 2) << "before the second chat";
}

TEST_F(TrainingRowsTest, WhatNobodyJudgedIsNotLearned) {
  const std::string a = answer(ask("", "a"), "b");
  const std::string a2 = answer(ask(a, "c"), "d");
  const std::string a3 = answer(ask(a2, "e"), "f");
  for (const auto kind : {TrainingKind::kChat, TrainingKind::kPreference, TrainingKind::kLabelled}) {
    EXPECT_EQ(rows(kind), "");
  }
  EXPECT_EQ(report_.conversations, 1);
  like(a2);
  EXPECT_EQ(rows(TrainingKind::kChat),
            line(R"({"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"a"},)"
                 R"({"role":"assistant","content":"b","weight":0},{"role":"user","content":"c"},)"
                 R"({"role":"assistant","content":"d"}]})"));
  EXPECT_EQ(learned_, Ids{{a2}});
  must(store_->set_thumb(a2, 0));
  EXPECT_EQ(rows(TrainingKind::kChat), "") << "the thumb was taken back";
}

TEST_F(TrainingRowsTest, AnEditedQuestionTeachesNothing) {
  const std::string q = ask("", "a");
  answer(q, "b");
  answer(say(conversation_, "", "user", "A", q), "B");
  for (const auto kind : {TrainingKind::kChat, TrainingKind::kPreference, TrainingKind::kLabelled}) {
    EXPECT_EQ(rows(kind), "");
  }
}

TEST_F(TrainingRowsTest, DislikedAnswersAreReadAndNotLearned) {
  const std::string bad = answer(ask("", "a"), "b");
  const std::string a = answer(ask(bad, "c"), "d");
  dislike(bad);
  like(a);
  EXPECT_EQ(rows(TrainingKind::kChat),
            line(R"({"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"a"},)"
                 R"({"role":"assistant","content":"b","weight":0},{"role":"user","content":"c"},)"
                 R"({"role":"assistant","content":"d"}]})"));
  EXPECT_EQ(learned_, Ids{{a}});
  dislike(a);
  EXPECT_EQ(rows(TrainingKind::kChat), "") << "nothing is left to learn";
}

TEST_F(TrainingRowsTest, LikedAndEditedAnswersElsewhereAreRowsOfTheirOwn) {
  const std::string q = ask("", "a");
  const std::string first = answer(q, "b");
  const std::string liked = answer(q, "c");
  const std::string edited = answer(q, "d", first);
  const std::string q2 = ask(edited, "e");
  const std::string deep = answer(q2, "f");
  like(liked);
  like(deep);
  show(answer(q, "g"));
  rows(TrainingKind::kChat);
  EXPECT_EQ(learned_, (Ids{{liked}, {edited}, {deep}})) << "the edit before the last is learned in its own row";
}

TEST_F(TrainingRowsTest, TheNewestEditStandsForAnAnswer) {
  const std::string q = ask("", "a");
  const std::string first = answer(q, "b");
  like(first);
  const std::string edit = answer(q, "c", first);
  const std::string again = answer(q, "d", edit);
  rows(TrainingKind::kChat);
  EXPECT_EQ(learned_, Ids{{again}});
  rows(TrainingKind::kPreference);
  EXPECT_EQ(learned_, (Ids{{again, edit}})) << "what somebody liked is not held up as bad";
  dislike(again);
  rows(TrainingKind::kChat);
  EXPECT_EQ(learned_, Ids{{edit}});
  dislike(edit);
  rows(TrainingKind::kChat);
  EXPECT_EQ(learned_, Ids{{first}}) << "as if there had been no edits";
}

TEST_F(TrainingRowsTest, AnEditIsBetterThanWhatItEdits) {
  const std::string q = ask("", "a");
  const std::string bad = answer(q, "b");
  const std::string good = answer(q, "c", bad);
  EXPECT_EQ(rows(TrainingKind::kPreference),
            line(R"({"prompt":[{"role":"system","content":"Be brief."},{"role":"user","content":"a"}],)"
                 R"("chosen":[{"role":"assistant","content":"c"}],"rejected":[{"role":"assistant","content":"b"}]})"));
  EXPECT_EQ(learned_, (Ids{{good, bad}}));
  const std::string once = rows(TrainingKind::kPreference);
  dislike(bad);
  EXPECT_EQ(rows(TrainingKind::kPreference), once) << "a thumb down says the same";
  like(good);
  EXPECT_EQ(rows(TrainingKind::kPreference), once) << "and so does a thumb up: still one pair";
  dislike(good);
  EXPECT_EQ(rows(TrainingKind::kPreference), "") << "its own author does not like it";
}

TEST_F(TrainingRowsTest, AnEditOfAnEditIsBetterThanBoth) {
  const std::string q = ask("", "a");
  const std::string bad = answer(q, "b"), better = answer(q, "c", bad), best = answer(q, "d", better);
  dislike(bad);
  rows(TrainingKind::kPreference);
  EXPECT_EQ(learned_, (Ids{{best, bad}, {best, better}}));
  const std::string other = answer(q, "e", bad);
  rows(TrainingKind::kPreference);
  EXPECT_EQ(learned_, (Ids{{other, bad}, {best, better}}));
}

TEST_F(TrainingRowsTest, EveryEditOfAnAnswerIsInOnePair) {
  const std::string q = ask("", "a");
  const std::string bad = answer(q, "b"), one = answer(q, "c", bad), two = answer(q, "d", bad);
  rows(TrainingKind::kPreference);
  EXPECT_EQ(learned_, (Ids{{two, bad}, {one, bad}}));
}

TEST_F(TrainingRowsTest, ThumbsOnAnswersToOneQuestionMakePairs) {
  const std::string q = ask("", "a");
  const std::string bad = answer(q, "b"), neither = answer(q, "c"), good = answer(q, "d"), worse = answer(q, "e"),
                    better = answer(q, "f");
  for (const auto& id : {good, better}) like(id);
  for (const auto& id : {bad, worse}) dislike(id);
  rows(TrainingKind::kPreference);
  EXPECT_EQ(learned_, (Ids{{better, bad}, {better, worse}, {good, worse}}));
  const std::string elsewhere = answer(ask("", "z"), "y");
  dislike(elsewhere);
  rows(TrainingKind::kPreference);
  EXPECT_EQ(learned_.size(), 3U) << "answers to different questions are no pair";
}

TEST_F(TrainingRowsTest, PairsOfEqualOrBlankAnswersAreNone) {
  const std::string q = ask("", "a");
  const std::string bad = answer(q, "b");
  answer(q, "b", bad);
  answer(q, " ", bad);
  EXPECT_EQ(rows(TrainingKind::kPreference), "");
}

TEST_F(TrainingRowsTest, ABlankAnswerIsNotLearned) {
  Message blank;
  blank.conversation = conversation_;
  blank.parent = ask("", "a");
  blank.role = "assistant";
  blank.content = " \n";
  blank.extra.set("tool_calls", Json::array());
  blank.thumb = 1;
  must(store_->add_message(blank));
  for (const auto kind : {TrainingKind::kChat, TrainingKind::kLabelled}) EXPECT_EQ(rows(kind), "");
}

TEST_F(TrainingRowsTest, AThumbIsALabel) {
  const std::string q = ask("", "a");
  const std::string bad = answer(q, "b"), good = answer(q, "c");
  dislike(bad);
  like(good);
  const std::string text = rows(TrainingKind::kLabelled);
  EXPECT_EQ(learned_, (Ids{{bad}, {good}}));
  EXPECT_NE(text.find(R"("content": "b"}], "label": false})"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("content": "c"}], "label": true})"), std::string::npos) << text;
}

TEST_F(TrainingRowsTest, WhatOnlyTextCannotTellIsLeftOut) {
  Message picture;
  picture.conversation = conversation_;
  picture.role = "user";
  picture.content = "What is this?";
  picture.files = {must(store_->put_file("image/png", std::vector<uint8_t>{1}))};
  const std::string q = must(store_->add_message(picture)).id;
  const std::string bad = answer(q, "A cat.");
  answer(q, "A dog.", bad);
  dislike(bad);
  for (const auto kind : {TrainingKind::kChat, TrainingKind::kPreference, TrainingKind::kLabelled}) {
    EXPECT_EQ(rows(kind), "");
    EXPECT_EQ(report_.with_files, 1);
  }
}

TEST_F(TrainingRowsTest, ToolsAndReasoningKeepTheirMembers) {
  const std::string q = ask("", "Time?");
  Message call;
  call.conversation = conversation_;
  call.parent = q;
  call.role = "assistant";
  call.reasoning = "I need the clock.";
  Json calls =
      must(parse_json(R"([{"id":"call00000","type":"function","function":{"name":"now","arguments":{}}}])", "x"));
  call.extra.set("tool_calls", calls).set("name", "ember");
  call.extra.set("weight", 5).set("content", "not this").set("role", "user").set("reasoning_content", "nor this");
  call.extra.set("api_key", "what a client left");
  call.thumb = 1;
  const std::string asked = must(store_->add_message(call)).id;
  Message told;
  told.conversation = conversation_;
  told.parent = asked;
  told.role = "tool";
  told.content = "12:00";
  told.extra.set("tool_call_id", "call00000");
  like(answer(must(store_->add_message(told)).id, "Noon."));
  EXPECT_EQ(rows(TrainingKind::kChat),
            line(R"({"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Time?"},)"
                 R"({"role":"assistant","content":"","reasoning_content":"I need the clock.","tool_calls":)" +
                 calls.dump() +
                 R"(,"name":"ember"},{"role":"tool","content":"12:00","tool_call_id":"call00000"},)"
                 R"({"role":"assistant","content":"Noon."}]})"));
}

TEST_F(TrainingRowsTest, AnAnswerToNothingIsNoRow) {
  like(answer("", "Hello, I am ember."));
  like(answer(ask("", " "), "What did you say?"));
  EXPECT_EQ(rows(TrainingKind::kChat), "");
}

}  // namespace
}  // namespace andiron
