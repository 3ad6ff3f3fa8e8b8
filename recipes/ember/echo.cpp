#include "echo.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace andiron::ember {

namespace {

std::string draw_item(const Writer& writer) {
  static const std::array<const char*, 6> kLists = {"noun", "verb", "trait", "animal", "thing", "things"};
  const double kind = writer.dice().uniform();
  if (kind < 0.1) return writer.invented_name();
  if (kind < 0.2) return writer.somebody().name;
  if (kind < 0.55) return writer.strange_word();
  if (kind < 0.65) return format("{}", writer.number(2, 999));
  return writer.word(kLists[writer.dice().below(kLists.size())]);
}

std::vector<std::string> draw_items(const Writer& writer, size_t count) {
  std::vector<std::string> out;
  while (out.size() < count) out.push_back(draw_item(writer));
  return out;
}

std::vector<std::string> draw_different(const Writer& writer, size_t count) {
  std::vector<std::string> out;
  while (out.size() < count) {
    std::string item = draw_item(writer);
    if (std::find(out.begin(), out.end(), item) == out.end()) out.push_back(std::move(item));
  }
  return out;
}

std::string list_again(const Writer& writer) {
  static const std::array<const char*, 4> kBetween = {" ", ", ", " and ", "; "};
  Dice& dice = writer.dice();
  const std::string between = kBetween[dice.below(kBetween.size())];
  std::string line;
  for (const std::string& item : draw_items(writer, 3 + dice.below(24))) line += (line.empty() ? "" : between) + item;
  std::string out = line + ".";
  for (size_t again = 1 + dice.below(2); again > 0; --again) out += " " + line + ".";
  return out;
}

std::string pairs_again(const Writer& writer) {
  static const std::array<std::pair<const char*, const char*>, 6> kForms = {
      {{" is ", "."}, {": ", "."}, {" has ", "."}, {" - ", ","}, {" likes ", "."}, {" ", "."}}};
  Dice& dice = writer.dice();
  const size_t count = 2 + dice.below(10);
  const auto [between, end] = kForms[dice.below(kForms.size())];
  const auto keys = draw_items(writer, count), values = draw_items(writer, count);
  std::vector<std::string> pairs;
  for (size_t i = 0; i < count; ++i) pairs.push_back(keys[i] + between + values[i] + end);
  std::string out;
  for (int times = 0; times < 2; ++times) {
    for (const std::string& pair : pairs) out += (out.empty() ? "" : " ") + pair;
    dice.shuffle(pairs);
  }
  return out;
}

// How a pair is told and asked; # is its first word, @ its second.
struct PairForm {
  const char* tell;
  const char* check;
  const char* ask;
};

std::string with_pair(std::string_view form, std::string_view key, std::string_view value) {
  std::string out;
  for (size_t i = 0; i < form.size(); ++i) {
    if (form[i] != '#' && form[i] != '@') {
      out += form[i];
    } else {
      out += form[i] == '#' ? key : value;
    }
  }
  return out;
}

}  // namespace

Conversation asked_pairs(const Writer& writer) {
  static const std::array<PairForm, 5> kForms = {{{"# is @.", "Is # @?", "What is #?"},
                                                  {"# has @.", "Does # have @?", "What does # have?"},
                                                  {"# likes @.", "Does # like @?", "What does # like?"},
                                                  {"# went to @.", "Did # go to @?", "Where did # go?"},
                                                  {"The # of it is @.", "Is the # of it @?", "What is the # of it?"}}};
  Dice& dice = writer.dice();
  const PairForm& form = kForms[dice.below(kForms.size())];
  const size_t count = 1 + dice.below(5);
  const auto keys = draw_different(writer, count + 1), values = draw_different(writer, count + 1);
  std::string told;
  for (size_t i = 0; i < count; ++i) told += (i > 0 ? " " : "") + with_pair(form.tell, keys[i], values[i]);
  Conversation out;
  for (size_t turns = 4 + dice.below(8); turns > 0; --turns) {
    const double kind = dice.uniform();
    const size_t at = kind < 0.85 ? dice.below(count) : count;  // the last is not told
    std::string question = with_pair(form.ask, keys[at], "");
    std::string answer = at < count ? values[at] : "I don't know.";
    if (kind < 0.55) {
      // Half are true. Of the others half are drawn from all pairs, and may be true again: 57% are "Yes.".
      const size_t other = dice.chance(0.5) ? at : dice.chance(0.5) ? dice.below(count + 1) : count;
      question = with_pair(form.check, keys[at], values[other]);
      answer = other == at ? "Yes." : "No.";
    }
    if (out.turns.empty()) question = format("{} {}", told, question);
    out.ask(question, answer);
  }
  return out;
}

std::string echo_text(const Writer& writer) {
  return writer.dice().chance(0.5) ? list_again(writer) : pairs_again(writer);
}

}  // namespace andiron::ember
