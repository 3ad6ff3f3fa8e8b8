// Answers about words and about the calendar, all of them worked out again from what is asked: a question is compared
// with every wording of the tables, and what the wording's places hold is what the answer follows from.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "calendar.h"
#include "test_rows.h"

namespace andiron::ember {
namespace {

using Places = std::map<std::string, std::string>;
// Nothing where the places do not hold what the rule asks for: "the day after May".
using Solve = std::function<std::optional<std::string>(const Places&)>;

struct Wording {
  std::string rule;
  std::regex pattern;
  std::vector<std::string> names;  // of the pattern's groups
};

// What may stand in a place. A list is part of a line, a count may have "minutes" or "hours" behind it.
std::string pattern_of_place(const std::string& name) {
  if (name == "LIST" || name == "TEXT") return "([^\\n]*[^\\n?.])";
  if (name == "I") return "([\\d.]+(?: (?:hour|minute)s?)?)";
  if (name == "X" || name == "Y") return "(\\d+ [a-z]+|\\d+:\\d\\d|[a-z]+)";
  return "([^\\s?.]+)";
}

// The question mark or the full stop may be missing, as typed() leaves them out.
Wording read_wording(const std::string& rule, const std::string& text) {
  Wording out{rule, {}, {}};
  std::string pattern;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '{') {
      const size_t end = text.find('}', at);
      out.names.push_back(text.substr(at + 1, end - at - 1));
      pattern += pattern_of_place(out.names.back());
      at = end;
    } else if (c == '[' || c == ']' || c == '|') {
      pattern += c == '[' ? "(?:" : c == ']' ? ")" : "|";
    } else {
      if (std::string_view("?.()*+^$").find(c) != std::string_view::npos) pattern += '\\';
      pattern += c;
    }
  }
  if (text.back() == '?' || text.back() == '.') pattern += '?';
  out.pattern = std::regex(pattern, std::regex::icase);
  return out;
}

std::vector<Wording> wordings_of(const std::string& section) {
  std::vector<Wording> out;
  for (const auto& [name, rule] : tables().rules()) {
    if (!name.starts_with(section)) continue;
    for (const auto* texts : {&rule.train, &rule.test}) {
      for (const std::string& text : *texts) out.push_back(read_wording(name.substr(section.size()), text));
    }
  }
  return out;
}

// Every turn has a wording; where it has more than one, they agree.
void expect_answers(std::string_view skill_name, const std::string& section, int rows,
                    const std::map<std::string, Solve>& solvers) {
  const auto wordings = wordings_of(section);
  std::map<std::string, int> seen;
  for_turns(skill_name, rows, [&](const std::string& user, const std::string& answer) {
    std::set<std::string> answers;
    for (const Wording& wording : wordings) {
      std::smatch found;
      if (!std::regex_match(user, found, wording.pattern)) continue;
      Places places;
      for (size_t i = 0; i < wording.names.size(); ++i) places[wording.names[i]] = found[i + 1];
      const auto solver = solvers.find(wording.rule);
      ASSERT_NE(solver, solvers.end()) << wording.rule;
      const auto solved = solver->second(places);
      if (!solved) continue;
      answers.insert(*solved);
      ++seen[wording.rule];
    }
    EXPECT_EQ(answers, std::set<std::string>{answer});
  });
  for (const auto& [rule, solver] : solvers) EXPECT_GT(seen[rule], 20) << rule;
}

using Words = std::vector<std::string>;

std::string between(const std::string& list) { return list.find(", ") == std::string::npos ? " " : ", "; }

Words split(const std::string& list, const std::string& at) {
  Words out;
  size_t from = 0;
  for (size_t end = list.find(at); end != std::string::npos; end = list.find(at, from)) {
    out.push_back(list.substr(from, end - from));
    from = end + at.size();
  }
  out.push_back(list.substr(from));
  return out;
}

std::string joined(const Words& words, const std::string& with) {
  std::string out = words.front();
  for (size_t i = 1; i < words.size(); ++i) out += with + words[i];
  return out;
}

Solve of_words(std::function<void(Words&)> change) {
  return [change = std::move(change)](const Places& of) {
    Words words = split(of.at("LIST"), between(of.at("LIST")));
    change(words);
    return joined(words, between(of.at("LIST")));
  };
}

