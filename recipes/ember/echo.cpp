#include "echo.h"

#include <array>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace andiron::ember {

namespace {

std::string draw_item(const Writer& writer) {
  static const std::array<const char*, 6> kLists = {"noun", "verb", "trait", "animal", "thing", "things"};
  const double kind = writer.dice().uniform();
  if (kind < 0.25) return writer.invented_name();
  if (kind < 0.35) return writer.somebody().name;
  if (kind < 0.5) return format("{}", writer.number(2, 999));
  return writer.word(kLists[writer.dice().below(kLists.size())]);
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

}  // namespace

std::string echo_text(const Writer& writer) {
  return writer.dice().chance(0.5) ? list_again(writer) : pairs_again(writer);
}

}  // namespace andiron::ember
