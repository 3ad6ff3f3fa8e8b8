#include "stories.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "writer.h"

namespace andiron::ember {

namespace {

// Longer ones would fill a conversation's memory.
constexpr size_t kStoryBytesMax = 1600;
constexpr size_t kStoryBytesMin = 200;

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

// Words with where they begin.
std::vector<std::pair<std::string_view, size_t>> words_of(std::string_view text) {
  std::vector<std::pair<std::string_view, size_t>> out;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && is_letter(text[end])) ++end;
    if (end > i) out.emplace_back(text.substr(i, end - i), i);
    i = std::max(end, i + 1);
  }
  return out;
}

std::vector<std::string> subjects_of(std::string_view text, const std::set<std::string>& nouns) {
  std::map<std::string_view, int> seen;
  for (const auto& [word, at] : words_of(text)) ++seen[word];
  std::vector<std::string> out;
  for (const auto& [word, count] : seen) {
    if (count >= 2 && nouns.count(std::string(word)) == 1) out.emplace_back(word);
  }
  return out;
}

// What the file has of “, ” and ’: their UTF-8 read as Windows-1252 and written as UTF-8 again.
std::string with_quotes(std::string_view text) {
  constexpr std::string_view kBroken = "\u00e2\u20ac";
  std::string out;
  for (size_t at = text.find(kBroken); at != std::string_view::npos; at = text.find(kBroken)) {
    out += text.substr(0, at);
    text.remove_prefix(at + kBroken.size());
    const bool apostrophe = text.starts_with("\u2122") || text.starts_with("\u02dc");
    out += apostrophe ? '\'' : '"';
    for (const std::string_view tail : {"\u2122", "\u02dc", "\u0153", "\u009d"}) {
      if (!text.starts_with(tail)) continue;
      text.remove_prefix(tail.size());
      break;
    }
  }
  return out.append(text);
}

// A single line end divides stories; an empty line is a paragraph's end.
std::vector<std::string_view> divide(std::string_view text) {
  std::vector<std::string_view> out;
  size_t from = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\n') continue;
    const bool paragraph = (i + 1 < text.size() && text[i + 1] == '\n') || (i > 0 && text[i - 1] == '\n');
    if (paragraph) continue;
    out.push_back(trimmed(text.substr(from, i - from)));
    from = i + 1;
  }
  out.push_back(trimmed(text.substr(from)));
  return out;
}

}  // namespace

// Words that somebody is named more than twice and that hardly ever have an article or an owner.
Names find_names(std::string_view text) {
  struct Seen {
    int all = 0, named = 0, owned = 0;
  };
  static const std::set<std::string_view> kOwners = {"a",     "an", "the",  "his",  "her",
                                                     "their", "my", "your", "some", "of"};
  std::map<std::string_view, Seen> seen;
  std::string_view before;
  for (const auto& [word, at] : words_of(text)) {
    Seen& counts = seen[word];
    ++counts.all;
    if (before == "named") ++counts.named;
    if (kOwners.count(before) == 1) ++counts.owned;
    before = word;
  }
  Names out;
  for (const auto& [word, counts] : seen) {
    const bool is_name = counts.named > 2 && counts.owned * 20 < counts.all && kOwners.count(word) == 0;
    if (is_name && counts.named * 200 > counts.all) out.emplace(word);
  }
  return out;
}

std::string with_capitals(std::string_view text, const Names& names) {
  std::string out(text);
  bool begins = true;    // a sentence
  bool is_open = false;  // a quotation
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') is_open = false;  // a quotation that was never closed
    if (c == '"') is_open = !is_open;
    if (c == '.' || c == '!' || c == '?' || c == '\n' || (c == '"' && is_open)) begins = true;
    if (!is_letter(c) || (i > 0 && (is_letter(text[i - 1]) || text[i - 1] == '\''))) continue;
    size_t end = i;
    while (end < text.size() && is_letter(text[end])) ++end;
    const std::string_view word = text.substr(i, end - i);
    // What follows "Hi!" she said goes on in small letters.
    const bool after_quote = i > 1 && text[i - 1] == ' ' && text[i - 2] == '"' && !is_open;
    static const std::set<std::string_view> kSayers = {"said", "asked",   "he",    "she",
                                                       "they", "replied", "cried", "shouted"};
    const bool goes_on = after_quote && i > 2 && text[i - 3] != '.' && kSayers.count(word) == 1;
    if ((begins && !goes_on) || word == "i" || names.find(word) != names.end()) {
      out[i] = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    begins = false;
  }
  return out;
}

StoryBook StoryBook::of_text(std::string_view text, const Tables& tables) {
  std::set<std::string> nouns;
  for (const char* list : {"noun", "animal", "thing", "pet", "vehicle"}) {
    for (const Part part : {Part::kTrain, Part::kTest}) {
      for (const std::string& word : tables.options(list, part)) nouns.insert(word);
    }
  }
  const Names names = find_names(text);
  std::vector<Story> all;
  for (const std::string_view story : divide(text)) {
    if (story.size() < kStoryBytesMin || story.size() > kStoryBytesMax || !is_valid_utf8(story)) continue;
    const std::string clean = with_quotes(story);
    Story next{with_capitals(clean, names), subjects_of(clean, nouns)};
    if (!next.words.empty()) all.push_back(std::move(next));
  }
  StoryBook out;
  const size_t cut = all.size() - all.size() / 20;
  std::map<std::string, int> seen;
  for (size_t i = 0; i < cut; ++i) {
    const std::string small = lower_case(all[i].text);
    for (const auto& [word, at] : words_of(small)) ++seen[std::string(word)];
  }
  for (const auto& [word, times] : seen) {
    if (times > 1 && word.size() > 2 && names.find(word) == names.end()) out.words_.push_back(word);
  }
  for (size_t i = 0; i < all.size(); ++i) (i < cut ? out.train_ : out.test_).push_back(std::move(all[i]));
  return out;
}

Result<StoryBook> StoryBook::read(const std::string& path, const Tables& tables) {
  TRY_ASSIGN(const std::string text, read_text_file(path));
  StoryBook out = of_text(text, tables);
  if (out.test_.empty()) return make_error("{}: expected stories, one a line, and found fewer than 20", path);
  return out;
}

}  // namespace andiron::ember
