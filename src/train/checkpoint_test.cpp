#include "train/checkpoint.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/test_folder.h"
#include "kernels/dispatch.h"
#include "train/test_parameters.h"

// A shim between the program and the system: it counts the calls that change a disk, and makes one of them fail or be
// the process's last.
namespace {

struct Faults {
  int armed_at = 0;    // the call, counted from 1; 0: none
  int error = 0;       // what it fails with; 0: the process ends
  bool after = false;  // the process ends when the call has been done, not before
  int calls = 0;
  std::string trace = {};
} g_faults;

constexpr int kKilled = 77;

template <typename Call>
long passed_on(const char* name, Call call) {
  g_faults.trace += std::string(name) + " ";
  if (++g_faults.calls != g_faults.armed_at) return call();
  if (g_faults.error != 0) {
    errno = g_faults.error;
    return -1;
  }
  if (g_faults.after) call();
  ::_exit(kKilled);
}

}  // namespace

extern "C" {
ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  return passed_on("pwrite", [&] { return ::syscall(SYS_pwrite64, fd, data, size, at); });
}
int fsync(int fd) {
  return static_cast<int>(passed_on("fsync", [&] { return ::syscall(SYS_fsync, fd); }));
}
int linkat(int from, const char* old_path, int to, const char* new_path, int flags) noexcept {
  return static_cast<int>(
      passed_on("linkat", [&] { return ::syscall(SYS_linkat, from, old_path, to, new_path, flags); }));
}
int rename(const char* from, const char* to) noexcept {
  return static_cast<int>(passed_on("rename", [&] { return ::syscall(SYS_rename, from, to); }));
}
int unlink(const char* path) noexcept {
  return static_cast<int>(passed_on("unlink", [&] { return ::syscall(SYS_unlink, path); }));
}
}

