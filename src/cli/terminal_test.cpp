#include "cli/terminal.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "base/strings.h"

namespace andiron {
namespace {

TEST(Printable, LeavesTextAlone) {
  for (const char* text : {"", "plain", "two\nlines\tand a tab", "caf\u00e9 \U0001f600 \u05e9\u05dc\u05d5\u05dd"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, ShowsWhatWouldSteerATerminal) {
  struct Case {
    std::string text, expected;
  };
  for (const Case& c : std::vector<Case>{
           {"\x1b[31mred", "\\x1b[31mred"},
           {"\x1b]0;title\x07", "\\x1b]0;title\\x07"},
           {"over\rwrite", "over\\x0dwrite"},
           {"back\b\b", "back\\x08\\x08"},
           {std::string("zero\0byte", 9), "zero\\x00byte"},
           {"\x7f", "\\x7f"},
           {"\u009b31m", "\\x9b31m"},             // CSI as one character
           {"a\u202ec", "a\\u202ec"},             // right-to-left override
           {"\u2066x\u2069", "\\u2066x\\u2069"},  // isolates
           {"bad \xff\x9b byte", "bad \ufffd\ufffd byte"},
       }) {
    EXPECT_EQ(printable(c.text), c.expected);
  }
}

TEST(Printable, NothingItReturnsHoldsAControlCharacter) {
  for (uint32_t c = 0; c < 0x3000; ++c) {
    std::string text;
    append_utf8(text, c);
    for (const char byte : printable(text)) {
      EXPECT_TRUE(static_cast<unsigned char>(byte) >= 0x20 || byte == '\n' || byte == '\t') << c;
    }
  }
}

TEST(InterruptGuard, CtrlCSetsItsFlag) {
  InterruptGuard guard(/*second_ends=*/false);
  EXPECT_FALSE(guard.interrupted());
  raise(SIGINT);
  EXPECT_TRUE(guard.interrupted());
  raise(SIGINT);  // does not end the program
  guard.clear();
  EXPECT_FALSE(guard.interrupted());
}

TEST(InterruptGuard, ASecondCtrlCMayEndTheProgram) {
  EXPECT_EXIT(
      {
        InterruptGuard guard(/*second_ends=*/true);
        raise(SIGINT);
        raise(SIGINT);
      },
      ::testing::ExitedWithCode(kExitInterrupted), "");
}

}  // namespace
}  // namespace andiron
