// Who may open what: folders, links, other processes, other programs' files, damage.
#include "store/store_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "store/schema.h"
#include "store/store_fixture.h"

namespace andiron {
namespace {

namespace fs = std::filesystem;

mode_t mode_of(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

class StoreFileTest : public StoreTest {
 protected:
  std::string refusal() { return error_of(Store::open(path_, options())); }

  // What a child process exits with.
  static int in_child(const std::function<int()>& work) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(work());
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
};

TEST_F(StoreFileTest, NobodyElseMayReadIt) {
  const mode_t mask = ::umask(0);
  store_.reset();
  fs::remove_all(folder_.file("chats"));
  open();
  converse();
  ::umask(mask);
  EXPECT_EQ(mode_of(folder_.file("chats")), 0700U);
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder_.file("chats"))) {
    EXPECT_EQ(mode_of(entry.path().string()), 0600U) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 4) << "the database, its log, the log's index, the lock";
}

TEST_F(StoreFileTest, WhatOthersMayReadIsTakenFromThem) {
  store_.reset();
  ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
  ASSERT_EQ(::chmod(folder_.file("chats").c_str(), 0755), 0);
  open();
  EXPECT_EQ(mode_of(path_), 0600U);
  EXPECT_EQ(mode_of(folder_.file("chats")), 0755U) << "it may hold other things";
  store_.reset();
  StoreOptions own = options();
  own.own_folder = true;
  store_ = must(Store::open(path_, own));
  EXPECT_EQ(mode_of(folder_.file("chats")), 0700U);
}

TEST_F(StoreFileTest, AFolderThatOthersWriteToIsRefused) {
  store_.reset();
  ASSERT_EQ(::chmod(folder_.file("chats").c_str(), 0777), 0);
  EXPECT_NE(refusal().find("others may write to this folder"), std::string::npos);
}

TEST_F(StoreFileTest, LinksAreNotFollowed) {
  store_.reset();
  for (const std::string end : {"", "-wal", "-shm", "-journal", "-lock"}) {
    const std::string victim = folder_.write("victim", "precious");
    fs::remove_all(folder_.file("chats"));
    fs::create_directory(folder_.file("chats"));
    fs::permissions(folder_.file("chats"), fs::perms::owner_all);
    fs::create_symlink(victim, path_ + end);
    const std::string said = refusal();
    EXPECT_NE(said.find("symbolic link"), std::string::npos) << end << ": " << said;
    EXPECT_EQ(read_bytes(victim).size(), 8U) << end;
  }
}

TEST_F(StoreFileTest, TheFolderMayLieElsewhere) {
  store_.reset();
  fs::rename(folder_.file("chats"), folder_.file("big-disk"));
  fs::create_symlink(folder_.file("big-disk"), folder_.file("chats"));
  open();
  EXPECT_NE(store_, nullptr);
}

TEST_F(StoreFileTest, NoFilesThatAreNone) {
  store_.reset();
  fs::remove(path_);
  fs::create_directory(path_);
  EXPECT_NE(refusal().find("expected a file"), std::string::npos);
  fs::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_NE(refusal().find("expected a file"), std::string::npos);
}

TEST_F(StoreFileTest, ASecondOneIsRefusedAndTheFirstGoesOn) {
  EXPECT_NE(refusal().find("another andiron (process " + std::to_string(::getpid()) + ") has it open"),
            std::string::npos);
  EXPECT_EQ(in_child([&] { return Store::open(path_, options()).ok() ? 1 : 42; }), 42);
  const std::string c = converse();
  store_.reset();
  EXPECT_EQ(in_child([&] {
              auto store = Store::open(path_, options());
              return store.ok() && (*store)->conversation(c)->has_value() ? 42 : 1;
            }),
            42);
  open();
}

TEST_F(StoreFileTest, AReadOnlyFolderIsAnErrorAndLosesNothing) {
  const std::string c = converse();
  store_.reset();
  const auto before = read_bytes(path_);
  constexpr uid_t kNobody = 65534;
  const bool root = ::geteuid() == 0;  // whom no mode stops
  if (root) {
    for (const std::string& path : {folder_.path(), folder_.file("chats")}) {
      ASSERT_EQ(::chown(path.c_str(), kNobody, kNobody), 0);
    }
    for (const auto& entry : fs::directory_iterator(folder_.file("chats"))) {
      ASSERT_EQ(::chown(entry.path().c_str(), kNobody, kNobody), 0);
    }
  }
  ASSERT_EQ(::chmod(path_.c_str(), 0400), 0);
  ASSERT_EQ(::chmod((path_ + "-lock").c_str(), 0400), 0);
  ASSERT_EQ(::chmod(folder_.file("chats").c_str(), 0500), 0);
  EXPECT_EQ(in_child([&] {
              if (root && ::setuid(kNobody) != 0) return 1;
              const auto store = Store::open(path_, options());
              return !store.ok() && store.error().message.find("Permission denied") != std::string::npos ? 42 : 2;
            }),
            42);
  ASSERT_EQ(::chmod(folder_.file("chats").c_str(), 0700), 0);
  EXPECT_EQ(read_bytes(path_), before);
  if (!root) {
    ASSERT_EQ(::chmod(path_.c_str(), 0600), 0);
    ASSERT_EQ(::chmod((path_ + "-lock").c_str(), 0600), 0);
    open();
    EXPECT_TRUE(must(store_->conversation(c)).has_value());
  }
}

TEST_F(StoreFileTest, OtherPeoplesFilesAreRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  store_.reset();
  ASSERT_EQ(::chown(path_.c_str(), 65534, 65534), 0);
  EXPECT_NE(refusal().find("belongs to another user"), std::string::npos);
}

TEST_F(StoreFileTest, OtherPeoplesFoldersAreRefused) {
  store_.reset();
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(folder_.file("chats").c_str(), 65534, 65534), 0);
  } else {
    path_ = "/etc/chats.db";  // root's
  }
  EXPECT_NE(refusal().find("the folder belongs to another user"), std::string::npos);
}

