// Who sentences are about.
#include "writer.h"

namespace andiron::ember {

std::string_view Subject::pronoun() const {
  if (person != Person::kOther) return name;
  return gender == Gender::kFemale ? "she" : gender == Gender::kMale ? "he" : "it";
}

std::string_view Subject::its() const {
  if (person != Person::kOther) return possessive;
  return gender == Gender::kFemale ? "her" : gender == Gender::kMale ? "his" : "its";
}

std::string_view Subject::him() const {
  if (person != Person::kOther) return object;
  return gender == Gender::kFemale ? "her" : gender == Gender::kMale ? "him" : "it";
}

Subject named_subject(std::string name, Gender gender) {
  Subject out;
  out.possessive = name + (name.ends_with('s') ? "'" : "'s");
  out.object = name;
  out.name = std::move(name);
  out.gender = gender;
  return out;
}

Subject i_subject() { return {Subject::Person::kI, "I", "my", "me", Gender::kNone}; }
Subject we_subject() { return {Subject::Person::kWe, "we", "our", "us", Gender::kNone}; }
Subject you_subject() { return {Subject::Person::kYou, "you", "your", "you", Gender::kNone}; }

Subject flipped(const Subject& subject) {
  switch (subject.person) {
    case Subject::Person::kI:
    case Subject::Person::kWe: return you_subject();
    case Subject::Person::kYou: return i_subject();
    case Subject::Person::kOther: break;
  }
  const auto with = [&](std::string_view from, std::string_view to) {
    return named_subject(std::string(to) + subject.name.substr(from.size()), subject.gender);
  };
  if (subject.name.starts_with("my ")) return with("my ", "your ");
  if (subject.name.starts_with("our ")) return with("our ", "your ");
  if (subject.name.starts_with("your ")) return with("your ", "my ");
  return subject;
}

Subject by_pronoun(const Subject& subject) {
  Subject out = subject;
  out.name = subject.pronoun();
  out.possessive = subject.its();
  out.object = subject.him();
  return out;
}

}  // namespace andiron::ember
