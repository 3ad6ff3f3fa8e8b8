#include "preferences.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace andiron::ember {
namespace {

constexpr const char* kRows =
    R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})"
    "\n"
    R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "c"}, )"
    R"({"role": "assistant", "content": "d"}, {"role": "user", "content": "e"}, {"role": "assistant", "content": "f"}]})"
    "\n";

std::string answer(int row, const std::string& expected, const std::string& given, bool right) {
  return R"({"row": )" + std::to_string(row) + R"(, "expected": ")" + expected + R"(", "given": ")" + given +
         R"(", "right": )" + (right ? "true" : "false") + "}\n";
}

TEST(Preferences, AreTheRowsThatWereAnsweredWrongly) {
  const auto made = make_preferences(kRows, answer(1, "b", "b", true) + answer(2, "f", "no", false));
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->answers, 2);
  EXPECT_EQ(made->pairs, 1);
  EXPECT_EQ(made->lines, R"({"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "c"}, )"
                         R"({"role": "assistant", "content": "d"}, {"role": "user", "content": "e"}], "chosen": "f", )"
                         R"("rejected": "no"})"
                         "\n");
}

TEST(Preferences, RepeatedRowsCountOnce) {
  const std::string first(kRows, std::string_view(kRows).find('\n') + 1);
  const auto made = make_preferences(first + kRows, answer(2, "f", "no", false));
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->pairs, 1);
}

TEST(Preferences, EmptyAnswersMakeNone) { EXPECT_EQ(make_preferences(kRows, answer(1, "b", " ", false))->pairs, 0); }

TEST(Preferences, AnswersOfOtherRowsAreRefused) {
  EXPECT_EQ(make_preferences(kRows, answer(1, "x", "no", false)).error().message,
            "row 1 of the answers expects \"x\", and the conversation has \"b\"");
  EXPECT_EQ(make_preferences(kRows, answer(3, "b", "no", false)).error().message,
            "the answers have a row 3, and there are 2 rows");
}

}  // namespace
}  // namespace andiron::ember
