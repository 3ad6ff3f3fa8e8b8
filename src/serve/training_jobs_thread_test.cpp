// The thread that works on jobs: what it leaves to others, and what becomes of a job that it cannot go on with.
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "serve/learn_fixture.h"
#include "serve/training_jobs.h"

// A shim between the program and the system: removing what lies in a folder takes as long as a test wants.
namespace {
std::atomic<bool> g_removing_is_held{false}, g_removing_waits{false};
}

extern "C" int unlinkat(int folder, const char* path, int flags) noexcept {
  while (g_removing_is_held) {
    g_removing_waits = true;
    std::this_thread::yield();
  }
  return static_cast<int>(::syscall(SYS_unlinkat, folder, path, flags));
}

namespace andiron {
namespace {

// Threads of this process that run at this priority.
int threads_of_nice(int nice) {
  int count = 0;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    const auto id = static_cast<id_t>(std::stoul(thread.path().filename().string()));
    count += ::getpriority(PRIO_PROCESS, id) == nice;
  }
  return count;
}

TEST_F(LearningTest, RunsWhereNobodyElseWantsTo) {
  jobs_.reset();
  gate_.enter();
  open(/*nice=*/19);
  const std::string id = added(ask(file())).id;
  ASSERT_TRUE(comes_true([&] { return find(id).state == kJobRunning; }));
  EXPECT_TRUE(comes_true([&] { return threads_of_nice(19) >= 2; })) << "the job's thread, and the other of its team";
  EXPECT_TRUE(jobs_->cancel(id).ok());
  jobs_.reset();
  gate_.leave();
}

// While a save takes as long as the test wants. Those who look do so beside it, so that it would end all the same.
TEST_F(LearningTest, WhoeverLooksDoesNotWaitForASave) {
  const auto asker = std::this_thread::get_id();
  std::atomic<bool> held{true}, waits{false}, looked{false};
  on_save_ = [&] {
    if (std::this_thread::get_id() == asker) return;
    waits = true;
    while (held) std::this_thread::yield();
  };
  const std::string id = added(ask(file())).id;
  ASSERT_TRUE(comes_true([&] { return waits.load(); })) << "its thread has the job saved as one that runs";
  std::thread looker([&] {
    EXPECT_EQ(find(id).state, kJobRunning);
    EXPECT_EQ(jobs_->list().size(), 1U);
    EXPECT_EQ(messages(id), std::vector<std::string>{"created"});
    EXPECT_FALSE(jobs_->watch(id, [](const JobEvent*) { return false; }));
    looked = true;
  });
  EXPECT_TRUE(comes_true([&] { return looked.load(); }));
  held = false;
  looker.join();
  EXPECT_EQ(ended(id).state, kJobSucceeded);
  jobs_.reset();
}

TEST_F(LearningTest, WhoeverAsksDoesNotWaitForWhatIsDiscarded) {
  const std::string data = file();
  const std::string id = added(ask(data, "mine")).id;
  ASSERT_EQ(ended(id).state, kJobSucceeded);
  gate_.enter();
  g_removing_waits = false;  // of a round before
  g_removing_is_held = true;
  std::thread discarder([&] { EXPECT_TRUE(jobs_->discard(id).ok()); });
  EXPECT_TRUE(comes_true([&] { return g_removing_waits.load(); }));
  std::atomic<bool> asked{false};
  std::thread asker([&] {
    EXPECT_EQ(find(id).decision, "discarded");
    EXPECT_FALSE(std::filesystem::exists(adapter("mine")));
    EXPECT_TRUE(jobs_->cancel(added(ask(data, "mine")).id).ok()) << "its name is free again";
    asked = true;
  });
  EXPECT_TRUE(comes_true([&] { return asked.load(); }));
  g_removing_is_held = false;
  asker.join();
  discarder.join();
  for (const auto& left : std::filesystem::directory_iterator(folder_.file("adapters"))) {
    EXPECT_EQ(left.path().filename().string().find("-removed"), std::string::npos);
  }
  gate_.leave();
}

// A thread that gets no processor while people are answered must not hold the store meanwhile.
TEST_F(LearningTest, NothingIsSavedWhereNobodyElseWantsTo) {
  jobs_.reset();
  const auto asker = std::this_thread::get_id();
  const int usual = ::getpriority(PRIO_PROCESS, 0);  // of this thread
  std::atomic<int> saves{0}, slow{0};
  on_save_ = [&] {
    if (std::this_thread::get_id() == asker) return;
    ++saves;
    slow += ::getpriority(PRIO_PROCESS, 0) != usual;
  };
  gate_.enter();
  open(/*nice=*/19);
  const std::string id = added(ask(file())).id;
  EXPECT_TRUE(comes_true([&] { return saves >= 2; })) << "as one that runs, and as one that has begun";
  EXPECT_TRUE(jobs_->cancel(id).ok());
  jobs_.reset();
  EXPECT_GE(saves.load(), 3) << "and as one that is over";
  EXPECT_EQ(slow.load(), 0);
  gate_.leave();
}

TEST_F(LearningTest, AJobWithoutThreadsFailsAlone) {
  jobs_.reset();
  open(/*nice=*/0, /*threads=*/-1);  // as a size: more than any memory
  const std::string id = file();
  EXPECT_EQ(ended(added(ask(id, "first")).id).state, kJobFailed);
  EXPECT_EQ(ended(added(ask(id, "second")).id).state, kJobFailed) << "the thread has gone on";
  jobs_.reset();
  open();
  EXPECT_EQ(ended(added(ask(id, "third")).id).state, kJobSucceeded);
}

// What is thrown where memory runs out, and what is not.
TEST_F(LearningTest, AJobThatFailsSaysWhatHappened) {
  const auto asker = std::this_thread::get_id();
  std::function<void()> fail;
  on_folder_ = [&] {
    if (std::this_thread::get_id() == asker || !fail) return;
    std::exchange(fail, nullptr)();
  };
  const std::string id = file();
  const auto error_after = [&](const std::string& name, std::function<void()> thrower) {
    fail = std::move(thrower);  // nothing runs, so that nobody reads it
    const TrainingJob job = ended(added(ask(id, name)).id);
    EXPECT_EQ(job.state, kJobFailed);
    EXPECT_EQ(store_->run(job.id).value()->details.member("error").text_or(""), job.error) << "it is kept";
    return job.error;
  };
  EXPECT_EQ(error_after("first", [] { throw std::bad_alloc(); }), "there is not enough memory to train");
  EXPECT_EQ(error_after("second", [] { throw std::runtime_error("the clock has stopped"); }),
            "training was ended by a failure of the program: the clock has stopped");
  EXPECT_EQ(ended(added(ask(id, "third")).id).state, kJobSucceeded) << "the thread has gone on";
}

// Memory runs out where the job begins, and again where its end is to be saved.
TEST_F(LearningTest, AJobThatIsGivenUpEndsForThoseWhoFollowIt) {
  const auto asker = std::this_thread::get_id();
  std::atomic<bool> watched{false}, over{false};
  on_folder_ = [&] {
    if (std::this_thread::get_id() == asker) return;
    // The first time: the thread holds no lock yet that those who watch want.
    while (!watched) std::this_thread::yield();
    throw std::bad_alloc();
  };
  const std::string id = added(ask(file(), "first")).id;
  EXPECT_FALSE(jobs_->watch(id, [](const JobEvent* event) {
    if (event == nullptr) throw std::bad_alloc();  // as where there is no memory for its last words
    return true;
  }));
  std::vector<std::string> heard;
  EXPECT_FALSE(jobs_->watch(id, [&](const JobEvent* event) {
    if (event != nullptr) heard.push_back(event->message);
    if (event == nullptr) over = true;
    return true;
  }));
  const std::string chats = folder_.write(format("data/jobs/{}.chats.jsonl", id), "what a chat had in it");
  watched = true;
  EXPECT_TRUE(comes_true([&] { return over.load(); }));
  on_folder_ = nullptr;  // the job's thread waits for the next one
  EXPECT_FALSE(std::filesystem::exists(chats));
  const TrainingJob job = find(id);
  EXPECT_EQ(job.state, kJobFailed);
  EXPECT_EQ(job.error, "there is not enough memory to train");
  EXPECT_GT(job.finished, 0);
  EXPECT_EQ(heard, (std::vector<std::string>{"created", job.error}));
  EXPECT_EQ(messages(id), heard);
  EXPECT_EQ(ended(added(ask(file(), "second")).id).state, kJobSucceeded) << "the thread has gone on";
}

}  // namespace
}  // namespace andiron
