#include "writer.h"

#include <gtest/gtest.h>

#include <set>

namespace andiron::ember {
namespace {

class WriterTest : public testing::Test {
 protected:
  WriterTest() {
    EXPECT_TRUE(tables_
                    .add("fruit = fig\n~fruit = pear\ntown = Rome\nonset = b, t, k, s\nvowel = a, o, i\ncoda = n, r\n"
                         "girl = Ann\nboy = Tom\n",
                         "t")
                    .ok());
  }
  std::string write(std::string_view wording, const Subject& subject, Part part = Part::kTrain) {
    return Writer(tables_, part, dice_).expand(wording, {&subject, {{"V", "owl"}, {"K", "fruit"}}});
  }

  Tables tables_;
  Dice dice_{1, 2};
};

TEST_F(WriterTest, InflectsForWhoItIsAbout) {
  EXPECT_EQ(write("{N} live{s} and {Ns} dog love{s} {N2}", named_subject("Ann", Gender::kFemale)),
            "Ann lives and her dog loves her");
  EXPECT_EQ(write("{Ns} hat: {N} {is} {was} {have/has}", named_subject("Tom", Gender::kMale)),
            "Tom's hat: he is was has");
  EXPECT_EQ(write("{N} live{s} with {Ns} dog", i_subject()), "I live with my dog");
  EXPECT_EQ(write("{N} {is} and {N} {was}", i_subject()), "I am and I was");
  EXPECT_EQ(write("{N} {is} and {N} {was} with {Ns}", you_subject()), "you are and you were with your");
  EXPECT_EQ(write("{N} is here. {N} is red", named_subject("the key", Gender::kNone)), "the key is here. it is red");
}

TEST_F(WriterTest, FillsInValuesRulesAndArticles) {
  EXPECT_EQ(write("{a V} and {a @K}", i_subject()), "an owl and a fig");
  EXPECT_EQ(write("{fruit}", i_subject(), Part::kTest), "pear");
  EXPECT_EQ(with_article("uniform"), "a uniform");
  EXPECT_EQ(with_article("umbrella"), "an umbrella");
  const std::set<std::string> either = {"ab", "acb", "adb"};
  for (int i = 0; i < 20; ++i) EXPECT_EQ(either.count(write("a[|c|[d|d]]b", i_subject())), 1U);
}

TEST_F(WriterTest, SpeakersChangePlaces) {
  EXPECT_EQ(flipped(i_subject()).name, "you");
  EXPECT_EQ(flipped(you_subject()).possessive, "my");
  EXPECT_EQ(flipped(named_subject("my sister", Gender::kFemale)).possessive, "your sister's");
  EXPECT_EQ(flipped(named_subject("Ann", Gender::kFemale)).name, "Ann");
}

TEST_F(WriterTest, NumbersAndInventedNamesAreOfOnePart) {
  std::set<std::string> train, test;
  const Writer of_train(tables_, Part::kTrain, dice_), of_test(tables_, Part::kTest, dice_);
  for (int i = 0; i < 2000; ++i) {
    train.insert(of_train.invented_name());
    test.insert(of_test.invented_name());
    train.insert(of_train.expand("{#12-99}"));
    test.insert(of_test.expand("{#12-99}"));
  }
  EXPECT_GT(test.size(), 40U);
  for (const std::string& name : test) EXPECT_EQ(train.count(name), 0U) << name;
}

// Pieces of words of training, with nothing that a list holds out.
TEST_F(WriterTest, StrangeWordsAreOfPiecesOfTheLists) {
  Tables tables;
  ASSERT_TRUE(tables
                  .add("noun = sun, stone\nverb = run\nanimal = owl\nthing = lamp\nfood = fig\n"
                       "onset = b\nvowel = a\ncoda = m\n~noun = lamb, runt\n",
                       "t")
                  .ok());
  tables.add_list("storyword", {"runt", "rainbow"});
  EXPECT_EQ(tables.options("storyword", Part::kTrain), std::vector<std::string>{"rainbow"});
  tables.add_list("nothing", {"lamb"});
  EXPECT_EQ(tables.find("nothing"), nullptr);
  std::set<std::string> grafted;
  const Writer writer(tables, Part::kTrain, dice_);
  for (int i = 0; i < 3000; ++i) {
    grafted.insert(writer.grafted_word());
    EXPECT_FALSE(tables.holds_out(writer.strange_word()));
  }
  EXPECT_GT(grafted.size(), 60U);
  EXPECT_TRUE(grafted.contains("stoamp") || grafted.contains("raiun") || grafted.contains("lastone")) << grafted.size();
  for (const std::string& word : grafted) {
    EXPECT_FALSE(tables.holds_out(word)) << word;
    EXPECT_FALSE(is_test_name(word)) << word;
  }
}

TEST_F(WriterTest, FindsWhatMeansNothing) {
  EXPECT_FALSE(unknown_reference("{N} {live/lives} {a @fruit} {V} {#1-2} {person}", tables_));
  EXPECT_EQ(unknown_reference("{N} {froot}", tables_), "froot");
}

}  // namespace
}  // namespace andiron::ember
