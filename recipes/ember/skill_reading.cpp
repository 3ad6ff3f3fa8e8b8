// Rows about a text or about what somebody has told: questions for a fact, for one that is not there, with yes or no,
// with choices; and questions to be written.
#include <algorithm>
#include <array>

#include "base/strings.h"
#include "echo.h"
#include "reading.h"
#include "skills.h"

namespace andiron::ember {

namespace {

// A text about others, in one message with its first question or in a message before it.
struct Reading {
  World world;
  std::string text;
};

Reading draw_reading(const Writer& writer) {
  Dice& dice = writer.dice();
  const Kind kind = draw_kind(dice);
  // Half of the training texts are short: what a question asks for is found there first.
  const bool is_short = !writer.is_test() && dice.chance(0.5);
  const size_t subjects = is_short || dice.chance(0.25) ? 1 + dice.below(2) : 2 + dice.below(2);
  const size_t facts = std::max<size_t>(subjects, is_short ? 1 + dice.below(3) : 2 + dice.below(5));
  Reading out;
  out.world = draw_world(writer, kind, draw_subjects(writer, kind, subjects), facts);
  out.text = tell(writer, out.world);
  return out;
}

// One after the other: the facts of a world have no order.
const Fact& next_fact(const World& world, size_t turn) { return world.facts[turn % world.facts.size()]; }

// How the text comes to the reader: before the first question or around it.
class Asking {
 public:
  Asking(const Writer& writer, const Reading& reading) : writer_(writer), text_(reading.text) {
    if (!writer.dice().chance(0.25)) return;
    const std::string given = writer.sentence("reading.give", {nullptr, {{"TEXT", text_}}});
    out_.ask(given, writer.draw("reading.give_answer"));
    is_given_ = true;
  }

  void ask(const std::string& question, const std::string& answer) { put(typed(writer_, question), answer); }
  // As it is written: options stand on lines of their own.
  void put(const std::string& shown, const std::string& answer) {
    out_.ask(is_given_ ? shown : writer_.draw("reading.layout", {nullptr, {{"TEXT", text_}, {"Q", shown}}}), answer);
    is_given_ = true;
  }

  Conversation take() { return std::move(out_); }

