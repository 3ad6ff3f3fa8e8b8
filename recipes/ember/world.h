// Small invented worlds: people and things, what is true of them, and how it is told and asked (tables/relations*.txt).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "writer.h"

namespace andiron::ember {

// What relations fit: those of people, things, shops and events.
enum class Kind { kPerson, kThing, kShop, kEvent };

// One thing that is true.
struct Fact {
  std::string relation;  // its section in the tables
  size_t subject = 0;    // among World::subjects
  std::string k, v;      // what {K} and {V} stand for
};

struct World {
  Kind kind = Kind::kPerson;
  std::vector<Subject> subjects;
  std::vector<Fact> facts;  // no two of one subject, K and form of answer; no two of one form, K and V
};

Kind draw_kind(Dice& dice);
// Subjects with different names, of a kind.
std::vector<Subject> draw_subjects(const Writer& writer, Kind kind, size_t count);
// So many facts about the subjects, or fewer where no more can be found. Relations are shared between subjects, so that
// a reader has to look whose a fact is.
World draw_world(const Writer& writer, Kind kind, std::vector<Subject> subjects, size_t facts);
// A fact of the world's kind that it does not tell, about one of its subjects; likely one that it tells of another.
Fact draw_untold(const Writer& writer, const World& world);
// Another value for the fact that is true of nobody: what a wrong statement says.
std::string draw_other_value(const Writer& writer, const World& world, const Fact& fact);

// How a fact is said and asked. `subject` is the fact's own, or a pronoun, or as the other speaker says it.
std::string phrase(const Writer& writer, const Fact& fact, const Subject& subject, std::string_view form);
// The same without a frame: always a question where a question is wanted.
std::string plain_phrase(const Writer& writer, const Fact& fact, const Subject& subject, std::string_view form);

// All facts as sentences in some order, now and then with pronouns and with words about nothing between.
std::string tell(const Writer& writer, const World& world);
// The same as said by one who calls himself I, each sentence on its own.
std::vector<std::string> tell_each(const Writer& writer, const World& world);

}  // namespace andiron::ember
