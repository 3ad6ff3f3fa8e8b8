// Rows as they are written: answers are worked out again from the question alone (those of words and of the calendar in
// answers_test.cpp), and nothing that test rows ask is in training.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "arithmetic.h"
#include "base/json.h"
#include "base/strings.h"
#include "echo.h"
#include "generate.h"
#include "test_rows.h"

namespace andiron::ember {
namespace {

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

// How asked_pairs() tells of a pair and asks for it; # is its first word, @ its second.
struct PairForm {
  const char* tell;
  const char* check;
  const char* ask;
};

constexpr std::array<PairForm, 5> kPairForms = {{{"The # of it is @", "Is the # of it @?", "What is the # of it?"},
                                                 {"# is @", "Is # @?", "What is #?"},
                                                 {"# has @", "Does # have @?", "What does # have?"},
                                                 {"# likes @", "Does # like @?", "What does # like?"},
                                                 {"# went to @", "Did # go to @?", "Where did # go?"}}};

std::string with_pair(const std::string& form, const std::string& key, const std::string& value) {
  const std::string with_key = std::regex_replace(form, std::regex("#"), key);
  return std::regex_replace(with_key, std::regex("@"), value);
}

using Pairs = std::map<std::string, std::string>;

// Of "Arno is pale. Ilka is 12.", all in one form; none where a statement has another.
Pairs pairs_in(const std::string& told, const PairForm& form) {
  const std::regex statement(with_pair(form.tell, "(.+)", "(.+)"));
  Pairs out;
  for (size_t from = 0; from < told.size();) {
    const size_t end = std::min(told.find(". ", from), told.size() - 1);
    const std::string text = told.substr(from, end - from);
    std::smatch parts;
    if (!std::regex_match(text, parts, statement)) return {};
    out[parts[1]] = parts[2];
    from = end + 2;
  }
  return out;
}

// What follows from the pairs; "" where the question is none of the form's.
std::string answer_from(const Pairs& pairs, const PairForm& form, const std::string& question) {
  const std::string check = form.check, ask = form.ask;
  bool is_check = false;
  for (const auto& [key, value] : pairs) {
    if (question == with_pair(ask, key, "")) return value;
    if (question == with_pair(check, key, value)) return "Yes.";
    is_check = is_check || question.starts_with(with_pair(check.substr(0, check.find('@')), key, ""));
  }
  if (is_check) return "No.";
  const bool is_ask =
      question.starts_with(ask.substr(0, ask.find('#'))) && question.ends_with(ask.substr(ask.find('#') + 1));
  return is_ask ? "I don't know." : "";
}

// Every answer of every form is worked out again from the pairs that were told. "Yes." is right where its own value is
// drawn: in half of the checks, and in half of the others once in n + 1 for n pairs, 1 to 5. That is
// 1/2 + 1/4 (1/2 + 1/3 + 1/4 + 1/5 + 1/6) / 5 = 0.5725; of some 2500 checks four standard deviations are 0.04.
TEST(Rows, PairsAreAnsweredFromWhatWasTold) {
  std::map<std::string, std::map<std::string, int>> seen;
  double yes = 0, no = 0;
  for (uint64_t i = 0; i < 600; ++i) {
    Dice dice(1, i);
    const Conversation row = asked_pairs(Writer(tables(), Part::kTrain, dice));
    const std::string& first = row.turns.front().first;
    const std::string told = first.substr(0, first.rfind(". ") + 1);
    const auto form = std::find_if(kPairForms.begin(), kPairForms.end(),
                                   [&](const PairForm& f) { return !pairs_in(told, f).empty(); });
    ASSERT_NE(form, kPairForms.end()) << told;
    const Pairs pairs = pairs_in(told, *form);
    for (size_t turn = 0; turn < row.turns.size(); ++turn) {
      const auto& [user, answer] = row.turns[turn];
      const std::string question = turn == 0 ? user.substr(told.size() + 1) : user;
      EXPECT_EQ(answer, answer_from(pairs, *form, question)) << told << " / " << question;
      const bool is_value = answer != "Yes." && answer != "No." && answer != "I don't know.";
      ++seen[form->tell][is_value ? "a value" : answer];
      yes += answer == "Yes." ? 1 : 0;
      no += answer == "No." ? 1 : 0;
    }
  }
  EXPECT_NEAR(yes / (yes + no), 0.5725, 0.04);
  for (const PairForm& form : kPairForms) {
    for (const char* answer : {"Yes.", "No.", "I don't know.", "a value"}) {
      EXPECT_GT(seen[form.tell][answer], 80) << form.tell << ": " << answer;
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

// The words of a text, with a space before and behind each. What has a hyphen is one.
std::string spaced_words(std::string_view text) {
  std::string out = " ";
  for (const char c : text) {
    const bool is_letter = c == '-' || std::isalpha(static_cast<unsigned char>(c)) != 0;
    if (is_letter || out.back() != ' ') out += is_letter ? c : ' ';
  }
  return out.back() == ' ' ? out : out + ' ';
}

// Adds whole phrases ("double bass") of spaced words that are among these, which have no more than four words.
void find_held(const std::set<std::string>& held, const std::string& text, std::vector<std::string>& found) {
  const std::string words = spaced_words(text);
  for (size_t from = 0; from + 1 < words.size(); from = words.find(' ', from + 1)) {
    size_t to = from;
    for (int count = 0; count < 4 && to + 1 < words.size(); ++count) {
      to = words.find(' ', to + 1);
      const std::string phrase = words.substr(from, to + 1 - from);
      if (held.count(phrase) > 0) found.push_back(phrase + "in: " + text);
    }
  }
}

// Words of test rows, by the tables' own lists, in no training row, whether asked, answered or told to a character; and
// no question twice. A handful of rows have one by chance, in another meaning: a thing and its color, two words that
// happen to stand side by side, a word that was invented, a pet called Pebble that is typed without its capital letter.
// Words that judge are asked about in training (sentiment.txt says why), and not looked for.
TEST(Rows, NothingOfTestRowsIsInTraining) {
  std::set<std::string> held;
  for (const char* list : {"girl",
                           "boy",
                           "town",
                           "country",
                           "job",
                           "workplace",
                           "pet",
                           "petname",
                           "kin",
                           "food",
                           "drink",
                           "sport",
                           "animal",
                           "animals",
                           "color",
                           "instrument",
                           "hobby",
                           "language",
                           "study",
                           "things",
                           "vehicle",
                           "belonging",
                           "thing",
                           "spot",
                           "room",
                           "outing",
                           "ride",
                           "shop",
                           "event",
                           "code",
                           "clothes",
                           "hall",
                           "material",
                           "noun",
                           "verb",
                           "trait",
                           "chore",
                           "plan",
                           "mood.thing",
                           "mood.very",
                           "thing.price.money"}) {
    for (const std::string& word : tables().options(list, Part::kTest)) held.insert(spaced_words(word));
  }
  for (const std::string& name : tables().options("shop.street.name", Part::kTest))
    held.insert(" " + name + " Street ");
  // Words of wordings of training ("On {V} {N} celebrate{s} {Ns} birthday"), outings ("the ice rink") and these
  // words as shops and events ("The fair is on Monday").
  for (const char* word : {" celebrate ", " the station ", " festival ", " ice rink ", " dance class ", " the fair ",
                           " the university "}) {
    held.erase(word);
  }
  for (const Skill& s : skills()) {
    if (s.name == "story") continue;  // texts of others: split by story
    SCOPED_TRACE(s.name);
    std::set<std::string> asked;
    std::vector<std::string> found;
    for (uint64_t i = 0; i < 6000; ++i) {
      const Conversation row = make_row(s, tables(), stories(), Part::kTrain, 1, i);
      const size_t before = found.size();
      find_held(held, row.system, found);
      for (const auto& [user, answer] : row.turns) {
        asked.insert(row.system + user);
        find_held(held, user, found);
        find_held(held, answer, found);
      }
      found.resize(std::min(found.size(), before + 1));
    }
    EXPECT_LE(found.size(), 6U) << testing::PrintToString(found);
    int compared = 0;
    for (uint64_t i = 0; i < 500; ++i) {
      const Conversation row = make_row(s, tables(), stories(), Part::kTest, 1, i);
      // Of a longer conversation the last question alone may be short: "How old am I?" stands on what was told.
      if (row.turns.size() != 1) continue;
      EXPECT_EQ(asked.count(row.system + row.turns.front().first), 0U) << row.turns.front().first;
      ++compared;
    }
    EXPECT_GT(compared, 0);
  }
}

// An equation of digits, or steps: each step right, the last word the value.
TEST(Rows, SumsAreRight) {
  const std::regex sum("(\\d+) ([+-]) (\\d+)"), step("(\\d+) ([+-]) (\\d+)( \\+ 1)? = (-?\\d+)");
  const std::regex result("It is (-?\\d+)\\.$|= (-?\\d+)$");
  int seen = 0, steps = 0;
  for_turns("arithmetic", 1500, [&](const std::string& user, const std::string& answer) {
    std::smatch found, ending;
    ASSERT_TRUE(std::regex_search(answer, found, sum));
    const int a = std::stoi(found[1]), b = std::stoi(found[3]);
    const int value = found[2].str() == "+" ? a + b : a - b;
    ASSERT_TRUE(std::regex_search(answer, ending, result));
    EXPECT_EQ(ending[1].str() + ending[2].str(), std::to_string(value));
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
        ASSERT_TRUE(std::regex_search(answer, found, sum)) << user;
        EXPECT_EQ(is_test_sum({std::stoi(found[1]), std::stoi(found[3]), true}), part == Part::kTest) << user;
      }
    }
  }
}

bool is_key(const char* rule, const std::string& key) {
  const Rule& known = *tables().find(rule);
  const auto has = [&](const auto& keys) { return std::find(keys.begin(), keys.end(), key) != keys.end(); };
  return has(known.train) || has(known.test);
}

// What a sentence says, found without knowing how it was written; "null" where it says nothing of it.
class SentenceFacts {
 public:
  // `user`: the sentence and what is asked of it.
  explicit SentenceFacts(const std::string& user) {
    static const std::string kDay = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day";
    static const std::string kMonth =
        "(?:January|February|March|April|May|June|July|August|September|October|November|December)";
    static const std::regex kShape("\\{[^}]*\\}"), kNumber("\\b(\\d+) [a-z]"), kNamesNobody(kNobody);
    static const std::regex kOn("\\b[Oo]n (\\d{4}-\\d\\d-\\d\\d|\\d+ " + kMonth + "(?: \\d{4})?|" + kMonth +
                                " \\d+(?:, \\d{4})?|" + kDay + ")");
    static const std::regex kIn("\\b[Ii]n ([A-Z][a-z]+(?: [A-Z][a-z]+)*)");
    text_ = std::regex_replace(user, kShape, "");
    date_ = in_quotes(kOn);
    text_ = std::regex_replace(text_, kOn, "");
    place_ = in_quotes(kIn);
    text_ = std::regex_replace(text_, kIn, "");
    std::smatch found;
    if (std::regex_search(text_, found, kNumber)) number_ = found[1];
    has_name_ = !std::regex_search(text_, kNamesNobody);
  }

  bool has_name() const { return has_name_; }
  // Of what is left without date and place: a name, and no part of one.
  bool names(const std::string& name) const {
    return std::regex_match(name, std::regex("[A-Z][a-z]+(?: [A-Z][a-z]+)?")) &&
           std::regex_search(text_, std::regex("(?:^|[^A-Za-z ] *|(?:^| )[a-z]+ +)" + name + "(?: [a-z]|,)"));
  }
  const std::string& number() const { return number_; }
  const std::string& date() const { return date_; }
  const std::string& place() const { return place_; }

 private:
  // The sentences that name nobody.
  static constexpr const char* kNobody =
      "\\d (?:guests|people|visitors|tourists|travellers|friends|children) (?:came|arrived|met)|"
      "\\d [a-z -]+ were (?:counted|stolen|sold|lost|found|seen|for sale)|[Tt]here (?:were|will be) \\d|"
      "[Aa]s many as \\d|All of the \\d|"
      "(?:\\b[Ww]e|\\b[Tt]hey|\\bI|You|[Pp]eople|[Ss]omebody|All of (?:us|them)|My "
      "(?:sister|brother|mother|neighbour)|A (?:man|woman)|Our (?:friends|neighbours)) (?:will "
      ")?(?:(?:need|want|bought|sold|found|lost|saw|see|met|counted) \\d|(?:bought|sold|found|lost) an? |met some|saw "
      "a |opened|closed|held)|"
      "[Tt]here (?:was|will be) a (?:big )?(?:fair|market|party|concert|storm|flood|meeting|race|wedding)|"
      "[Aa] (?:big )?(?:flood|storm) came|was held|took place|was opened";

  std::string in_quotes(const std::regex& pattern) const {
    std::smatch found;
    return std::regex_search(text_, found, pattern) ? json_quote(found[1].str()) : "null";
  }

  std::string text_, number_ = "null", date_, place_;
  bool has_name_ = false;
};

// An object has what the text says and null for what it does not say; its keys are those asked for, in their order.
TEST(Rows, JsonSaysWhatTheTextSays) {
  int nulls = 0, values = 0;
  for_turns("json", 1500, [&](const std::string& user, const std::string& answer) {
    const auto json = parse_json(answer, "answer");
    ASSERT_TRUE(json.ok());
    ASSERT_TRUE(json->is_object());
    const SentenceFacts says(user);
    size_t at = 0;
    for (const auto& [key, value] : json->members()) {
      const std::string shown = value.dump();
      if (is_key("json.name_key", key)) {
        EXPECT_EQ(shown != "null", says.has_name()) << key;
        EXPECT_TRUE(value.is_null() || says.names(std::string(value.text_or("")))) << key;
      } else if (is_key("json.number_key", key)) {
        EXPECT_EQ(shown, says.number()) << key;
      } else if (is_key("json.date_key", key)) {
        EXPECT_EQ(shown, says.date()) << key;
      } else {
        EXPECT_TRUE(is_key("json.place_key", key)) << key;
        EXPECT_EQ(shown, says.place()) << key;
      }
      ++(value.is_null() ? nulls : values);
      const size_t found = user.find(key, at);
      ASSERT_NE(found, std::string::npos) << key;
      at = key == "name" || key == "who" || key == "when" || key == "day" ? at : found;
    }
  });
  EXPECT_GT(nulls, 500);
  EXPECT_GT(values, 4000);
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

// An answer that is not "I don't know", yes or no is in what was said before, and so is the option that is chosen.
TEST(Rows, AnswersStandInTheText) {
  for (const char* name : {"facts", "unknown", "untold", "yesno", "persona"}) {
    for (uint64_t i = 0; i < 800; ++i) {
      const Conversation row = make_row(skill(name), tables(), stories(), Part::kTest, 3, i);
      std::string before = row.system + "\n";
      for (const auto& [user, answer] : row.turns) before += user + "\n";
      const std::string& core = row.turns.back().second;
      const bool plain = core != "I don't know" && core != "Yes." && core != "No.";
      if (plain) {
        EXPECT_NE(lower_case(before).find(lower_case(core)), std::string::npos) << before << core;
      }
      EXPECT_EQ(core == "I don't know", std::string_view(name).starts_with("un"));
    }
  }
}

// Some facts about people in their plainest wordings, as regular expressions; # is the name, @ the value.
struct PlainFact {
  const char* literal;  // stands in all that is told so
  const char* value;
  const char* tell;
  const char* ask;
  const char* check;
  const char* answer;  // no expression: a sentence without its full stop
};

constexpr std::array<PlainFact, 3> kPlainFacts = {
    {{" years o", "(\\d+)", "# is (?:now |already )?@ years (?:old|of age)(?: now| this year| today)?",
      "[Hh]ow old is #|[Hh]ow many years (?:old|of age) is #|[Ww]hat age is #|[Ww]hat is #'s age",
      "Is # (?:now |already )?@ years (?:old|of age)", "# is @ years old"},
     {" lives in ", "([A-Z][a-z]+(?: [A-Z][a-z]+)*)", "# (?:now )?lives in @",
      "[Ww]here (?:does # live|is # living)|(?:town|city) (?:does # live|is # living)",
      "(?:Does # live|Is # living) in @", "# lives in @"},
     {" speaks ", "([A-Z][a-z]+)", "# (?:often )?speaks @(?: very well| well| a little| at home)?",
      "language (?:does # (?:speak|know)|can # speak)", "(?:Does # (?:speak|know)|Can # speak) @", "# speaks @"}}};

// Values by name: more than one where a name is told of twice.
using Told = std::map<std::string, std::set<std::string>>;

// A sentence of its own, of somebody with a name, and not one that is asked about: "Mira speaks Welsh. Is that true?"
std::regex sentence_of(const PlainFact& fact) {
  return std::regex("(?:^|[.:!?\"\n] ?)" + with_pair(fact.tell, "([A-Z][a-z]+)", fact.value) + "(?=\\.(?! Is ))");
}

// Answers to questions for a fact that was told, by the form of the answer.
struct CheckedAnswers {
  int whole = 0, brief = 0, judged = 0;
};

void check_answer(const PlainFact& fact, const std::string& name, const std::string& value, const std::string& user,
                  const std::string& answer, CheckedAnswers& checked) {
  SCOPED_TRACE(testing::Message() << name << ", " << value << ": " << user << " -> " << answer);
  const std::string word_end = "(?![A-Za-z'-])", told = with_pair(fact.answer, name, value) + ".";
  const bool is_judged = answer.starts_with("Yes.") || answer.starts_with("No.");
  // "Yes. Mira speaks Welsh."
  const size_t at = is_judged ? answer.find(". ") : std::string::npos;
  const std::string sentence = at == std::string::npos ? answer : answer.substr(at + 2);
  if (std::regex_match(sentence, std::regex(with_pair(fact.answer, name, fact.value) + "\\."))) {
    EXPECT_EQ(sentence, told);
    ++checked.whole;
  }
  std::smatch found;
  if (is_judged) {
    // "Does Mira speak Welsh?" and "Is it true that Mira speaks Welsh?"
    const std::regex check("(?:" + with_pair(fact.check, name, fact.value) + word_end + "|that " +
                           with_pair(fact.answer, name, fact.value) + "\\?)");
    if (!std::regex_search(user, found, check)) return;
    EXPECT_EQ(answer.starts_with("Yes."), found[1].str() + found[2].str() == value);
    ++checked.judged;
  } else if (std::regex_search(user, std::regex("(?:" + with_pair(fact.ask, name, "") + ")" + word_end))) {
    EXPECT_TRUE(answer == value || answer == told);
    ++checked.brief;
  }
}

// Of the facts that have a plain wording the answers are worked out again from what was told: whose value it is, and
// yes only where it is that one.
TEST(Rows, PlainFactsAreAnsweredAsTheyWereTold) {
  std::vector<std::regex> sentences;
  for (const PlainFact& fact : kPlainFacts) sentences.push_back(sentence_of(fact));
  std::array<CheckedAnswers, kPlainFacts.size()> checked;
  for (const char* name : {"facts", "unknown", "yesno"}) {
    for (const Part part : {Part::kTrain, Part::kTest}) {
      for (uint64_t i = 0; i < 5000; ++i) {
        const Conversation row = make_row(skill(name), tables(), stories(), part, 11, i);
        std::array<Told, kPlainFacts.size()> told;
        for (const auto& [user, answer] : row.turns) {
          for (size_t f = 0; f < kPlainFacts.size(); ++f) {
            if (user.find(kPlainFacts[f].literal) != std::string::npos) {
              for (std::sregex_iterator at(user.begin(), user.end(), sentences[f]), end; at != end; ++at) {
                told[f][(*at)[1].str()].insert((*at)[2].str());
              }
            }
            for (const auto& [who, values] : told[f]) {
              if (values.size() == 1) check_answer(kPlainFacts[f], who, *values.begin(), user, answer, checked[f]);
            }
          }
        }
      }
    }
  }
  CheckedAnswers all;
  for (size_t f = 0; f < kPlainFacts.size(); ++f) {
    EXPECT_GT(checked[f].whole, 0) << kPlainFacts[f].tell;
    all.whole += checked[f].whole;
    all.brief += checked[f].brief;
    all.judged += checked[f].judged;
  }
  EXPECT_GT(all.whole, 50);
  EXPECT_GT(all.brief, 5);
  EXPECT_GT(all.judged, 0);
}

}  // namespace
}  // namespace andiron::ember
