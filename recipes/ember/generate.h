// Rows by number: a row depends on the seed, the skill, the part and its number alone.
#pragma once

#include <cstdint>
#include <string>

#include "skills.h"

namespace andiron::ember {

Conversation make_row(const Skill& skill, const Tables& tables, const StoryBook& stories, Part part, uint64_t seed,
                      uint64_t number);

}  // namespace andiron::ember
