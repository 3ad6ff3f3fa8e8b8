#include "train/loss_log.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cmath>

#include "base/atomic_file.h"
#include "base/test_folder.h"

namespace andiron {
namespace {

LossRow row_of(int64_t step) {
  return {.step = step,
          .tokens = 2048 * step,
          .loss = 1.0 / static_cast<double>(step),
          .held_out_loss = step % 5 == 0 ? 2.5 : kNotMeasured,
          .learning_rate = 1e-4,
          .gradient_norm = 0.1,
          .tokens_per_s = 612.25};
}

std::string log_of(const TestFolder& folder, int64_t steps) {
  const std::string path = folder.file("loss.csv");
  LossLog log = LossLog::create(path).value();
  for (int64_t step = 1; step <= steps; ++step) EXPECT_TRUE(log.append(row_of(step)).ok());
  EXPECT_TRUE(log.sync().ok());
  return path;
}

TEST(LossLog, IsReadBackToTheBit) {
  const TestFolder folder;
  const std::string path = log_of(folder, 7);
  EXPECT_EQ(read_text_file(path)->substr(0, 110),
            "step,tokens,loss,held_out_loss,learning_rate,gradient_norm,tokens_per_s\n"
            "1,2048,1,,0.0001,0.1,612.25\n"
            "2,4096,0.5");
  const auto rows = read_loss_csv(path);
  ASSERT_TRUE(rows.ok()) << rows.error().message;
  ASSERT_EQ(rows->size(), 7u);
  for (int64_t step = 1; step <= 7; ++step) {
    const LossRow &row = (*rows)[static_cast<size_t>(step - 1)], expected = row_of(step);
    EXPECT_EQ(row.step, step);
    EXPECT_EQ(row.tokens, expected.tokens);
    EXPECT_EQ(row.loss, expected.loss);
    EXPECT_EQ(std::isnan(row.held_out_loss), step != 5);
    EXPECT_EQ(row.tokens_per_s, 612.25);
  }
}

TEST(LossLog, TakesNumbersOfARunThatWentWrong) {
  const TestFolder folder;
  const std::string path = folder.file("loss.csv");
  LossLog log = LossLog::create(path).value();
  ASSERT_TRUE(log.append({.step = 1, .loss = -std::nan(""), .gradient_norm = HUGE_VAL}).ok());
  ASSERT_TRUE(log.append({.step = 2, .loss = -HUGE_VAL}).ok());
  const auto rows = read_loss_csv(path);
  ASSERT_TRUE(rows.ok()) << rows.error().message;
  EXPECT_TRUE(std::isnan((*rows)[0].loss));
  EXPECT_EQ((*rows)[0].gradient_norm, HUGE_VAL);
  EXPECT_EQ((*rows)[1].loss, -HUGE_VAL);
}

// Whatever a crash left after the last synced row: later rows, half a row, or garbage.
TEST(LossLog, ResumingCutsWhatCameAfterTheStep) {
  const TestFolder folder;
  const std::string path = log_of(folder, 3);
  const std::string three = read_text_file(path).value();
  const std::string ten = read_text_file(log_of(folder, 10)).value();
  std::vector<std::string> states = {three, ten, three + std::string(100, '\0'), three + "x,y\n"};
  for (size_t length = three.size(); length < ten.size(); ++length) states.push_back(ten.substr(0, length));
  for (const std::string& state : states) {
    folder.write("loss.csv", state);
    {
      auto log = LossLog::resume(path, 3);
      ASSERT_TRUE(log.ok()) << log.error().message;
      EXPECT_EQ(*read_text_file(path), three);
      for (int64_t step = 4; step <= 10; ++step) ASSERT_TRUE(log->append(row_of(step)).ok());
    }
    EXPECT_EQ(*read_text_file(path), ten);
  }
  ASSERT_TRUE(LossLog::resume(path, 0).ok());
  EXPECT_TRUE(read_loss_csv(path)->empty());
}

TEST(LossLog, ResumingWithoutTheRowsIsAnError) {
  const TestFolder folder;
  const std::string path = log_of(folder, 3);
  const auto log = LossLog::resume(path, 4);
  ASSERT_FALSE(log.ok());
  EXPECT_NE(log.error().message.find("go on after step 4, but this file ends at step 3"), std::string::npos);
  EXPECT_FALSE(LossLog::resume(folder.file("absent"), 4).ok());
  EXPECT_EQ(read_loss_csv(path)->size(), 3u) << "untouched";
}

TEST(LossLog, AFullDiskLeavesNoHalfLine) {
  const TestFolder folder;
  const std::string path = log_of(folder, 3);
  const std::string three = read_text_file(path).value();
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  LossLog log = LossLog::resume(path, 3).value();
  for (rlim_t room = 0; room < 20; ++room) {
    struct rlimit small = before;
    small.rlim_cur = three.size() + room;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    const Status status = log.append(row_of(4));
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(*read_text_file(path), three);
  }
  signal(SIGXFSZ, old_handler);
  EXPECT_TRUE(log.append(row_of(4)).ok());
  EXPECT_EQ(read_loss_csv(path)->size(), 4u);
}

TEST(LossCsv, RefusesOtherFilesAndNamesTheLine) {
  const TestFolder folder;
  const std::string heading = "step,tokens,loss,held_out_loss,learning_rate,gradient_norm,tokens_per_s\n";
  EXPECT_FALSE(read_loss_csv(folder.write("a", "step,loss\n")).ok());
  for (const char* line : {"1,2,3,4,5,6\n", "1,2,3,4,5,6,7,8\n", "x,2,3,4,5,6,7\n", "1.5,2,3,4,5,6,7\n",
                           "1,,3,4,5,6,7\n", "1,2,3 ,4,5,6,7\n", "\n", ",,,,,,\n"}) {
    const auto rows = read_loss_csv(folder.write("b", heading + "1,1,1,1,1,1,1\n" + line));
    ASSERT_FALSE(rows.ok()) << line;
    EXPECT_NE(rows.error().message.find("line 3"), std::string::npos) << rows.error().message;
  }
}

}  // namespace
}  // namespace andiron
