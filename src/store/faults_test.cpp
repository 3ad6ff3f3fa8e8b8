// Disks that fail, and processes that are killed: at every call in turn, and at random moments. What was acknowledged
// is there afterwards, once; what was not is there whole or not at all; and the store is whole.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <set>

#include "base/random.h"
#include "base/strings.h"
#include "store/store_fixture.h"

namespace andiron {
namespace {

namespace fs = std::filesystem;

// Takes the ids of what was acknowledged: "+id" for a message that is kept, "-id" for one that is removed.
using Acknowledge = std::function<void(const std::string&)>;

Message message_of(std::string id, const std::string& parent) {
  Message message;
  message.id = std::move(id);
  message.conversation = "c";
  message.parent = parent;
  message.role = "user";
  // Longer than a page, so that there are overflow pages, and with words of its own.
  message.content = "text of " + message.id + std::string(5000, '.');
  return message;
}

// Some of everything that writes. Goes on after an Error, as a server does. How many Errors there were.
int work(const std::string& path, const StoreOptions& options, const Acknowledge& acknowledge) {
  auto opened = Store::open(path, options);
  if (!opened.ok()) return 1;
  Store& store = **opened;
  int errors = 0;
  const auto note = [&](bool ok, const std::string& what) {
    errors += ok ? 0 : 1;
    if (ok && !what.empty()) acknowledge(what);
  };
  for (const auto& [id, parent] : {std::pair("m1", "m0"), std::pair("m2", "m0"), std::pair("m3", "")}) {
    note(store.add_message(message_of(id, parent)).ok(), format("+{}", id));
  }
  note(store.set_thumb("m0", 1).ok(), "");
  note(store.put_setting("a", Json(1)).ok(), "");
  note(store.remove_message("m2").ok(), "-m2");
  note(store.search("text", 10).ok(), "");
  note(store.add_message(message_of("m4", "m3")).ok(), "+m4");
  return errors;
}

class FaultsTest : public StoreTest {
 protected:
  FaultsTest() {
    Conversation conversation;
    conversation.id = "c";
    converse(conversation);
    must(store_->add_message(message_of("m0", "")));
    store_.reset();
    fs::copy(folder_.file("chats"), folder_.file("seed"));
  }

  void restore() {
    fs::remove_all(folder_.file("chats"));
    fs::copy(folder_.file("seed"), folder_.file("chats"));
    fs::permissions(folder_.file("chats"), fs::perms::owner_all);
  }

  // Opens it as after a restart of the machine's programs, and compares with what was acknowledged.
  void verify(const std::vector<std::string>& acknowledged) {
    vfs_.set({});
    open();
    ASSERT_NE(store_, nullptr);
    must(store_->check());
    std::set<std::string> there;
    for (const Message& message : must(store_->messages("c"))) {
      EXPECT_TRUE(there.insert(message.id).second) << message.id << " is there twice";
      EXPECT_EQ(message.content, message_of(message.id, "").content);
    }
    EXPECT_EQ(there.count("m0"), 1U);
    for (const std::string& what : acknowledged) {
      const std::string id = what.substr(1);
      const bool removed = std::find(acknowledged.begin(), acknowledged.end(), "-" + id) != acknowledged.end();
      // A removal that was not acknowledged may have happened.
      if (!removed && id == "m2") continue;
      EXPECT_EQ(there.count(id), removed ? 0U : 1U) << id;
    }
    // And it goes on.
    must(store_->add_message(message_of("after", "m0")));
    store_.reset();
  }

