// The tables: how they are read, and that what test rows use is nowhere in what training uses.
#include "tables.h"

#include <gtest/gtest.h>

#include <set>

#include "writer.h"

namespace andiron::ember {
namespace {

const Tables& tables() {
  static const auto read = Tables::read(std::string(ANDIRON_SOURCE_DIR) + "/recipes/ember/tables");
  if (!read.ok()) ADD_FAILURE() << read.error().message;
  return read.value();
}

TEST(Tables, ReadsListsWordingsAndParts) {
  Tables read;
  ASSERT_TRUE(
      read.add("town = Oslo, New York,\n  Rome\n~town = Bonn\n\n== home\n# not this\nsay: {N} is\\nhere.\n", "t").ok());
  EXPECT_EQ(read.options("town", Part::kTrain), (std::vector<std::string>{"Oslo", "New York", "Rome"}));
  EXPECT_EQ(read.options("town", Part::kTest), (std::vector<std::string>{"Bonn"}));
  EXPECT_EQ(read.options("home.say", Part::kTest), (std::vector<std::string>{"{N} is\nhere."}));
  EXPECT_EQ(read.sections(), (std::vector<std::string>{"home"}));
}

TEST(Tables, SaysWhatIsWrongAndWhere) {
  Tables read;
  EXPECT_EQ(read.add("a: b\nnothing\n", "x.txt").error().message,
            "x.txt:2: neither \"key: wording\" nor \"key = words\"");
  EXPECT_EQ(read.add("  c\n", "x.txt").error().message, "x.txt:1: there is no list to go on with");
  ASSERT_TRUE(read.add("say: {nobody} is here.\n", "x.txt").ok());
  EXPECT_EQ(read.check().error().message, "say: \"{nobody} is here.\" has {nobody}, which is nothing");
}

// A word of test rows is in no list of training words, whatever that list is for, and no wording is in both parts.
// What judging words mean is taught (sentiment.txt says why), but not by a list that training sentences use.
TEST(Tables, TestWordsAndWordingsAreNotInTraining) {
  std::set<std::string> train;
  for (const auto& [name, rule] : tables().rules()) train.insert(rule.train.begin(), rule.train.end());
  int seen = 0;
  for (const auto& [name, rule] : tables().rules()) {
    for (const std::string& option : rule.test) {
      EXPECT_EQ(train.count(option), 0U) << name << ": " << option;
      ++seen;
    }
  }
  EXPECT_GT(seen, 600);
}

// Every way to say and ask has a way that only test rows have.
TEST(Tables, EveryQuestionAndStatementHasTestWordings) {
  int seen = 0;
  for (const auto& [name, rule] : tables().rules()) {
    const bool of_relation = name.ends_with(".say") || name.ends_with(".ask") || name.ends_with(".check");
    if (!of_relation) continue;
    EXPECT_FALSE(rule.test.empty()) << name;
    ++seen;
  }
  EXPECT_GT(seen, 100);
}

}  // namespace
}  // namespace andiron::ember
