// Rows about days, months, dates, the clock and units. What one knows is answered at once ("Friday", "180 minutes"),
// what has to be counted in steps (calendar.h).
#include "calendar.h"

#include <array>
#include <utility>

#include "base/strings.h"
#include "skills.h"

namespace andiron::ember {

namespace {

using Values = std::vector<std::pair<std::string_view, std::string>>;

// Ranges of more than this are split by is_test_number; shorter ones are tables that everybody must know.
int draw_count(const Writer& writer, int low, int high) { return writer.number(low, high); }

const std::vector<std::string>& days(const Writer& writer) { return writer.tables().options("day", Part::kTrain); }
const std::vector<std::string>& months(const Writer& writer) { return writer.tables().options("month", Part::kTrain); }

void ask(const Writer& writer, Conversation& out, std::string_view rule, Values values, std::string answer) {
  out.ask(typed(writer, writer.sentence(format("{}.ask", rule), {nullptr, std::move(values)})), std::move(answer));
}

void ask_day(const Writer& writer, Conversation& out) {
  Dice& dice = writer.dice();
  const auto& names = days(writer);
  const size_t at = dice.below(7);
  const auto step = [&](int by) { return worked_days(names, static_cast<int>(at), by); };
  switch (dice.below(5)) {
    case 0: return ask(writer, out, "cal.next_day", {{"X", names[at]}}, names[(at + 1) % 7]);
    case 1: return ask(writer, out, "cal.last_day", {{"X", names[at]}}, names[(at + 6) % 7]);
    case 2:
    case 3: {
      const int by = dice.chance(0.7) ? dice.between(2, 7) : draw_count(writer, 8, 21);
      return ask(writer, out, "cal.days_on", {{"X", names[at]}, {"I", format("{}", by)}}, step(by));
    }
    default: {
      const int by = dice.between(2, 7);
      return ask(writer, out, "cal.days_back", {{"X", names[at]}, {"I", format("{}", by)}}, step(-by));
    }
  }
}

void ask_month(const Writer& writer, Conversation& out) {
  Dice& dice = writer.dice();
  const auto& names = months(writer);
  const int at = static_cast<int>(dice.below(12));
  const auto name = [&](int month) { return names[static_cast<size_t>((month + 12) % 12)]; };
  switch (dice.below(6)) {
    case 0: return ask(writer, out, "cal.next_month", {{"X", name(at)}}, name(at + 1));
    case 1: return ask(writer, out, "cal.last_month", {{"X", name(at)}}, name(at - 1));
    case 2: {
      const int by = dice.between(2, 11);
      return ask(writer, out, "cal.months_on", {{"X", name(at)}, {"I", format("{}", by)}}, worked_names(names, at, by));
    }
    case 3: return ask(writer, out, "cal.month_number", {{"I", format("{}", at + 1)}}, name(at));
    case 4: return ask(writer, out, "cal.number_of_month", {{"X", name(at)}}, format("{}", at + 1));
    default: return ask(writer, out, "cal.month_days", {{"X", name(at)}}, format("{}", days_of_month(at + 1)));
  }
}

void ask_date(const Writer& writer, Conversation& out) {
  Dice& dice = writer.dice();
  const int month = dice.between(1, 12);
  const int day = writer.number(1, days_of_month(month));
  const auto text = [&](int d, int m) { return format("{} {}", d, months(writer)[static_cast<size_t>(m - 1)]); };
  if (dice.chance(0.35)) {
    const size_t weekday = dice.below(7);
    const int later = dice.between(1, days_of_month(month));
    return ask(writer, out, "cal.weekday",
               {{"X", text(day, month)}, {"W", days(writer)[weekday]}, {"Y", text(later, month)}},
               worked_weekday(days(writer), static_cast<int>(weekday), day, later));
  }
  const int by = draw_count(writer, 2, 20);
  ask(writer, out, "cal.date_on", {{"X", text(day, month)}, {"I", format("{}", by)}},
      worked_date(months(writer), day, month, by));
}

void ask_clock(const Writer& writer, Conversation& out) {
  Dice& dice = writer.dice();
  const int hour = dice.between(0, 23);
  const int start = 60 * hour + 5 * dice.between(0, 11);
  const bool in_hours = dice.chance(0.35);
  const int by = in_hours ? dice.between(1, 9) : 5 * dice.between(1, dice.chance(0.6) ? 11 : 20);
  const std::string span = counted(by, in_hours ? "hour" : "minute");
  const int hours = in_hours ? by : 0, minutes = in_hours ? 0 : by;
  const double at = dice.uniform();
  if (at < 0.5) {
    return ask(writer, out, "cal.clock_on", {{"X", clock_text(start)}, {"I", span}},
               worked_clock(start, hours, minutes));
  }
  if (at < 0.75) {
    return ask(writer, out, "cal.clock_back", {{"X", clock_text(start)}, {"I", span}},
               worked_clock_back(start, hours, minutes));
  }
  const int end = (start + 5 * dice.between(1, 18)) % 1440;
  ask(writer, out, "cal.span", {{"X", clock_text(start)}, {"Y", clock_text(end)}}, worked_span(start, end));
}

void ask_unit(const Writer& writer, Conversation& out) {
  Dice& dice = writer.dice();
  const Unit& unit = dice.pick(units());
  const bool decimal = unit.ratio % 10 == 0 && unit.ratio != 60;
  // Of the larger unit, in thousandths. Tables of 7, 12, 24, 60 are short; those of 10, 100, 1000 follow a rule.
  int amount = 1000 * (decimal ? draw_count(writer, 1, 60) : dice.between(1, 12));
  if (decimal && unit.ratio > 10 && dice.chance(0.3)) amount = 100 * draw_count(writer, 1, 99);
  const std::string larger = decimal_text(amount), smaller = decimal_text(amount * unit.ratio);
  const std::string larger_name(amount == 1000 ? unit.one : unit.many), small(unit.small);
  if (dice.chance(0.6)) {
    return ask(writer, out, "cal.unit", {{"I", larger}, {"FROM", larger_name}, {"TO", small}},
               format("{} {}", smaller, small));
  }
  ask(writer, out, "cal.unit", {{"I", smaller}, {"FROM", small}, {"TO", std::string(unit.many)}},
      format("{} {}", larger, larger_name));
}

}  // namespace

const std::vector<Unit>& units() {
  static const std::vector<Unit> kUnits = {
      {"minute", "minutes", "seconds", 60},
      {"hour", "hours", "minutes", 60},
      {"day", "days", "hours", 24},
      {"week", "weeks", "days", 7},
      {"year", "years", "months", 12},
      {"dozen", "dozen", "pieces", 12},
      {"metre", "metres", "centimetres", 100},
      {"kilometre", "kilometres", "metres", 1000},
      {"kilogram", "kilograms", "grams", 1000},
      {"litre", "litres", "millilitres", 1000},
      {"centimetre", "centimetres", "millimetres", 10},
      {"tonne", "tonnes", "kilograms", 1000},
      {"euro", "euros", "cents", 100},
      {"century", "centuries", "years", 100},
  };
  return kUnits;
}

int days_of_month(int month) {
  constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return kDays[static_cast<size_t>(month - 1)];
}

std::string clock_text(int minutes) {
  const int of_day = ((minutes % 1440) + 1440) % 1440;
  return format("{}:{:02}", of_day / 60, of_day % 60);
}

std::string decimal_text(int thousandths) {
  std::string out = format("{}.{:03}", thousandths / 1000, thousandths % 1000);
  out.erase(out.find_last_not_of('0') + 1);
  if (out.ends_with('.')) out.pop_back();
  return out;
}

Conversation calendar_row(const Desk& desk) {
  const Writer& writer = desk.writer;
  Conversation out;
  const size_t turns = writer.is_test() ? 1 : 4 + writer.dice().below(6);
  for (size_t i = 0; i < turns; ++i) {
    const double at = writer.dice().uniform();
    if (at < 0.24) {
      ask_day(writer, out);
    } else if (at < 0.42) {
      ask_month(writer, out);
    } else if (at < 0.56) {
      ask_date(writer, out);
    } else if (at < 0.78) {
      ask_clock(writer, out);
    } else {
      ask_unit(writer, out);
    }
  }
  return out;
}

}  // namespace andiron::ember
