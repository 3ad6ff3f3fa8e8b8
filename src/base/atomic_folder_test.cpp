#include "base/atomic_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "base/test_folder.h"

namespace andiron {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

Names names_in(const std::string& path) {
  const auto names = list_folder(path);
  return names.ok() ? *names : Names{names.error().message};
}

// Writes `text` into both files of the folder.
Status write_pair(const std::string& path, const std::string& text) {
  TRY_ASSIGN(AtomicFolder folder, AtomicFolder::create(path));
  TRY(write_text_file(folder.file("a"), text));
  TRY(write_text_file(folder.file("b"), text));
  return folder.commit();
}

TEST(AtomicFolder, AppearsOnCommitAndNotBefore) {
  const TestFolder test;
  {
    auto folder = AtomicFolder::create(test.file("new/"));
    ASSERT_TRUE(folder.ok()) << folder.error().message;
    ASSERT_TRUE(write_text_file(folder->file("a"), "text").ok());
    EXPECT_FALSE(fs::exists(test.file("new")));
    ASSERT_TRUE(folder->commit().ok());
    EXPECT_EQ(read_text_file(test.file("new/a")).value(), "text");
  }
  EXPECT_EQ(names_in(test.path()), Names{"new"}) << "nothing is left beside it, nor removed with the object";
}

// What a signal handler does, and what a process does that no handler can save.
TEST(AtomicFolder, ProcessesThatEndLeaveNothingForLong) {
  const TestFolder test;
  const auto end = [&](bool handled) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto folder = AtomicFolder::create(test.file("x"));
      if (folder.ok() && !write_text_file(folder->file("a"), "text").ok()) ::_exit(1);
      if (handled) AtomicFile::remove_unfinished();
      ::_exit(0);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  };
  end(true);
  EXPECT_EQ(names_in(test.path()), Names{});
  end(false);
  const std::string others = test.file("other.part-1-0");
  fs::create_directory(others);
  EXPECT_EQ(names_in(test.path()).size(), 2U);
  ASSERT_TRUE(write_pair(test.file("x"), "text").ok());
  EXPECT_EQ(names_in(test.path()), (Names{"other.part-1-0", "x"}));
}

TEST(AtomicFolder, WithoutCommitNothingIsLeft) {
  const TestFolder test;
  ASSERT_TRUE(write_pair(test.file("x"), "old").ok());
  {
    auto folder = AtomicFolder::create(test.file("x"));
    ASSERT_TRUE(folder.ok());
    ASSERT_TRUE(write_text_file(folder->file("a"), "new").ok());
  }
  EXPECT_EQ(names_in(test.path()), Names{"x"});
  EXPECT_EQ(read_text_file(test.file("x/a")).value(), "old");
}

TEST(AtomicFolder, AnOldOneIsExchangedAndKeepsItsMode) {
  const TestFolder test;
  ASSERT_TRUE(write_pair(test.file("x"), "old").ok());
  ASSERT_EQ(chmod(test.file("x").c_str(), 0700), 0);
  ASSERT_TRUE(write_pair(test.file("x"), "new").ok());
  EXPECT_EQ(read_text_file(test.file("x/a")).value(), "new");
  EXPECT_EQ(read_text_file(test.file("x/b")).value(), "new");
  EXPECT_EQ(fs::status(test.file("x")).permissions(), fs::perms::owner_all);
  EXPECT_EQ(names_in(test.path()), Names{"x"});
}

TEST(AtomicFolder, OtherFilesStay) {
  const TestFolder test;
  ASSERT_TRUE(write_pair(test.file("x"), "old").ok());
  test.write("x/run.json", "kept");
  fs::create_directory(test.file("x/folder"));
  ASSERT_TRUE(write_pair(test.file("x"), "new").ok());
  EXPECT_EQ(names_in(test.file("x")), (Names{"a", "b", "folder", "run.json"}));
  EXPECT_EQ(read_text_file(test.file("x/a")).value(), "new");
  EXPECT_EQ(read_text_file(test.file("x/b")).value(), "new");
  EXPECT_EQ(read_text_file(test.file("x/run.json")).value(), "kept");
  EXPECT_EQ(names_in(test.path()), Names{"x"});
}

