// Questions about the facts of a world, as they are asked and answered.
#pragma once

#include <string>

#include "world.h"

namespace andiron::ember {

// Who asks, and of what: a text is about others; a person who speaks of himself says I, and is answered with you.
enum class Source { kText, kTold };

struct Question {
  std::string ask;     // "Where do I live?"
  std::string answer;  // "You live in Oslo."
  std::string core;    // what any right answer contains: "Oslo"
};

// For the value, or (where there is such a wording) for the subject.
Question question_about(const Writer& writer, const World& world, const Fact& fact, Source source);
// "where you live"
std::string topic_of(const Writer& writer, const Subject& subject, const Fact& fact, Source source);
// A statement as a question with the answer yes or no; `value`, right or wrong, stands for the fact's own.
std::string check_of(const Writer& writer, const World& world, const Fact& fact, const std::string& value);
// The full answer to a question for the value: "You live in Oslo."
std::string statement_of(const Writer& writer, const World& world, const Fact& fact, Source source);
// What is said where the world does not tell the fact.
std::string untold_answer(const Writer& writer, const World& world, const Fact& fact, Source source);

}  // namespace andiron::ember
