// Short stories from a text file, with the capital letters that the file lacks.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tables.h"

namespace andiron::ember {

struct Story {
  std::string text;
  std::vector<std::string> words;  // nouns that it is about, each more than once in it
};

// The last twentieth of the stories is held out: test rows use no others, and training none of them.
class StoryBook {
 public:
  StoryBook() = default;  // no stories
  // A file in lower case: stories on lines of their own, their paragraphs divided by empty lines.
  static Result<StoryBook> read(const std::string& path, const Tables& tables);
  static StoryBook of_text(std::string_view text, const Tables& tables);

  // Of the training stories, in small letters and without names: those that are there twice at least.
  const std::vector<std::string>& words() const { return words_; }
  const std::vector<Story>& stories(Part part) const { return part == Part::kTest ? test_ : train_; }

 private:
  std::vector<Story> train_;
  std::vector<Story> test_;
  std::vector<std::string> words_;
};

using Names = std::set<std::string, std::less<>>;
// Words of a text in lower case that are names: somebody is "named" so.
Names find_names(std::string_view text);
// Capital letters for sentences, for "i" and for names.
std::string with_capitals(std::string_view text, const Names& names);

}  // namespace andiron::ember
