#include "train/study_contrast.h"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "train/study_text.h"
#include "train/study_wordings.h"

namespace andiron {

namespace {

constexpr std::string_view kOne[] = {"a", "an", "one"};
constexpr std::string_view kLiking[] = {"favourite", "favorite", "best", "most"};
constexpr std::string_view kOfMe[] = {"my", "our"}, kMe[] = {"i", "we"};
constexpr std::string_view kOtherOwn[] = {"me", "us", "mine", "ours"};
// "do I", and how it is asked of somebody else.
constexpr std::pair<std::string_view, std::string_view> kVerbs[] = {
    {"do", "does"}, {"am", "is"},   {"are", "is"},  {"have", "has"}, {"were", "was"},
    {"was", "was"}, {"did", "did"}, {"had", "had"}, {"can", "can"},  {"will", "will"},
};
// Whom a question is about stands behind one of these, or before "'s".
constexpr std::string_view kBeforeNames[] = {"is", "does", "did", "has", "had", "was", "can", "will"};
constexpr std::string_view kNoNames[] = {"he",  "she", "it",  "they", "we",    "you", "i",   "my", "our", "his",
                                         "her", "the", "its", "your", "their", "mr",  "mrs", "ms", "dr"};

bool is_in(std::span<const std::string_view> words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}
bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }

struct PlacedWord {
  std::string text;  // in lower case
  size_t at = 0;
};

std::vector<PlacedWord> placed_words(std::string_view text) {
  std::string low(text);
  for (char& c : low) {
    if (is_capital(c)) c = static_cast<char>(c - 'A' + 'a');
  }
  std::vector<PlacedWord> out;
  size_t from = 0;
  for (std::string& word : words_of(text)) {
    const size_t at = low.find(word, from);
    from = at + word.size();
    out.push_back({std::move(word), at});
  }
  return out;
}

// A piece of the question, and what can take its place.
struct Change {
  size_t at = 0, size = 0;
  std::vector<std::string> by;
};

// All that can be changed in one question.
class Changes {
 public:
  Changes(std::string_view question, const std::set<std::string>& told)
      : question_(question), told_(told), words_(placed_words(question)) {}

  std::vector<Change> all() {
    const auto count = [&](std::span<const std::string_view> among) {
      return std::count_if(words_.begin(), words_.end(), [&](const PlacedWord& w) { return is_in(among, w.text); });
    };
    is_of_liking_ = count(kLiking) > 0;
    // Of two, one would be left: "What does Bruno do for my living?"
    const bool asks_once = count(kOfMe) + count(kMe) == 1 && count(kOtherOwn) == 0;
    for (size_t i = 0; i < words_.size(); ++i) {
      add_thing(i);
      if (asks_once) add_own(i);
      add_name(i);
    }
    return std::move(out_);
  }

 private:
  std::string_view word(size_t i) const { return words_[i].text; }
  std::string_view before(size_t i) const { return i > 0 ? word(i - 1) : std::string_view(); }
  bool is_told(std::string_view w) const { return told_.count(std::string(w)) > 0; }
  bool is_free(std::string_view w) const { return !is_told(w) && !is_told(std::string(w) + "s"); }
  size_t end_of(size_t i) const { return words_[i].at + words_[i].text.size(); }

  // Whom else one may ask about, with what stands behind him.
  std::vector<std::string> others(std::string_view behind) const {
    std::vector<std::string> out;
    for (const std::string_view name : kStudyOthers) {
      const auto low = words_of(name);
      if (is_free(low.front())) out.push_back(std::string(name) + std::string(behind));
    }
    for (const std::string_view relative : kStudyThings[kStudyRelativesAt].others) {
      if (is_free(relative)) out.push_back("my " + std::string(relative) + std::string(behind));
    }
    return out;
  }

  void add(size_t at, size_t end, std::vector<std::string> by) {
    if (!by.empty()) out_.push_back({at, end - at, std::move(by)});
  }

  void add_thing(size_t i) {
    if (!is_told(word(i)) || is_in(kOne, before(i))) return;
    const std::string_view stem = word(i).ends_with('s') ? word(i).substr(0, word(i).size() - 1) : "";
    for (const StudyThings& list : kStudyThings) {
      const auto has = [&](std::string_view w) { return is_in(list.told, w) || is_in(list.others, w); };
      const bool one = has(word(i)), many = !one && list.counted && has(stem);
      if ((!one && !many) || (list.liked && !is_of_liking_)) continue;
      std::vector<std::string> by;
      for (const StudyThings& other : kStudyThings) {
        // How many hens there are is asked of chairs too.
        if (&other != &list && !(many && other.counted)) continue;
        for (const std::string_view w : other.others) {
          if (is_free(w)) by.push_back(std::string(w) + (many ? "s" : ""));
        }
      }
      return add(words_[i].at, end_of(i), std::move(by));
    }
  }

  void add_own(size_t i) {
    if (is_in(kOfMe, word(i))) return add(words_[i].at, end_of(i), others("'s"));
    if (!is_in(kMe, word(i))) return;
    for (const auto& [mine, theirs] : kVerbs) {
      if (mine != before(i)) continue;
      std::vector<std::string> by = others("");
      for (std::string& who : by) who.insert(0, std::string(theirs) + " ");
      add(words_[i - 1].at, end_of(i), std::move(by));
    }
  }

  void add_name(size_t i) {
    const bool is_name = i > 0 && is_capital(question_[words_[i].at]) && !is_in(kNoNames, word(i)) && is_told(word(i));
    if (!is_name) return;
    const bool owns = question_.substr(end_of(i)).starts_with("'s");
    if (owns || is_in(kBeforeNames, before(i))) add(words_[i].at, end_of(i), others(""));
  }

  std::string_view question_;
  const std::set<std::string>& told_;
  std::vector<PlacedWord> words_;
  bool is_of_liking_ = false;
  std::vector<Change> out_;
};

std::string beginning_of(std::string_view answer) {
  constexpr size_t kWords = 3;
  std::string out;
  const auto words = words_of(answer);
  for (size_t i = 0; i < std::min(kWords, words.size()); ++i) out += (i > 0 ? " " : "") + words[i];
  return out;
}

}  // namespace

std::optional<std::string> near_miss(std::string_view question, const std::set<std::string>& told,
                                     const std::function<size_t(size_t)>& draw) {
  const std::vector<Change> changes = Changes(question, told).all();
  if (changes.empty()) return {};
  const Change& change = changes[draw(changes.size())];
  std::string by = change.by[draw(change.by.size())];
  if (change.at == 0 && is_capital(question.front()) && by.front() >= 'a' && by.front() <= 'z') {
    by.front() = static_cast<char>(by.front() - 'a' + 'A');
  }
  return std::string(question).replace(change.at, change.size, by);
}

std::string usual_beginning(const std::vector<std::string>& answers) {
  constexpr size_t kAnswersMin = 4;
  std::map<std::string, size_t> counts;
  for (const std::string& answer : answers) ++counts[beginning_of(answer)];
  for (const auto& [beginning, count] : counts) {
    if (answers.size() >= kAnswersMin && 2 * count >= answers.size()) return beginning;
  }
  return {};
}

bool begins_as(std::string_view answer, std::string_view beginning) {
  return !beginning.empty() && beginning_of(answer) == beginning;
}

}  // namespace andiron
