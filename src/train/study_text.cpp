#include "train/study_text.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/strings.h"
#include "train/study_wordings.h"

namespace andiron {

namespace {

constexpr size_t kSentenceBytesMax = 600, kSentenceWordsMin = 3;
constexpr size_t kPassageSentences = 3, kPassageStride = 2;

constexpr std::string_view kThird[] = {"he",  "she", "it",    "they", "his",  "her",
                                       "its", "him", "their", "them", "hers", "theirs"};
constexpr std::string_view kOwn[] = {"i", "my", "me", "we", "our", "us", "mine", "ours"};
constexpr std::string_view kSmall[] = {
    "a",    "an",  "the",  "is",    "are",   "was",    "were",  "be",   "am",  "do", "does", "did",  "has",   "have",
    "had",  "you", "your", "yours", "and",   "or",     "of",    "in",   "on",  "at", "to",   "for",  "with",  "by",
    "from", "as",  "that", "this",  "there", "called", "named", "name", "not", "s",  "who",  "what", "where", "when"};

constexpr std::string_view kSomebody[] = {"mother",   "father",      "sister",      "brother", "wife",   "husband",
                                          "daughter", "son",         "aunt",        "uncle",   "niece",  "nephew",
                                          "cousin",   "grandmother", "grandfather", "boss",    "friend", "teacher",
                                          "doctor",   "neighbour",   "neighbor",    "partner", "dog",    "cat",
                                          "horse",    "rabbit",      "bird",        "fish",    "parrot", "tortoise"};

bool is_in(std::span<const std::string_view> words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }
char small(char c) { return is_capital(c) ? static_cast<char>(c - 'A' + 'a') : c; }

// Relatives, animals and belongings, one or several.
bool is_thing(std::string_view word) {
  const std::string_view stem = word.ends_with('s') ? word.substr(0, word.size() - 1) : word;
  const auto has = [&](std::span<const std::string_view> words) { return is_in(words, word) || is_in(words, stem); };
  return is_in(kSomebody, word) || has(kStudyBelongings) || has(kStudyAnimals) || has(kStudyToldAnimals) ||
         has(kStudyOtherRelatives);
}

bool has_own_word(std::string_view text) {
  const auto words = words_of(text);
  return std::any_of(words.begin(), words.end(), [](const std::string& word) { return is_in(kOwn, word); });
}

// "Dr." and "Mrs." end no sentence, and neither does "J.".
bool is_short_title(std::string_view text, size_t dot) {
  size_t begin = dot;
  while (begin > 0 && is_letter(text[begin - 1])) --begin;
  return dot - begin >= 1 && dot - begin <= 3 && is_capital(text[begin]);
}

// Whether a sentence ends before `at`, where white space or nothing stands.
bool ends_sentence(std::string_view text, size_t at) {
  size_t last = at;
  while (last > 0 && (text[last - 1] == '"' || text[last - 1] == '\'' || text[last - 1] == ')')) --last;
  if (last == 0) return false;
  const char mark = text[last - 1];
  if (mark == '!' || mark == '?') return true;
  if (mark != '.' || is_short_title(text, last - 1)) return false;
  while (at < text.size() && text[at] == ' ') ++at;
  return at == text.size() || !(text[at] >= 'a' && text[at] <= 'z');
}

void add_sentence(std::string_view sentence, std::vector<std::string>& out) {
  sentence = trimmed(sentence);
  const bool fits = sentence.size() <= kSentenceBytesMax && words_of(sentence).size() >= kSentenceWordsMin;
  if (fits) out.emplace_back(sentence);
}

void split_sentences(std::string_view text, std::vector<std::string>& out) {
  size_t begin = 0;
  for (size_t at = 1; at <= text.size(); ++at) {
    if (at < text.size() && text[at] != ' ') continue;
    if (at < text.size() && !ends_sentence(text, at)) continue;
    add_sentence(text.substr(begin, at - begin), out);
    begin = at;
  }
}

bool needs_other(std::string_view sentence) {
  const auto words = words_of(sentence);
  return !words.empty() && is_in(kThird, words.front());
}

void add_passage(std::string text, size_t questions, std::vector<Passage>& out) {
  const bool own = has_own_word(text);
  out.push_back({std::move(text), static_cast<int>(questions), own});
}

void add_paragraph(const std::vector<std::string>& sentences, std::vector<Passage>& out) {
  for (size_t i = 0; i < sentences.size(); ++i) {
    size_t named = i;
    while (named > 0 && needs_other(sentences[named])) --named;
    if (named == i) {
      add_passage(sentences[i], 1, out);
    } else {
      add_passage(sentences[named] + " " + sentences[i], 2, out);
    }
  }
  for (size_t i = 0; i + 1 < sentences.size(); i += kPassageStride) {
    if (needs_other(sentences[i])) continue;
    std::string text = sentences[i];
    const size_t count = std::min(kPassageSentences, sentences.size() - i);
    for (size_t k = 1; k < count; ++k) text += " " + sentences[i + k];
    add_passage(std::move(text), count, out);
  }
}

// Behind the mark of a list, or the line itself.
std::string_view without_list_mark(std::string_view line) {
  size_t at = 0;
  while (at < line.size() && is_digit(line[at])) ++at;
  const bool number = at > 0 && at < line.size() && (line[at] == '.' || line[at] == ')');
  const bool bullet = !line.empty() && (line[0] == '-' || line[0] == '*' || line[0] == '+');
  at = number ? at + 1 : bullet ? 1 : 0;
  if (at == 0 || at >= line.size() || line[at] != ' ') return line;
  return trimmed(line.substr(at));
}

// Takes a document line by line.
class PassageCutter {
 public:
  std::vector<Passage> cut(std::string_view document) {
    while (!document.empty()) {
      const size_t end = std::min(document.find('\n'), document.size());
      take(trimmed(document.substr(0, end)));
      document.remove_prefix(std::min(end + 1, document.size()));
    }
    end_paragraph();
    return std::move(out_);
  }

