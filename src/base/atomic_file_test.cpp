#include "base/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "base/test_folder.h"

namespace andiron {
namespace {

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}
size_t files_in(const std::string& folder) { return names_in(folder).size(); }

TEST(AtomicFile, AppearsWholeOnCommitAndNotBefore) {
  const TestFolder folder;
  const std::string path = folder.file("out");
  auto file = AtomicFile::create(path);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->write("abc").ok());
  ASSERT_TRUE(file->pad_to(8).ok());
  EXPECT_EQ(file->offset(), 8u);
  ASSERT_TRUE(file->pad_to(8).ok());
  EXPECT_EQ(file->offset(), 8u) << "already a multiple";
  const uint8_t late[] = {'X'};
  ASSERT_TRUE(file->write_at(1, late).ok());
  ASSERT_TRUE(file->write("d").ok());
  EXPECT_FALSE(std::filesystem::exists(path));
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(*read_text_file(path), std::string("aXc\0\0\0\0\0d", 9));
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(AtomicFile, AppearsWholeWithoutSyncingToo) {
  const TestFolder folder;
  const std::string path = folder.file("out.txt");
  auto file = AtomicFile::create(path);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->write("whole").ok());
  EXPECT_FALSE(file_exists(path));
  ASSERT_TRUE(file->commit_unsynced().ok());
  EXPECT_EQ(read_text_file(path).value(), "whole");
}

TEST(AtomicFile, WithoutCommitTheOldFileStays) {
  const TestFolder folder;
  const std::string path = folder.write("out", "old");
  {
    auto file = AtomicFile::create(path);
    ASSERT_TRUE(file.ok() && file->write("new").ok());
    AtomicFile moved = std::move(*file);
    ASSERT_TRUE(moved.write("er").ok());
  }
  EXPECT_EQ(*read_text_file(path), "old");
  EXPECT_EQ(files_in(folder.path()), 1u) << "the temporary is gone";
}

TEST(AtomicFile, ReplacesAtomically) {
  const TestFolder folder;
  const std::string path = folder.write("out", "old and longer");
  ASSERT_TRUE(write_text_file(path, "new").ok());
  EXPECT_EQ(*read_text_file(path), "new");
}

TEST(AtomicFile, PrivateFilesAreTheUsersAlone) {
  const TestFolder folder;
  const auto mode_of = [&](const char* name, bool is_private) {
    EXPECT_TRUE(write_text_file(folder.file(name), "x", is_private).ok());
    struct stat info {};
    EXPECT_EQ(stat(folder.file(name).c_str(), &info), 0);
    return info.st_mode & 0777;
  };
  const mode_t mask = umask(0022);
  EXPECT_EQ(mode_of("secret", true), 0600u);
  EXPECT_EQ(mode_of("open", false), 0644u);
  umask(mask);
}

TEST(AtomicFile, SaysWhyItCannotWrite) {
  const TestFolder folder;
  const auto absent = AtomicFile::create(folder.file("no/such/out"));
  ASSERT_FALSE(absent.ok());
  EXPECT_NE(absent.error().message.find("No such file or directory"), std::string::npos);
  const std::string blocked = folder.file("folder");
  std::filesystem::create_directory(blocked);
  folder.write("folder/inside", "x");
  EXPECT_NE(write_text_file(blocked, "x").error().message.find("it is a folder"), std::string::npos);
  EXPECT_EQ(files_in(folder.path()), 1u);
}

// A limit on the size of files stands for a full disk: at every byte the old file must survive.
TEST(AtomicFile, AFullDiskLeavesTheOldFile) {
  const TestFolder folder;
  const std::string path = folder.write("out", "old");
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const std::string text(100, 'n');
  for (rlim_t limit = 0; limit < text.size(); limit += 7) {
    struct rlimit small = before;
    small.rlim_cur = limit;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    const Status status = write_text_file(path, text);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_FALSE(status.ok()) << "at most " << limit << " bytes";
    EXPECT_NE(status.error().message.find("the old file, if any, is untouched"), std::string::npos);
    EXPECT_EQ(*read_text_file(path), "old");
    EXPECT_EQ(files_in(folder.path()), 1u);
  }
  std::signal(SIGXFSZ, old_handler);
}

