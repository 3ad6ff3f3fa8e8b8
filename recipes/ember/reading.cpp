#include "reading.h"

#include "base/strings.h"

namespace andiron::ember {

namespace {

Subject answered(const Subject& subject, Source source) { return source == Source::kTold ? flipped(subject) : subject; }

// A name as it stands anywhere in a sentence: "key" of "the key".
std::string core_of(const std::string& name) {
  for (const std::string_view start : {"the ", "my ", "our ", "your "}) {
    if (name.starts_with(start)) return name.substr(start.size());
  }
  return name;
}

bool can_ask_who(const Writer& writer, const Fact& fact, const Subject& subject) {
  return subject.person == Subject::Person::kOther && writer.tables().find(fact.relation + ".who") != nullptr;
}

std::string ask_value(const Writer& writer, const World& world, const Fact& fact) {
  const Subject& subject = world.subjects[fact.subject];
  const bool alone = world.subjects.size() == 1 && subject.person == Subject::Person::kOther;
  const Subject shown = alone && writer.dice().chance(0.25) ? by_pronoun(subject) : subject;
  if (writer.dice().chance(0.88)) return capitalised(phrase(writer, fact, shown, "ask"));
  const std::string question = plain_phrase(writer, fact, shown, "ask");
  std::string low = question;  // behind a comma
  if (!low.starts_with(shown.name)) low[0] = lower_case(low.substr(0, 1))[0];
  return writer.sentence("reading.lead", {nullptr, {{"Q", capitalised(question)}, {"LOW", low}}});
}

}  // namespace

std::string statement_of(const Writer& writer, const World& world, const Fact& fact, Source source) {
  return capitalised(phrase(writer, fact, answered(world.subjects[fact.subject], source), "answer"));
}

Question question_about(const Writer& writer, const World& world, const Fact& fact, Source source) {
  const Subject& subject = world.subjects[fact.subject];
  const std::string answer = statement_of(writer, world, fact, source);
  if (can_ask_who(writer, fact, subject) && writer.dice().chance(0.22)) {
    return {capitalised(phrase(writer, fact, subject, "who")), answer, core_of(subject.name)};
  }
  return {ask_value(writer, world, fact), answer, fact.v};
}

std::string topic_of(const Writer& writer, const Subject& subject, const Fact& fact, Source source) {
  return phrase(writer, fact, answered(subject, source), "topic");
}

std::string check_of(const Writer& writer, const World& world, const Fact& fact, const std::string& value) {
  Fact stated = fact;
  stated.v = value;
  return capitalised(phrase(writer, stated, world.subjects[fact.subject], "check"));
}

std::string untold_answer(const Writer& writer, const World& world, const Fact& fact, Source source) {
  const std::string topic = topic_of(writer, world.subjects[fact.subject], fact, source);
  return writer.draw(source == Source::kTold ? "reading.untold_you" : "reading.untold", {nullptr, {{"TOPIC", topic}}});
}

}  // namespace andiron::ember
