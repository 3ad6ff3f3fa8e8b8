// What ember is taught, each skill a function that makes one row. Rows of Part::kTest end with the question that is
// judged, and its answer is written as the skill's metric wants it: exact, or what the answer must contain.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conversation.h"
#include "stories.h"
#include "writer.h"

namespace andiron::ember {

// What rows are made with.
struct Desk {
  const Writer& writer;
  const StoryBook& stories;
};

struct Skill {
  std::string_view name;
  std::string_view metric;  // of `andiron eval`
  double share;             // of the training rows; they sum to 1
  Conversation (*make)(const Desk& desk);
  int mark = 0;                 // percent of the test rows that ember is to get right; 0: none
  int64_t test_rows_least = 0;  // where the wordings are too few for any number of test rows; 0: all that are asked for
};

const std::vector<Skill>& skills();
// Of this many that are asked for.
int64_t test_rows_least(const Skill& skill, int64_t test_rows);

Conversation facts_row(const Desk& desk);
// What a text does not say; of training rows a third are untold_row's.
Conversation unknown_row(const Desk& desk);
// What nobody has told of himself: what somebody teaches is known from then on, and no longer such a row.
Conversation untold_row(const Desk& desk);
Conversation yesno_row(const Desk& desk);
Conversation questions_row(const Desk& desk);
Conversation json_row(const Desk& desk);
Conversation words_row(const Desk& desk);
Conversation arithmetic_row(const Desk& desk);
Conversation calendar_row(const Desk& desk);
Conversation sentiment_row(const Desk& desk);
Conversation persona_row(const Desk& desk);
Conversation chat_row(const Desk& desk);
Conversation story_row(const Desk& desk);

// One short turn of some other skill, to stand between the turns of a conversation.
Conversation interlude(const Desk& desk);
// Now and then as people type in a hurry: without capital letters, without the question mark.
std::string typed(const Writer& writer, std::string text);

}  // namespace andiron::ember
