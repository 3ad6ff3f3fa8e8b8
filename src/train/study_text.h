// The parts of self-study that need no model: a document as passages to ask about, what a model wrote as questions and
// answers, and which of these can be trusted. Of grammar a few English words are known; texts in other languages are
// asked about too, only less is told apart.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace andiron {

// What one set of questions is asked about: a sentence, with the one before it that says whom "she" means; or up to
// three sentences that follow one another.
struct Passage {
  std::string text;
  int questions = 1;  // to be asked for: 1 to 3
  bool own = false;   // somebody tells of himself ("I", "my", "we"): answers say "you"
};

// Headings, code and what is no sentence (fewer than three words, more than 600 bytes) are left out. Passages of one
// sentence come first where a paragraph begins.
std::vector<Passage> cut_passages(std::string_view document);

struct QuestionAnswer {
  std::string question, answer;

  bool operator==(const QuestionAnswer&) const = default;
};

// "Q: ...", "A: ..." line by line, also with numbers, stars and the whole words; a line that ends with "?" is a
// question, and what follows it the answer.
std::vector<QuestionAnswer> read_questions(std::string_view written);

// Words in lower case: letters, digits and whatever is not ASCII.
std::vector<std::string> words_of(std::string_view text);
// What an answer says beyond its question: its words without those and without the small ones (the, is, your).
std::set<std::string> new_words(const QuestionAnswer& pair);

// A question with small letters where a word that began the sentence it was made from brought its capital along: "How
// old is My daughter?" is "my daughter". Pronouns and "the" alone; "I" stays.
std::string with_small_pronouns(std::string_view question);

// The answer says that it is not known.
bool is_unknown(std::string_view answer);
// It ends as a question and says whom it is about: "How old is she?" does not.
bool stands_alone(std::string_view question);
// Something new is answered; what of it is a name or a number stands in the passage, and so do two thirds of all of it.
// Relatives, animals and belongings (of the lists in study_wordings.h) that are asked about stand there too, and so do
// names that the answer repeats.
bool is_supported(const QuestionAnswer& pair, std::string_view passage);
// Both answers say the same, each to its own question.
bool agree(const QuestionAnswer& a, const QuestionAnswer& b);

}  // namespace andiron
