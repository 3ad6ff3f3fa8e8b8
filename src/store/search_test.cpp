#include "store/search.h"

#include <gtest/gtest.h>

#include <set>

#include "store/store_fixture.h"

namespace andiron {
namespace {

class SearchTest : public StoreTest {
 protected:
  SearchTest() {
    Conversation pets;
    pets.title = "Pets";
    conversation_ = converse(pets);
  }
  std::string note(const std::string& content) { return say(conversation_, "", "user", content); }
  std::vector<std::string> found(std::string_view text) {
    std::vector<std::string> out;
    for (const SearchHit& hit : must(store_->search(text, 10))) out.push_back(hit.message);
    return out;
  }
  using Ids = std::vector<std::string>;

  std::string conversation_;
};

TEST_F(SearchTest, EveryWordCountsInAnyOrder) {
  const std::string cat = note("The cat sat on the mat.");
  const std::string dog = note("The dog sat on the cat's mat, and sat.");
  EXPECT_EQ(found("dog cat"), Ids{dog});
  EXPECT_EQ(found("cat mat"), (Ids{cat, dog})) << "the shorter text is about them more";
  EXPECT_EQ(found("cow"), Ids{});
}

TEST_F(SearchTest, CaseAndAccentsDoNotCount) {
  const std::string a = note("Füße and CAFÉ");
  EXPECT_EQ(found("cafe fuße"), Ids{a});
}

TEST_F(SearchTest, TheLastWordMayBeABeginningAndQuotesHoldWordsTogether) {
  const std::string a = note("elephants never forget");
  EXPECT_EQ(found("never eleph"), Ids{a});
  EXPECT_EQ(found("eleph never"), Ids{}) << "only the last one may";
  EXPECT_EQ(found("eleph "), Ids{}) << "it has ended";
  EXPECT_EQ(found("\"elephants never\""), Ids{a});
  EXPECT_EQ(found("\"never elephants\""), Ids{});
  EXPECT_EQ(found("\"never forget"), Ids{a}) << "a quote without an end";
}

TEST_F(SearchTest, NothingOfTheNotationMeansAnything) {
  const std::string a = note("a OR b AND NOT c NEAR d: content*");
  for (const std::string_view text : {"OR", "a AND b", "NOT c", "NEAR(a b)", "content : a", "^a", "a*", "{a}", "(a",
                                      "-a", "a'b'", "a;b", "a\"b", "\"\"\"", "*", "a b*c", "content:a"}) {
    EXPECT_TRUE(store_->search(text, 10).ok()) << text;
  }
  EXPECT_EQ(found("OR"), Ids{a});
  EXPECT_EQ(found("content:"), Ids{a});
}

TEST_F(SearchTest, SignsAreNoWords) {
  note("hello!");
  for (const std::string_view text : {"", " ", "!!!", "\"\"", "\"!\"", "-"}) EXPECT_EQ(found(text), Ids{}) << text;
  EXPECT_EQ(found("!!! hello").size(), 1U);
}

TEST_F(SearchTest, ASnippetShowsWhereItIs) {
  std::string filler;
  for (int i = 0; i < 100; ++i) filler += "word ";
  note(filler + "the Needle, " + filler + "a needle");
  const auto hits = must(store_->search("needle", 10));
  ASSERT_EQ(hits.size(), 1U);
  EXPECT_EQ(hits[0].title, "Pets");
  EXPECT_EQ(hits[0].conversation, conversation_);
  EXPECT_EQ(hits[0].role, "user");
  EXPECT_GT(hits[0].score, 0);
  EXPECT_LT(hits[0].snippet.size(), 200U);
  ASSERT_EQ(hits[0].marks.size(), 1U);
  const auto [begin, end] = hits[0].marks[0];
  EXPECT_EQ(hits[0].snippet.substr(begin, end - begin), "Needle");
}

TEST_F(SearchTest, PagesOfHitsDoNotOverlap) {
  for (int i = 0; i < 7; ++i) note("same");
  std::set<std::string> seen;
  for (int64_t offset = 0; offset < 8; offset += 2) {
    for (const auto& hit : must(store_->search("same", 2, offset))) EXPECT_TRUE(seen.insert(hit.message).second);
  }
  EXPECT_EQ(seen.size(), 7U);
}

TEST_F(SearchTest, SearchesHaveLimits) {
  EXPECT_NE(error_of(store_->search(std::string(1001, 'x'), 10)).find("1001 bytes"), std::string::npos);
  std::string many;
  for (int i = 0; i < 33; ++i) many += "x ";
  EXPECT_NE(error_of(store_->search(many, 10)).find("33 words"), std::string::npos);
  EXPECT_FALSE(store_->search("\xff", 10).ok());
  EXPECT_FALSE(store_->search(std::string_view("a\0b", 3), 10).ok());
}

TEST_F(SearchTest, WhatIsRemovedIsNotFound) {
  const std::string a = note("unique");
  must(store_->remove_message(a));
  EXPECT_EQ(found("unique"), Ids{});
}

}  // namespace
}  // namespace andiron
