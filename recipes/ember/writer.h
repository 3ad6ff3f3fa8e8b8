// Turns wordings of the tables into text: draws among [choices], fills in {references}, inflects for who it is about.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dice.h"
#include "tables.h"

namespace andiron::ember {

enum class Gender { kFemale, kMale, kNone };

// Who or what a sentence is about.
struct Subject {
  enum class Person { kI, kWe, kYou, kOther };
  Person person = Person::kOther;
  std::string name;        // Mira, my sister, I, the key
  std::string possessive;  // Mira's, my sister's, my, the key's
  std::string object;      // Mira, my sister, me, the key
  Gender gender = Gender::kNone;

  bool has_own_verb_form() const { return person == Person::kOther; }  // she lives, but I live
  // Once it has been named: she, her, her; of I and you the same words again.
  std::string_view pronoun() const;
  std::string_view its() const;
  std::string_view him() const;
};

Subject named_subject(std::string name, Gender gender);
Subject i_subject();
Subject we_subject();
Subject you_subject();
// As the other of two speakers says it: I and you change places, and "my sister" becomes "your sister".
Subject flipped(const Subject& subject);
// With a pronoun in place of the name.
Subject by_pronoun(const Subject& subject);

// What the references of one wording stand for.
struct Slots {
  const Subject* subject = nullptr;
  std::vector<std::pair<std::string_view, std::string>> values = {};  // of {K}, {V} and other names in capitals

  const std::string* find(std::string_view name) const;
};

// References:
//   {N} {Ns} {N2}   the subject's name, possessive and object; once it has been named, its pronouns
//   {s} {es} {is} {was} {live/lives}   forms for the subject; {do/does} likewise
//   {K} {V} ...     values;  {a K} {a @thing} with "a" or "an"
//   {rule}          any rule;  {@K} the rule that K names;  {#3-95} a number;  {person} anybody's name;
//   {invented} one that nobody has;  {string} letters and digits without sense
// Numbers above 12 that leave 3 divided by 5 are for test rows only, and so is an eighth of all invented names.
class Writer {
 public:
  Writer(const Tables& tables, Part part, Dice& dice) : tables_(tables), part_(part), dice_(dice) {}

  std::string expand(std::string_view wording, const Slots& slots = {}) const;
  // One of a rule's wordings, its own or (as often as not) one in a frame; `sentence` also begins with a capital
  // letter.
  std::string draw(std::string_view rule, const Slots& slots = {}) const;
  std::string sentence(std::string_view rule, const Slots& slots = {}) const;

  // One of its own wordings, not in a frame.
  std::string draw_plain(std::string_view rule, const Slots& slots = {}) const;

  std::string word(std::string_view list) const;
  // Of syllables, some of any letters; a word is in small letters but for a few, and may have a hyphen.
  std::string invented_name() const;
  std::string invented_word() const;
  // A word of the stories, of pieces of words, or invented: any that training may have to copy.
  std::string strange_word() const;
  // The same for what may be of two words ("garden hook").
  std::string strange_value() const;
  // The beginning of one word and the end of another ("hourbread"): of pieces that words are made of.
  std::string grafted_word() const;
  // "kx7qd", "BT-204": for passwords and the like.
  std::string invented_string() const;
  Subject somebody() const;
  int number(int low, int high) const;

  const Tables& tables() const { return tables_; }
  Part part() const { return part_; }
  bool is_test() const { return part_ == Part::kTest; }
  Dice& dice() const { return dice_; }

 private:
  std::string letters() const;
  std::string syllables() const;
  // Until what is drawn is of this part.
  template <typename Make>
  std::string of_part(Make&& make) const;

  friend class Expansion;
  const Tables& tables_;
  Part part_;
  Dice& dice_;
};

// Whether numbers, and names that nobody has, are for test rows only.
bool is_test_number(int number);
bool is_test_name(std::string_view name);

// "an" where the next word begins with a vowel, else "a".
std::string with_article(std::string_view noun);
std::string capitalised(std::string text);
std::string lower_case(std::string text);
// The first reference of a wording that means nothing.
std::optional<std::string> unknown_reference(std::string_view wording, const Tables& tables);

}  // namespace andiron::ember
