#include "serve/job_events.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/test_folder.h"

namespace andiron {
namespace {

Json step_data(int64_t step) {
  Json data = Json::object();
  data.set("step", step);
  return data;
}

// The messages, with the numbers before them.
std::vector<std::string> told(EventLog& log) {
  std::vector<std::string> out;
  for (const JobEvent& event : log.all()) out.push_back(std::to_string(event.number) + " " + event.message);
  return out;
}

using Told = std::vector<std::string>;

TEST(EventLog, OutlivesItsProcessAndItsMemory) {
  const TestFolder folder;
  const std::string path = folder.file("events.jsonl");
  EventLog log(path);
  EXPECT_TRUE(log.all().empty());
  ASSERT_NE(log.add("info", "created"), nullptr);
  const JobEvent* step = log.add("info", "a step", step_data(1));
  ASSERT_NE(step, nullptr);
  EXPECT_EQ(step->number, 2);
  EXPECT_GT(step->created, 0);
  struct stat facts {};
  ASSERT_EQ(::stat(path.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0600U);
  log.put_away();
  EXPECT_EQ(told(log), (Told{"1 created", "2 a step"}));
  log.put_away();
  ASSERT_NE(log.add("warn", "more"), nullptr) << "what was put away comes before it";
  EventLog again(path);
  EXPECT_EQ(told(again), (Told{"1 created", "2 a step", "3 more"}));
  EXPECT_EQ(again.all()[1].data.member("step").as_int(), 1);
  EXPECT_EQ(again.all()[2].level, "warn");
}

TEST(EventLog, StepsThatAreTakenAgainAreForgotten) {
  const TestFolder folder;
  EventLog log(folder.file("events.jsonl"));
  for (int64_t step = 1; step <= 4; ++step) log.add("info", "step", step_data(step));
  log.add("info", "words");
  log.put_away();
  log.forget_steps_after(2);
  EXPECT_EQ(told(log), (Told{"1 step", "2 step", "5 words"}));
  EventLog again(folder.file("events.jsonl"));
  EXPECT_EQ(told(again), told(log));
}

TEST(EventLog, HalfALineCostsThatLineAlone) {
  const TestFolder folder;
  const std::string path = folder.file("events.jsonl");
  EventLog(path).add("info", "first");
  std::ofstream(path, std::ios::app) << "{\"number\": 2, \"crea";
  EventLog log(path);
  EXPECT_EQ(told(log), Told{"1 first"});
  log.add("info", "second");
  EventLog again(path);
  EXPECT_EQ(told(again), (Told{"1 first", "2 second"}));
  // Nor do lines that are none of this kind count, or such as go back.
  folder.write("events.jsonl", "[]\nnonsense\n" + std::string("{\"number\": 1}\n"));
  EventLog strange(path);
  EXPECT_TRUE(strange.all().empty());
}

// A disk that fills up in the middle of a line: here a file that may not grow further.
TEST(EventLog, WhatTheDiskTakesInPartIsTakenBack) {
  const TestFolder folder;
  const std::string path = folder.file("events.jsonl");
  EventLog log(path);
  log.add("info", "first");
  const auto size = std::filesystem::file_size(path);
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
  rlimit small = usual;
  small.rlim_cur = size + 10;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  log.add("info", "second");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &usual), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(std::filesystem::file_size(path), size);
  log.add("info", "third");
  EXPECT_EQ(told(log), (Told{"1 first", "2 second", "3 third"}));
  EventLog again(path);
  EXPECT_EQ(told(again), (Told{"1 first", "3 third"}));
}

TEST(EventLog, HasALimit) {
  EventLog log("");
  for (size_t i = 0; i < EventLog::kEventsMax; ++i) ASSERT_NE(log.add("info", "words"), nullptr);
  EXPECT_EQ(log.add("info", "words"), nullptr);
  log.put_away();
  EXPECT_EQ(log.all().size(), EventLog::kEventsMax) << "memory alone is not put away";
}

}  // namespace
}  // namespace andiron