 private:
  const Writer& writer_;
  const std::string& text_;
  Conversation out_;
  bool is_given_ = false;
};

// Many questions about a text: it is read once, and every answer teaches.
size_t draw_turns(const Writer& writer) {
  Dice& dice = writer.dice();
  if (writer.is_test()) return dice.chance(0.75) ? 1 : 2;
  return 3 + dice.below(7);
}

std::string as_bare(const Writer& writer, const std::string& question) {
  return writer.sentence("reading.bare", {nullptr, {{"Q", question}}});
}

void ask_fact(const Writer& writer, const World& world, const Fact& fact, Asking& asking, bool judged) {
  const Question question = question_about(writer, world, fact, Source::kText);
  const bool bare = writer.dice().chance(0.3);
  asking.ask(bare ? as_bare(writer, question.ask) : question.ask, bare || judged ? question.core : question.answer);
}

void ask_untold(const Writer& writer, const World& world, Asking& asking) {
  Dice& dice = writer.dice();
  const Fact fact = draw_untold(writer, world);
  const bool bare = dice.chance(0.2);
  std::string question = capitalised(phrase(writer, fact, world.subjects[fact.subject], "ask"));
  if (!bare && dice.chance(0.15)) {
    question = capitalised(phrase(writer, fact, world.subjects[fact.subject], "check"));
  }
  const bool judged = writer.is_test();
  asking.ask(bare ? as_bare(writer, question) : question, judged ? "I don't know"
                                                          : bare ? "I don't know."
                                                                 : untold_answer(writer, world, fact, Source::kText));
}

// What somebody says of himself, of his house and his family.
World draw_own_world(const Writer& writer, size_t facts) {
  Dice& dice = writer.dice();
  if (dice.chance(0.2)) {  // of things and appointments instead
    const Kind kind = draw_kind(dice);
    return draw_world(writer, kind, draw_subjects(writer, kind, 1 + dice.below(2)), facts);
  }
  std::vector<Subject> subjects;
  subjects.push_back(dice.chance(0.9) ? i_subject() : we_subject());
  const bool female = dice.chance(0.5);
  if (dice.chance(0.45)) {
    static const std::array<const char*, 8> kHers = {"my sister", "my mother", "my wife",  "my daughter",
                                                     "my aunt",   "my boss",   "my niece", "my grandmother"};
    static const std::array<const char*, 8> kHis = {"my brother", "my father",    "my husband", "my son",
                                                    "my uncle",   "my neighbour", "my nephew",  "my grandfather"};
    subjects.push_back(named_subject((female ? kHers : kHis)[dice.below(8)], female ? Gender::kFemale : Gender::kMale));
  }
  if (dice.chance(0.3)) subjects.push_back(writer.somebody());
  return draw_world(writer, Kind::kPerson, std::move(subjects), facts);
}

// Told in one message or in several, each of which is answered.
Conversation told(const Desk& desk, const World& world) {
  const Writer& writer = desk.writer;
  Conversation out;
  std::string message;
  const auto say = [&] {
    const std::string said = typed(writer, writer.sentence("reading.tell", {nullptr, {{"TEXT", message}}}));
    out.ask(said, writer.draw("reading.told"));
    message.clear();
  };
  for (const std::string& sentence : tell_each(writer, world)) {
    message += (message.empty() ? "" : " ") + sentence;
    if (writer.dice().chance(0.4)) say();
  }
  if (!message.empty()) say();
  return out;
}

Conversation told_row(const Desk& desk, bool unknown_last) {
  const Writer& writer = desk.writer;
  Dice& dice = writer.dice();
  const World world = draw_own_world(writer, 1 + dice.below(5));
  // Now and then nothing is told at all.
  Conversation out = unknown_last && dice.chance(0.4) ? Conversation{} : told(desk, world);
  const bool nothing = out.turns.empty();
  const size_t turns = draw_turns(writer);
  for (size_t i = 0; i < turns; ++i) {
    if (!nothing && dice.chance(0.25)) out.append(interlude(desk));
    const bool last = i + 1 == turns;
    const bool judged = last && writer.is_test();
    const bool unknown = nothing || (last ? unknown_last : dice.chance(unknown_last ? 0.5 : 0.2));
    if (unknown) {
      const World other = nothing ? draw_own_world(writer, 1) : world;
      const Fact fact = nothing ? other.facts.front() : draw_untold(writer, other);
      const std::string ask = typed(writer, capitalised(phrase(writer, fact, other.subjects[fact.subject], "ask")));
      out.ask(ask, judged ? "I don't know" : untold_answer(writer, other, fact, Source::kTold));
    } else {
      const Question question = question_about(writer, world, next_fact(world, i), Source::kTold);
      const bool bare = dice.chance(0.15);
      out.ask(typed(writer, bare ? as_bare(writer, question.ask) : question.ask),
              bare || judged ? question.core : question.answer);
    }
  }
  return out;
}

// Options in any order, each behind a letter or a dash; the right one is said again, without it.
void ask_choice(const Writer& writer, const World& world, const Fact& fact, Asking& asking) {
  Dice& dice = writer.dice();
  std::vector<std::string> options = {fact.v};
  const size_t count = 2 + dice.below(3);
  for (int tries = 0; tries < 60 && options.size() < count; ++tries) {
    std::string other = draw_other_value(writer, world, fact);
    if (std::find(options.begin(), options.end(), other) == options.end()) options.push_back(std::move(other));
  }
  dice.shuffle(options);
  static const std::array<const char*, 4> kMarks = {"A)", "A.", "A:", "-"};
  std::string mark = kMarks[dice.below(kMarks.size())];
  std::string lines;
  for (const std::string& option : options) {
    lines += format("{}{} {}", lines.empty() ? "" : "\n", mark, option);
    if (mark[0] != '-') ++mark[0];
  }
  const std::string question = capitalised(phrase(writer, fact, world.subjects[fact.subject], "ask"));
  asking.put(writer.draw("reading.choose", {nullptr, {{"Q", question}, {"OPTIONS", lines}}}), fact.v);
}

void ask_yes_or_no(const Writer& writer, const World& world, const Fact& fact, Asking& asking) {
  Dice& dice = writer.dice();
  const bool is_true = dice.chance(0.5);
  const std::string check = check_of(writer, world, fact, is_true ? fact.v : draw_other_value(writer, world, fact));
  if (writer.is_test() || dice.chance(0.6)) {
    asking.ask(writer.sentence("reading.yesno", {nullptr, {{"Q", check}}}), is_true ? "Yes." : "No.");
    return;
  }
  asking.ask(check, (is_true ? "Yes. " : "No. ") + statement_of(writer, world, fact, Source::kText));
}

void ask_either(const Writer& writer, const World& world, const Fact& fact, Asking& asking) {
  std::string first = fact.v;
  std::string second = draw_other_value(writer, world, fact);
  if (writer.dice().chance(0.5)) std::swap(first, second);
  const std::string question = capitalised(phrase(writer, fact, world.subjects[fact.subject], "ask"));
  asking.ask(writer.draw("reading.either", {nullptr, {{"Q", question}, {"FIRST", first}, {"SECOND", second}}}), fact.v);
}

void ask_judgement(const Writer& writer, const World& world, const Fact& fact, Asking& asking) {
  const double form = writer.dice().uniform();
  if (form < 0.6) {
    ask_yes_or_no(writer, world, fact, asking);
  } else if (form < 0.8) {
    ask_choice(writer, world, fact, asking);
  } else {
    ask_either(writer, world, fact, asking);
  }
}

// What a question is after.
enum class Asked { kFact, kUntold, kJudgement };

// A text and questions. The last is of the row's own kind, as all of a test row of judgements are; of the others some
// are of the other kinds, so that one text has to be read in every way.
Conversation reading_row(const Desk& desk, Asked own) {
  const Writer& writer = desk.writer;
  Dice& dice = writer.dice();
  if (!writer.is_test() && dice.chance(0.12)) return asked_pairs(writer);
  const Reading reading = draw_reading(writer);
  Asking asking(writer, reading);
  const size_t turns = draw_turns(writer);
  for (size_t i = 0; i < turns; ++i) {
    const bool last = i + 1 == turns;
    const double at = dice.uniform();
    Asked kind = own;
    if (!last && at < 0.45) kind = at < 0.15 ? Asked::kFact : at < 0.3 ? Asked::kUntold : Asked::kJudgement;
    const Fact& fact = next_fact(reading.world, i);
    switch (kind) {
      case Asked::kFact: ask_fact(writer, reading.world, fact, asking, last && writer.is_test()); break;
      case Asked::kUntold: ask_untold(writer, reading.world, asking); break;
      case Asked::kJudgement: ask_judgement(writer, reading.world, fact, asking); break;
    }
  }
  return asking.take();
}

}  // namespace

Conversation facts_row(const Desk& desk) {
  return desk.writer.dice().chance(0.35) ? told_row(desk, false) : reading_row(desk, Asked::kFact);
}

Conversation unknown_row(const Desk& desk) {
  const bool of_text = desk.writer.is_test() || !desk.writer.dice().chance(0.35);
  return of_text ? reading_row(desk, Asked::kUntold) : told_row(desk, true);
}

Conversation untold_row(const Desk& desk) { return told_row(desk, true); }

Conversation yesno_row(const Desk& desk) { return reading_row(desk, Asked::kJudgement); }

// "Q: ...", "A: ..." line by line: what a program can read, and learn from.
Conversation questions_row(const Desk& desk) {
  const Writer& writer = desk.writer;
  Dice& dice = writer.dice();
  const bool own = dice.chance(0.5);
  const size_t facts = 1 + dice.below(4);
  const World world =
      own ? draw_own_world(writer, facts)
          : draw_world(writer, Kind::kPerson, draw_subjects(writer, Kind::kPerson, 1 + dice.below(2)), facts);
  const size_t wanted = std::min<size_t>(world.facts.size(), writer.is_test() ? 1 : 1 + dice.below(3));
  std::string text, lines;
  const auto sentences = tell_each(writer, world);
  for (const std::string& sentence : sentences) text += (text.empty() ? "" : " ") + sentence;
  for (size_t i = 0; i < wanted; ++i) {
    const Fact& fact = world.facts[i];
    if (i > 0) lines += '\n';
    const std::string question = capitalised(plain_phrase(writer, fact, world.subjects[fact.subject], "ask"));
    const std::string answer = statement_of(writer, world, fact, own ? Source::kTold : Source::kText);
    lines += writer.is_test() ? "A: " + answer : format("Q: {}\nA: {}", question, answer);
  }
  Conversation out;
  if (!writer.is_test() && dice.chance(0.2)) {
    const Fact& fact = world.facts.front();
    const Subject& subject = world.subjects[fact.subject];
    const std::string question = capitalised(phrase(writer, fact, subject, "ask"));
    std::string other = question;
    for (int tries = 0; tries < 20 && other == question; ++tries) {
      other = capitalised(plain_phrase(writer, fact, subject, "ask"));
    }
    out.ask(writer.draw("reading.reword", {nullptr, {{"Q", question}}}), other);
    return out;
  }
  const std::string count = writer.draw(wanted == 1 ? "reading.count" : wanted == 2 ? "reading.two" : "reading.three");
  out.ask(writer.sentence("reading.write", {nullptr, {{"TEXT", text}, {"COUNT", count}}}), lines);
  return out;
}

}  // namespace andiron::ember
