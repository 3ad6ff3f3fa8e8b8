// Answers about words and about the calendar, all of them worked out again from what is asked: a question is compared
// with every wording of the tables, and what the wording's places hold is what the answer follows from.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
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
  std::string literal;  // some words that stand in it however it is drawn, in small letters
  std::regex pattern;
  std::vector<std::string> names;  // of the pattern's groups
};

// What may stand in a place. A list is part of a line, a count may have "minutes" or "hours" behind it.
std::string pattern_of_place(const std::string& name) {
  if (name == "TEXT") return "([^\\n?.:\"]+)";
  if (name == "I") return "([\\d.]+(?: (?:hour|minute)s?)?)";
  if (name == "X" || name == "Y") return "(\\d+ [a-z]+|\\d+:\\d\\d|[a-z]+)";
  return "([^\\s?.]+)";
}

Wording read_wording(const std::string& rule, const std::string& text) {
  Wording out{rule, {}, {}, {}};
  std::string pattern, literal;
  int depth = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    depth += c == '[' ? 1 : c == ']' ? -1 : 0;
    if (depth > 0 || std::string_view("{]?.").find(c) != std::string_view::npos) {
      literal.clear();
    } else {
      literal += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      if (literal.size() > out.literal.size()) out.literal = literal;
    }
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
  out.pattern = std::regex(pattern, std::regex::icase);
  return out;
}

constexpr std::string_view kAsk = ".ask";

// "Tuesday" of "Monday, Tuesday. It is Tuesday."
std::string result_of(const std::string& answer) {
  constexpr std::string_view kIs = "It is ";
  const size_t at = answer.rfind(kIs);
  return at == std::string::npos ? answer : answer.substr(at + kIs.size(), answer.size() - at - kIs.size() - 1);
}

std::optional<Places> places_in(const Wording& wording, const std::string& user) {
  if (lower_case(user).find(wording.literal) == std::string::npos) return std::nullopt;
  // The question mark or the full stop may be missing, as typed() leaves them out.
  const std::array<std::string, 3> ends = {user, user + ".", user + "?"};
  std::smatch found;
  const bool matches = std::any_of(ends.begin(), ends.end(), [&](const std::string& with_end) {
    return std::regex_match(with_end, found, wording.pattern);
  });
  if (!matches) return std::nullopt;
  Places out;
  for (size_t i = 0; i < wording.names.size(); ++i) out[wording.names[i]] = found[i + 1];
  return out;
}

std::vector<Wording> wordings_of(const std::string& section) {
  std::vector<Wording> out;
  for (const auto& [name, rule] : tables().rules()) {
    if (!name.starts_with(section) || !name.ends_with(kAsk)) continue;
    const std::string of = name.substr(section.size(), name.size() - section.size() - kAsk.size());
    for (const auto* texts : {&rule.train, &rule.test, &rule.framed_train, &rule.framed_test}) {
      for (const std::string& text : *texts) out.push_back(read_wording(of, text));
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
      const auto places = places_in(wording, user);
      if (!places) continue;
      const auto solver = solvers.find(wording.rule);
      ASSERT_NE(solver, solvers.end()) << wording.rule;
      const auto solved = solver->second(*places);
      if (!solved) continue;
      answers.insert(*solved);
      ++seen[wording.rule];
    }
    EXPECT_EQ(answers, std::set<std::string>{result_of(answer)}) << user;
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
    Words words = split(of.at("TEXT"), between(of.at("TEXT")));
    change(words);
    return joined(words, between(of.at("TEXT")));
  };
}

TEST(Answers, WordTasksAreRight) {
  const auto by_number = [](const std::string& a, const std::string& b) { return std::stoi(a) < std::stoi(b); };
  const auto only = [](size_t at) { return of_words([at](Words& words) { words = {words.at(at % words.size())}; }); };
  const auto length = [](const Places& of) { return std::to_string(of.at("TEXT").size()); };
  const std::map<std::string, Solve> solvers = {
      {"copy", [](const Places& of) { return of.at("TEXT"); }},
      {"reverse", of_words([](Words& words) { std::reverse(words.begin(), words.end()); })},
      {"sort", of_words([](Words& words) { std::sort(words.begin(), words.end()); })},
      {"count", [](const Places& of) { return std::to_string(split(of.at("TEXT"), " ").size()); }},
      {"spell",
       [](const Places& of) {
         std::string out;
         for (const char c : of.at("TEXT")) out += std::string(out.empty() ? "" : " ") + c;
         return out;
       }},
      {"first_letter", [](const Places& of) { return of.at("TEXT").substr(0, 1); }},
      {"last_letter", [](const Places& of) { return of.at("TEXT").substr(of.at("TEXT").size() - 1); }},
      {"letters", length},
      {"earlier", [](const Places& of) { return std::min(of.at("A"), of.at("B")); }},
      {"first_word", only(0)},
      {"last_word", of_words([](Words& words) { words = {words.back()}; })},
      {"nth_word",
       [](const Places& of) {
         return split(of.at("TEXT"), between(of.at("TEXT"))).at(static_cast<size_t>(std::stoi(of.at("I"))) - 1);
       }},
      {"upper",
       [](const Places& of) {
         std::string out = of.at("TEXT");
         for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
         return out;
       }},
      {"number_sort", of_words([&](Words& words) { std::sort(words.begin(), words.end(), by_number); })},
  };
  expect_answers("words", "task.", 600, solvers);
}