namespace andiron {
namespace {

Json run_of(int64_t seed) { return Json(Json::object().set("seed", seed).set("data", "abc")); }

// A small training run: its n-th step depends on nothing but the values, the state and n.
struct SmallRun {
  explicit SmallRun(bool state_8bit = false)
      : test({{3, 7}, {5}}),
        team(1),
        optimizer(test.parameters(), {.state_8bit = state_8bit}, *select_kernels().value(), team) {}
  void train_to(int64_t step) {
    while (optimizer.steps() < step) {
      test.fill_gradients(optimizer.steps());
      optimizer.step(1e-2);
    }
  }
  CheckpointState state(int64_t best_step = -1) const {
    CheckpointState out;
    out.step = optimizer.steps();
    out.data_position = 4 * out.step;
    out.tokens = 2048 * out.step;
    out.best_step = best_step;
    if (best_step >= 0) out.best_loss = 1.0 / 3;
    out.run = run_of(1);
    out.trainer.set("smoothed", 0.1);
    return out;
  }
  std::vector<std::vector<uint8_t>> all() {
    std::vector<std::vector<uint8_t>> out;
    for (const auto& values : test.values()) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
      out.emplace_back(bytes, bytes + 4 * values.size());
    }
    for (const StateTensor& tensor : optimizer.state()) out.emplace_back(tensor.data.begin(), tensor.data.end());
    return out;
  }
  TestParameters test;
  ThreadTeam team;
  Optimizer optimizer;
};

// A folder with the checkpoints of these steps.
Checkpoints saved_run(const std::string& folder, const std::vector<int64_t>& steps, int64_t best_step = -1) {
  Checkpoints checkpoints = Checkpoints::open(folder).value();
  SmallRun run;
  for (const int64_t step : steps) {
    run.train_to(step);
    const Status status = checkpoints.save(run.state(best_step), run.optimizer);
    EXPECT_TRUE(status.ok()) << status.error().message;
  }
  return checkpoints;
}

std::vector<std::vector<uint8_t>> all_at(int64_t step) {
  SmallRun run;
  run.train_to(step);
  return run.all();
}

// What can be restored: its step, after its every byte has been compared with a run that was never interrupted; -1 when
// there is nothing, -2 on an Error.
int64_t restorable(const std::string& folder, size_t refused = 0) {
  SmallRun run;
  Checkpoints checkpoints = Checkpoints::open(folder).value();
  auto restored = checkpoints.restore(run.optimizer, run_of(1));
  if (!restored.ok()) return -2;
  if (!restored->has_value()) return -1;
  EXPECT_EQ((*restored)->refused.size(), refused);
  const CheckpointState& state = (*restored)->state;
  EXPECT_EQ(run.optimizer.steps(), state.step);
  EXPECT_EQ(run.all(), all_at(state.step));
  return state.step;
}

TEST(Checkpoint, GoesOnAsIfItHadNeverStopped) {
  for (const bool state_8bit : {false, true}) {
    const TestFolder folder;
    SmallRun first(state_8bit), second(state_8bit), unbroken(state_8bit);
    first.train_to(20);
    Checkpoints checkpoints = Checkpoints::open(folder.file("checkpoints")).value();
    ASSERT_TRUE(checkpoints.save(first.state(20), first.optimizer).ok());

    const auto restored = Checkpoints::open(folder.file("checkpoints")).value().restore(second.optimizer, run_of(1));
    ASSERT_TRUE(restored.ok()) << restored.error().message;
    ASSERT_TRUE(restored->has_value());
    const CheckpointState& state = (*restored)->state;
    EXPECT_EQ(state.step, 20);
    EXPECT_EQ(state.data_position, 80);
    EXPECT_EQ(state.tokens, 40960);
    EXPECT_EQ(state.best_step, 20);
    EXPECT_EQ(state.best_loss, 1.0 / 3) << "no digit lost";
    EXPECT_EQ(state.trainer.dump(), "{\"smoothed\": 0.1}");
    second.train_to(30);
    unbroken.train_to(30);
    EXPECT_EQ(second.all(), unbroken.all());
  }
}

TEST(Checkpoint, KeepsTheLastTwoAndTheBest) {
  const TestFolder folder;
  const Checkpoints plain = saved_run(folder.file("plain"), {10, 20, 30, 40});
  EXPECT_EQ(plain.steps().value(), (std::vector<int64_t>{30, 40}));
  const Checkpoints best = saved_run(folder.file("best"), {10, 20, 30, 40}, 10);
  EXPECT_EQ(best.steps().value(), (std::vector<int64_t>{10, 30, 40}));
  SmallRun run;
  ASSERT_TRUE(best.load_values(10, run.test.parameters()).ok());
  SmallRun expected;
  expected.train_to(10);
  EXPECT_EQ(run.test.values(), expected.test.values());
  EXPECT_FALSE(best.load_values(20, run.test.parameters()).ok());
}

TEST(Checkpoint, SavingAStepTwiceKeepsTheOneBefore) {
  const TestFolder folder;
  const Checkpoints checkpoints = saved_run(folder.file("c"), {10, 20, 20, 20});
  EXPECT_EQ(checkpoints.steps().value(), (std::vector<int64_t>{10, 20}));
}

TEST(Checkpoint, NothingThereIsNotAnError) {
  const TestFolder folder;
  EXPECT_EQ(restorable(folder.file("c")), -1);
  folder.write("c/step-12.safetensors", "too few digits, not ours");
  folder.write("c/step-000000012.safetensors.part-1-1", "left behind");
  EXPECT_EQ(restorable(folder.file("c")), -1);
}

TEST(Checkpoint, ClearRemovesThemAll) {
  const TestFolder folder;
  Checkpoints checkpoints = saved_run(folder.file("c"), {10, 20});
  ASSERT_TRUE(checkpoints.clear().ok());
  EXPECT_EQ(restorable(folder.file("c")), -1);
}

TEST(Checkpoint, CutShortAnywhereIsRefusedAndTheOneBeforeUsed) {
  const TestFolder folder;
  const Checkpoints checkpoints = saved_run(folder.file("c"), {10, 20});
  const std::vector<uint8_t> whole = read_bytes(checkpoints.path_of(20));
  for (size_t length = 0; length < whole.size(); ++length) {
    folder.write("c/step-000000020.safetensors", std::span(whole).first(length));
    ASSERT_EQ(restorable(folder.file("c"), 1), 10) << length;
  }
}

// A flipped bit that changes nothing (white space of the header) may pass: restorable() compares every byte.
TEST(Checkpoint, DamagedAnywhereIsRefusedAndTheOneBeforeUsed) {
  const TestFolder folder;
  const Checkpoints checkpoints = saved_run(folder.file("c"), {10, 20});
  const std::vector<uint8_t> whole = read_bytes(checkpoints.path_of(20));
  int refused = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    std::vector<uint8_t> damaged = whole;
    damaged[at] ^= static_cast<uint8_t>(1u << at % 8);
    folder.write("c/step-000000020.safetensors", damaged);
    SmallRun run;
    const auto restored = Checkpoints::open(folder.file("c")).value().restore(run.optimizer, run_of(1));
    ASSERT_TRUE(restored.ok() && restored->has_value()) << at;
    const int64_t step = (*restored)->state.step;
    ASSERT_TRUE(step == 10 || step == 20);
    ASSERT_EQ(run.all(), all_at(step)) << at;
    refused += step == 10 ? 1 : 0;
  }
  EXPECT_GT(refused, static_cast<int>(whole.size()) - 16);
}

