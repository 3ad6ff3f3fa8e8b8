// What commands share that needs no model.
#include "cli/app.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/test_folder.h"

namespace andiron {
namespace {

TEST(NameOfFolder, IsTheLastNameWhateverIsThere) {
  const TestFolder folder;
  for (const char* path : {"/ember", "/ember/", "/ember/.", "/none/../ember//", "/none/./ember"}) {
    EXPECT_EQ(name_of_folder(folder.path() + path), "ember") << path;
  }
  std::filesystem::create_directory(folder.file("real"));
  std::filesystem::create_directory_symlink(folder.file("real"), folder.file("link"));
  EXPECT_EQ(name_of_folder(folder.file("link/")), "real");
  EXPECT_EQ(name_of_folder("ember"), "ember");
  EXPECT_EQ(name_of_folder("."), std::filesystem::current_path().filename());
  EXPECT_EQ(name_of_folder("/"), "");
}

// Longer than any name can be, so that nothing can be asked of it.
TEST(NameOfFolder, ThrowsNothing) {
  const std::string name(5000, 'x');
  EXPECT_EQ(name_of_folder("/tmp/" + name), name);
  EXPECT_EQ(name_of_folder("/tmp/" + name + "/ember"), "ember");
}

}  // namespace
}  // namespace andiron
