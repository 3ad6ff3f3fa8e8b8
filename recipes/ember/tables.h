// The tables of words and wordings (tables/*.txt), each split into what training rows use and what only test rows use.
//
//   # a comment                     key = word, word, two words    a list; lines that begin with a space go on with it
//   == section                      ~key = word                    words of test rows
//   key: a wording                  ~key: a wording                wordings of test rows, one a line
//
// In a wording "\n" ends a line. The full name of a key is "section.key"; before the first section, or under "== ", the
// key alone.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace andiron::ember {

enum class Part { kTrain, kTest };

struct Rule {
  std::vector<std::string> train;
  std::vector<std::string> test;
  bool is_list = false;  // words, not wordings
  // Wordings in general frames (frames.h).
  std::vector<std::string> framed_train = {};
  std::vector<std::string> framed_test = {};
};

class Tables {
 public:
  // All *.txt of a folder, in the order of their names, with frames.
  static Result<Tables> read(const std::string& folder);
  // `source` is for messages.
  Status add(std::string_view text, const std::string& source);
  // A list that is in no file. Words that another holds out are left out; nothing is added where none is left.
  void add_list(const std::string& name, const std::vector<std::string>& words);
  // That every {reference} of every wording is a rule or one of the names that a Writer knows.
  Status check() const;

  const Rule* find(std::string_view name) const;
  Rule* find(std::string_view name);
  // What a row of this part draws from: test rows use what is theirs alone, where there is any (days of the week are
  // everyone's). A name that is not in the tables is a programmer's mistake.
  const std::vector<std::string>& options(std::string_view name, Part part) const;
  // Whether a list has this word for test rows only.
  bool holds_out(std::string_view word) const { return held_out_.contains(word); }

  const std::map<std::string, Rule, std::less<>>& rules() const { return rules_; }
  const std::vector<std::string>& sections() const { return sections_; }  // in the order of the files

 private:
  std::map<std::string, Rule, std::less<>> rules_;
  std::vector<std::string> sections_;
  std::set<std::string, std::less<>> held_out_;
};

}  // namespace andiron::ember
