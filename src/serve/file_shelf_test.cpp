#include "serve/file_shelf.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/strings.h"
#include "base/test_folder.h"

namespace andiron {
namespace {

unsigned mode_of(const std::string& path) {
  struct stat facts {};
  EXPECT_EQ(::stat(path.c_str(), &facts), 0) << path;
  return facts.st_mode & 0777U;
}

std::string read(const std::string& path) {
  const auto bytes = read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

TEST(FileShelf, KeepsFilesForTheirOwnerAlone) {
  const TestFolder folder;
  const auto shelf = FileShelf::open(folder.file("data/files"));
  ASSERT_TRUE(shelf.ok()) << shelf.error().message;
  EXPECT_EQ(mode_of(folder.file("data/files")), 0700U);
  const auto file = shelf->add("C:\\notes\\a.JSONL", "{\"text\": \"a\"}\n");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->name, "a.JSONL");
  EXPECT_EQ(file->bytes, 14U);
  EXPECT_GT(file->created, 0);
  EXPECT_TRUE(shelf->path_of(*file).ends_with("/content.jsonl"));
  EXPECT_EQ(read(shelf->path_of(*file)), "{\"text\": \"a\"}\n");
  EXPECT_EQ(mode_of(shelf->path_of(*file)), 0600U);
  EXPECT_EQ(mode_of(folder.file("data/files/" + file->id + "/about.json")), 0600U);
  // Whoever opens it again finds it.
  const auto again = FileShelf::open(folder.file("data/files"));
  ASSERT_TRUE(again.ok());
  const auto found = again->find(file->id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "a.JSONL");
  EXPECT_TRUE(again->remove(file->id).value());
  EXPECT_FALSE(again->remove(file->id).value());
  EXPECT_FALSE(again->find(file->id));
  EXPECT_TRUE(std::filesystem::is_empty(folder.file("data/files")));
}

TEST(FileShelf, ListsTheOldestFirst) {
  const TestFolder folder;
  const auto shelf = FileShelf::open(folder.path());
  ASSERT_TRUE(shelf.ok());
  const std::pair<const char*, const char*> kinds[] = {{"a.md", "content.md"},     {"b.txt", "content.txt"},
                                                       {"c.json", "content.json"}, {"d", "content.txt"},
                                                       {"e.csv", "content.txt"},   {"f.ndjson", "content.jsonl"}};
  for (const auto& [name, kept] : kinds) EXPECT_EQ(shelf->add(name, "text").value().content, kept) << name;
  folder.write("stranger", "text");
  std::filesystem::create_directory(folder.file("file-0123456789abcdef0123456789abcdef"));
  const auto list = shelf->list();
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->size(), 6U);
  for (size_t i = 1; i < list->size(); ++i) EXPECT_LE((*list)[i - 1].created, (*list)[i].created);
}

TEST(FileShelf, HalvesThatAKilledProcessLeftGo) {
  const TestFolder folder;
  const auto shelf = FileShelf::open(folder.file("files"));
  ASSERT_TRUE(shelf.ok());
  const auto whole = shelf->add("a.txt", "text");
  ASSERT_TRUE(whole.ok());
  const std::string other = "file-0123456789abcdef0123456789abcdef";
  // No process has the largest number that a pid can be, and this one has its own.
  const std::string left = "files/" + other + ".part-4194304-0", mine = format("files/{}.part-{}-7", other, ::getpid());
  for (const std::string& name : {"files/" + other, left, mine, std::string("files/stranger")}) {
    std::filesystem::create_directory(folder.file(name));
    folder.write(name + "/content.txt", "text");
  }
  const auto again = FileShelf::open(folder.file("files"));
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(std::filesystem::exists(folder.file("files/" + other))) << "it was being removed";
  EXPECT_FALSE(std::filesystem::exists(folder.file(left))) << "it was coming";
  EXPECT_TRUE(std::filesystem::exists(folder.file(mine))) << "it may still be coming";
  EXPECT_TRUE(std::filesystem::exists(folder.file("files/stranger")));
  EXPECT_EQ(again->list().value().size(), 1U);
}

TEST(FileShelf, TakesOnlyTextsWithNames) {
  const TestFolder folder;
  const auto shelf = FileShelf::open(folder.path());
  ASSERT_TRUE(shelf.ok());
  const auto refusal = [&](std::string_view name, std::string_view content) {
    const auto file = shelf->add(name, content);
    EXPECT_FALSE(file.ok());
    return file.ok() ? "" : file.error().message;
  };
  EXPECT_NE(refusal("a.pdf", "%PDF-1.7").find("a PDF"), std::string::npos);
  EXPECT_NE(refusal("a.txt", std::string_view("a\0b", 3)).find("a binary file"), std::string::npos);
  EXPECT_NE(refusal("a.txt", " \n").find("nothing in this file"), std::string::npos);
  EXPECT_NE(refusal("", "text").find("1 to 255 bytes"), std::string::npos);
  EXPECT_NE(refusal("folder/", "text").find("1 to 255 bytes"), std::string::npos);
  EXPECT_NE(refusal("a\nb", "text").find("1 to 255 bytes"), std::string::npos);
  EXPECT_NE(refusal("\xff", "text").find("1 to 255 bytes"), std::string::npos);
  EXPECT_NE(refusal(std::string(256, 'a'), "text").find("1 to 255 bytes"), std::string::npos);
  EXPECT_TRUE(FileShelf::check("../../name", "text").ok());
  EXPECT_FALSE(FileShelf::check("a.pdf", "%PDF-1.7").ok());
  EXPECT_TRUE(shelf->add("../../name", "text").ok());
  EXPECT_EQ(shelf->list().value().front().name, "name");
}

TEST(FileShelf, IdsAreNoPaths) {
  const TestFolder folder;
  const auto shelf = FileShelf::open(folder.file("files"));
  ASSERT_TRUE(shelf.ok());
  const auto file = shelf->add("a", "text").value();
  folder.write("about.json", read(folder.file("files/" + file.id + "/about.json")));
  for (const std::string& id : {std::string(), std::string(".."), "../files/" + file.id, file.id + "/", file.id + "/.",
                                std::string("file-"), "file-" + std::string(32, '.'), "file-" + std::string(32, 'A')}) {
    EXPECT_FALSE(shelf->find(id)) << id;
    EXPECT_FALSE(shelf->remove(id).value()) << id;
  }
  // Nor is what stands in a file about one.
  const std::string about = folder.file("files/" + file.id + "/about.json");
  std::string text = read(about);
  text.replace(text.find("content.txt"), 11, "../../about.json");
  folder.write("files/" + file.id + "/about.json", text);
  EXPECT_FALSE(shelf->find(file.id));
}

}  // namespace
}  // namespace andiron