TEST(Checkpoint, SaysSoWhenNoneIsWhole) {
  const TestFolder folder;
  saved_run(folder.file("c"), {10, 20});
  folder.write("c/step-000000010.safetensors", "x");
  folder.write("c/step-000000020.safetensors", "y");
  SmallRun run;
  const auto before = run.all();
  const auto restored = Checkpoints::open(folder.file("c")).value().restore(run.optimizer, run_of(1));
  ASSERT_FALSE(restored.ok());
  EXPECT_NE(restored.error().message.find("no usable checkpoint"), std::string::npos);
  EXPECT_EQ(run.all(), before);
}

TEST(Checkpoint, NumbersThatCannotBeAreRefused) {
  for (int64_t CheckpointState::*const number : {&CheckpointState::data_position, &CheckpointState::tokens}) {
    const TestFolder folder;
    Checkpoints checkpoints = saved_run(folder.file("c"), {10});
    SmallRun run;
    run.train_to(20);
    CheckpointState state = run.state();
    state.*number = -5;
    ASSERT_TRUE(checkpoints.save(state, run.optimizer).ok());
    EXPECT_EQ(restorable(folder.file("c"), 1), 10);
  }
}

TEST(Checkpoint, OfAnotherRunIsRefused) {
  const TestFolder folder;
  saved_run(folder.file("c"), {10});
  SmallRun run;
  Checkpoints checkpoints = Checkpoints::open(folder.file("c")).value();
  const auto seed = checkpoints.restore(run.optimizer, run_of(2));
  ASSERT_FALSE(seed.ok());
  EXPECT_NE(seed.error().message.find("\"seed\" is 1 there, 2 here"), std::string::npos) << seed.error().message;

  TestParameters other({{3, 7}, {6}});
  Optimizer bigger(other.parameters(), {}, *select_kernels().value(), run.team);
  const auto values = other.values();
  const auto shape = checkpoints.restore(bigger, run_of(1));
  ASSERT_FALSE(shape.ok());
  EXPECT_NE(shape.error().message.find("layer.1.weight"), std::string::npos) << shape.error().message;
  EXPECT_EQ(other.values(), values) << "not even the tensor that fits was written";
}

TEST(Checkpoint, DamagedLaterOnesGoWhenTheRunHasGoneOn) {
  const TestFolder folder;
  saved_run(folder.file("c"), {10, 20});
  folder.write("c/step-000000020.safetensors", "damaged");
  SmallRun run;
  Checkpoints checkpoints = Checkpoints::open(folder.file("c")).value();
  ASSERT_TRUE(checkpoints.restore(run.optimizer, run_of(1)).ok());
  run.train_to(15);
  ASSERT_TRUE(checkpoints.save(run.state(), run.optimizer).ok());
  EXPECT_EQ(checkpoints.steps().value(), (std::vector<int64_t>{10, 15}));
}

// What makes "saved" true after a power cut: synced before it has its name, the folder synced before old ones go.
TEST(Checkpoint, CallsTheSystemInTheRightOrder) {
  const TestFolder folder;
  Checkpoints checkpoints = saved_run(folder.file("c"), {10, 20});
  SmallRun run;
  run.train_to(30);
  g_faults = {};
  ASSERT_TRUE(checkpoints.save(run.state(), run.optimizer).ok());
  std::string calls = g_faults.trace;
  g_faults = {};
  calls.erase(0, calls.rfind("pwrite ") + 7);
  EXPECT_EQ(calls, "fsync linkat fsync unlink ");
}

// The process dies before or after each of the calls that change the disk.
TEST(Checkpoint, KilledAnywhereWhileSavingLeavesAUsableOne) {
  for (const bool after : {false, true}) {
    int points = 0;
    for (int at = 1;; ++at) {
      const TestFolder folder;
      saved_run(folder.file("c"), {10, 20});
      const pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        SmallRun run;
        Checkpoints checkpoints = Checkpoints::open(folder.file("c")).value();
        if (!checkpoints.restore(run.optimizer, run_of(1)).ok()) ::_exit(1);
        run.train_to(30);
        g_faults = {.armed_at = at, .after = after};
        const Status status = checkpoints.save(run.state(), run.optimizer);
        ::_exit(status.ok() ? 0 : 2);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFEXITED(status));
      const int64_t step = restorable(folder.file("c"));
      if (WEXITSTATUS(status) == 0) {
        EXPECT_EQ(step, 30) << "it said saved";
        break;
      }
      ASSERT_EQ(WEXITSTATUS(status), kKilled);
      EXPECT_TRUE(step == 20 || step == 30) << step;
      ++points;
    }
    EXPECT_GE(points, 10) << "header, tensors, sync, link, sync, unlink";
  }
}

