// Answers about the calendar, worked out in steps that a small model can take one by one: names are said in a row
// instead of jumped over, and what goes beyond sixty minutes, a day or a month is taken off aloud.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/strings.h"
#include "calendar.h"

namespace andiron::ember {

namespace {

// Steps one behind the other, and what they come to.
class Steps {
 public:
  void add(const std::string& step) { text_ += (text_.empty() ? "" : ", ") + step; }
  int sum(int a, int b) {
    add(format("{} + {} = {}", a, b, a + b));
    return a + b;
  }
  int difference(int a, int b) {
    add(format("{} - {} = {}", a, b, a - b));
    return a - b;
  }
  int product(int a, int b) {
    add(format("{} x {} = {}", a, b, a * b));
    return a * b;
  }
  std::string end(const std::string& result) const {
    return text_.empty() ? format("It is {}.", result) : format("{}. It is {}.", text_, result);
  }

 private:
  std::string text_;
};

const std::string& named(const std::vector<std::string>& names, int at) {
  const int size = static_cast<int>(names.size());
  return names[static_cast<size_t>((at % size + size) % size)];
}

std::string walk(Steps steps, const std::vector<std::string>& names, int from, int by) {
  const int sign = by < 0 ? -1 : 1;
  for (int i = 1; i <= std::abs(by); ++i) steps.add(named(names, from + sign * i));
  return steps.end(named(names, from + by));
}

// As many whole weeks as there are go first.
std::string walk_days(Steps steps, const std::vector<std::string>& days, int from, int by) {
  const int weeks = std::abs(by) / 7 * 7;
  const int rest = weeks > 0 ? steps.difference(std::abs(by), weeks) : std::abs(by);
  return walk(std::move(steps), days, from, by < 0 ? -rest : rest);
}

}  // namespace

std::string worked_names(const std::vector<std::string>& names, int from, int by) { return walk({}, names, from, by); }

std::string worked_days(const std::vector<std::string>& days, int from, int by) {
  return walk_days({}, days, from, by);
}

std::string worked_weekday(const std::vector<std::string>& days, int weekday, int day, int other) {
  Steps steps;
  if (day == other) return steps.end(named(days, weekday));
  const int apart = steps.difference(std::max(day, other), std::min(day, other));
  return walk_days(std::move(steps), days, weekday, other < day ? -apart : apart);
}

std::string worked_date(const std::vector<std::string>& months, int day, int month, int by) {
  Steps steps;
  int then = steps.sum(day, by), then_month = month;
  if (then > days_of_month(month)) {
    then = steps.difference(then, days_of_month(month));
    then_month = month % 12 + 1;
  }
  return steps.end(format("{} {}", then, named(months, then_month - 1)));
}

std::string worked_clock(int start, int hours, int minutes) {
  Steps steps;
  int hour = start / 60, minute = start % 60;
  if (hours > 0) hour = steps.sum(hour, hours);
  if (minutes > 0) {
    minute = steps.sum(minute, minutes);
    const int over = minute / 60;
    if (over > 0) {
      minute = steps.difference(minute, 60 * over);
      hour = steps.sum(hour, over);
    }
  }
  if (hour >= 24) hour = steps.difference(hour, 24);
  return steps.end(clock_text(60 * hour + minute));
}

std::string worked_clock_back(int start, int hours, int minutes) {
  Steps steps;
  int hour = start / 60, minute = start % 60;
  const int borrowed = minutes > minute ? (minutes - minute + 59) / 60 : 0;
  if (borrowed > 0) minute = steps.sum(minute, 60 * borrowed);
  if (minutes > 0) minute = steps.difference(minute, minutes);
  const int less = hours + borrowed;
  if (less > hour) hour = steps.sum(hour, 24);
  if (less > 0) hour = steps.difference(hour, less);
  return steps.end(clock_text(60 * hour + minute));
}

std::string worked_span(int start, int end) {
  Steps steps;
  int hour = end / 60;
  if (end < start) hour = steps.sum(hour, 24);
  int minutes = end % 60;
  if (hour != start / 60) {
    hour = steps.difference(hour, start / 60);
    minutes = steps.sum(steps.product(hour, 60), minutes);
  }
  return steps.end(counted(steps.difference(minutes, start % 60), "minute"));
}

}  // namespace andiron::ember
