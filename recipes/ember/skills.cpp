#include "skills.h"

#include <algorithm>

namespace andiron::ember {

const std::vector<Skill>& skills() {
  // Shares of rows, not of tokens: stories are long, sums are short.
  static const std::vector<Skill> kSkills = {
      {"facts", "contains", 0.235, facts_row, 95},
      {"unknown", "contains", 0.165, unknown_row, 85},
      // Trained as a third of the rows of "unknown".
      {"untold", "contains", 0, untold_row},
      {"yesno", "exact", 0.17, yesno_row, 85},
      {"json", "exact", 0.045, json_row, 95},
      {"words", "exact", 0.12, words_row, 95},
      {"arithmetic", "exact", 0.06, arithmetic_row, 90},
      {"calendar", "exact", 0.055, calendar_row, 90},
      {"sentiment", "exact", 0.03, sentiment_row, 80},
      {"persona", "contains", 0.045, persona_row, 90},
      {"questions", "contains", 0.04, questions_row},
      // Small talk has as many test rows as held-out wordings, in some spellings each.
      {"chat", "exact", 0.015, chat_row, 0, 200},
      {"story", "loss", 0.02, story_row},
  };
  return kSkills;
}

int64_t test_rows_least(const Skill& skill, int64_t test_rows) {
  return skill.test_rows_least > 0 ? std::min(skill.test_rows_least, test_rows) : test_rows;
}

}  // namespace andiron::ember
