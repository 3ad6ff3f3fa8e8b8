#include "train/run_record.h"

#include <gtest/gtest.h>

#include <ctime>
#include <limits>

#include "base/test_environment.h"
#include "base/test_folder.h"

namespace andiron {
namespace {

RunRecord example() {
  RunRecord record;
  record.name = "me \"quoted\"";
  record.version = "0.1.0";
  record.method = "lora";
  record.base_path = "/models/a.gguf";
  record.base_hash = "0123456789abcdef0123456789abcdef";
  record.base_architecture = "llama";
  record.data = {{"a.jsonl", "train", "chat", "ff", 1000, 10, 1, 2}, {"b.md", "replay", "text", "00", 5, 1, 0, 0}};
  record.train_rows = 10;
  record.held_out_rows = 1;
  record.train_tokens = 4096;
  record.trained_tokens = 1024;
  record.held_out_tokens = 100;
  record.seed = std::numeric_limits<uint64_t>::max();
  record.options.set("lr", 2e-4).set("targets", "all").set("study", "off");
  record.machine = {"A Processor", "avx512", "Linux", 2, uint64_t{16} << 30};
  record.started = "2026-11-22T22:30:00+01:00";
  record.seconds = 12.5;
  record.steps = 3;
  record.before.set("held_out_loss", 2.5);
  record.verdict = "draft";
  record.reasons = {"held-out loss did not fall"};
  return record;
}

TEST(RunRecord, NamesTheFirstFileThatIsNotWhatItWas) {
  const auto data = example().data;
  const auto refused = [&](auto change) {
    auto now = data;
    change(now);
    const Status status = check_same_files(data, now);
    return status.ok() ? std::string() : status.error().message;
  };
  EXPECT_EQ(refused([](auto& now) { now[0].path = "elsewhere/a.jsonl"; }), "");
  EXPECT_EQ(refused([](auto& now) { now[1].hash = "11"; }),
            "b.md: the run was not begun with this replay data: its replay was b.md (00)");
  EXPECT_EQ(refused([](auto& now) { now[1].use = "train"; }),
            "b.md: the run was not begun with this train data: its replay was b.md (00)");
  EXPECT_EQ(refused([](auto& now) { now[1].format = "markdown"; }),
            "b.md: the run read it as text, and now it is markdown; give it the name that it had, b.md");
  EXPECT_EQ(refused([](auto& now) { now.pop_back(); }), "b.md: the run was begun with this data too; give it again");
  EXPECT_EQ(refused([](auto& now) {
              now.push_back({"c.txt", "train", "text", "22"});
            }),
            "c.txt: the run was not begun with this train data");
}

TEST(RunRecord, IsReadBackWhole) {
  const TestFolder folder;
  const std::string path = folder.file("run.json");
  ASSERT_TRUE(write_run_record(path, example()).ok());
  const auto read = read_run_record(path);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(run_record_json(*read).dump(), run_record_json(example()).dump());
  EXPECT_EQ(read->seed, std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(read->data.size(), 2u);
  EXPECT_EQ(read->data[0].duplicate_rows, 2);
  EXPECT_EQ(read->machine.memory_bytes, uint64_t{16} << 30);
  EXPECT_EQ(read->reasons, example().reasons);
  EXPECT_EQ(read->options.find("lr")->as_double(), 2e-4);
}

TEST(RunRecord, ARunFromBeforeThereWasStudyHadNone) {
  RunRecord record = example();
  record.options = Json::object();
  const TestFolder folder;
  ASSERT_TRUE(write_run_record(folder.file("run.json"), record).ok());
  EXPECT_EQ(read_run_record(folder.file("run.json"))->options.member("study").text_or(""), "off");
}

// Every member is written, and every one is missed: a forgotten one in either list would show here.
TEST(RunRecord, NamesTheMemberThatIsMissing) {
  const Json whole = run_record_json(example());
  EXPECT_EQ(whole.members().size(), 26u);
  for (const auto& [key, value] : whole.members()) {
    Json part = Json::object();
    for (const auto& [other, kept] : whole.members()) {
      if (other != key) part.set(other, kept);
    }
    const auto read = parse_run_record(part.dump(), "run.json");
    if (key == "recipe") {  // of records that are older than it
      ASSERT_TRUE(read.ok()) << read.error().message;
      EXPECT_EQ(read->recipe, 1);
      continue;
    }
    ASSERT_FALSE(read.ok()) << key;
    EXPECT_NE(read.error().message.find("\"" + key + "\""), std::string::npos) << read.error().message;
  }
  const std::string text = whole.dump();
  for (size_t length = 0; length < text.size(); ++length) {
    ASSERT_FALSE(parse_run_record(text.substr(0, length), "run.json").ok()) << length;
  }
  EXPECT_FALSE(parse_run_record("[]", "run.json").ok());
}

TEST(RunRecord, KnowsTheMachine) {
  const MachineRecord machine = this_machine();
  EXPECT_FALSE(machine.system.empty());
  EXPECT_GT(machine.memory_bytes, 0u);
}

TEST(Timestamp, HasTheZone) {
  const ScopedEnvironment environment({"TZ"});
  setenv("TZ", "XXX-1:30", 1);  // an hour and a half east
  tzset();
  EXPECT_EQ(timestamp(0), "1970-01-01T01:30:00+01:30");
}

}  // namespace
}  // namespace andiron
