// Rows about words: copy, reverse, sort and count them (which is what is measured), spell and compare them (which
// helps to know the letters that tokens hide).
#include <algorithm>
#include <array>
#include <cctype>
#include <numeric>
#include <set>
#include <sstream>

#include "base/strings.h"
#include "skills.h"

namespace andiron::ember {

namespace {

using Words = std::vector<std::string>;

std::string draw_word(const Writer& writer) {
  static const std::array<const char*, 6> kLists = {"noun", "verb", "trait", "animal", "thing", "things"};
  if (!writer.is_test() && writer.dice().chance(0.45)) return lower_case(writer.strange_word());
  for (;;) {
    std::string word = lower_case(writer.word(kLists[writer.dice().below(kLists.size())]));
    if (word.find(' ') == std::string::npos) return word;
  }
}

Words draw_words(const Writer& writer, size_t count, bool different) {
  Words out;
  while (out.size() < count) {
    std::string word = draw_word(writer);
    if (!different || std::find(out.begin(), out.end(), word) == out.end()) out.push_back(std::move(word));
  }
  return out;
}

std::string join(const Words& words, std::string_view between) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : std::string(between)) + word;
  return out;
}

// Words as a line of text would have them: small words between the others.
std::string draw_line(const Writer& writer, size_t count) {
  Words words;
  while (words.size() < count) {
    words.push_back(writer.dice().chance(0.35) ? writer.word("little") : draw_word(writer));
  }
  return join(words, " ");
}

// Counting is done aloud: "1 the, 2 dog. It is 2."
std::string counted_words(const std::string& line) {
  std::istringstream words(line);
  std::string out;
  int count = 0;
  for (std::string word; words >> word;) {
    ++count;
    out += format("{}{} {}", count > 1 ? ", " : "", count, word);
  }
  return format("{}. It is {}.", out, count);
}

// Sorting is done aloud: each word behind its first two letters, these by the alphabet, and the words without letters.
std::string sorted_words(Words words, std::string_view between) {
  const auto with_letters = [&] {
    std::string out;
    for (const std::string& word : words) out += format("{}{} {}", out.empty() ? "" : ", ", word.substr(0, 2), word);
    return out;
  };
  const std::string given = with_letters();
  std::sort(words.begin(), words.end());
  return format("The letters: {}. In order: {}. It is {}.", given, with_letters(), join(words, between));
}

std::string upper_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

void ask(const Writer& writer, Conversation& out, std::string_view rule,
         std::vector<std::pair<std::string_view, std::string>> values, std::string answer) {
  // The wordings have their capital letters, and a list at the start stays as it is.
  out.ask(writer.draw(format("{}.ask", rule), {nullptr, std::move(values)}), std::move(answer));
}

// The four tasks that are measured.
void ask_measured(const Writer& writer, Conversation& out) {
  Dice& dice = writer.dice();
  const size_t count = 2 + dice.below(7);
  const std::string between = dice.chance(0.6) ? ", " : " ";
  switch (dice.below(4)) {
    case 0: {
      const std::string text =
          dice.chance(0.5) ? draw_line(writer, count) : join(draw_words(writer, count, false), between);
      return ask(writer, out, "task.copy", {{"TEXT", text}}, text);
    }
    case 1: {
      Words words = draw_words(writer, std::min<size_t>(count, 6), true);
      const std::string list = join(words, between);
      std::reverse(words.begin(), words.end());
      return ask(writer, out, "task.reverse", {{"TEXT", list}}, format("It is {}.", join(words, between)));
    }
    case 2: {
      const Words words = draw_words(writer, std::min<size_t>(count, 6), true);
      return ask(writer, out, "task.sort", {{"TEXT", join(words, between)}}, sorted_words(words, between));
    }
    default: {
      const std::string line = draw_line(writer, 1 + dice.below(12));
      return ask(writer, out, "task.count", {{"TEXT", line}}, counted_words(line));
    }
  }
}

void ask_letters(const Writer& writer, Conversation& out) {
  std::string word = draw_word(writer);
  while (word.find('-') != std::string::npos) word = draw_word(writer);
  switch (writer.dice().below(8)) {
    case 0: return ask(writer, out, "task.first_letter", {{"TEXT", word}}, word.substr(0, 1));
    case 1: return ask(writer, out, "task.last_letter", {{"TEXT", word}}, word.substr(word.size() - 1));
    case 2: return ask(writer, out, "task.letters", {{"TEXT", word}}, format("{}", word.size()));
    case 3:
    case 4: {
      const Words words = draw_words(writer, 2, true);
      return ask(writer, out, "task.earlier", {{"A", words[0]}, {"B", words[1]}}, std::min(words[0], words[1]));
    }
    default: {
      Words letters;
      for (const char c : word) letters.emplace_back(1, c);
      return ask(writer, out, "task.spell", {{"TEXT", word}}, join(letters, " "));
    }
  }
}

void ask_place(const Writer& writer, Conversation& out) {
  Dice& dice = writer.dice();
  const Words words = draw_words(writer, 3 + dice.below(4), true);
  const std::string list = join(words, dice.chance(0.6) ? ", " : " ");
  switch (dice.below(5)) {
    case 0: return ask(writer, out, "task.first_word", {{"TEXT", list}}, words.front());
    case 1: return ask(writer, out, "task.last_word", {{"TEXT", list}}, words.back());
    case 2: {
      const size_t at = dice.below(words.size());
      return ask(writer, out, "task.nth_word", {{"TEXT", list}, {"I", format("{}", at + 1)}}, words[at]);
    }
    case 3: return ask(writer, out, "task.upper", {{"TEXT", list}}, upper_case(list));
    default: {
      std::set<int> numbers;
      while (numbers.size() < words.size()) numbers.insert(writer.number(1, dice.chance(0.5) ? 99 : 999));
      std::vector<int> drawn(numbers.begin(), numbers.end());
      dice.shuffle(drawn);
      Words shown, sorted;
      for (const int n : drawn) shown.push_back(format("{}", n));
      for (const int n : numbers) sorted.push_back(format("{}", n));
      return ask(writer, out, "task.number_sort", {{"TEXT", join(shown, ", ")}}, join(sorted, ", "));
    }
  }
}

}  // namespace

Conversation words_row(const Desk& desk) {
  const Writer& writer = desk.writer;
  Conversation out;
  const size_t turns = writer.is_test() ? 1 : 4 + writer.dice().below(6);
  for (size_t i = 0; i < turns; ++i) {
    const double at = writer.is_test() ? 0 : writer.dice().uniform();
    if (at < 0.8) {
      ask_measured(writer, out);
    } else if (at < 0.94) {
      ask_letters(writer, out);
    } else {
      ask_place(writer, out);
    }
  }
  return out;
}

}  // namespace andiron::ember
