#include "train/time_text.h"

#include <ctime>

#include "base/strings.h"

namespace andiron {

Result<double> parse_duration(std::string_view text, std::string_view what) {
  const auto fail = [&] {
    return make_error("{}: expected a time such as 45m, 2h, 90s or 1h30m, got \"{}\"", what, in_quotes(text));
  };
  static constexpr std::pair<char, double> kUnits[] = {{'h', 3600}, {'m', 60}, {'s', 1}};
  constexpr double kSecondsMax = 365 * 24 * 3600.0;
  double seconds = 0;
  size_t unit = 0;  // of the last part; parts come in the order of kUnits
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t digits = rest.find_first_not_of("0123456789.");
    if (digits == 0 || digits == std::string_view::npos) return fail();
    while (unit < std::size(kUnits) && kUnits[unit].first != rest[digits]) ++unit;
    if (unit == std::size(kUnits)) return fail();
    const auto number = parse_double(rest.substr(0, digits), what);
    if (!number.ok()) return fail();
    seconds += *number * kUnits[unit++].second;
    rest.remove_prefix(digits + 1);
  }
  if (!(seconds > 0 && seconds <= kSecondsMax)) return fail();
  return seconds;
}

Result<double> seconds_until(std::string_view text, int64_t now, std::string_view what) {
  const size_t colon = text.find(':');
  const auto number = [&](std::string_view part, int64_t limit) -> int {
    const auto value = parse_int(part, what);
    const bool fine = value.ok() && part.size() <= 2 && part.front() != '-' && *value < limit;
    return fine ? static_cast<int>(*value) : -1;
  };
  const int hour = colon == std::string_view::npos ? -1 : number(text.substr(0, colon), 24);
  const int minute =
      colon == std::string_view::npos || text.size() - colon != 3 ? -1 : number(text.substr(colon + 1), 60);
  if (hour < 0 || minute < 0) {
    return make_error("{}: expected a time of day such as 22:30, got \"{}\"", what, in_quotes(text));
  }
  const auto begin = static_cast<std::time_t>(now);
  for (int day = 0; day < 3; ++day) {  // today's, else tomorrow's; in the night the clocks change perhaps the next
    std::tm local{};
    if (localtime_r(&begin, &local) == nullptr) break;
    local.tm_mday += day;
    local.tm_hour = hour;
    local.tm_min = minute;
    local.tm_sec = 0;
    local.tm_isdst = -1;
    const std::time_t then = std::mktime(&local);
    if (then != -1 && then > begin) return static_cast<double>(then - begin);
  }
  return make_error("{}: cannot tell when it will be \"{}\"", what, in_quotes(text));
}

}  // namespace andiron