TEST_F(StoreFileTest, OtherProgramsFilesStayAsTheyAre) {
  store_.reset();
  fs::remove(path_);
  {
    auto other = must(SqliteConnection::open(path_, {.create = true}));
    must(other->run_script("CREATE TABLE bookmarks (url TEXT)"));
  }
  const auto before = read_bytes(path_);
  EXPECT_NE(refusal().find("another program's database"), std::string::npos);
  EXPECT_EQ(read_bytes(path_), before);

  folder_.write("chats/chats.db", "Dear diary, today I wrote more than sixteen bytes into a file.");
  EXPECT_NE(refusal().find("no SQLite database"), std::string::npos);
  EXPECT_EQ(read_bytes(path_).size(), 62U);
}

TEST_F(StoreFileTest, ANewerStoreIsLeftToANewerAndiron) {
  converse();
  store_.reset();
  {
    auto connection = must(SqliteConnection::open(path_, {}));
    must(connection->run_script("PRAGMA user_version = 7"));
  }
  const auto before = read_bytes(path_);
  EXPECT_NE(refusal().find("version 7 of the store; this one knows versions up to 2"), std::string::npos);
  EXPECT_EQ(read_bytes(path_), before);
}

TEST_F(StoreFileTest, AStoreOfTheFirstVersionIsBroughtToThis) {
  const std::string id = converse();
  store_.reset();
  {
    auto connection = must(SqliteConnection::open(path_, {}));
    must(connection->run_script("DROP TABLE unforgotten; PRAGMA user_version = 1"));
  }
  reopen();
  EXPECT_TRUE(must(store_->conversation(id)));
  must(store_->remove_conversations({id}));
  EXPECT_TRUE(must(store_->owes_forgetting()));
}

TEST_F(StoreFileTest, ALogWithoutItsDatabaseIsNotThrownAway) {
  say(converse(), "", "user", "hello");
  for (const bool missing : {false, true}) {
    fs::copy(folder_.file("chats"), folder_.file("copy"));
    const std::string copy = folder_.file("copy/chats.db");
    const auto log = read_bytes(copy + "-wal");
    ASSERT_FALSE(log.empty());
    fs::permissions(folder_.file("copy"), fs::perms::owner_all);
    if (missing) fs::remove(copy);
    if (!missing) fs::resize_file(copy, 0);
    EXPECT_NE(error_of(Store::open(copy, options())).find(missing ? "is gone, but" : "is empty, but"),
              std::string::npos);
    EXPECT_EQ(read_bytes(copy + "-wal"), log);
    fs::remove_all(folder_.file("copy"));
  }
}

