// Lists of ids as people write them, medians, and what a training run says.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "cli/id_list.h"
#include "cli/machine_limits.h"
#include "cli/train_progress.h"

namespace andiron {
namespace {

TEST(ParseIds, TakesTheUsualWaysToWriteAList) {
  const std::vector<int32_t> expected = {1, 5, 7};
  for (const char* text : {"1 5 7", "1,5,7", "[1, 5, 7]", "  1\n5\t7\r\n"}) {
    const auto ids = parse_ids(text, 10, "ids");
    ASSERT_TRUE(ids.ok()) << ids.error().message;
    EXPECT_EQ(*ids, expected) << text;
  }
  // As tokenize prints them. A piece may hold anything but a newline.
  for (const char* text : {"       1  \"<s>\"\n       5  \" 9, \"\n       7  \"\"\"\n",
                           "{\"ids\":[1,5,7],\"pieces\":[\"<s>\",\" 9, \",\"\\\"\"]}\n"}) {
    const auto ids = parse_ids(text, 10, "ids");
    ASSERT_TRUE(ids.ok()) << ids.error().message;
    EXPECT_EQ(*ids, expected) << text;
  }
  EXPECT_TRUE(parse_ids("", 10, "ids")->empty());
  EXPECT_TRUE(parse_ids(" [ ] ", 10, "ids")->empty());
}

TEST(ParseIds, RefusesWhatIsNoToken) {
  for (const char* text : {"10", "-1", "1 x", "1.5", "0x1", "99999999999999999999", "\"1\"", "{\"ids\":[1,\"5\"]}",
                           "{\"ids\":[10]}", "{\"tokens\":[1]}", "{\"ids\":[1"}) {
    const auto ids = parse_ids(text, 10, "--tokens");
    ASSERT_FALSE(ids.ok()) << text;
    EXPECT_NE(ids.error().message.find("--tokens"), std::string::npos) << ids.error().message;
  }
}

TEST(TrainDetail, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(train_detail({.step = 1, .loss = 2.1339, .tokens_per_s = 1612.4}, 2.3),
            "loss 2.134, held-out 2.300, 1,612 tokens/s");
  EXPECT_EQ(train_detail({.step = 1, .loss = 2, .tokens_per_s = HUGE_VAL}, kNotMeasured), "loss 2.000");
  EXPECT_EQ(train_detail({}, kNotMeasured), "loss nan");
}

TEST(Median, IsTheMiddle) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({9, 1, 5}), 5);
  EXPECT_EQ(median({9, 1, 5, 3}), 4);
}

TEST(MachineLimits, SamplesThatDifferWidelyAreSaid) {
  const auto note = [](std::vector<double> samples) { return busy_note(samples); };
  EXPECT_EQ(note({}), "");
  EXPECT_EQ(note({50}), "");
  EXPECT_EQ(note({50, 48, 49, 41}), "");
  EXPECT_EQ(note({50, 30.25, 49}), "the machine seems busy: samples of its memory read at 30.2 to 50.0 GB/s");
}

TEST(MachineLimits, ReadsWhatNoCacheHoldsAndNoMoreThanItNeeds) {
  constexpr uint64_t kMiB = 1 << 20;
  EXPECT_EQ(uncached_bytes(8 * kMiB), 32 * kMiB);
  EXPECT_EQ(uncached_bytes(32 * kMiB), 128 * kMiB);
  EXPECT_EQ(uncached_bytes(100 * kMiB), 256 * kMiB);
  EXPECT_EQ(uncached_bytes(384 * kMiB), 768 * kMiB) << "less would be read from the cache";
  EXPECT_EQ(uncached_bytes(0), 256 * kMiB) << "unknown";
}

}  // namespace
}  // namespace andiron
