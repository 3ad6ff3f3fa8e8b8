#include "text/jinja_time.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/strings.h"

namespace andiron::jinja {

namespace {

constexpr std::string_view kDays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};
constexpr int64_t kSecondsPerDay = 86'400;

struct Moment {
  int64_t year = 1970;
  int month = 1;  // 1 to 12
  int day = 1;
  int week_day = 4;  // 0 is Sunday
  int year_day = 1;  // 1 to 366
  int hour = 0;
  int minute = 0;
  int second = 0;
};

bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int days_in_month(int64_t year, int month) {
  static constexpr int kDaysInMonth[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap(year) ? 29 : kDaysInMonth[month - 1];
}

Moment moment_of(int64_t seconds) {
  // Years 1 to 9999, the range of Python's datetime, keep everything small.
  seconds = std::clamp<int64_t>(seconds, -62'135'596'800, 253'402'300'799);
  int64_t days = seconds / kSecondsPerDay;
  int64_t rest = seconds % kSecondsPerDay;
  if (rest < 0) {
    rest += kSecondsPerDay;
    --days;
  }
  Moment out;
  out.hour = static_cast<int>(rest / 3600);
  out.minute = static_cast<int>(rest / 60 % 60);
  out.second = static_cast<int>(rest % 60);
  out.week_day = static_cast<int>(((days + 4) % 7 + 7) % 7);  // day 0 was a Thursday
  constexpr int64_t kDaysPer400Years = 146'097;
  const int64_t cycles = days >= 0 ? days / kDaysPer400Years : -((-days + kDaysPer400Years - 1) / kDaysPer400Years);
  days -= cycles * kDaysPer400Years;
  out.year = 1970 + 400 * cycles;
  while (days >= (is_leap(out.year) ? 366 : 365)) days -= is_leap(out.year++) ? 366 : 365;
  out.year_day = static_cast<int>(days) + 1;
  while (days >= days_in_month(out.year, out.month)) days -= days_in_month(out.year, out.month++);
  out.day = static_cast<int>(days) + 1;
  return out;
}

// ISO 8601: a week belongs to the year that has its Thursday.
struct IsoWeek {
  int64_t year;
  int week;
};

IsoWeek iso_week(const Moment& m) {
  const int monday_based = (m.week_day + 6) % 7;
  const int week = (m.year_day - 1 - monday_based + 10) / 7;
  const auto weeks_in = [&](int64_t year, int first_week_day) {  // 0 is Sunday; 53 weeks start or end on a Thursday
    return first_week_day == 4 || (is_leap(year) && first_week_day == 3) ? 53 : 52;
  };
  const int first = ((m.week_day - (m.year_day - 1)) % 7 + 7) % 7;
  if (week < 1) {
    const int previous_first = ((first - (is_leap(m.year - 1) ? 366 : 365)) % 7 + 7) % 7;
    return {m.year - 1, weeks_in(m.year - 1, previous_first)};
  }
  if (week > weeks_in(m.year, first)) return {m.year + 1, 1};
  return {m.year, week};
}

int hour12(int hour) { return hour % 12 == 0 ? 12 : hour % 12; }

std::string number(int64_t value, int width, char pad, bool is_bare) {
  std::string digits = format("{}", value);
  if (is_bare || digits.size() >= static_cast<size_t>(width)) return digits;
  return std::string(static_cast<size_t>(width) - digits.size(), pad) + digits;
}

// A conversion that stands for others, or an empty text.
std::string_view composed(char code) {
  switch (code) {
    case 'c': return "%a %b %e %H:%M:%S %Y";
    case 'x':
    case 'D': return "%m/%d/%y";
    case 'X':
    case 'T': return "%H:%M:%S";
    case 'r': return "%I:%M:%S %p";
    case 'R': return "%H:%M";
    case 'F': return "%Y-%m-%d";
    default: return {};
  }
}

// The text of one conversion; nothing when it is unknown.
std::optional<std::string> convert(char code, const Moment& m, int64_t seconds, bool is_bare) {
  const auto two = [&](int64_t value) { return number(value, 2, '0', is_bare); };
  switch (code) {
    case 'a': return std::string(kDays[m.week_day].substr(0, 3));
    case 'A': return std::string(kDays[m.week_day]);
    case 'b':
    case 'h': return std::string(kMonths[m.month - 1].substr(0, 3));
    case 'B': return std::string(kMonths[m.month - 1]);
    case 'C': return two(m.year / 100);
    case 'd': return two(m.day);
    case 'e': return number(m.day, 2, ' ', is_bare);
    case 'f': return "000000";
    case 'g': return two(iso_week(m).year % 100);
    case 'G': return format("{}", iso_week(m).year);
    case 'H': return two(m.hour);
    case 'I': return two(hour12(m.hour));
    case 'j': return number(m.year_day, 3, '0', is_bare);
    case 'k': return number(m.hour, 2, ' ', is_bare);
    case 'l': return number(hour12(m.hour), 2, ' ', is_bare);
    case 'm': return two(m.month);
    case 'M': return two(m.minute);
    case 'n': return "\n";
    case 'p': return m.hour < 12 ? "AM" : "PM";
    case 'P': return m.hour < 12 ? "am" : "pm";
    case 's': return format("{}", seconds);
    case 'S': return two(m.second);
    case 't': return "\t";
    case 'u': return format("{}", m.week_day == 0 ? 7 : m.week_day);
    case 'U': return two((m.year_day + 6 - m.week_day) / 7);
    case 'V': return two(iso_week(m).week);
    case 'w': return format("{}", m.week_day);
    case 'W': return two((m.year_day + 6 - (m.week_day + 6) % 7) / 7);
    case 'y': return two(m.year % 100);
    case 'Y': return format("{}", m.year);
    case 'z':
    case 'Z': return "";
    case '%': return "%";
    default: return std::nullopt;
  }
}

}  // namespace

void append_time(TextBuilder& out, const Text& pattern, int64_t seconds) {
  const Moment moment = moment_of(seconds);
  const std::string_view text = pattern.view();
  out.spend(text.size() / 4);
  for (size_t at = 0; at < text.size() && !out.failed();) {
    const size_t percent = std::min(text.find('%', at), text.size());
    out.append_slice(pattern, at, percent);
    if (percent == text.size()) break;
    const bool is_bare = percent + 1 < text.size() && text[percent + 1] == '-';
    const size_t code_at = percent + (is_bare ? 2 : 1);
    const char code = code_at < text.size() ? text[code_at] : '\0';
    at = std::min(code_at + 1, text.size());
    if (const std::string_view parts = composed(code); !parts.empty()) {
      append_time(out, Text(std::string(parts)), seconds);
      continue;
    }
    const auto converted = convert(code, moment, seconds, is_bare);
    if (converted) {
      out.append(*converted, pattern.is_tainted_at(percent));
    } else {
      at = percent + 1;
      out.append_slice(pattern, percent, at);
    }
  }
}

}  // namespace andiron::jinja