TEST(Answers, WordTasksAreRight) {
  const auto by_number = [](const std::string& a, const std::string& b) { return std::stoi(a) < std::stoi(b); };
  const auto only = [](size_t at) { return of_words([at](Words& words) { words = {words.at(at % words.size())}; }); };
  const auto length = [](const Places& of) { return std::to_string(of.at("WORD").size()); };
  const std::map<std::string, Solve> solvers = {
      {"copy", [](const Places& of) { return of.at("LIST"); }},
      {"reverse", of_words([](Words& words) { std::reverse(words.begin(), words.end()); })},
      {"sort", of_words([](Words& words) { std::sort(words.begin(), words.end()); })},
      {"count", [](const Places& of) { return std::to_string(split(of.at("TEXT"), " ").size()); }},
      {"spell",
       [](const Places& of) {
         std::string out;
         for (const char c : of.at("WORD")) out += std::string(out.empty() ? "" : " ") + c;
         return out;
       }},
      {"first_letter", [](const Places& of) { return of.at("WORD").substr(0, 1); }},
      {"last_letter", [](const Places& of) { return of.at("WORD").substr(of.at("WORD").size() - 1); }},
      {"letters", length},
      {"earlier", [](const Places& of) { return std::min(of.at("A"), of.at("B")); }},
      {"first_word", only(0)},
      {"last_word", of_words([](Words& words) { words = {words.back()}; })},
      {"nth_word",
       [](const Places& of) {
         return split(of.at("LIST"), between(of.at("LIST"))).at(static_cast<size_t>(std::stoi(of.at("I"))) - 1);
       }},
      {"upper",
       [](const Places& of) {
         std::string out = of.at("LIST");
         for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
         return out;
       }},
      {"number_sort", of_words([&](Words& words) { std::sort(words.begin(), words.end(), by_number); })},
  };
  expect_answers("words", "tasks.", 3000, solvers);
}

// Where a name stands in a list, however it is written.
std::optional<int> place_of(const std::string& name, const char* list) {
  const auto& names = tables().options(list, Part::kTrain);
  const auto found =
      std::find_if(names.begin(), names.end(), [&](const std::string& n) { return lower_case(n) == lower_case(name); });
  if (found == names.end()) return std::nullopt;
  return static_cast<int>(found - names.begin());
}

// The name that stands so many places behind another, around the list's end.
Solve names_on(const char* list, int sign) {
  return [list, sign](const Places& of) -> std::optional<std::string> {
    const auto from = place_of(of.at("X"), list);
    if (!from) return std::nullopt;
    const auto& names = tables().options(list, Part::kTrain);
    const int size = static_cast<int>(names.size()), by = of.count("I") == 1 ? std::stoi(of.at("I")) : 1;
    return names[static_cast<size_t>(((*from + sign * by) % size + size) % size)];
  };
}

// "3 May" of a common year.
std::optional<std::chrono::sys_days> date_of(const std::string& text) {
  const size_t space = text.find(' ');
  if (space == std::string::npos) return std::nullopt;
  const auto month = place_of(text.substr(space + 1), "month");
  if (!month) return std::nullopt;
  return std::chrono::sys_days(std::chrono::year(2023) / std::chrono::month(static_cast<unsigned>(*month) + 1) /
                               std::chrono::day(static_cast<unsigned>(std::stoi(text))));
}

std::string month_name(unsigned month) { return tables().options("month", Part::kTrain)[month - 1]; }

std::optional<std::string> solve_date_on(const Places& of) {
  const auto from = date_of(of.at("X"));
  if (!from) return std::nullopt;
  const std::chrono::year_month_day then(*from + std::chrono::days(std::stoi(of.at("I"))));
  return std::to_string(static_cast<unsigned>(then.day())) + " " + month_name(static_cast<unsigned>(then.month()));
}

std::optional<std::string> solve_weekday(const Places& of) {
  const auto from = date_of(of.at("X")), to = date_of(of.at("Y"));
  const auto day = place_of(of.at("W"), "day");
  if (!from || !to || !day) return std::nullopt;
  const auto apart = (*to - *from).count();
  return tables().options("day", Part::kTrain)[static_cast<size_t>((*day + apart + 70) % 7)];
}

std::optional<std::string> solve_month_days(const Places& of) {
  const auto month = place_of(of.at("X"), "month");
  if (!month) return std::nullopt;
  const std::chrono::year_month_day_last last(
      std::chrono::year(2023), std::chrono::month_day_last(std::chrono::month(static_cast<unsigned>(*month) + 1)));
  return std::to_string(static_cast<unsigned>(last.day()));
}

std::optional<int> minutes_of(const std::string& clock) {
  const size_t colon = clock.find(':');
  if (colon == std::string::npos) return std::nullopt;
  return 60 * std::stoi(clock) + std::stoi(clock.substr(colon + 1));
}