 private:
  void take(std::string_view line) {
    const bool fence = line.starts_with("```");
    if (fence) in_code_ = !in_code_;
    if (line.empty() || line.front() == '#' || fence) return end_paragraph();
    if (in_code_) return;
    const std::string_view item = without_list_mark(line);
    if (item.size() < line.size()) end_line();
    line_ += (line_.empty() ? "" : " ") + std::string(item);
  }

  // A list's items are sentences of one paragraph, whether or not they end with a dot.
  void end_line() {
    split_sentences(line_, sentences_);
    line_.clear();
  }

  void end_paragraph() {
    end_line();
    add_paragraph(sentences_, out_);
    sentences_.clear();
  }

  std::string line_;
  std::vector<std::string> sentences_;
  std::vector<Passage> out_;
  bool in_code_ = false;
};

// The text behind "Q:", "Question 2:" or "**Q1**:"; nothing where the line begins otherwise. `word` is in small
// letters.
std::string_view behind_label(std::string_view line, std::string_view word) {
  size_t at = 0;
  while (at < line.size() && line[at] == '*') ++at;
  const std::string_view rest = line.substr(at);
  const auto same = [](char given, char wanted) { return small(given) == wanted; };
  const bool whole = rest.size() >= word.size() &&
                     std::equal(word.begin(), word.end(), rest.begin(), [&](char w, char g) { return same(g, w); });
  if (!whole && (rest.empty() || !same(rest.front(), word.front()))) return {};
  at += whole ? word.size() : 1;
  while (at < line.size() && (line[at] == ' ' || line[at] == '*' || is_digit(line[at]))) ++at;
  if (at >= line.size() || (line[at] != ':' && line[at] != ')')) return {};
  ++at;
  while (at < line.size() && (line[at] == ' ' || line[at] == '*')) ++at;
  return line.substr(at);
}

std::string_view without_stars(std::string_view text) {
  while (text.starts_with('*')) text.remove_prefix(1);
  while (text.ends_with('*')) text.remove_suffix(1);
  return trimmed(text);
}

}  // namespace

std::vector<Passage> cut_passages(std::string_view document) { return PassageCutter().cut(document); }

std::vector<QuestionAnswer> read_questions(std::string_view written) {
  std::vector<QuestionAnswer> out;
  bool wants_answer = false;
  const auto ask = [&](std::string_view text) {
    if (wants_answer) out.pop_back();
    out.push_back({std::string(without_stars(text)), ""});
    wants_answer = true;
  };
  while (!written.empty()) {
    const size_t end = std::min(written.find('\n'), written.size());
    const std::string_view line = without_list_mark(trimmed(written.substr(0, end)));
    written.remove_prefix(std::min(end + 1, written.size()));
    const std::string_view question = behind_label(line, "question"), answer = behind_label(line, "answer");
    if (!question.empty()) {
      ask(question);
    } else if (!answer.empty() || (wants_answer && !line.empty())) {
      if (wants_answer) out.back().answer = without_stars(answer.empty() ? line : answer);
      wants_answer = false;
    } else if (line.ends_with('?') || line.ends_with("?**")) {
      ask(line);
    }
  }
  if (wants_answer) out.pop_back();
  std::erase_if(out, [](const QuestionAnswer& pair) { return pair.question.empty() || pair.answer.empty(); });
  return out;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> out;
  std::string word;
  for (const char c : text) {
    if (is_letter(c) || is_digit(c)) {
      word += small(c);
    } else if (!word.empty()) {
      out.push_back(std::exchange(word, {}));
    }
  }
  if (!word.empty()) out.push_back(std::move(word));
  return out;
}

std::set<std::string> new_words(const QuestionAnswer& pair) {
  const auto asked = words_of(pair.question);
  std::set<std::string> out;
  for (std::string& word : words_of(pair.answer)) {
    const bool known = is_in(kSmall, word) || is_in(kThird, word) || is_in(kOwn, word) ||
                       std::find(asked.begin(), asked.end(), word) != asked.end();
    if (!known) out.insert(std::move(word));
  }
  return out;
}

bool is_unknown(std::string_view answer) {
  std::string plain = " ";
  for (const std::string& word : words_of(answer)) plain += word + " ";
  for (const std::string_view sign : {" don t know ", " do not know ", " does not say ", " doesn t say ",
                                      " not mentioned ", " not specified ", " cannot say ", " can t say "}) {
    if (plain.find(sign) != std::string::npos) return true;
  }
  return false;
}

std::string with_small_pronouns(std::string_view question) {
  std::string out(question);
  for (size_t at = 2; at < out.size(); ++at) {
    if (!is_capital(out[at]) || out[at - 1] != ' ') continue;
    if (!is_letter(out[at - 2]) && !is_digit(out[at - 2]) && out[at - 2] != ',') continue;  // begins a sentence
    size_t end = at + 1;
    while (end < out.size() && is_letter(out[end])) ++end;
    const std::string word = small(out[at]) + out.substr(at + 1, end - at - 1);
    if (word != "i" && (word == "the" || is_in(kOwn, word) || is_in(kThird, word))) out[at] = word[0];
  }
  return out;
}

bool stands_alone(std::string_view question) {
  const auto words = words_of(question);
  const auto any_of = [&](std::span<const std::string_view> among) {
    return std::any_of(words.begin(), words.end(), [&](const std::string& word) { return is_in(among, word); });
  };
  if (words.size() < 2 || !question.ends_with('?')) return false;
  if (!any_of(kThird) || any_of(kOwn)) return true;
  for (size_t i = 1; i < question.size(); ++i) {  // a name
    if (is_capital(question[i]) && question[i - 1] == ' ') return true;
  }
  return false;
}

bool is_supported(const QuestionAnswer& pair, std::string_view passage) {
  const auto words = words_of(passage);
  const auto stands = [&](const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  const std::set<std::string> said = new_words(pair);
  const auto told = std::count_if(said.begin(), said.end(), stands);
  if (said.empty() || 3 * told < 2 * std::ssize(said)) return false;
  for (const std::string& word : words_of(pair.question)) {
    const bool is_told =
        stands(word) || stands(word + "s") || (word.ends_with('s') && stands(word.substr(0, word.size() - 1)));
    if (is_thing(word) && !is_told) return false;
  }
  // Whom the question names, and the answer too.
  const auto answered = words_of(pair.answer);
  for (size_t i = 1; i < pair.question.size(); ++i) {
    if (!is_capital(pair.question[i]) || is_letter(pair.question[i - 1])) continue;
    const std::string name = words_of(std::string_view(pair.question).substr(i)).front();
    const bool is_name = !is_in(kThird, name) && !is_in(kOwn, name) && !is_in(kSmall, name);
    const bool repeated = std::find(answered.begin(), answered.end(), name) != answered.end();
    if (is_name && repeated && !stands(name)) return false;
  }
  // Names and numbers in the middle of the answer.
  for (size_t i = 0; i < pair.answer.size(); ++i) {
    const bool begins = i > 0 && !is_letter(pair.answer[i - 1]) && !is_digit(pair.answer[i - 1]);
    if (!begins && !(i == 0 && is_digit(pair.answer[i]))) continue;
    if (!is_capital(pair.answer[i]) && !is_digit(pair.answer[i])) continue;
    const auto found = words_of(std::string_view(pair.answer).substr(i));
    if (said.count(found.front()) > 0 && !stands(found.front())) return false;
  }
  return true;
}

bool agree(const QuestionAnswer& a, const QuestionAnswer& b) {
  const auto left = new_words(a), right = new_words(b);
  if (left.empty() || right.empty()) return words_of(a.answer) == words_of(b.answer);
  const auto common = std::count_if(left.begin(), left.end(), [&](const std::string& w) { return right.count(w) > 0; });
  return 2 * common >= std::ssize(left) && 2 * common >= std::ssize(right);
}

}  // namespace andiron
