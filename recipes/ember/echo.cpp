#include "echo.h"

#include <array>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace andiron::ember {

namespace {

std::string draw_item(const Writer& writer) {
  const double kind = writer.dice().uniform();
  if (kind < 0.25) return writer.invented_name();
  if (kind < 0.35) return writer.somebody().name;
  if (kind < 0.5) return format("{}", writer.number(2, 999));
  return writer.any_word();
}

std::vector<std::string> draw_items(const Writer& writer, size_t count) {
  std::vector<std::string> out;
  while (out.size() < count) out.push_back(draw_item(writer));
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

// A sentence without sense, with a place for somebody and one for something.
std::vector<std::string> draw_form(const Writer& writer) {
  Dice& dice = writer.dice();
  std::vector<std::string> out;
  for (size_t words = 1 + dice.below(7); words > 0; --words) {
    out.push_back(dice.chance(0.5) ? writer.word("little") : writer.any_word());
  }
  for (const char* place : {"N", "V"}) {
    out.insert(out.begin() + static_cast<std::ptrdiff_t>(dice.below(out.size() + 1)), place);
  }
  return out;
}

// The same few forms of sentences, said of several: what was said of whom has to be found by all that the sentence has.
std::string forms_again(const Writer& writer) {
  Dice& dice = writer.dice();
  const size_t who = 2 + dice.below(3);
  std::vector<std::vector<std::string>> forms;
  for (size_t count = 1 + dice.below(3); count > 0; --count) forms.push_back(draw_form(writer));
  std::vector<std::string> sentences;
  for (size_t i = 0; i < who; ++i) {
    const std::string name = dice.chance(0.5) ? writer.somebody().name : "the " + writer.any_word();
    for (const std::vector<std::string>& form : forms) {
      if (!sentences.empty() && dice.chance(0.2)) continue;
      std::string sentence;
      for (const std::string& word : form) {
        sentence += (sentence.empty() ? "" : " ") + (word == "N" ? name : word == "V" ? draw_item(writer) : word);
      }
      sentences.push_back(capitalised(std::move(sentence)) + ".");
    }
  }
  std::string out;
  for (int times = 0; times < 2; ++times) {
    dice.shuffle(sentences);
    for (const std::string& sentence : sentences) out += (out.empty() ? "" : " ") + sentence;
  }
  return out;
}

}  // namespace

std::string echo_text(const Writer& writer) {
  const double form = writer.dice().uniform();
  return form < 0.3 ? list_again(writer) : form < 0.55 ? pairs_again(writer) : forms_again(writer);
}

}  // namespace andiron::ember
