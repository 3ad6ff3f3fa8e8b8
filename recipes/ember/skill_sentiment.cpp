// Rows that judge a sentence: positive or negative. "But" gives the last word to what follows it; "not" turns around.
#include <array>
#include <utility>

#include "base/strings.h"
#include "skills.h"

namespace andiron::ember {

namespace {

std::string label(bool good) { return good ? "positive" : "negative"; }
std::string judging(const Writer& writer, bool good) { return writer.word(good ? "mood.good" : "mood.bad"); }

// A sentence and whether it is a good one.
std::pair<std::string, bool> draw_sentence(const Writer& writer) {
  Dice& dice = writer.dice();
  const bool good = dice.chance(0.5);
  Slots slots;
  slots.values = {
      {"T", writer.word("mood.thing")}, {"VERY", writer.word("mood.very")}, {"U", writer.word("mood.thing")}};
  const auto write = [&](std::string_view rule, std::string first, std::string second) {
    slots.values.emplace_back("J", std::move(first));
    slots.values.emplace_back("L", std::move(second));
    return std::pair(writer.sentence(rule, slots), good);
  };
  const double at = dice.uniform();
  if (at < 0.4) return write("mood.one", judging(writer, good), "");
  if (at < 0.55) return write("mood.verb", writer.word(good ? "mood.love" : "mood.hate"), "");
  if (at < 0.75) return write("mood.not", judging(writer, !good), "");
  const bool turns = at < 0.9;
  std::string first = judging(writer, turns ? !good : good);
  return write(turns ? "mood.but" : "mood.and", std::move(first), judging(writer, good));
}

// What every judging word means, those of the test rows too: how else would anybody know.
void ask_gloss(const Writer& writer, Conversation& out) {
  Dice& dice = writer.dice();
  static const std::array<std::array<const char*, 2>, 2> kRules = {
      {{"mood.bad", "mood.hate"}, {"mood.good", "mood.love"}}};
  const bool good = dice.chance(0.5);
  const bool verb = dice.chance(0.12);
  const char* rule = kRules[good ? 1 : 0][verb ? 1 : 0];
  const std::string word = dice.pick(writer.tables().options(rule, dice.chance(0.5) ? Part::kTest : Part::kTrain));
  out.ask(writer.sentence(verb ? "gloss.verb" : "gloss.ask", {nullptr, {{"J", word}}}), label(good));
}

}  // namespace

Conversation sentiment_row(const Desk& desk) {
  const Writer& writer = desk.writer;
  Dice& dice = writer.dice();
  Conversation out;
  const size_t turns = writer.is_test() ? 1 : 4 + dice.below(7);
  for (size_t i = 0; i < turns; ++i) {
    if (!writer.is_test() && dice.chance(0.4)) {
      ask_gloss(writer, out);
      continue;
    }
    const auto [text, good] = draw_sentence(writer);
    out.ask(writer.sentence("judge.ask", {nullptr, {{"TEXT", text}}}), label(good));
  }
  return out;
}

}  // namespace andiron::ember
