// The tables: how they are read, and that what test rows use is nowhere in what training uses.
#include "tables.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <regex>
#include <set>

#include "frames.h"
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

// Wordings of all rules, with those in frames.
std::vector<std::string> wordings(Part part) {
  std::vector<std::string> out;
  for (const auto& [name, rule] : tables().rules()) {
    if (rule.is_list || name.starts_with("frame.")) continue;
    for (const auto* from : part == Part::kTest ? std::array{&rule.test, &rule.framed_test}
                                                : std::array{&rule.train, &rule.framed_train}) {
      out.insert(out.end(), from->begin(), from->end());
    }
  }
  return out;
}

std::set<std::string> forms_of(Part part) {
  std::set<std::string> out;
  for (const std::string& wording : wordings(part)) out.merge(plain_forms(wording));
  return out;
}

TEST(Tables, FormsAreAllChoices) {
  EXPECT_EQ(plain_forms("A [b|[c|D] e|]."), (std::set<std::string>{"a b", "a c e", "a d e", "a "}));
  EXPECT_EQ(plain_forms("Who?"), (std::set<std::string>{"who"}));
  EXPECT_EQ(plain_forms("Where {is} {N}?"), (std::set<std::string>{"where is {n}"}));
  EXPECT_EQ(plain_forms("{Do/Does} {N} pass{es} {N2} {a V}"), (std::set<std::string>{"does {n} passes {n} {a v}"}));
}

TEST(Tables, NoChoiceOfATestWordingIsOneOfTraining) {
  const auto train = forms_of(Part::kTrain), test = forms_of(Part::kTest);
  EXPECT_GT(train.size(), 10'000U);
  EXPECT_GT(test.size(), 2000U);
  for (const std::string& wording : test) EXPECT_EQ(train.count(wording), 0U) << wording;
}

// The words of a wording, slots apart; of {have/has} both.
std::set<std::string> words_of(const std::string& wording) {
  static const std::regex kForm(R"(\{([a-z]+)/([a-z]+)\})"), kSlot(R"(\{[^}]*\})"), kWord("[a-z]+");
  const std::string text = lower_case(std::regex_replace(std::regex_replace(wording, kForm, " $1 $2 "), kSlot, "#"));
  return {std::sregex_token_iterator(text.begin(), text.end(), kWord), std::sregex_token_iterator()};
}

// A model that is grown from nothing knows no word that training does not use, and a wording of test rows is to ask for
// what was learned: each of its words stands in at least two wordings of training.
TEST(Tables, TestWordingsAreOfWordsThatTrainingUses) {
  std::map<std::string, int> known;
  for (const std::string& wording : wordings(Part::kTrain)) {
    for (const std::string& word : words_of(wording)) ++known[word];
  }
  for (const std::string& wording : wordings(Part::kTest)) {
    for (const std::string& word : words_of(wording)) EXPECT_GE(known[word], 2) << word << " in: " << wording;
  }
}

// Every way to say and ask is there in at least ten ways, and has others that only test rows have.
TEST(Tables, EveryQuestionAndStatementIsWorded) {
  int seen = 0;
  for (const auto& [name, rule] : tables().rules()) {
    if (name.starts_with("frame.")) continue;
    const bool of_relation = name.ends_with(".say") || name.ends_with(".ask") || name.ends_with(".check");
    const bool is_judged = of_relation && !name.starts_with("chat.") && !name.starts_with("task.") &&
                           name != "story.ask" && name != "gloss.ask";
    if (!is_judged) continue;
    EXPECT_GE(rule.train.size() + rule.framed_train.size(), 10U) << name;
    EXPECT_GE(rule.test.size() + rule.framed_test.size(), 2U) << name;
    EXPECT_FALSE(rule.test.empty()) << name;
    ++seen;
  }
  EXPECT_GT(seen, 100);
}

// A question for whom has always a way that only test rows have, or they would use those of training.
TEST(Tables, EveryQuestionForWhomHasTestWordings) {
  for (const auto& [name, rule] : tables().rules()) {
    if (!name.ends_with(".who") || name.starts_with("chat.") || name.starts_with("frame.")) continue;
    EXPECT_FALSE(rule.test.empty() && rule.framed_test.empty()) << name;
    EXPECT_GE(rule.train.size() + rule.framed_train.size(), 10U) << name;
  }
}

// What frames make, and that each pair of a frame and a part is in one part only.
TEST(Tables, FramesGoAroundParts) {
  Tables read;
  ASSERT_TRUE(read.add("== frame\nask: Tell me {=wh} {=np} is.\nask: {=Do}: {TEXT}\nwho: Which {=of} {=vp}?\n"
                       "check: Is it so that {=clause}?\n== home\nask: Where?\nnp: the town of {N}\ntopic: where\n"
                       "who: Who lives in {V}?\ncheck: Is it?\nanswer: {N} live{s} in {V}.\n"
                       "== sort\nask: Sort\ndo: [sort|order] them\n",
                       "t")
                  .ok());
  add_frames(read);
  const auto made = [&](const char* name) {
    const Rule& rule = *read.find(name);
    std::vector<std::string> out = rule.framed_train;
    out.insert(out.end(), rule.framed_test.begin(), rule.framed_test.end());
    return out;
  };
  EXPECT_EQ(made("home.ask"), std::vector<std::string>{"Tell me what the town of {N} is."});
  EXPECT_EQ(made("home.who"), std::vector<std::string>{"Which person lives in {V}?"});
  EXPECT_EQ(made("home.check"), std::vector<std::string>{"Is it so that {N} live{s} in {V}?"});
  EXPECT_EQ(made("sort.ask"), std::vector<std::string>{"[Sort|Order] them: {TEXT}"});
}

}  // namespace
}  // namespace andiron::ember