Solve clock_by(int sign) {
  return [sign](const Places& of) -> std::optional<std::string> {
    const auto from = minutes_of(of.at("X"));
    if (!from || of.at("I").find(' ') == std::string::npos) return std::nullopt;
    const int unit = of.at("I").find("hour") == std::string::npos ? 1 : 60;
    const int then = (*from + sign * unit * std::stoi(of.at("I")) + 2880) % 1440;
    return std::to_string(then / 60) + (then % 60 < 10 ? ":0" : ":") + std::to_string(then % 60);
  };
}

std::optional<std::string> solve_span(const Places& of) {
  const auto from = minutes_of(of.at("X")), to = minutes_of(of.at("Y"));
  if (!from || !to) return std::nullopt;
  return std::to_string((*to - *from + 1440) % 1440) + " minutes";
}

// The unit whose names these are, and whether the question goes from the larger to the smaller.
std::optional<std::pair<Unit, bool>> unit_of(const std::string& from, const std::string& to) {
  for (const Unit& unit : units()) {
    if (to == unit.small && (from == unit.one || from == unit.many)) return std::pair(unit, true);
    if (from == unit.small && to == unit.many) return std::pair(unit, false);
  }
  return std::nullopt;
}

std::optional<std::string> solve_unit(const Places& of) {
  const auto unit = unit_of(lower_case(of.at("FROM")), lower_case(of.at("TO")));
  if (!unit || of.at("I").find(' ') != std::string::npos) return std::nullopt;
  const double from = std::stod(of.at("I")), ratio = unit->first.ratio;
  const double to = unit->second ? from * ratio : from / ratio;
  std::ostringstream out;
  out.precision(10);
  out << to << ' ' << (unit->second ? unit->first.small : to == 1 ? unit->first.one : unit->first.many);
  return out.str();
}

TEST(Answers, CalendarIsRight) {
  const std::map<std::string, Solve> solvers = {
      {"next_day", names_on("day", 1)},
      {"last_day", names_on("day", -1)},
      {"days_on", names_on("day", 1)},
      {"days_back", names_on("day", -1)},
      {"next_month", names_on("month", 1)},
      {"last_month", names_on("month", -1)},
      {"months_on", names_on("month", 1)},
      {"month_number", [](const Places& of) { return month_name(static_cast<unsigned>(std::stoi(of.at("I")))); }},
      {"number_of_month",
       [](const Places& of) { return std::to_string(place_of(of.at("X"), "month").value_or(-1) + 1); }},
      {"month_days", solve_month_days},
      {"date_on", solve_date_on},
      {"weekday", solve_weekday},
      {"clock_on", clock_by(1)},
      {"clock_back", clock_by(-1)},
      {"span", solve_span},
      {"unit", solve_unit},
  };
  expect_answers("calendar", "cal.", 2000, solvers);
}

// Amounts above 12 of units of ten, a hundred and a thousand are split between training and test rows. Of centimetres
// the split is one further: one is added after the draw, so that 13, 18 and so on are training rows' and 14, 19 test
// rows'.
TEST(Answers, AmountsOfTestRowsAreNotTrained) {
  const auto wordings = wordings_of("cal.unit");
  for (const Part part : {Part::kTrain, Part::kTest}) {
    int seen = 0;
    for (uint64_t i = 0; i < 2000; ++i) {
      for (const auto& [user, answer] : make_row(skill("calendar"), tables(), stories(), part, 1, i).turns) {
        for (const Wording& wording : wordings) {
          std::smatch found;
          if (!std::regex_match(user, found, wording.pattern)) continue;
          Places of;
          for (size_t at = 0; at < wording.names.size(); ++at) of[wording.names[at]] = found[at + 1];
          const auto unit = unit_of(lower_case(of["FROM"]), lower_case(of["TO"]));
          if (!unit || unit->first.ratio % 10 != 0 || unit->first.ratio == 60) continue;
          const double larger = std::stod(unit->second ? of["I"] : answer);
          const bool is_whole = larger == std::floor(larger);
          const int shown = static_cast<int>(std::lround(is_whole ? larger : 10 * larger));
          const int drawn = unit->first.ratio == 10 ? shown - 1 : shown;
          if (drawn <= 12) continue;
          EXPECT_EQ(is_test_number(drawn), part == Part::kTest) << user;
          ++seen;
        }
      }
    }
    EXPECT_GT(seen, 100);
  }
}

TEST(Answers, ClocksAndDecimalsAreWrittenShort) {
  EXPECT_EQ(clock_text(-5), "23:55");
  EXPECT_EQ(clock_text(1445), "0:05");
  EXPECT_EQ(decimal_text(1500), "1.5");
  EXPECT_EQ(decimal_text(20), "0.02");
  EXPECT_EQ(decimal_text(3000), "3");
}

}  // namespace
}  // namespace andiron::ember
