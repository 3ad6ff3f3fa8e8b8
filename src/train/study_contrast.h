// Near misses of a question: the same asked of another thing or another person. Who has learned that there are six hens
// learns by them not to say as much of chairs.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace andiron {

// The English question with one piece changed: a word of the lists in study_wordings.h for another of its list, "my"
// for "Bruno's" or "my uncle's", "do I" for "does Bruno" or "does my uncle", a name for another. `told` are the words
// of the document: a thing or name that is replaced is one of them, what takes its place is none. `draw` gives a number
// from 0 to below its argument, which is 1 or more. Nothing where no piece can be changed.
std::optional<std::string> near_miss(std::string_view question, const std::set<std::string>& told,
                                     const std::function<size_t(size_t)>& draw);

// The first three words, in lower case, of at least half of these answers, which are to questions about what nobody
// told
// ("i don t"); "" where there is no such beginning, or fewer than four answers.
std::string usual_beginning(const std::vector<std::string>& answers);
// Whether the answer begins so; of "" nothing does.
bool begins_as(std::string_view answer, std::string_view beginning);

}  // namespace andiron
