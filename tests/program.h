// For tests only: runs the andiron program as a person or a script would.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/test_folder.h"

extern char** environ;

namespace andiron {

struct Outcome {
  int status = -1;  // exit status, or 128 + the signal that ended it
  std::string out, err;
};

// A place for the files of one test and for the program's caches and histories.
class Program {
 public:
  std::string file(const std::string& name) const { return folder_.file(name); }
  std::string write(const std::string& name, const std::string& text) const { return folder_.write(name, text); }

  // Runs a copy of it from now on, in this folder of the test's.
  void move_to(const std::string& folder) {
    std::filesystem::create_directories(file(folder));
    path_ = file(folder + "/andiron");
    std::filesystem::copy_file(ANDIRON_PROGRAM, path_);
  }

  // Runs it to its end, with `input` as standard input; all three streams are files, so it sees no terminal.
  Outcome run(const std::vector<std::string>& arguments, const std::string& input = "") const {
    return wait(start(arguments, input));
  }

  // Runs it with a terminal as its standard error until it ends or has shown `last` there, when it is killed; returns
  // what it has shown.
  std::string shown_until(const std::string& last, const std::vector<std::string>& arguments) const {
    struct winsize size {};
    size.ws_col = 200;
    int reader = -1, terminal = -1;
    EXPECT_EQ(openpty(&reader, &terminal, nullptr, nullptr, &size), 0);
    const pid_t process = start(arguments, "", terminal);
    ::close(terminal);
    std::string shown;
    char piece[1024];
    while (shown.find(last) == std::string::npos) {
      const ssize_t bytes = ::read(reader, piece, sizeof piece);
      if (bytes <= 0) break;  // nobody has the terminal any more
      shown.append(piece, static_cast<size_t>(bytes));
    }
    ::kill(process, SIGKILL);
    wait(process);
    ::close(reader);
    return shown;
  }

  // Starts it and returns its process; wait() must follow. `terminal`: what its standard error is instead of a file.
  pid_t start(const std::vector<std::string>& arguments, const std::string& input = "", int terminal = -1) const {
    folder_.write("stdin", input);
    std::vector<std::string> words = {path_};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    std::vector<std::string> variables = {"ANDIRON_CACHE_DIR=" + folder_.file("cache"),
                                          "XDG_STATE_HOME=" + folder_.file("state"),
                                          "XDG_DATA_HOME=" + folder_.file("data")};
    std::vector<char*> envp;
    for (std::string& variable : variables) envp.push_back(variable.data());
    for (char** variable = environ; *variable != nullptr; ++variable) envp.push_back(*variable);
    envp.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    constexpr int kNew = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_addopen(&actions, 0, folder_.file("stdin").c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, folder_.file("stdout").c_str(), kNew, 0600);
    if (terminal >= 0) {
      posix_spawn_file_actions_adddup2(&actions, terminal, 2);
    } else {
      posix_spawn_file_actions_addopen(&actions, 2, folder_.file("stderr").c_str(), kNew, 0600);
    }
    posix_spawnattr_t attributes;  // signals as at a prompt, whatever those who run the tests ignore
    posix_spawnattr_init(&attributes);
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    pid_t process = -1;
    EXPECT_EQ(posix_spawn(&process, path_.c_str(), &actions, &attributes, argv.data(), envp.data()), 0);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return process;
  }
  Outcome wait(pid_t process) const {
    int raw = 0;
    EXPECT_EQ(waitpid(process, &raw, 0), process);
    Outcome outcome;
    outcome.status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
    outcome.out = text("stdout");
    outcome.err = text("stderr");
    return outcome;
  }

  // A file in the test's folder.
  std::string text(const std::string& name) const {
    std::ifstream in(folder_.file(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  TestFolder folder_;
  std::string path_ = ANDIRON_PROGRAM;
};

inline std::string shared_data(const std::string& path) {
  return std::string(ANDIRON_SOURCE_DIR) + "/../shared/data/" + path;
}

inline std::string whole_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A real model, as a Hugging Face folder.
inline const std::string kTinyStories = "models/tinystories-656k";

// The one line of JSON that a command prints.
inline Json parse(const Outcome& outcome) {
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  auto json = parse_json(outcome.out, "output");
  EXPECT_TRUE(json.ok()) << (json.ok() ? "" : json.error().message) << "\n" << outcome.out;
  return json.ok() ? std::move(json).value() : Json();
}

inline void expect_members(const Json& json, std::initializer_list<const char*> names) {
  for (const char* name : names) EXPECT_NE(json.find(name), nullptr) << name << " in " << json.dump();
}

}  // namespace andiron

// Leaves the test, saying so, where the shared data folder is not there.
#define NEED_SHARED_DATA(path) \
  if (!std::filesystem::exists(::andiron::shared_data(path))) GTEST_SKIP() << "no ../shared/data/" << (path)
