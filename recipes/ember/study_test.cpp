// What `andiron learn` asks while it studies a document is what ember is trained on, word for word: the words of
// train/study_wordings.h are among those that training rows draw.
#include <gtest/gtest.h>

#include <set>

#include "train/study_wordings.h"
#include "writer.h"

namespace andiron::ember {
namespace {

class Wordings : public testing::Test {
 protected:
  Wordings() {
    auto read = Tables::read(std::string(ANDIRON_SOURCE_DIR) + "/recipes/ember/tables");
    EXPECT_TRUE(read.ok());
    if (read.ok()) tables_ = std::move(*read);
  }

  // All that the rule makes for training rows, seen by drawing often.
  std::set<std::string> drawn(std::string_view rule) {
    Dice dice(1, 1);
    const Writer writer(tables_, Part::kTrain, dice);
    std::set<std::string> out;
    for (int i = 0; i < 2000; ++i) {
      out.insert(writer.draw(rule, {nullptr, {{"COUNT", "#COUNT"}, {"TEXT", "#TEXT"}, {"Q", "#Q"}, {"LOW", "#LOW"}}}));
    }
    return out;
  }
  static std::string marked(std::string_view wording) {
    std::string out;
    for (const char c : wording) {
      if (c != '{' && c != '}') out += c;
      if (c == '{') out += '#';
    }
    return out;
  }
  template <typename List>
  void expect_taught(const List& asked, std::string_view rule) {
    const auto taught = drawn(rule);
    for (const std::string_view wording : asked) {
      EXPECT_EQ(taught.count(marked(wording)), 1U) << rule << " has not: " << wording;
    }
  }

  Tables tables_;
};

TEST_F(Wordings, OfStudyAreThoseOfTraining) {
  expect_taught(kStudyWrite, "reading.write");
  expect_taught(std::array{kStudyCount[0]}, "reading.count");
  expect_taught(std::array{kStudyCount[1]}, "reading.two");
  expect_taught(std::array{kStudyCount[2]}, "reading.three");
  expect_taught(kStudyReword, "reading.reword");
  expect_taught(kStudyLead, "reading.lead");
  expect_taught(std::array{kStudyAsk}, "reading.layout");
  expect_taught(std::array{kStudyTold}, "reading.told");
}

}  // namespace
}  // namespace andiron::ember
