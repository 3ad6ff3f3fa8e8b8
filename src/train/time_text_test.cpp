#include "train/time_text.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "base/test_environment.h"

namespace andiron {
namespace {

TEST(ParseDuration, TakesHoursMinutesAndSeconds) {
  EXPECT_EQ(parse_duration("45m", "--budget").value(), 2700);
  EXPECT_EQ(parse_duration("2h", "--budget").value(), 7200);
  EXPECT_EQ(parse_duration("90s", "--budget").value(), 90);
  EXPECT_EQ(parse_duration("1h30m", "--budget").value(), 5400);
  EXPECT_EQ(parse_duration("1.5h", "--budget").value(), 5400);
  EXPECT_EQ(parse_duration("1h0m5s", "--budget").value(), 3605);
}

TEST(ParseDuration, RefusesTheRest) {
  for (const char* text : {"", "45", "m", "45 m", "45min", "-5m", "0m", "1m1h", "1h1h", "1e9h", "9999h9999999m",
                           "1..5h", "nanh", "infs", "5m3", "\xff"}) {
    const auto seconds = parse_duration(text, "--budget");
    ASSERT_FALSE(seconds.ok()) << text;
    EXPECT_NE(seconds.error().message.find("--budget: expected a time such as 45m"), std::string::npos);
  }
}

class SecondsUntil : public testing::Test {
 protected:
  // Central Europe: clocks go forward at 2:00 on 29 March 2026 and back at 3:00 on 25 October.
  void SetUp() override { set_zone("CET-1CEST,M3.5.0,M10.5.0/3"); }
  static void set_zone(const char* zone) {
    setenv("TZ", zone, 1);
    tzset();
  }
  static int64_t at(int month, int day, int hour, int minute) {
    std::tm local{};
    local.tm_year = 126;
    local.tm_mon = month - 1;
    local.tm_mday = day;
    local.tm_hour = hour;
    local.tm_min = minute;
    local.tm_isdst = -1;
    return std::mktime(&local);
  }

 private:
  ScopedEnvironment environment_{"TZ"};
};

TEST_F(SecondsUntil, CountsToTheNextSuchTime) {
  EXPECT_EQ(seconds_until("22:30", at(11, 22, 21, 0), "--until").value(), 5400);
  EXPECT_EQ(seconds_until("6:05", at(11, 22, 23, 5), "--until").value(), 7 * 3600);
  EXPECT_EQ(seconds_until("00:00", at(12, 31, 23, 59), "--until").value(), 60);
  EXPECT_EQ(seconds_until("22:30", at(11, 22, 22, 30), "--until").value(), 24 * 3600) << "now is not later";
}

TEST_F(SecondsUntil, KnowsOfClocksThatChange) {
  EXPECT_EQ(seconds_until("06:00", at(3, 28, 23, 0), "--until").value(), 6 * 3600) << "an hour is missing";
  EXPECT_EQ(seconds_until("06:00", at(10, 24, 23, 0), "--until").value(), 8 * 3600);
  const double skipped = seconds_until("02:30", at(3, 29, 1, 0), "--until").value();
  EXPECT_TRUE(skipped == 1800 || skipped == 5400) << "a time that does not exist is one of its neighbours: " << skipped;
}

TEST_F(SecondsUntil, RefusesTheRest) {
  for (const char* text : {"", "22", "22:", ":30", "24:00", "12:60", "12:5", "-1:30", "12:-5", "122:30", "12:30:00",
                           "noon", "12.30", "+1:30"}) {
    const auto seconds = seconds_until(text, at(11, 22, 21, 0), "--until");
    ASSERT_FALSE(seconds.ok()) << text;
    EXPECT_NE(seconds.error().message.find("--until: expected a time of day such as 22:30"), std::string::npos);
  }
}

}  // namespace
}  // namespace andiron
