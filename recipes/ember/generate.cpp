#include "generate.h"

#include "base/content_hash.h"
#include "base/strings.h"

namespace andiron::ember {

Conversation make_row(const Skill& skill, const Tables& tables, const StoryBook& stories, Part part, uint64_t seed,
                      uint64_t number) {
  const std::string name = format("{} {} {}", skill.name, part == Part::kTest ? "test" : "train", number);
  Dice dice(seed, short_hash({reinterpret_cast<const uint8_t*>(name.data()), name.size()}));
  const Writer writer(tables, part, dice);
  return skill.make({writer, stories});
}

}  // namespace andiron::ember