// The other folder comes after create(), as a second process makes it.
TEST(AtomicFolder, WhatOthersMadeMeanwhileIsKeptWhenAsked) {
  const TestFolder test;
  {
    auto mine = AtomicFolder::create(test.file("x"));
    ASSERT_TRUE(mine.ok() && write_text_file(mine->file("a"), "mine").ok());
    fs::create_directory(test.file("x"));
    EXPECT_FALSE(mine->commit(Existing::kKept).ok()) << "an empty folder too";
    test.write("x/a", "theirs");
    const Status committed = mine->commit(Existing::kKept);
    ASSERT_FALSE(committed.ok());
    EXPECT_NE(committed.error().message.find("something of this name already"), std::string::npos);
  }
  EXPECT_EQ(names_in(test.path()), Names{"x"});
  EXPECT_EQ(read_text_file(test.file("x/a")).value(), "theirs");
  auto another = AtomicFolder::create(test.file("y"));
  ASSERT_TRUE(another.ok() && another->commit(Existing::kKept).ok());
}

TEST(AtomicFolder, ALinkStaysOne) {
  const TestFolder test;
  ASSERT_TRUE(write_pair(test.file("x"), "old").ok());
  fs::create_directory_symlink("x", test.file("link"));
  ASSERT_TRUE(write_pair(test.file("link"), "new").ok());
  EXPECT_TRUE(fs::is_symlink(test.file("link")));
  EXPECT_EQ(read_text_file(test.file("x/a")).value(), "new");
}

TEST(AtomicFolder, WholeFoldersGoWithAllBelowThem) {
  const TestFolder test;
  fs::create_directories(test.file("x/checkpoints/step-1"));
  test.write("x/checkpoints/step-1/weights", "text");
  EXPECT_TRUE(remove_whole_folder(test.file("x")).ok());
  EXPECT_EQ(names_in(test.path()), Names{});
  EXPECT_FALSE(remove_whole_folder(test.file("x")).ok());
}

TEST(AtomicFolder, WhatAKilledProcessWasRemovingGoes) {
  const TestFolder test;
  // A process of this number lives: it is not the one.
  const std::string left = format("x.part-{}-removed", ::getpid());
  for (const char* name : {"busy.part-1-0-removed", "x", "x.part-1-0", "y-removed"})
    fs::create_directory(test.file(name));
  fs::create_directories(test.file(left + "/checkpoints/step-1"));
  test.write(left + "/checkpoints/step-1/weights", "text");
  fs::create_directory_symlink("x", test.file("link.part-1-0-removed"));
  const int fd = ::open(test.file("busy.part-1-0-removed").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  remove_removed_folders(test.path());
  EXPECT_EQ(names_in(test.path()),
            (Names{"busy.part-1-0-removed", "link.part-1-0-removed", "x", "x.part-1-0", "y-removed"}));
  ::close(fd);
  remove_removed_folders(test.path());
  EXPECT_EQ(names_in(test.path()), (Names{"link.part-1-0-removed", "x", "x.part-1-0", "y-removed"}));
}

TEST(AtomicFolder, SaysWhyItCannot) {
  const TestFolder test;
  test.write("file", "text");
  fs::create_directory_symlink("nowhere", test.file("dangling"));
  const auto error_of = [&](const std::string& name) {
    const auto folder = AtomicFolder::create(test.file(name));
    return folder.ok() ? std::string("taken") : folder.error().message;
  };
  EXPECT_NE(error_of("file").find("expected a folder"), std::string::npos) << error_of("file");
  EXPECT_NE(error_of("dangling").find("link to nothing"), std::string::npos) << error_of("dangling");
  EXPECT_NE(error_of("missing/x").find("No such file"), std::string::npos) << error_of("missing/x");
  EXPECT_FALSE(list_folder(test.file("missing")).ok());
}

}  // namespace
}  // namespace andiron
