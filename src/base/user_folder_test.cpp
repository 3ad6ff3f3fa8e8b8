#include "base/user_folder.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/test_environment.h"

namespace andiron {
namespace {

TEST(UserFolder, IsWhereTheVariableOrTheHomeSays) {
  const ScopedEnvironment environment({"HOME", "XDG_TEST_HOME"});
  setenv("HOME", "/home/someone", 1);
  setenv("XDG_TEST_HOME", "/elsewhere", 1);
  EXPECT_EQ(user_folder("XDG_TEST_HOME", ".local/test"), "/elsewhere/andiron");
  for (const char* relative : {"", "elsewhere"}) {
    setenv("XDG_TEST_HOME", relative, 1);
    EXPECT_EQ(user_folder("XDG_TEST_HOME", ".local/test"), "/home/someone/.local/test/andiron") << relative;
  }
  unsetenv("XDG_TEST_HOME");
  EXPECT_EQ(user_folder("XDG_TEST_HOME", ".local/test"), "/home/someone/.local/test/andiron");
  for (const char* relative : {"", "someone"}) {
    setenv("HOME", relative, 1);
    EXPECT_EQ(user_folder("XDG_TEST_HOME", ".local/test"), "") << relative;
  }
  unsetenv("HOME");
  EXPECT_EQ(user_folder("XDG_TEST_HOME", ".local/test"), "");
}

}  // namespace
}  // namespace andiron