TEST(Checkpoint, AFailingDiskCostsAnErrorAndNoCheckpoint) {
  for (const int error : {ENOSPC, EIO}) {
    int failures = 0;
    for (int at = 1;; ++at) {
      const TestFolder folder;
      Checkpoints checkpoints = saved_run(folder.file("c"), {10, 20});
      SmallRun run;
      run.train_to(30);
      g_faults = {.armed_at = at, .error = error};
      const Status status = checkpoints.save(run.state(), run.optimizer);
      const int calls = g_faults.calls;
      g_faults = {};
      const int64_t step = restorable(folder.file("c"));
      if (status.ok()) {
        EXPECT_EQ(step, 30);  // at most, an old one could not be removed
      } else {
        ++failures;
        EXPECT_TRUE(step == 20 || step == 30) << step;
        EXPECT_NE(status.error().message.find(std::strerror(error)), std::string::npos) << status.error().message;
      }
      const Status again = checkpoints.save(run.state(), run.optimizer);
      ASSERT_TRUE(again.ok()) << again.error().message;
      EXPECT_EQ(restorable(folder.file("c")), 30);
      if (calls < at) break;
    }
    EXPECT_GE(failures, 9);
  }
}

TEST(Checkpoint, AsksForSpaceFirst) {
  const TestFolder folder;
  const Checkpoints checkpoints = saved_run(folder.file("c"), {10});
  SmallRun run;
  EXPECT_GE(Checkpoints::bytes_needed(run.optimizer), std::filesystem::file_size(checkpoints.path_of(10)));
  EXPECT_TRUE(checkpoints.check_space(1, 4).ok());
  const Status status = checkpoints.check_space(uint64_t{1} << 58, 4);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("4 checkpoints of 256 PiB take 1.00 EiB"), std::string::npos)
      << status.error().message;
}

bool write_once(const char* path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

// A view of its own of what is mounted: as root, or as the root of a namespace in which there is no other user.
bool take_own_mounts() {
  const std::string user = std::to_string(::geteuid()), group = std::to_string(::getegid());
  if (unshare(CLONE_NEWNS) == 0) return true;
  return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_once("/proc/self/setgroups", "deny") &&
         write_once("/proc/self/uid_map", "0 " + user + " 1") && write_once("/proc/self/gid_map", "0 " + group + " 1");
}

// A disk of its own that fills up, in a child with its own view of what is mounted.
int fill_small_disk(const std::string& folder) {
  constexpr int kNoMounts = 3;
  if (!take_own_mounts() || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("none", folder.c_str(), "tmpfs", 0, "size=256k") != 0) {
    return kNoMounts;
  }
  saved_run(folder + "/c", {10, 20});
  std::ofstream filler(folder + "/filler", std::ios::binary);
  filler << std::string(1 << 20, 'x') << std::flush;  // takes what there is
  SmallRun run;
  run.train_to(30);
  Checkpoints checkpoints = Checkpoints::open(folder + "/c").value();
  const Status status = checkpoints.save(run.state(), run.optimizer);
  if (status.ok() || status.error().message.find("free") == std::string::npos) return 1;
  return restorable(folder + "/c") == 20 ? 0 : 2;
}

TEST(Checkpoint, AFullDiskLeavesTheOldOnes) {
  const TestFolder folder;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(fill_small_disk(folder.path()));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 3)
    GTEST_SKIP() << "no small disk can be mounted here: not root, and no namespaces of users";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// The space was there when asked for and is gone when it is used: a limit on the size of files stands for it.
TEST(Checkpoint, RunningOutOfSpaceWhileWritingLeavesTheOldOnes) {
  const TestFolder folder;
  Checkpoints checkpoints = saved_run(folder.file("c"), {10, 20});
  const auto size = std::filesystem::file_size(checkpoints.path_of(20));
  SmallRun run;
  run.train_to(30);
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  for (rlim_t limit = 0; limit < size; limit += 97) {
    struct rlimit small = before;
    small.rlim_cur = limit;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    const Status status = checkpoints.save(run.state(), run.optimizer);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_FALSE(status.ok()) << limit;
    ASSERT_EQ(restorable(folder.file("c")), 20);
  }
  signal(SIGXFSZ, old_handler);
}

}  // namespace
}  // namespace andiron
