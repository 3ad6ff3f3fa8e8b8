// How the program ends when it is not its own choice: signals, streams that are closed or full.
#include <sys/stat.h>

#include <cstdlib>

#include "program.h"

namespace andiron {
namespace {

class EndingsTest : public ::testing::Test {
 protected:
  std::string tiny() {
    const std::string path = program_.file("tiny.gguf");
    EXPECT_EQ(program_.run({"synth", "tiny", path}).status, 0);
    return path;
  }
  Program program_;
};

// Until the program has opened the pipe it may still be starting; from then on it waits for text that never comes.
pid_t start_and_wait_for_reader(const Program& program, const std::vector<std::string>& words, int& writer) {
  const std::string pipe = words.back();
  EXPECT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const pid_t process = program.start(words);
  writer = open(pipe.c_str(), O_WRONLY);
  EXPECT_GE(writer, 0);
  return process;
}

TEST_F(EndingsTest, SignalsEndAnyCommandWithALine) {
  const std::string model = tiny();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    for (const char* command : {"tokenize", "ppl"}) {
      int writer = -1;
      const pid_t process = start_and_wait_for_reader(
          program_, {command, model, "--file", program_.file(std::string(command) + std::to_string(signal))}, writer);
      kill(process, signal);
      const Outcome outcome = program_.wait(process);
      close(writer);
      EXPECT_EQ(outcome.status, 128 + signal) << command;
      EXPECT_EQ(outcome.err, "andiron: stopped\n") << command;
    }
  }
}

// Whether a process has a file of this folder open that has no name (or is being written under a temporary one).
bool writes_into(pid_t process, const std::string& folder) {
  std::error_code error;
  for (const auto& fd : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd", error)) {
    const std::string target = std::filesystem::read_symlink(fd.path(), error).string();
    if (target.starts_with(folder + "/")) return true;
  }
  return false;
}

TEST_F(EndingsTest, ASignalLeavesNoPartOfAFile) {
  const std::string folder = program_.file("new");
  std::filesystem::create_directory(folder);
  // 4 GB, of which some of the first are written.
  const pid_t process = program_.start({"synth", "llama-2-7b", folder + "/out.gguf"});
  while (!writes_into(process, folder) && waitpid(process, nullptr, WNOHANG) == 0) sched_yield();
  kill(process, SIGTERM);
  const Outcome outcome = program_.wait(process);
  EXPECT_EQ(outcome.status, 143) << outcome.err;
  EXPECT_TRUE(outcome.err.ends_with("andiron: stopped\n")) << outcome.err;
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

// Output that nobody can have is a failure; and with a stream closed no file takes its place.
TEST_F(EndingsTest, LostOutputIsAFailure) {
  const std::string model = tiny(), before = whole_file(model);
  const auto shell = [&](const std::string& line) {
    const std::string script = "exec \"" ANDIRON_PROGRAM "\" " + line + " 2> \"" + program_.file("complaint") + "\"";
    const int raw = std::system(script.c_str());
    return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
  };
  for (const std::string& where : {std::string(">&-"), std::string("> /dev/full")}) {
    for (const std::string& command : {"run " + model + " -n 5", "run " + model + " -n 5 --json", "inspect " + model,
                                       "tokenize " + model + " -p x", std::string("--help"), std::string("--version"),
                                       "chat " + model + " -n 2 < " + program_.write("in", "hi\n")}) {
      EXPECT_EQ(shell("--no-cache " + command + " " + where), 1) << command << " " << where;
      if (command.find("chat") != std::string::npos) continue;  // it needs a template, which is another failure
      EXPECT_NE(program_.text("complaint").find("standard output: cannot write to it"), std::string::npos)
          << command << " " << where << ": " << program_.text("complaint");
    }
  }
  EXPECT_EQ(whole_file(model), before);
  EXPECT_EQ(shell("tokenize " + model + " <&-"), 1);
  EXPECT_NE(program_.text("complaint").find("standard input"), std::string::npos);
  EXPECT_EQ(shell("synth tiny " + program_.file("quiet.gguf") + " >&-"), 0) << "nothing to say, nothing lost";
}

}  // namespace
}  // namespace andiron