// The words of "pl plum, fi fig", each of which stands behind its own first letters.
Words words_behind_letters(const std::string& list) {
  Words out;
  for (const std::string& item : split(list, ", ")) {
    const size_t space = item.find(' ');
    out.push_back(item.substr(space + 1));
    EXPECT_EQ(item.substr(0, space), out.back().substr(0, 2)) << list;
  }
  return out;
}

// What is worked out before the result: the words as they were given, then by the alphabet, then again without letters.
TEST(Answers, StepsOfSortingAreRight) {
  const std::regex steps("The letters: (.+)\\. In order: (.+)\\. It is (.+)\\.");
  int seen = 0;
  for_turns("words", 600, [&](const std::string& user, const std::string& answer) {
    std::smatch found;
    if (!std::regex_match(answer, found, steps)) return;
    const std::string result = found[3];
    const Words given = words_behind_letters(found[1]), in_order = words_behind_letters(found[2]);
    EXPECT_NE(user.find(joined(given, between(result))), std::string::npos);
    Words sorted = given;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(in_order, sorted);
    EXPECT_EQ(split(result, between(result)), in_order);
    ++seen;
  });
  EXPECT_GT(seen, 500);
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
  expect_answers("calendar", "cal.", 800, solvers);
}

// Every equation of an answer, every row of names and every count is right.
TEST(Answers, StepsAreRight) {
  const std::regex equation("(\\d+) ([-+x]) (\\d+) = (\\d+)"), pair("([A-Z][a-z]+)(?=, ([A-Z][a-z]+))");
  int equations = 0, pairs = 0, counts = 0;
  for_turns("calendar", 800, [&](const std::string& user, const std::string& answer) {
    for (std::sregex_iterator at(answer.begin(), answer.end(), equation), end; at != end; ++at, ++equations) {
      const int a = std::stoi((*at)[1]), b = std::stoi((*at)[3]);
      EXPECT_EQ((*at)[2] == "+" ? a + b : (*at)[2] == "-" ? a - b : a * b, std::stoi((*at)[4])) << answer;
    }
    std::set<int> directions;
    for (std::sregex_iterator at(answer.begin(), answer.end(), pair), end; at != end; ++at, ++pairs) {
      const char* list = place_of((*at)[1], "day") ? "day" : "month";
      const int size = list == std::string_view("day") ? 7 : 12;
      directions.insert((place_of((*at)[2], list).value() - place_of((*at)[1], list).value() + size) % size);
    }
    EXPECT_LE(directions.size(), 1U) << answer;
    for (const int by : directions) EXPECT_TRUE(by == 1 || by == 6 || by == 11) << user << answer;
  });
  const std::regex counted("(\\d+) ([^ ,.]+)[,.]");
  for_turns("words", 600, [&](const std::string& user, const std::string& answer) {
    if (!answer.starts_with("1 ")) return;
    std::string line;
    int number = 0;
    for (std::sregex_iterator at(answer.begin(), answer.end(), counted), end; at != end; ++at, ++counts) {
      EXPECT_EQ(std::stoi((*at)[1]), ++number) << answer;
      line += (line.empty() ? "" : " ") + (*at)[2].str();
    }
    EXPECT_NE(user.find(line), std::string::npos) << user;
  });
  EXPECT_GT(equations, 1000);
  EXPECT_GT(pairs, 1000);
  EXPECT_GT(counts, 500);
}

// Amounts above 12 of units of ten, a hundred and a thousand are split between training and test rows.
TEST(Answers, AmountsOfTestRowsAreNotTrained) {
  const auto wordings = wordings_of("cal.unit");
  for (const Part part : {Part::kTrain, Part::kTest}) {
    int seen = 0;
    for (uint64_t i = 0; i < 2000; ++i) {
      for (const auto& [user, answer] : make_row(skill("calendar"), tables(), stories(), part, 1, i).turns) {
        for (const Wording& wording : wordings) {
          const auto of = places_in(wording, user);
          if (!of) continue;
          const auto unit = unit_of(lower_case(of->at("FROM")), lower_case(of->at("TO")));
          if (!unit || unit->first.ratio % 10 != 0 || unit->first.ratio == 60) continue;
          const double larger = std::stod(unit->second ? of->at("I") : answer);
          const bool is_whole = larger == std::floor(larger);
          const int drawn = static_cast<int>(std::lround(is_whole ? larger : 10 * larger));
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