// A store with something on every kind of page.
class DamageTest : public StoreFileTest {
 protected:
  DamageTest() {
    for (int i = 0; i < 20; ++i) {
      const std::string c = converse();
      say(c, say(c, "", "user", "question " + std::to_string(i)), "assistant", std::string(3000, 'a'));
    }
    store_.reset();
    whole_ = read_bytes(path_);
  }

  // Opens what `bytes` are and uses it: answers or Errors, whatever they are. Where it does not open, it stays.
  bool opens(const std::vector<uint8_t>& bytes) {
    folder_.write("chats/chats.db", bytes);
    auto store = Store::open(path_, options());
    if (!store.ok()) {
      EXPECT_FALSE(store.error().message.empty());
      EXPECT_EQ(read_bytes(path_), bytes) << store.error().message;
      return false;
    }
    const auto list = (*store)->conversations(100);
    if (list.ok()) {
      for (const auto& conversation : *list) (void)(*store)->messages(conversation.id).ok();
    }
    (void)(*store)->search("question", 100).ok();
    (void)(*store)->check().ok();
    return true;
  }

  std::vector<uint8_t> whole_;
};

TEST_F(DamageTest, AFileCutAnywhereIsRefused) {
  EXPECT_TRUE(opens(whole_));
  // A single byte is to SQLite what nothing is: some file systems need one to lock.
  for (size_t size = 2; size < whole_.size(); size += 1 + size / 7) {
    EXPECT_FALSE(opens({whole_.begin(), whole_.begin() + static_cast<std::ptrdiff_t>(size)})) << size;
  }
}

TEST_F(DamageTest, PagesOfZerosOrNoiseDoNoHarm) {
  int refused = 0, pages = 0;
  for (size_t page = 0; page + 4096 <= whole_.size(); page += 4096) {
    for (const int noise : {0, 1}) {
      std::vector<uint8_t> bytes = whole_;
      for (size_t i = page; i < page + 4096; ++i)
        bytes[i] = noise == 0 ? uint8_t{0} : static_cast<uint8_t>(i * 167 + 13);
      refused += opens(bytes) ? 0 : 1;
      ++pages;
    }
  }
  EXPECT_GT(refused, pages / 2) << "the rest are pages of long texts, and free ones";
}

TEST_F(DamageTest, ByteByByte) {
  for (size_t at = 0; at < whole_.size(); at += at < 200 ? 1 : 173) {
    std::vector<uint8_t> bytes = whole_;
    bytes[at] ^= 0xff;
    opens(bytes);
  }
}

TEST(Migrations, AllOrNone) {
  const TestFolder folder;
  auto db = must(SqliteConnection::open(folder.file("x.db"), {.create = true}));
  const char* first[] = {"CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);"};
  const char* broken[] = {first[0], "ALTER TABLE a ADD COLUMN y TEXT;", "INSERT INTO nowhere VALUES (1);"};
  const char* both[] = {first[0], "ALTER TABLE a ADD COLUMN y TEXT; UPDATE a SET y = 'new';"};
  must(check_version(*db, first));
  must(migrate(*db, first));
  EXPECT_EQ(must(db->number("PRAGMA user_version")), 1);
  EXPECT_FALSE(migrate(*db, broken).ok());
  EXPECT_EQ(must(db->number("PRAGMA user_version")), 1);
  EXPECT_FALSE(db->run("SELECT y FROM a").ok()) << "the step that went well is undone too";
  must(migrate(*db, both));
  EXPECT_EQ(must(db->number("SELECT count(*) FROM a WHERE x = 1 AND y = 'new'")), 1);
  must(migrate(*db, both));
  must(check_version(*db, both));
  EXPECT_FALSE(check_version(*db, first).ok());
}

}  // namespace
}  // namespace andiron
