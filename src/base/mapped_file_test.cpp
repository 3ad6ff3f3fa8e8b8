#include "base/mapped_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <numeric>
#include <thread>

#include "base/test_folder.h"

namespace andiron {
namespace {

const size_t kPage = static_cast<size_t>(sysconf(_SC_PAGESIZE));

uint64_t sum_of(std::span<const uint8_t> bytes) { return std::accumulate(bytes.begin(), bytes.end(), uint64_t{0}); }

TEST(MappedFile, HoldsTheWholeFile) {
  const TestFolder folder;
  const auto file = MappedFile::open(folder.write("x", "hello"));
  ASSERT_TRUE(file.ok());
  const auto bytes = (*file)->bytes();
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), "hello");
  EXPECT_FALSE((*file)->damaged());
  EXPECT_TRUE((*file)->check_intact().ok());
}

TEST(MappedFile, SaysWhatItCannotOpen) {
  const TestFolder folder;
  const auto message = [&](const std::string& path) { return MappedFile::open(path).error().message; };
  EXPECT_NE(message(folder.file("absent")).find("No such file"), std::string::npos);
  EXPECT_NE(message(folder.write("empty", "")).find("an empty file"), std::string::npos);
  EXPECT_NE(message(folder.path()).find("a folder"), std::string::npos);
  EXPECT_NE(message("/dev/null").find("a special file"), std::string::npos);
}

TEST(MappedFile, HintsChangeNothing) {
  const TestFolder folder;
  const auto file = MappedFile::open(folder.write("x", std::string(5 * kPage + 3, '\1')));
  ASSERT_TRUE(file.ok());
  const auto bytes = (*file)->bytes();
  EXPECT_EQ(sum_of(bytes), 5 * kPage + 3);
  (*file)->drop_pages(bytes.data() + 1, 3 * kPage);
  (*file)->drop_pages(bytes.data(), 0);
  EXPECT_EQ(sum_of(bytes), 5 * kPage + 3);
}

// Reading a page that the file no longer has would be SIGBUS, which ends the process.
TEST(MappedFile, AFileCutShortWhileMappedReadsAsZerosAndSaysSo) {
  const TestFolder folder;
  const size_t pages = 8;
  for (size_t kept = 0; kept < pages * kPage; kept += kPage / 2) {
    const std::string path = folder.write("x", std::string(pages * kPage - 5, '\1'));
    const auto file = MappedFile::open(path);
    const auto other = MappedFile::open(folder.write("y", std::string(kPage, '\1')));
    ASSERT_TRUE(file.ok() && other.ok());
    ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(kept)), 0);
    // What is left of the last page reads as zeros anyway (mmap(2)); whole pages beyond it are lost.
    EXPECT_EQ(sum_of((*file)->bytes()), kept < pages * kPage - 5 ? kept : pages * kPage - 5) << kept;
    const bool lost_a_page = kept + kPage <= pages * kPage - kPage || kept <= (pages - 1) * kPage;
    EXPECT_EQ((*file)->damaged(), lost_a_page) << kept;
    ASSERT_FALSE((*file)->check_intact().ok()) << kept;
    EXPECT_NE((*file)->check_intact().error().message.find("cut short while in use"), std::string::npos);
    (*file)->drop_pages((*file)->bytes().data(), (*file)->bytes().size());
    EXPECT_EQ(sum_of((*file)->bytes()), kept < pages * kPage - 5 ? kept : pages * kPage - 5) << "after a hint";
    EXPECT_FALSE((*other)->damaged()) << "another file is not affected";
    EXPECT_EQ(sum_of((*other)->bytes()), kPage);
  }
}

// Sets a time of its own, as two writes within one tick of the system's clock get the same.
void write_into(const std::string& path, off_t at, std::string_view text) {
  const int fd = open(path.c_str(), O_WRONLY);
  ASSERT_EQ(pwrite(fd, text.data(), text.size(), at), static_cast<ssize_t>(text.size()));
  const timespec times[2] = {{0, UTIME_OMIT}, {1'000'000'000, 5}};
  ASSERT_EQ(futimens(fd, times), 0);
  close(fd);
}

TEST(MappedFile, ChangesInPlaceAreNoticed) {
  const TestFolder folder;
  const std::string path = folder.write("x", "hello, world");
  const auto file = MappedFile::open(path).value();
  EXPECT_TRUE(file->check_intact().ok());
  write_into(path, 7, "there");
  ASSERT_FALSE(file->check_intact().ok());
  EXPECT_NE(file->check_intact().error().message.find("x: the file was changed while in use"), std::string::npos);
  EXPECT_TRUE(MappedFile::open(path).value()->check_intact().ok());

  const auto longer = MappedFile::open(path).value();
  write_into(path, 12, "!");
  EXPECT_FALSE(longer->check_intact().ok());
}

TEST(MappedFile, AnotherFileUnderItsNameDoesNoHarm) {
  const TestFolder folder;
  const std::string path = folder.write("x", "hello");
  const auto file = MappedFile::open(path).value();
  ASSERT_EQ(rename(folder.write("y", "other").c_str(), path.c_str()), 0);
  ASSERT_EQ(chmod(folder.write("z", "").c_str(), 0600), 0);
  EXPECT_TRUE(file->check_intact().ok());
  EXPECT_EQ(file->bytes()[0], 'h');
}

TEST(MappedFile, ManyThreadsMayMeetTheLostPages) {
  const TestFolder folder;
  const std::string path = folder.write("x", std::string(64 * kPage, '\1'));
  const auto file = MappedFile::open(path);
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(truncate(path.c_str(), 0), 0);
  std::vector<std::thread> threads;
  std::atomic<uint64_t> sum{0};
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { sum += sum_of((*file)->bytes()); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(sum, 0u);
  EXPECT_TRUE((*file)->damaged());
}

TEST(MappedFile, AClosedFilesPlaceIsFreeAgain) {
  const TestFolder folder;
  const std::string path = folder.write("x", "hello");
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(MappedFile::open(path).ok()) << "more than are open at once";
  const std::string cut = folder.write("y", std::string(2 * kPage, '\1'));
  {
    const auto file = MappedFile::open(cut);
    ASSERT_TRUE(file.ok());
    ASSERT_EQ(truncate(cut.c_str(), 0), 0);
    EXPECT_EQ(sum_of((*file)->bytes()), 0u);
  }
  const auto fresh = MappedFile::open(path);
  ASSERT_TRUE(fresh.ok());
  EXPECT_FALSE((*fresh)->damaged()) << "damage is not inherited";
}

// A mapping that is not ours is not ours to mend.
void read_lost_page_of_foreign_mapping(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY);
  const void* page = mmap(nullptr, kPage, PROT_READ, MAP_SHARED, fd, 0);
  if (truncate(path.c_str(), 0) == 0) std::exit(*static_cast<const volatile uint8_t*>(page));
}

TEST(MappedFileDeathTest, OtherBusErrorsStillEndTheProcess) {
  const TestFolder folder;
  const std::string path = folder.write("x", "hello");
  ASSERT_TRUE(MappedFile::open(path).ok());
  EXPECT_DEATH(read_lost_page_of_foreign_mapping(path), "");
}

}  // namespace
}  // namespace andiron
