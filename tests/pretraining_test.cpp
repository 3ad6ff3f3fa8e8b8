// andiron pretrain from outside: a model from nothing that every command opens, and runs that are killed.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "program.h"
#include "text/byte_tokenizer_json.h"

namespace andiron {
namespace {

constexpr int kInterrupted = 130;  // exit status, as a shell has it of SIGINT

class PretrainingTest : public ::testing::Test {
 protected:
  PretrainingTest() {
    program_.write("tokenizer.json", byte_tokenizer_json());
    program_.write("tokenizer_config.json", byte_tokenizer_config());
    config_ = program_.write("small.toml", R"([model]
name = "small"
architecture = "qwen3"
width = 64
layers = 2
heads = 2
feed_forward = 96
context = 128
[tokenizer]
file = "tokenizer.json"
[data]
seq_len = 64
[train]
steps = 40
batch = 256
lr = 1e-2
held_out = 0.1
eval_every = 9
save_every = 4
)");
    std::string text;
    for (int i = 0; i < 400; ++i) {
      text += "Line " + std::to_string(i) + " tells of " + std::to_string(i % 7) + " hills.\n";
    }
    data_ = program_.write("hills.txt", text);
  }
  std::vector<std::string> training(const std::string& out, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"pretrain", config_, data_, "--out", program_.file(out), "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  std::string model(const std::string& out) const { return program_.text(out + "/model.gguf"); }

  Program program_;
  std::string config_, data_;
};

TEST_F(PretrainingTest, TheModelOpensEverywhere) {
  const Outcome outcome = program_.run(training("run", {"--json"}));
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto json = parse_json(outcome.out, "output");
  ASSERT_TRUE(json.ok()) << outcome.out;
  EXPECT_EQ(json->member("verdict").text_or(""), "kept");
  EXPECT_LT(json->member("after").member("held_out_loss").number_or(99), 3);
  for (const char* line : {"plan: 40 steps of 256 tokens", "time: about ", "this machine: "}) {
    EXPECT_NE(outcome.err.find(line), std::string::npos) << line << "\n" << outcome.err;
  }
  const std::string made = program_.file("run/model.gguf"), small = program_.file("small.gguf");
  const std::vector<std::vector<std::string>> uses = {
      {"run", made, "-p", "Line ", "-n", "8"},
      {"inspect", made},
      {"eval", made, "--data", data_},
      {"quantize", made, small, "--type", "Q8_0"},
      {"run", small, "-p", "Line ", "-n", "8"},
      {"learn", made, data_, "--out", program_.file("more"), "--method", "full", "--steps", "2", "--seq-len", "32"},
      {"learn", made, data_, "--out", program_.file("adapter"), "--steps", "2", "--seq-len", "32"},
      {"plot", program_.file("run")}};
  for (const auto& words : uses) {
    const Outcome use = program_.run(words);
    EXPECT_EQ(use.status, 0) << words[0] << ": " << use.err;
  }
}

// The number that ends where `text` goes on with `unit`; commas stand between thousands.
double number_before(const std::string& text, const std::string& unit) {
  const size_t end = text.rfind(unit);
  EXPECT_NE(end, std::string::npos) << unit << " in " << text;
  if (end == std::string::npos) return NAN;
  const size_t space = text.rfind(' ', end - 1);
  std::string number = text.substr(space + 1, end - space - 1);
  std::erase(number, ',');
  return std::strtod(number.c_str(), nullptr);
}

// The live line compares a step's work with what the machine was measured to do. Of the numbers shown, the work of a
// token has three digits, so it is off by 5 parts in 1000 at most, and the peak and the speed have four and more, which
// is less than 3 together (a speed of fewer digits is next to no share). The share is a whole number.
TEST_F(PretrainingTest, TheShareOfThePeakIsThatOfTheNumbersShown) {
  // As many steps as any machine needs until the line is shown.
  const std::string shown = program_.shown_until("% of the peak", training("run", {"--steps", "1000000000"}));
  const size_t end = shown.find("% of the peak");
  ASSERT_NE(end, std::string::npos) << shown;
  const size_t begin = shown.rfind('\r', end);  // of the live line
  const std::string plan = shown.substr(0, begin), line = shown.substr(begin, shown.find('\r', end) - begin);
  const double work = 1e6 * number_before(plan, " Mflop a token"), peak = 1e9 * number_before(plan, " Gflop/s in f32");
  const double expected = 100 * work * number_before(line, " tokens/s") / peak;
  EXPECT_GT(expected, 0) << shown;
  EXPECT_NEAR(number_before(line, "% of the peak"), expected, 0.5 + 0.008 * expected) << shown;
}

// Killed at any moment, again and again, while tokens are made too, it ends with the model of the run that nobody
// disturbed.
TEST_F(PretrainingTest, KillsLoseNothing) {
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(program_.run(training("whole", {"-q"})).status, 0);
  const auto whole_run = std::chrono::steady_clock::now() - begin;
  const RandomStream random(11);
  int killed = 0;
  bool ended = false;
  const auto more = [&] {
    const bool begun = std::filesystem::exists(program_.file("parts/run.json"));
    return begun ? std::vector<std::string>{"-q", "--resume"} : std::vector<std::string>{"-q"};
  };
  for (uint64_t i = 0; i < 40 && !ended; ++i) {
    const pid_t process = program_.start(training("parts", more()));
    std::this_thread::sleep_for(whole_run * (0.6 * random.uniform(i)));
    ::kill(process, SIGKILL);
    const Outcome outcome = program_.wait(process);
    killed += outcome.status == 128 + SIGKILL;
    ended = outcome.status == 0;
    ASSERT_TRUE(ended || outcome.status == 128 + SIGKILL) << outcome.err;
    if (std::chrono::steady_clock::now() - begin > std::chrono::seconds(30)) break;  // slow machines kill less often
  }
  EXPECT_GT(killed, 0);
  if (!ended) {
    const Outcome last = program_.run(training("parts", more()));
    ASSERT_EQ(last.status, 0) << last.err;
  }
  EXPECT_FALSE(model("whole").empty());
  EXPECT_TRUE(model("parts") == model("whole"));  // too many bytes to print
}

// Ctrl-C ends the run after its step; where the machine was so slow that the run was over first, once more.
TEST_F(PretrainingTest, CtrlCStopsARunThatGoesOn) {
  const std::string more = program_.text("small.toml");
  config_ = program_.write("long.toml", std::string(more).replace(more.find("steps = 40"), 10, "steps = 400"));
  ASSERT_EQ(program_.run(training("whole", {"-q"})).status, 0);
  const auto stopped = [&](const std::string& out) {
    const pid_t process = program_.start(training(out));
    for (int i = 0; i < 6000; ++i) {
      const std::string losses = program_.text(out + "/loss.csv");
      if (std::count(losses.begin(), losses.end(), '\n') > 1) break;  // below the names
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ::kill(process, SIGINT);
    return program_.wait(process);
  };
  std::string out;
  Outcome outcome;
  for (int i = 0; i < 5 && outcome.status != kInterrupted; ++i) {
    out = "parts-" + std::to_string(i);
    outcome = stopped(out);
    ASSERT_TRUE(outcome.status == 0 || outcome.status == kInterrupted) << outcome.err;
  }
  ASSERT_EQ(outcome.status, kInterrupted);
  EXPECT_NE(outcome.err.find("; --resume goes on"), std::string::npos) << outcome.err;
  EXPECT_NE(program_.text(out + "/run.json").find("\"verdict\": \"stopped\""), std::string::npos);
  EXPECT_FALSE(model(out) == model("whole"));
  const Outcome resumed = program_.run(training(out, {"--resume"}));
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("going on after step "), std::string::npos) << resumed.err;
  EXPECT_TRUE(model(out) == model("whole"));
}

// Two hours from now is time enough for forty steps.
TEST_F(PretrainingTest, UntilIsATimeOfTheClock) {
  const std::time_t then = std::time(nullptr) + 2 * 60 * 60;
  std::tm local{};
  localtime_r(&then, &local);
  char text[16] = "";
  std::strftime(text, sizeof text, "%H:%M", &local);
  const Outcome outcome = program_.run(training("run", {"--until", text}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.err.find(", within "), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("the time is used up"), std::string::npos) << outcome.err;
}

TEST_F(PretrainingTest, TimesThatAreNoneAreWrongUsage) {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"--budget", "soon"}, {"--until", "25:00"}, {"--checkpointing", "often"}, {"--memory", "-1"}}) {
    EXPECT_EQ(program_.run(training("run", words)).status, 2) << words[0];
  }
  EXPECT_EQ(program_.run({"learn", data_, "--out", program_.file("run"), "--budget", "soon"}).status, 2);
  EXPECT_FALSE(std::filesystem::exists(program_.file("run")));
}

TEST_F(PretrainingTest, AModelWithoutANameHasItsFolders) {
  const std::string more = program_.text("small.toml");
  config_ = program_.write("nameless.toml", std::string(more).replace(more.find("name = \"small\"\n"), 15, ""));
  ASSERT_EQ(program_.run(training("ember/", {"-q", "--steps", "1"})).status, 0);
  EXPECT_NE(program_.text("ember/run.json").find("\"name\": \"ember\""), std::string::npos);
}

TEST_F(PretrainingTest, MistakesInTheConfigurationAreNamed) {
  config_ =
      program_.write("wrong.toml", "[model]\nwidth = \"wide\"\nlayers = 1\nheads = 1\nfeed_forward = 8\ncontext = 8\n");
  const Outcome outcome = program_.run(training("run"));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("wrong.toml:2: model.width: expected a whole number from 8 to 1048576, got \"wide\""),
            std::string::npos)
      << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(program_.file("run")));
}

}  // namespace
}  // namespace andiron