  // Does the work again and again, with the first, second, third... call failing, until it is not reached.
  void fail_each(FaultyVfs::Fault fault, const std::string& what) {
    for (int64_t at = 1;; ++at) {
      SCOPED_TRACE(format("{} {}{}", what, at, fault.persistent ? " and all after it" : ""));
      restore();
      fault.at = at;
      vfs_.set(fault);
      std::vector<std::string> acknowledged;
      const int errors = work(path_, options(), [&](const std::string& id) { acknowledged.push_back(id); });
      const bool reached = vfs_.count() >= at;
      EXPECT_TRUE(reached || errors == 0);
      verify(acknowledged);
      if (!reached || HasFailure()) {
        EXPECT_GT(at, 1) << "no such call is ever made";
        return;
      }
    }
  }
  static FaultyVfs::Fault on(std::initializer_list<FaultyVfs::Call> calls, bool persistent = false) {
    FaultyVfs::Fault fault;
    for (const auto call : calls) fault.calls[call] = true;
    fault.persistent = persistent;
    return fault;
  }
};

TEST_F(FaultsTest, TheDiskIsFullAtEveryWrite) {
  for (const bool persistent : {false, true}) {
    for (const bool torn : {false, true}) {
      auto fault = on({FaultyVfs::kWrite}, persistent);
      fault.full = true;
      fault.torn = torn;
      fail_each(fault, "write");
    }
  }
}

TEST_F(FaultsTest, WritesFail) {
  for (const bool persistent : {false, true}) fail_each(on({FaultyVfs::kWrite}, persistent), "write");
}

TEST_F(FaultsTest, ReadsFail) {
  for (const bool persistent : {false, true}) fail_each(on({FaultyVfs::kRead}, persistent), "read");
}

TEST_F(FaultsTest, SyncsFail) {
  for (const bool persistent : {false, true}) fail_each(on({FaultyVfs::kSync}, persistent), "sync");
}

TEST_F(FaultsTest, OpeningCuttingAndDeletingFilesFails) {
  for (const bool persistent : {false, true}) {
    fail_each(on({FaultyVfs::kOpen, FaultyVfs::kTruncate, FaultyVfs::kDelete}, persistent), "call");
  }
}

TEST_F(FaultsTest, AFullDiskIsSaidAndCanBeHealed) {
  open();
  auto fault = on({FaultyVfs::kWrite}, true);
  fault.at = 1;
  fault.full = true;
  vfs_.set(fault);
  const auto refused = store_->add_message(message_of("m1", "m0"));
  EXPECT_EQ(error_of(refused), path_ + ": the disk is full; nothing of this change is kept");
  EXPECT_EQ(kind_of(refused), ErrorKind::kDiskFull);
  EXPECT_EQ(must(store_->messages("c")).size(), 1U) << "what is there can be read";
  vfs_.set({});
  must(store_->add_message(message_of("m1", "m0")));
  EXPECT_EQ(must(store_->messages("c")).size(), 2U);
}

TEST_F(FaultsTest, AnErrorTellsAFailingDiskFromWhatWasAsked) {
  open();
  EXPECT_EQ(kind_of(store_->set_thumb("none", 1)), ErrorKind::kNotFound);
  EXPECT_EQ(kind_of(store_->set_thumb("m0", 2)), ErrorKind::kOther);
  Message other = message_of("m0", "");
  other.content = "another text";
  EXPECT_EQ(kind_of(store_->add_message(other)), ErrorKind::kConflict);
  EXPECT_EQ(kind_of(store_->import("{}\n", false)), ErrorKind::kOther);
  const std::string lines = exported();
  must(store_->remove_conversations({"c"}));
  for (const bool full : {true, false}) {
    auto fault = on({FaultyVfs::kWrite}, true);
    fault.at = 1;
    fault.full = full;
    vfs_.set(fault);
    EXPECT_EQ(kind_of(store_->import(lines, false)), full ? ErrorKind::kDiskFull : ErrorKind::kMachine);
  }
  vfs_.set({});
  must(store_->import(lines, false));
}

TEST_F(FaultsTest, AfterASyncThatFailedNothingIsWrittenUntilItIsOpenedAnew) {
  open();
  auto fault = on({FaultyVfs::kSync});
  fault.at = 1;
  vfs_.set(fault);
  EXPECT_NE(error_of(store_->add_message(message_of("m1", "m0"))).find("cannot sync to disk"), std::string::npos);
  EXPECT_NE(error_of(store_->add_message(message_of("m1", "m0"))).find("nothing more is written"), std::string::npos);
  EXPECT_NE(error_of(store_->put_setting("a", Json(1))).find("nothing more is written"), std::string::npos);
  EXPECT_EQ(kind_of(store_->put_setting("a", Json(1))), ErrorKind::kMachine);
  EXPECT_EQ(must(store_->messages("c")).size(), 1U) << "what is there can be read";
  reopen();
  must(store_->add_message(message_of("m1", "m0")));
}

// SQLite's memory, whose allocations fail where a test says so.
class FaultyMemory {
 public:
  FaultyMemory() {
    sqlite3_shutdown();
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_);
    sqlite3_mem_methods faulty = real_;
    faulty.xMalloc = [](int size) { return fails() ? nullptr : real_.xMalloc(size); };
    faulty.xRealloc = [](void* data, int size) { return fails() ? nullptr : real_.xRealloc(data, size); };
    EXPECT_EQ(sqlite3_config(SQLITE_CONFIG_MALLOC, &faulty), SQLITE_OK);
    sqlite3_initialize();
  }
  ~FaultyMemory() {
    sqlite3_shutdown();
    sqlite3_config(SQLITE_CONFIG_MALLOC, &real_);
    sqlite3_initialize();
  }
  FaultyMemory(const FaultyMemory&) = delete;
  FaultyMemory& operator=(const FaultyMemory&) = delete;

