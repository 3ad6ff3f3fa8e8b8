// Learning from the command line: what it leaves, and that nothing that ends the process loses anything.
#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include "base/json.h"
#include "base/random.h"
#include "program.h"

namespace andiron {
namespace {

class LearningTest : public ::testing::Test {
 protected:
  using Words = std::vector<std::string>;

  LearningTest() {
    model_ = program_.file("tiny.gguf");
    EXPECT_EQ(program_.run({"synth", "tiny", model_, "--type", "q8_0"}).status, 0);
    std::string text;
    for (int i = 0; i < 60; ++i)
      text += "Line " + std::to_string(i) + " tells of " + std::to_string(i % 7) + " hills.\n";
    data_ = program_.write("notes.txt", text);
  }
  std::vector<std::string> learning(const std::string& out, const std::vector<std::string>& more = {},
                                    const std::string& steps = "30") const {
    std::vector<std::string> words = {"learn", model_, data_, "--out", program_.file(out), "--steps", steps};
    for (const char* word : {"--rank", "2", "--seq-len", "32", "--batch", "2", "--lr", "1e-3", "--seed", "3",
                             "--save-every", "4", "--eval-every", "7", "--threads", "1"}) {
      words.push_back(word);
    }
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  std::string adapter(const std::string& out) const { return program_.text(out + "/adapter_model.safetensors"); }

  Program program_;
  std::string model_, data_;
};

TEST_F(LearningTest, PrintsTheRecordForScripts) {
  const Outcome outcome = program_.run(learning("run", {"--json"}));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto json = parse_json(outcome.out, "output");
  ASSERT_TRUE(json.ok()) << outcome.out;
  for (const char* name : {"verdict", "before", "after", "samples", "options", "data", "out"}) {
    EXPECT_NE(json->find(name), nullptr) << name;
  }
  EXPECT_NE(outcome.err.find("held-out loss"), std::string::npos);
  EXPECT_EQ(program_.text("run/loss.csv").rfind("step,", 0), 0U);
  const Outcome answer = program_.run({"run", model_, "-p", "Line", "-n", "4", "--adapter", program_.file("run")});
  EXPECT_EQ(answer.status, 0) << answer.err;
}

// Killed at any moment, again and again, it ends with the adapter of the run that nobody disturbed.
TEST_F(LearningTest, KillsLoseNothing) {
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(program_.run(learning("whole/me")).status, 0);
  const auto whole_run = std::chrono::steady_clock::now() - begin;
  const RandomStream random(11);
  int killed = 0;
  bool ended = false;
  for (uint64_t i = 0; i < 50 && !ended; ++i) {
    const bool begun = std::filesystem::exists(program_.file("parts/me/run.json"));
    const pid_t process =
        program_.start(learning("parts/me", begun ? std::vector<std::string>{"--resume"} : std::vector<std::string>{}));
    std::this_thread::sleep_for(whole_run * (0.5 * random.uniform(i)));
    ::kill(process, SIGKILL);
    const Outcome outcome = program_.wait(process);
    killed += outcome.status == 128 + SIGKILL;
    ended = outcome.status == 0;
    ASSERT_TRUE(ended || outcome.status == 128 + SIGKILL) << outcome.err;
    if (std::chrono::steady_clock::now() - begin > std::chrono::seconds(60)) break;  // slow machines kill less often
  }
  EXPECT_GT(killed, 0);
  if (!ended) {
    const Outcome last = program_.run(learning("parts/me", {"--resume"}));
    ASSERT_EQ(last.status, 0) << last.err;
  }
  EXPECT_FALSE(adapter("whole/me").empty());
  EXPECT_TRUE(adapter("parts/me") == adapter("whole/me"));  // too many bytes to print
}

TEST_F(LearningTest, CtrlCSavesAndSaysHowToGoOn) {
  const pid_t process = program_.start(learning("run", {}, "100000"));
  const auto lines = [&] {
    const std::string course = program_.text("run/loss.csv");
    return std::count(course.begin(), course.end(), '\n');
  };
  for (int i = 0; i < 12000 && lines() < 3; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ::kill(process, SIGINT);
  const Outcome outcome = program_.wait(process);
  EXPECT_EQ(outcome.status, 130) << outcome.err;
  EXPECT_NE(outcome.err.find("--resume goes on"), std::string::npos) << outcome.err;
  EXPECT_FALSE(adapter("run").empty());
}

TEST_F(LearningTest, ResumeKnowsItsModelAndData) {
  ASSERT_EQ(program_.run(learning("run", {}, "3")).status, 0);
  const std::string learned = adapter("run"), folder = program_.file("run");
  const Outcome again = program_.run({"learn", "--resume", "--out", folder});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_TRUE(
      again.err.starts_with("going on with " + model_ + " and " + data_ + ", as " + folder + "/run.json has it"))
      << again.err;
  EXPECT_TRUE(adapter("run") == learned);
  EXPECT_NE(again.out.find("after 3 steps"), std::string::npos) << again.out;
  const auto refusal = [&](const Words& more) {
    Words words = {"learn"};
    words.insert(words.end(), more.begin(), more.end());
    words.insert(words.end(), {"--resume", "--out", folder});
    const Outcome outcome = program_.run(words);
    EXPECT_EQ(outcome.status, 1) << outcome.err;
    return outcome.err;
  };
  const std::string other = program_.file("other.gguf");
  ASSERT_EQ(program_.run({"synth", "tiny", other, "--type", "q4_0"}).status, 0);
  EXPECT_NE(refusal({other}).find("this model is another"), std::string::npos);
  EXPECT_NE(refusal({model_, program_.write("more.txt", "other words")}).find("the run was not begun with"),
            std::string::npos);
  EXPECT_NE(refusal({"--steps", "4"}).find("--steps: the run to go on with has 3"), std::string::npos);
  std::filesystem::remove(data_);
  EXPECT_NE(refusal({}).find("it names the data " + data_ + ", which is not there"), std::string::npos);
  EXPECT_EQ(program_.run({"learn", "--resume", "--as", "nobody"}).status, 1);
}

TEST_F(LearningTest, ResumeKnowsAllFilesOfItsGeneralText) {
  std::filesystem::create_directories(program_.file("general"));
  program_.write("general/1.txt", "The sea is salt, and the rivers are not.");
  program_.write("general/2.txt", "A clock that stands is right twice a day.");
  ASSERT_EQ(program_.run(learning("run", {"--general", program_.file("general")}, "3")).status, 0);
  const Outcome again = program_.run({"learn", "--resume", "--out", program_.file("run")});
  EXPECT_EQ(again.status, 0) << again.err;
}

TEST_F(LearningTest, IsCalledAsItsDataWhereNoNameIsGiven) {
  const Outcome learned = program_.run({"learn", model_, data_, "--steps", "1", "--seq-len", "32"});
  ASSERT_EQ(learned.status, 0) << learned.err;
  EXPECT_NE(learned.out.find("--adapter notes -p TEXT"), std::string::npos) << learned.out;
  EXPECT_TRUE(std::filesystem::exists(program_.file("data/andiron/adapters/notes/run.json")));
}

TEST_F(LearningTest, ABaseModelCannotStudy) {
  const Outcome refused = program_.run(learning("run", {"--study", "on"}));
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("--study on: " + model_ + " is a base model"), std::string::npos) << refused.err;
  const Outcome plain = program_.run(learning("run", {"--json", "--study", "auto"}, "2"));
  EXPECT_EQ(parse(plain).member("options").member("study").text_or(""), "off");
}

TEST_F(LearningTest, WrongOptionsAreWrongUsage) {
  for (const Words& words :
       {learning("run", {"--dropout", "1"}), learning("run", {"--method", "alchemy"}),
        learning("run", {"--budget", "soon"}), learning("run", {"--loss", "dpo", "--method", "full"}),
        learning("run", {"--targets"}), learning("run", {"--study", "always"}),
        learning("run", {"--study", "on", "--loss", "dpo"}), Words{"learn", model_, data_, "--as", "../x"},
        Words{"learn", model_, data_, "--as", ""}, Words{"learn", model_, data_, "--as", "none"}, Words{"learn"},
        Words{"learn", "--as", "me"}, Words{"learn", model_, "--as", "me"}, Words{"learn", "--resume"}}) {
    const Outcome outcome = program_.run(words);
    EXPECT_EQ(outcome.status, 2) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(program_.file("run")));
  }
}

}  // namespace
}  // namespace andiron