TEST(ReadTextFile, HasALimit) {
  const TestFolder folder;
  const std::string path = folder.write("big", std::string(1000, 'x'));
  EXPECT_TRUE(read_text_file(path, 1000).ok());
  EXPECT_NE(read_text_file(path, 999).error().message.find("larger than the 999 B allowed"), std::string::npos);
  EXPECT_FALSE(read_text_file(folder.file("absent")).ok());
  EXPECT_FALSE(read_text_file(folder.path()).ok()) << "a folder is no text";
  const std::string pipe = folder.file("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const auto read = read_text_file(pipe);  // nobody writes to it
  ASSERT_FALSE(read.ok());
  EXPECT_NE(read.error().message.find(pipe + ": cannot read it: expected a file; it is a device or pipe"),
            std::string::npos);
}

TEST(AtomicFile, ReplacesFilesOnlyAndKeepsLinks) {
  const TestFolder folder;
  const std::string file = folder.write("file", "old");
  const std::string link = file + "-link", pipe = file + "-pipe";
  ASSERT_EQ(symlink(file.c_str(), link.c_str()), 0);
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  ASSERT_TRUE(write_text_file(link, "new").ok());
  EXPECT_EQ(*read_text_file(file), "new");
  struct stat info {};
  ASSERT_EQ(lstat(link.c_str(), &info), 0);
  EXPECT_TRUE(S_ISLNK(info.st_mode));
  EXPECT_FALSE(write_text_file(pipe, "x").ok());
  EXPECT_FALSE(write_text_file("/dev/null", "x").ok());
  ASSERT_EQ(stat("/dev/null", &info), 0);
  EXPECT_TRUE(S_ISCHR(info.st_mode));
}

TEST(Paths, FilesAndFoldersAreToldApart) {
  const TestFolder folder;
  const std::string file = folder.write("file", "");
  EXPECT_TRUE(file_exists(file) && !is_folder(file));
  EXPECT_TRUE(file_exists(folder.path()) && is_folder(folder.path()));
  EXPECT_TRUE(!file_exists(folder.file("absent")) && !is_folder(folder.file("absent")));
}

TEST(AtomicFile, WithANameIsTheSameAndMayBeRemovedByAnother) {
  const TestFolder folder;
  const std::string path = folder.file("x");
  {
    auto file = AtomicFile::create_named(path);
    ASSERT_TRUE(file.ok() && file->write("hello").ok() && file->commit().ok());
    EXPECT_EQ(read_text_file(path).value(), "hello");
  }
  {
    auto file = AtomicFile::create_named(path);
    ASSERT_TRUE(file.ok() && file->write("never").ok());
    EXPECT_EQ(names_in(folder.path()).size(), 2u);
  }
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"x"}) << "no commit, no file";
  EXPECT_EQ(read_text_file(path).value(), "hello");
  auto one = AtomicFile::create_named(folder.file("y")), two = AtomicFile::create_named(folder.file("z"));
  ASSERT_TRUE(one.ok() && two.ok());
  ASSERT_TRUE(two->write("z").ok() && two->commit().ok());
  AtomicFile::remove_unfinished();
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"x", "z"}));
}

TEST(AtomicFile, AsManyFilesAtATimeAsItSaysAreRemoved) {
  const TestFolder folder;
  std::vector<AtomicFile> files;
  for (size_t i = 0; i < UnfinishedName::kAtOnceMax; ++i) {
    auto file = AtomicFile::create_named(folder.file("x" + std::to_string(i)));
    ASSERT_TRUE(file.ok());
    files.push_back(std::move(*file));
  }
  EXPECT_EQ(files_in(folder.path()), UnfinishedName::kAtOnceMax);
  AtomicFile::remove_unfinished();
  EXPECT_EQ(files_in(folder.path()), 0U);
}

TEST(AtomicFile, AFileThatNobodyWritesIsAbandoned) {
  const TestFolder folder;
  const std::string left = folder.write("left.part-1-0", "");
  EXPECT_TRUE(AtomicFile::is_abandoned(left));
  auto file = AtomicFile::create_named(folder.file("x"));
  ASSERT_TRUE(file.ok());
  for (const std::string& name : names_in(folder.path())) {
    EXPECT_EQ(AtomicFile::is_abandoned(folder.file(name)), name == "left.part-1-0") << name;
  }
}

// The other file comes after create(), as a second process makes it.
TEST(AtomicFile, WhatOthersMadeMeanwhileIsKeptWhenAsked) {
  const TestFolder folder;
  const std::string path = folder.file("x");
  for (const bool named : {false, true}) {
    auto file = named ? AtomicFile::create_named(path) : AtomicFile::create(path);
    ASSERT_TRUE(file.ok() && file->write("mine").ok());
    folder.write("x", "theirs");
    const Status committed = file->commit(Existing::kKept);
    ASSERT_FALSE(committed.ok());
    EXPECT_NE(committed.error().message.find(path + ": there is something of this name already"), std::string::npos)
        << committed.error().message;
    EXPECT_EQ(read_text_file(path).value(), "theirs");
    std::filesystem::remove(path);
    ASSERT_TRUE(file->commit(Existing::kKept).ok()) << "free again";
    EXPECT_EQ(read_text_file(path).value(), "mine");
    std::filesystem::remove(path);
  }
  EXPECT_EQ(files_in(folder.path()), 0u);
}

TEST(Paths, FreeIsWhatIsNotThere) {
  const TestFolder folder;
  const std::string path = folder.write("x", "");
  ASSERT_EQ(symlink("nowhere", folder.file("link").c_str()), 0);
  EXPECT_TRUE(check_free(folder.file("y")).ok());
  for (const std::string& taken : {path, folder.path(), folder.file("link")}) {
    const Status free = check_free(taken);
    ASSERT_FALSE(free.ok()) << taken;
    EXPECT_NE(free.error().message.find("something of this name already"), std::string::npos);
  }
  const Status unknown = check_free(folder.file(std::string(300, 'n')));
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message.find("File name too long"), std::string::npos) << unknown.error().message;
}

TEST(AtomicFile, MayBeRenamedBeforeItAppears) {
  const TestFolder folder;
  for (const bool named : {false, true}) {
    for (const char* text : {"one", "two"}) {  // to a new name, over an old file
      auto file = named ? AtomicFile::create_named(folder.file("a")) : AtomicFile::create(folder.file("a"));
      ASSERT_TRUE(file.ok() && file->write(text).ok());
      file->rename_to(folder.file("b"));
      ASSERT_TRUE(file->commit_unsynced().ok());
      EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"b"});
      EXPECT_EQ(read_text_file(folder.file("b")).value(), text);
    }
  }
}

}  // namespace
}  // namespace andiron
