#include "skills.h"

namespace andiron::ember {

const std::vector<Skill>& skills() {
  // Shares of rows, not of tokens: stories are long, sums are short.
  static const std::vector<Skill> kSkills = {
      {"facts", "contains", 0.24, facts_row},     {"unknown", "contains", 0.07, unknown_row},
      {"yesno", "exact", 0.09, yesno_row},        {"json", "exact", 0.08, json_row},
      {"words", "exact", 0.12, words_row},        {"arithmetic", "exact", 0.07, arithmetic_row},
      {"calendar", "exact", 0.10, calendar_row},  {"sentiment", "exact", 0.06, sentiment_row},
      {"persona", "contains", 0.07, persona_row}, {"questions", "contains", 0.04, questions_row},
      {"chat", "exact", 0.03, chat_row},          {"story", "loss", 0.03, story_row},
  };
  return kSkills;
}

}  // namespace andiron::ember
