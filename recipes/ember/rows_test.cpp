// Rows as they are written: every answer is worked out again from the question alone, and nothing that test rows ask is
// in training.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "arithmetic.h"
#include "base/json.h"
#include "base/strings.h"
#include "calendar.h"
#include "echo.h"
#include "generate.h"

namespace andiron::ember {
namespace {

const Tables& tables() {
  static const auto read = Tables::read(std::string(ANDIRON_SOURCE_DIR) + "/recipes/ember/tables");
  return read.value();
}

// Enough stories to hold one out.
const StoryBook& stories() {
  static const StoryBook kStories = [] {
    std::string text;
    for (int i = 0; i < 40; ++i) {
      text += format(
          "once there was a dog named rex. rex was dog number {}.\n\n\"hi,\" said rex{:200} and the dog ran.\n", i, "");
    }
    return StoryBook::of_text(text, tables());
  }();
  return kStories;
}

const Skill& skill(std::string_view name) {
  return *std::find_if(skills().begin(), skills().end(), [&](const Skill& s) { return s.name == name; });
}

// All turns of some rows of a skill, of both parts.
template <typename Check>
void for_turns(std::string_view name, int rows, Check&& check) {
  for (const Part part : {Part::kTrain, Part::kTest}) {
    for (int i = 0; i < rows; ++i) {
      const Conversation row = make_row(skill(name), tables(), stories(), part, 7, static_cast<uint64_t>(i));
      for (const auto& [user, answer] : row.turns) {
        SCOPED_TRACE(testing::Message() << user << " -> " << answer);
        check(user, answer);
      }
    }
  }
}

std::vector<std::string> words_of(const std::string& text) {
  std::string spaced = text;
  std::replace(spaced.begin(), spaced.end(), ',', ' ');
  std::istringstream in(spaced);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

TEST(Rows, SharesAreAWhole) {
  double sum = 0;
  for (const Skill& s : skills()) sum += s.share;
  EXPECT_NEAR(sum, 1, 1e-9);
}

TEST(Rows, DependOnSeedAndNumberAlone) {
  for (const Skill& s : skills()) {
    const auto line = [&](uint64_t seed, uint64_t number) {
      return to_json_line(make_row(s, tables(), stories(), Part::kTrain, seed, number));
    };
    EXPECT_EQ(line(3, 5), line(3, 5)) << s.name;
    std::set<std::string> different;
    for (uint64_t i = 0; i < 20; ++i) different.insert(line(3, i));
    EXPECT_GT(different.size(), 9U) << s.name;
  }
}

TEST(Rows, EchoesSayEverythingAgain) {
  for (uint64_t i = 0; i < 500; ++i) {
    Dice dice(1, i);
    const std::string text = echo_text(Writer(tables(), Part::kTrain, dice));
    std::map<std::string, int> counts;
    for (const std::string& word : words_of(text)) {
      ++counts[word.find_last_of(".,;:") == word.size() - 1 ? word.substr(0, word.size() - 1) : word];
    }
    for (const auto& [word, count] : counts) {
      // Between the items of a list: one less than there are.
      if (word == "and") continue;
      EXPECT_GE(count, 2) << word << " in: " << text;
    }
  }
}

TEST(Rows, AreConversationsOfPlainText) {
  for (const Skill& s : skills()) {
    for (const Part part : {Part::kTrain, Part::kTest}) {
      for (uint64_t i = 0; i < 300; ++i) {
        const std::string line = to_json_line(make_row(s, tables(), stories(), part, 1, i));
        const auto json = parse_json(line, "row");
        ASSERT_TRUE(json.ok()) << line;
        const auto messages = json->member("messages").items_or_none();
        ASSERT_GE(messages.size(), 2U) << line;
        EXPECT_EQ(messages.back().member("role").text_or(""), "assistant");
        for (const Json& message : messages) {
          const std::string_view text = message.member("content").text_or("");
          EXPECT_FALSE(is_blank(text)) << line;
          if (s.name == "json") continue;  // braces are its business
          EXPECT_EQ(text.find_first_of("{}[]"), std::string_view::npos) << line;
        }
      }
    }
  }
}

// Names, words and numbers of test rows, by the tables' own lists and rules, in no training row; and no question twice.
TEST(Rows, NothingOfTestRowsIsInTraining) {
  std::set<std::string> held_words;
  for (const char* list : {"girl", "boy", "town", "job", "petname", "instrument", "hobby", "things", "thing", "food"}) {
    for (const std::string& word : tables().options(list, Part::kTest)) held_words.insert(word);
  }
  const std::regex word_pattern("[A-Za-z]+"), capital("\\b[A-Z][a-z]{3,}");
  for (const Skill& s : skills()) {
    if (s.name == "story") continue;  // texts of others: split by story
    std::set<std::string> asked;
    for (uint64_t i = 0; i < 3000; ++i) {
      const Conversation row = make_row(s, tables(), stories(), Part::kTrain, 1, i);
      for (const auto& [user, answer] : row.turns) {
        asked.insert(row.system + user);
        for (std::sregex_iterator at(user.begin(), user.end(), word_pattern), end; at != end; ++at) {
          EXPECT_EQ(held_words.count(at->str()), 0U) << s.name << ": " << user;
        }
      }
    }
    for (uint64_t i = 0; i < 500; ++i) {
      const Conversation row = make_row(s, tables(), stories(), Part::kTest, 1, i);
      // Of a longer conversation the last question alone may be short: "How old am I?" stands on what was told.
      if (row.turns.size() == 1) {
        EXPECT_EQ(asked.count(row.system + row.turns.front().first), 0U) << s.name << ": " << row.turns.front().first;
      }
    }
  }
}

// A number at once, an equation of digits, or steps: each step right, the last word the value.
TEST(Rows, SumsAreRight) {
  const std::regex sum("(\\d+) ([+-]) (\\d+)"), step("(\\d+) ([+-]) (\\d+)( \\+ 1)? = (-?\\d+)");
  const std::regex result("It is (-?\\d+)\\.$|= (-?\\d+)$");
  int seen = 0, steps = 0;
  for_turns("arithmetic", 1500, [&](const std::string& user, const std::string& answer) {
    std::smatch found, ending;
    const bool whole = std::regex_search(answer, found, sum);
    ASSERT_TRUE(whole || std::regex_search(user, found, sum));
    const int a = std::stoi(found[1]), b = std::stoi(found[3]);
    const int value = found[2].str() == "+" ? a + b : a - b;
    ASSERT_TRUE(!whole || std::regex_search(answer, ending, result));
    EXPECT_EQ(!whole ? answer : ending[1].str() + ending[2].str(), std::to_string(value));
    // The question's own numbers.
    EXPECT_NE(user.find(found[1].str()), std::string::npos);
    EXPECT_NE(user.find(found[3].str()), std::string::npos);
    ++seen;
    for (std::sregex_iterator at(answer.begin(), answer.end(), step), end; at != end; ++at) {
      const int left = std::stoi((*at)[1]), right = std::stoi((*at)[3]), carry = (*at)[4].matched ? 1 : 0;
      EXPECT_EQ((*at)[2].str() == "+" ? left + right + carry : left - right, std::stoi((*at)[5])) << at->str();
      ++steps;
    }
  });
  EXPECT_GT(seen, 3000);
  EXPECT_GT(steps, 6000);
  EXPECT_EQ(worked({345, 278, true}), "345 + 278: 5 + 8 = 13, 4 + 7 + 1 = 12, 3 + 2 + 1 = 6. It is 623.");
  EXPECT_EQ(worked({345, 278, false}), "345 - 278: 15 - 8 = 7, 13 - 7 = 6, 2 - 2 = 0. It is 67.");
  EXPECT_EQ(worked({200, 1, false}), "200 - 1: 10 - 1 = 9, 9 - 0 = 9, 1 - 0 = 1. It is 199.");
  EXPECT_EQ(worked({995, 7, true}), "995 + 7: 5 + 7 = 12, 9 + 0 + 1 = 10, 9 + 0 + 1 = 10. It is 1002.");
  EXPECT_EQ(worked({12, 45, false}), "12 - 45: 45 - 12: 5 - 2 = 3, 4 - 1 = 3. It is -33.");
  EXPECT_EQ(worked({8, 9, false}), "8 - 9 = -1");
}

TEST(Rows, TestSumsAreNotTrained) {
  int test = 0;
  for (int a = 0; a < 1000; ++a) {
    for (int b = a; b < 1000; ++b) {
      EXPECT_EQ(is_test_sum({a, b, true}), is_test_sum({b, a, false}));
      test += is_test_sum({a, b, true}) ? 1 : 0;
    }
  }
  EXPECT_NEAR(test, 500'500.0 / 12, 4000);
  const std::regex sum("(\\d+) ([+-]) (\\d+)");
  for (const Part part : {Part::kTrain, Part::kTest}) {
    for (uint64_t i = 0; i < 1000; ++i) {
      for (const auto& [user, answer] : make_row(skill("arithmetic"), tables(), stories(), part, 5, i).turns) {
        std::smatch found;
        const std::string& text = std::regex_search(answer, sum) ? answer : user;
        ASSERT_TRUE(std::regex_search(text, found, sum)) << user;
        EXPECT_EQ(is_test_sum({std::stoi(found[1]), std::stoi(found[3]), true}), part == Part::kTest) << user;
      }
    }
  }
}

// By the answer's own words: sorted, in the other order, the same, or as many as counted.
TEST(Rows, WordTasksAreRight) {
  const std::regex list("(?:: |^)([^:\\n]*)$|^([^\\n]+)\\n");
  int sorted = 0, counted_words = 0, reversed = 0;
  for_turns("words", 1500, [&](const std::string& user, const std::string& answer) {
    std::string lower = lower_case(user);
    const auto has = [&](std::string_view what) { return lower.find(what) != std::string::npos; };
    const auto answered = words_of(answer);
    if (has("alphabet") && !has("first in") && !has("comes first") && answered.size() > 1) {
      EXPECT_TRUE(std::is_sorted(answered.begin(), answered.end()));
      for (const std::string& word : answered) EXPECT_NE(lower.find(word), std::string::npos);
      ++sorted;
    }
    if (has("count the words: ")) {
      EXPECT_EQ(answer, std::to_string(words_of(user.substr(user.find(": ") + 2)).size()));
      ++counted_words;
    }
    if (has("reverse order: ") || has("put the last word first: ")) {
      auto words = words_of(user.substr(user.find(": ") + 2));
      std::reverse(words.begin(), words.end());
      EXPECT_EQ(answered, words);
      ++reversed;
    }
    if (has("spell the word ")) {
      std::string letters = answer;
      letters.erase(std::remove(letters.begin(), letters.end(), ' '), letters.end());
      EXPECT_EQ(user, "Spell the word " + letters + ".");
    }
  });
  EXPECT_GT(sorted, 50);
  EXPECT_GT(counted_words, 20);
  EXPECT_GT(reversed, 20);
}

std::chrono::year_month_day date_of(const std::string& text) {
  const size_t space = text.find(' ');
  const auto& months = tables().options("month", Part::kTrain);
  const auto month = std::find(months.begin(), months.end(), text.substr(space + 1)) - months.begin() + 1;
  return std::chrono::year(2023) / std::chrono::month(static_cast<unsigned>(month)) /
         std::chrono::day(static_cast<unsigned>(std::stoi(text)));
}

TEST(Rows, DatesAreThoseOfTheCalendar) {
  const std::regex later("(?:What|Which) date (?:is|comes) (\\d+) days after (\\d+ [A-Z][a-z]+)\\?");
  const std::regex weekday("If (\\d+ [A-Z][a-z]+) is a ([A-Z][a-z]+), what day is (\\d+ [A-Z][a-z]+)\\?");
  const auto& days = tables().options("day", Part::kTrain);
  int seen = 0;
  for_turns("calendar", 4000, [&](const std::string& user, const std::string& answer) {
    std::smatch found;
    if (std::regex_match(user, found, later)) {
      const auto then = std::chrono::sys_days(date_of(found[2])) + std::chrono::days(std::stoi(found[1]));
      const std::chrono::year_month_day date(then), got(date_of(answer));
      EXPECT_EQ(date.month(), got.month());
      EXPECT_EQ(date.day(), got.day());
      ++seen;
    } else if (std::regex_match(user, found, weekday)) {
      const auto apart = std::chrono::sys_days(date_of(found[3])) - std::chrono::sys_days(date_of(found[1]));
      const auto from = std::find(days.begin(), days.end(), found[2].str()) - days.begin();
      const auto to = std::find(days.begin(), days.end(), answer) - days.begin();
      EXPECT_EQ((from + apart.count() + 70) % 7, to);
      ++seen;
    }
  });
  EXPECT_GT(seen, 50);
  for (unsigned month = 1; month <= 12; ++month) {
    const std::chrono::year_month_day_last last(std::chrono::year(2023),
                                                std::chrono::month_day_last(std::chrono::month(month)));
    EXPECT_EQ(static_cast<unsigned>(days_of_month(static_cast<int>(month))), static_cast<unsigned>(last.day()));
  }
}

TEST(Rows, ClocksAndUnitsAreRight) {
  const std::regex clock("What time (is|was) it (\\d+) (hour|minute)s? (after|before) (\\d+):(\\d+)\\?");
  const std::regex unit("How many ([a-z]+) are (?:in )?([\\d.]+) ([a-z]+)\\?");
  int clocks = 0, conversions = 0;
  for_turns("calendar", 4000, [&](const std::string& user, const std::string& answer) {
    std::smatch found;
    if (std::regex_match(user, found, clock)) {
      const int by = std::stoi(found[2]) * (found[3] == "hour" ? 60 : 1) * (found[4] == "after" ? 1 : -1);
      const int then = (std::stoi(found[5]) * 60 + std::stoi(found[6]) + by + 1440) % 1440;
      const int got = std::stoi(answer) * 60 + std::stoi(answer.substr(answer.find(':') + 1));
      EXPECT_EQ(then, got);
      ++clocks;
    } else if (std::regex_match(user, found, unit)) {
      for (const Unit& u : units()) {
        const bool down = found[1].str() == u.small && (found[3].str() == u.many || found[3].str() == u.one);
        const bool up = found[3].str() == u.small && found[1].str() == u.many;
        if (!down && !up) continue;
        const double from = std::stod(found[2]), to = std::stod(answer);
        EXPECT_NEAR(down ? from * u.ratio : from / u.ratio, to, 1e-9);
        ++conversions;
      }
    }
  });
  EXPECT_GT(clocks, 50);
  EXPECT_GT(conversions, 50);
  EXPECT_EQ(clock_text(-5), "23:55");
  EXPECT_EQ(clock_text(1445), "0:05");
  EXPECT_EQ(decimal_text(1500), "1.5");
  EXPECT_EQ(decimal_text(20), "0.02");
  EXPECT_EQ(decimal_text(3000), "3");
}

// What an object says stands in the text; its keys are those asked for, in their order.
TEST(Rows, JsonSaysWhatTheTextSays) {
  for_turns("json", 800, [&](const std::string& user, const std::string& answer) {
    const auto json = parse_json(answer, "answer");
    ASSERT_TRUE(json.ok());
    ASSERT_TRUE(json->is_object());
    size_t at = 0;
    for (const auto& [key, value] : json->members()) {
      const std::string shown = value.is_string() ? value.as_string() : value.is_null() ? "" : value.dump();
      EXPECT_NE(user.find(shown), std::string::npos) << key;
      const size_t found = user.find(key, at);
      ASSERT_NE(found, std::string::npos) << key;
      at = key == "name" || key == "who" || key == "when" || key == "day" ? at : found;
    }
  });
}

// By the judging words of a sentence alone: the last of them counts behind a "but", and "not" turns it around.
TEST(Rows, SentimentFollowsFromTheWords) {
  std::map<std::string, bool> known;
  for (const Part part : {Part::kTrain, Part::kTest}) {
    for (const char* list : {"mood.good", "mood.love", "mood.bad", "mood.hate"}) {
      for (const std::string& word : tables().options(list, part)) {
        known[word] = std::string_view(list) == "mood.good" || std::string_view(list) == "mood.love";
      }
    }
  }
  const std::regex word_pattern("[A-Za-z-]+"), negation("\\b(not|never|Nobody|no way|cannot)\\b");
  const std::regex turn("\\b(but|however|Although|expected|promised|Does|word|something|called)\\b");
  int seen = 0, negated = 0;
  for_turns("sentiment", 1500, [&](const std::string& user, const std::string& answer) {
    if (std::regex_search(user, turn)) return;  // two judgements, or a question for a word's meaning
    std::set<bool> judged;
    for (std::sregex_iterator at(user.begin(), user.end(), word_pattern), end; at != end; ++at) {
      const auto found = known.find(lower_case(at->str()));
      if (found != known.end()) judged.insert(found->second);
    }
    if (judged.size() != 1) return;  // "like" and "good" are also ordinary words
    const bool is_negated = std::regex_search(user, negation);
    EXPECT_EQ(answer, *judged.begin() != is_negated ? "positive" : "negative");
    ++seen;
    negated += is_negated ? 1 : 0;
  });
  EXPECT_GT(seen, 1000);
  EXPECT_GT(negated, 100);
}

// An answer that is not "I don't know" is in what was said before; a letter is that of the answer's option.
TEST(Rows, AnswersStandInTheText) {
  for (const char* name : {"facts", "unknown", "yesno", "persona"}) {
    for (uint64_t i = 0; i < 800; ++i) {
      const Conversation row = make_row(skill(name), tables(), stories(), Part::kTest, 3, i);
      std::string before = row.system + "\n";
      for (const auto& [user, answer] : row.turns) before += user + "\n";
      const std::string& core = row.turns.back().second;
      const bool plain = core != "I don't know" && core != "Yes." && core != "No.";
      if (plain) {
        EXPECT_NE(lower_case(before).find(lower_case(core)), std::string::npos) << before << core;
      }
      EXPECT_EQ(core == "I don't know", std::string_view(name) == "unknown");
    }
  }
}

}  // namespace
}  // namespace andiron::ember