  // The number of the first allocation that fails, from 1; 0: none does.
  static void set(int64_t at, bool persistent) {
    at_ = at;
    persistent_ = persistent;
    count_ = 0;
  }
  static int64_t count() { return count_; }

 private:
  static bool fails() {
    const int64_t number = ++count_;
    return at_ > 0 && (number == at_ || (number > at_ && persistent_));
  }
  static inline sqlite3_mem_methods real_;
  static inline int64_t at_ = 0, count_ = 0;
  static inline bool persistent_ = false;
};

// Not at every one, of which there are thousands: at each of the first, then farther and farther apart.
TEST_F(FaultsTest, MemoryRunsOut) {
  const FaultyMemory memory;
  for (const bool persistent : {false, true}) {
    int64_t step = 1;
    for (int64_t at = 1;; at += step) {
      step = 1 + at / 40;
      SCOPED_TRACE(format("allocation {}{}", at, persistent ? " and all after it" : ""));
      restore();
      std::vector<std::string> acknowledged;
      FaultyMemory::set(at, persistent);
      work(path_, options(), [&](const std::string& id) { acknowledged.push_back(id); });
      const bool reached = FaultyMemory::count() >= at;
      FaultyMemory::set(0, false);
      verify(acknowledged);
      if (!reached || HasFailure()) {
        EXPECT_GT(at, 1000);
        break;
      }
    }
  }
}

// The kernel's own refusal: a limit on the size of files.
TEST_F(FaultsTest, FilesMayGrowNoFurther) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {200'000, 200'000};
    auto store = Store::open(path_, options());
    if (!store.ok() || ::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(1);
    std::string last = "m0";
    for (int i = 0; i < 1000; ++i) {
      const auto added = (*store)->add_message(message_of("n" + std::to_string(i), last));
      if (!added.ok()) ::_exit((*store)->messages("c")->size() == static_cast<size_t>(i) + 1 ? 42 : 2);
      last = added->id;
    }
    ::_exit(3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42) << status;
  verify({});
}

// A child process that does `task` and reports to `report`, line by line.
class Child {
 public:
  Child(const std::function<void(const Acknowledge&)>& task) {  // NOLINT(google-explicit-constructor)
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(ends[0]);
      task([&](const std::string& what) {
        const std::string line = what + "\n";
        if (::write(ends[1], line.data(), line.size()) < 0) ::_exit(1);
      });
      ::_exit(0);
    }
    ::close(ends[1]);
    out_ = ::fdopen(ends[0], "r");
  }
  ~Child() { ::fclose(out_); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // The next line; "" at the end.
  std::string next() {
    std::string line;
    for (int c = std::fgetc(out_); c != EOF; c = std::fgetc(out_)) {
      if (c == '\n') return line;
      line += static_cast<char>(c);
    }
    return "";
  }
  void kill() const { ::kill(pid_, SIGKILL); }
  // Whether it was killed.
  bool wait() const {
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  }

 private:
  pid_t pid_ = -1;
  FILE* out_ = nullptr;
};

TEST_F(FaultsTest, KilledAtEveryCall) {
  for (const bool torn : {false, true}) {
    auto fault = on({FaultyVfs::kWrite, FaultyVfs::kSync, FaultyVfs::kTruncate, FaultyVfs::kOpen, FaultyVfs::kDelete});
    fault.kill = true;
    fault.torn = torn;
    for (int64_t at = 1;; ++at) {
      SCOPED_TRACE(format("killed at call {}", at));
      restore();
      fault.at = at;
      Child child([&](const Acknowledge& acknowledge) {
        vfs_.set(fault);
        work(path_, options(), acknowledge);
      });
      std::vector<std::string> acknowledged;
      for (std::string line = child.next(); !line.empty(); line = child.next()) acknowledged.push_back(line);
      const bool killed = child.wait();
      verify(acknowledged);
      if (!killed || HasFailure()) {
        EXPECT_GT(at, 30) << "the work has more calls than that";
        break;
      }
    }
  }
}

// With the real disk and its syncs: some 2,000 messages, 30 kills at random moments. After each the next process asks
// again for the first message that was not acknowledged, as a client does, and goes on.
TEST_F(FaultsTest, KilledAtRandomMoments) {
  const RandomStream random(13);
  StoreOptions real = options();
  real.vfs.clear();
  int64_t acknowledged = 0;  // n1, n2, ... each the parent of the next
  for (uint64_t round = 0; round < 30; ++round) {
    Child child([&](const Acknowledge& acknowledge) {
      auto store = Store::open(path_, real);
      if (!store.ok()) ::_exit(1);
      for (int64_t next = acknowledged + 1;; ++next) {
        const std::string parent = next == 1 ? "m0" : format("n{}", next - 1);
        if (!(*store)->add_message(message_of(format("n{}", next), parent)).ok()) ::_exit(2);
        acknowledge(format("n{}", next));
      }
    });
    const int64_t until = acknowledged + 1 + static_cast<int64_t>(random.bits(round) % 130);
    while (acknowledged < until) {
      const std::string line = child.next();
      ASSERT_EQ(line, format("n{}", acknowledged + 1));
      ++acknowledged;
    }
    child.kill();
    for (std::string line = child.next(); !line.empty(); line = child.next()) ++acknowledged;
    ASSERT_TRUE(child.wait());

    auto store = must(Store::open(path_, real));
    ASSERT_NE(store, nullptr);
    must(store->check());
    const auto messages = must(store->messages("c"));
    const auto count = static_cast<int64_t>(messages.size()) - 1;  // without m0
    ASSERT_GE(count, acknowledged) << "an acknowledged message is lost";
    ASSERT_LE(count, acknowledged + 1) << "at most one was under way";
    for (int64_t i = 1; i <= count; ++i) {
      ASSERT_EQ(messages[static_cast<size_t>(i)].id, format("n{}", i));
      ASSERT_EQ(messages[static_cast<size_t>(i)].content, message_of(format("n{}", i), "").content);
    }
  }
  EXPECT_GT(acknowledged, 1000);
}

}  // namespace
}  // namespace andiron
