// For tests only: rows of a skill, made from the tables of the recipe.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "generate.h"

namespace andiron::ember {

// With words of stories, as main.cpp makes them.
inline const Tables& tables() {
  static const Tables kTables = [] {
    Tables read = Tables::read(std::string(ANDIRON_SOURCE_DIR) + "/recipes/ember/tables").value();
    read.add_list("storyword", {"bunny", "happy", "outside", "pretended", "rainbow", "sparkly", "swing", "tummy"});
    return read;
  }();
  return kTables;
}

// Enough stories to hold one out.
inline const StoryBook& stories() {
  static const StoryBook kStories = [] {
    std::string text;
    for (int i = 0; i < 40; ++i) {
      text += format(
          "once there was a dog named rex. rex was dog number {}.\n\n\"hi,\" said rex{:200} and the dog ran.\n", i, "");
    }
    return StoryBook::of_text(text, tables());
  }();
  return kStories;
}

inline const Skill& skill(std::string_view name) {
  return *std::find_if(skills().begin(), skills().end(), [&](const Skill& s) { return s.name == name; });
}

// All turns of some rows of a skill, of both parts.
template <typename Check>
void for_turns(std::string_view name, int rows, Check&& check) {
  for (const Part part : {Part::kTrain, Part::kTest}) {
    for (int i = 0; i < rows; ++i) {
      const Conversation row = make_row(skill(name), tables(), stories(), part, 7, static_cast<uint64_t>(i));
      for (const auto& [user, answer] : row.turns) {
        SCOPED_TRACE(testing::Message() << user << " -> " << answer);
        check(user, answer);
      }
    }
  }
}

}  // namespace andiron::ember
