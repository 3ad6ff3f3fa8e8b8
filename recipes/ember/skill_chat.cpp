// Rows of small talk, stories, characters that the system message describes; and what all rows share.
#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/strings.h"
#include "reading.h"
#include "skills.h"

namespace andiron::ember {

namespace {

// A turn of small talk: "chat.hello" has what is said and what is answered.
void ask_chat(const Writer& writer, const std::string& section, Conversation& out) {
  const std::string asked = typed(writer, writer.sentence(section + ".ask"));
  out.ask(asked, writer.draw(section + ".answer"));
}

std::string draw_chat(const Writer& writer) {
  std::vector<std::string> known;
  for (const std::string& section : writer.tables().sections()) {
    if (section.starts_with("chat.")) known.push_back(section);
  }
  return writer.dice().pick(known);
}

// How a character speaks: something before or behind every answer.
struct Manner {
  std::string before, behind;

  std::string of(const std::string& answer) const { return before + answer + behind; }
};

Manner draw_manner(const Writer& writer, std::string& system) {
  Dice& dice = writer.dice();
  if (!dice.chance(0.5)) return {};
  const std::string phrase = writer.sentence("persona.phrase");
  const bool end = dice.chance(0.6);
  system += " " + writer.sentence(end ? "persona.end" : "persona.start", {nullptr, {{"P", phrase}}});
  return end ? Manner{"", " " + phrase} : Manner{phrase + " ", ""};
}

// What the system message says of the character, one sentence after the other.
std::string describe(const Writer& writer, const World& world, const std::string& name) {
  const Subject subject = named_subject(name, Gender::kNone);
  std::string out = writer.sentence("persona.name", {&subject, {}});
  for (const std::string& sentence : tell_each(writer, world)) out += " " + sentence;
  return out;
}

struct Character {
  std::string name;
  World world;
  Manner manner;
};

// One question to the character; `judged`: the answer is what it must contain.
void ask_character(const Writer& writer, const Character& of, bool judged, Conversation& out) {
  Dice& dice = writer.dice();
  const double at = dice.uniform();
  const bool has_manner = !of.manner.behind.empty() || !of.manner.before.empty();
  const auto answer = [&](const std::string& full, const std::string& core) {
    if (!judged) return of.manner.of(full);
    const bool by_manner = has_manner && dice.chance(0.5);
    return by_manner ? std::string(trimmed(of.manner.before + of.manner.behind)) : core;
  };
  if (at < 0.25 || of.world.facts.empty()) {
    const Subject subject = named_subject(of.name, Gender::kNone);
    const std::string asked = typed(writer, writer.sentence("persona.who"));
    const std::string full = writer.draw("persona.who_answer", {&subject, {}});
    out.ask(asked, answer(full, of.name));
    return;
  }
  if (at < 0.35 && !judged) {
    const Fact fact = draw_untold(writer, of.world);
    const Subject& subject = of.world.subjects[fact.subject];
    const std::string topic = topic_of(writer, subject, fact, Source::kTold);
    const std::string asked = typed(writer, capitalised(phrase(writer, fact, subject, "ask")));
    out.ask(asked, of.manner.of(writer.draw("reading.untold_self", {nullptr, {{"TOPIC", topic}}})));
    return;
  }
  const Question question = question_about(writer, of.world, dice.pick(of.world.facts), Source::kTold);
  const std::string asked = typed(writer, question.ask);
  out.ask(asked, answer(question.answer, question.core));
}

}  // namespace

std::string typed(const Writer& writer, std::string text) {
  const double at = writer.dice().uniform();
  if (at > 0.1 || text.empty()) return text;
  if (at < 0.03) return lower_case(std::move(text));
  if (text.back() == '?' || text.back() == '.') text.pop_back();
  if (at < 0.06 && !text.starts_with("I ")) {
    text[0] = lower_case(text.substr(0, 1))[0];
  }
  return text;
}

Conversation interlude(const Desk& desk) {
  Conversation out;
  const double at = desk.writer.dice().uniform();
  if (at < 0.5) {
    ask_chat(desk.writer, draw_chat(desk.writer), out);
    return out;
  }
  // With a writer of training rows the others make longer conversations: the first turn is enough.
  out = at < 0.7 ? arithmetic_row(desk) : at < 0.85 ? calendar_row(desk) : words_row(desk);
  out.turns.resize(1);
  return out;
}

Conversation chat_row(const Desk& desk) {
  const Writer& writer = desk.writer;
  Dice& dice = writer.dice();
  Conversation out;
  const size_t turns = writer.is_test() ? 1 : 1 + dice.below(5);
  for (size_t i = 0; i < turns; ++i) {
    if (!writer.is_test() && dice.chance(0.25)) {
      out.append(interlude(desk));
    } else {
      ask_chat(writer, draw_chat(writer), out);
    }
  }
  return out;
}

Conversation persona_row(const Desk& desk) {
  const Writer& writer = desk.writer;
  Dice& dice = writer.dice();
  Character of;
  of.name = writer.somebody().name;
  of.world = draw_world(writer, Kind::kPerson, {you_subject()}, dice.chance(0.1) ? 0 : 1 + dice.below(5));
  Conversation out;
  out.system = describe(writer, of.world, of.name);
  of.manner = draw_manner(writer, out.system);
  const size_t turns = writer.is_test() ? 1 + dice.below(3) : 3 + dice.below(5);
  for (size_t i = 0; i < turns; ++i) {
    const bool last = i + 1 == turns;
    if (!last && dice.chance(0.2)) {
      // Courtesies and sums; who ember is, a character is not.
      Conversation other;
      if (dice.chance(0.5)) {
        static const std::array<const char*, 6> kCourtesies = {"chat.hello", "chat.how", "chat.thanks",
                                                               "chat.bye",   "chat.yes", "chat.joke"};
        ask_chat(writer, kCourtesies[dice.below(kCourtesies.size())], other);
      } else {
        other = calendar_row(desk);
      }
      out.ask(other.turns.front().first, of.manner.of(other.turns.front().second));
    } else {
      ask_character(writer, of, last && writer.is_test(), out);
    }
  }
  return out;
}

Conversation story_row(const Desk& desk) {
  const Writer& writer = desk.writer;
  const auto& stories = desk.stories.stories(writer.part());
  ANDIRON_CHECK(!stories.empty());
  const Story& story = writer.dice().pick(stories);
  Conversation out;
  out.ask(typed(writer, writer.sentence("story.ask", {nullptr, {{"WORD", writer.dice().pick(story.words)}}})),
          story.text);
  return out;
}

}  // namespace andiron::ember
