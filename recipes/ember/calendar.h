// Days, months, dates, times of day and units.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace andiron::ember {

struct Unit {
  std::string_view one;    // the larger: hour
  std::string_view many;   // hours
  std::string_view small;  // the smaller, always many: minutes
  int ratio;               // of the smaller in the larger
};

const std::vector<Unit>& units();

// Days of the months of a common year.
int days_of_month(int month);  // 1 to 12
// "9:05", of minutes after midnight; they may be more than a day, or less than nothing.
std::string clock_text(int minutes);
// 1.5, 0.25, 3: without zeros at the end. `thousandths` is not negative.
std::string decimal_text(int thousandths);

// Worked answers (calendar_steps.cpp): "10 - 7 = 3, Tuesday, Wednesday, Thursday. It is Thursday."
// What stands so many places on (or, below nothing, back) in a list that begins again behind its end.
std::string worked_names(const std::vector<std::string>& names, int from, int by);
std::string worked_days(const std::vector<std::string>& days, int from, int by);
// The day of the week of a month's day `other`, where its `day` is a `weekday`.
std::string worked_weekday(const std::vector<std::string>& days, int weekday, int day, int other);
// The date so many days, no more than a month has, after a date.
std::string worked_date(const std::vector<std::string>& months, int day, int month, int by);
// The time so long after, or before, minutes since midnight.
std::string worked_clock(int start, int hours, int minutes);
std::string worked_clock_back(int start, int hours, int minutes);
// The minutes between two times of day; an end before the start is the next day's.
std::string worked_span(int start, int end);

}  // namespace andiron::ember
