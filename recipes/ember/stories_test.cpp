#include "stories.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace andiron::ember {
namespace {

Tables few_tables() {
  Tables out;
  EXPECT_TRUE(out.add("noun = tree\nanimal = dog\nthing = ball\npet = cat\nvehicle = car\n", "t").ok());
  return out;
}

TEST(Stories, SentencesNamesAndIHaveCapitals) {
  const Names names = {"lily", "max"};
  EXPECT_EQ(
      with_capitals("once lily saw max. \"can i play?\" asked max.\n\nlily said, \"yes! we can.\" they ran.", names),
      "Once Lily saw Max. \"Can I play?\" asked Max.\n\nLily said, \"Yes! We can.\" They ran.");
  EXPECT_EQ(with_capitals("it's max's ball and i'm happy", names), "It's Max's ball and I'm happy");
}

TEST(Stories, NamesAreWhatSomebodyIsNamed) {
  std::string text;
  for (int i = 0; i < 4; ++i)
    text += "a girl named lily had a dog named spot. the spot on the spot was the spot. lily ran.\n";
  const Names names = find_names(text);
  EXPECT_EQ(names.count("lily"), 1U);
  EXPECT_EQ(names.count("spot"), 0U) << "it is more often a thing than a name";
  EXPECT_EQ(names.count("girl"), 0U);
}

// A line is a story, an empty line inside it a paragraph's end; the last twentieth is held out.
TEST(Stories, AreDividedAndHeldOut) {
  std::string text;
  for (int i = 0; i < 40; ++i) {
    text += format("story {}: the dog saw a tree.{:220}\n\nthe dog ran.\nshort one.\n", i, " the end.");
  }
  const StoryBook book = StoryBook::of_text(text, few_tables());
  ASSERT_EQ(book.stories(Part::kTrain).size(), 38U);
  ASSERT_EQ(book.stories(Part::kTest).size(), 2U);
  EXPECT_TRUE(book.stories(Part::kTest)[1].text.starts_with("Story 39"));
  EXPECT_TRUE(book.stories(Part::kTest)[1].text.ends_with("\n\nThe dog ran."));
  EXPECT_EQ(book.stories(Part::kTrain)[0].words, std::vector<std::string>{"dog"});
}

TEST(Stories, BrokenQuotesAreMended) {
  std::string text;
  for (int i = 0; i < 20; ++i) {
    text +=
        format("dog and dog{:220}: \u00e2\u20ac\u0153it\u00e2\u20ac\u2122s here,\u00e2\u20ac\u009d he said.\n", " ");
  }
  const StoryBook book = StoryBook::of_text(text, few_tables());
  ASSERT_EQ(book.stories(Part::kTrain).size(), 19U);
  EXPECT_TRUE(book.stories(Part::kTrain)[0].text.ends_with(": \"It's here,\" he said."))
      << book.stories(Part::kTrain)[0].text.substr(200);
}

}  // namespace
}  // namespace andiron::ember
