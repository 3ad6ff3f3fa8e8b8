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

}  // namespace andiron::ember
