#include "train/study.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/atomic_file.h"
#include "base/random.h"
#include "base/strings.h"
#include "data/messages.h"
#include "data/reader.h"
#include "text/chat_prompt.h"
#include "train/run_loop.h"
#include "train/study_contrast.h"
#include "train/study_wordings.h"

namespace andiron {

namespace {

constexpr int kRounds = 12;        // in which each passage is asked about; the first takes the likeliest words
constexpr int kRewordings = 6;     // tried of each question
constexpr int kGeneralRounds = 4;  // with other numbers and names
// Near misses tried of each question, and kept for each: as many as there are questions and their other wordings.
constexpr size_t kContrastDraws = 3, kContrasts = 2;
constexpr int kUntoldRewordings = 3;
constexpr size_t kUntoldPassages = 32;  // that may tell it: of more, one surely does
constexpr size_t kEveryNth = 2;         // of the questions about relatives is asked of one
constexpr double kWarm = 0.7;           // temperature of all rounds but the first
constexpr int64_t kWriteTokens = 160, kAskTokens = 60, kRewordTokens = 40, kGeneralTokens = 160;
constexpr int64_t kAnswerTokensMin = 16;
constexpr size_t kQuestionBytesMax = 200, kAnswerBytesMax = 400;

std::string replaced(std::string_view wording, std::string_view what, std::string_view by) {
  std::string out(wording);
  const size_t at = out.find(what);
  if (at != std::string::npos) out.replace(at, what.size(), by);
  return out;
}

// One text for those that differ in case, marks and spaces alone.
std::string key_of(std::string_view question) {
  std::string out;
  for (const std::string& word : words_of(question)) out += word + " ";
  return out;
}

// A question that was kept, with its passage.
struct Known {
  QuestionAnswer pair;
  const Passage* passage = nullptr;
};

// The question with its passage before it.
Json messages_about(const Passage& passage, const std::string& question) {
  Json out = Json::array();
  if (passage.own) {
    out.push(text_message("user", passage.text)).push(text_message("assistant", std::string(kStudyTold)));
    out.push(text_message("user", question));
  } else {
    out.push(text_message("user", replaced(replaced(kStudyAsk, "{TEXT}", passage.text), "{Q}", question)));
  }
  return out;
}

// All but the answer.
Json prompt_messages(const StudyRow& row) {
  Json out = Json::array();
  if (!row.system.empty()) out.push(text_message("system", row.system));
  if (!row.told.empty()) {
    out.push(text_message("user", row.told)).push(text_message("assistant", std::string(kStudyTold)));
  }
  for (const QuestionAnswer& pair : row.before) {
    out.push(text_message("user", pair.question)).push(text_message("assistant", pair.answer));
  }
  out.push(text_message("user", row.pair.question));
  return out;
}

class Study {
 public:
  Study(const std::vector<Passage>& passages, const ChatPrompt& chat, const StudyOptions& options,
        const StudyAnswerer& answerer, const LearnEvents& events)
      : passages_(passages),
        chat_(chat),
        o_(options),
        answerer_(answerer),
        events_(events),
        random_(options.seed, kStream) {}

  Result<StudyResult> run() {
    const double begun = now_seconds();
    out_.passages = std::ssize(passages_);
    TRY(write_round(0));
    if (!known_.empty()) {
      TRY(answer_general());
      for (int round = 1; round < kRounds; ++round) TRY(write_round(round));
      TRY(ask_of_told());
      TRY(answer_untold());
      TRY(contrast());
      TRY(reword());
      add_rows();
    }
    out_.seconds = now_seconds() - begun;
    return std::move(out_);
  }

 private:
  static constexpr uint64_t kStream = uint64_t{1} << 33;  // apart from those of adapters and dropout

  bool may_go_on() {
    out_.out_of_time = out_.out_of_time || (o_.deadline > 0 && now_seconds() >= o_.deadline);
    return !out_.out_of_time;
  }
  void tell(std::string_view what, int64_t done, int64_t total) const {
    if (events_.studying) events_.studying(what, done, total);
  }
  // From 0 to below n, for one draw of one task.
  size_t draw(uint64_t task, size_t n) const {
    return static_cast<size_t>(random_.uniform(task) * static_cast<double>(n));
  }

  // Nothing where the prompt does not fit, or the answer has no end.
  Result<std::string> answer(const Json& messages, int64_t tokens_max, double temperature) {
    TRY_ASSIGN(const RenderedPrompt prompt, chat_.render(messages, {}, render_options()));
    const auto tokens = chat_.tokens(prompt);
    const uint64_t seed = random_.bits((uint64_t{1} << 40) + asked_++);
    const int64_t room = o_.context - std::ssize(tokens);
    if (room < kAnswerTokensMin) return std::string();
    const StudyRequest request = {tokens, std::min(tokens_max, room), temperature, seed, events_.stop};
    TRY_ASSIGN(const StudyAnswer got, answerer_(request));
    if (events_.stopped()) return make_error("stopped while it studied the documents; nothing has been learned");
    return got.whole ? std::string(trimmed(got.text)) : std::string();
  }
  Result<std::string> answer(std::string text, int64_t tokens_max, double temperature) {
    return answer(Json(Json::Array{text_message("user", std::move(text))}), tokens_max, temperature);
  }
  ChatOptions render_options() const {
    ChatOptions out;
    out.now = o_.now;
    return out;
  }

  Status write_round(int round);
  Status write_about(const Passage& passage, int round, size_t index);
  Result<bool> check(QuestionAnswer& pair, const Passage& passage);
  Status answer_general();
  Status answer_prompt(StudyRow row);
  Status answer_unknown(const std::set<std::string>& told);
  Status answer_filled(const StudyPrompt& prompt, uint64_t& task);
  Status ask_of_told();
  Status answer_untold();
  Status add_untold(std::string question);
  Result<bool> is_untold(const std::string& question);
  Status contrast();
  Status answer_contrast(std::string question, const Passage& passage);
  bool says_unknown(std::string_view text) const { return is_unknown(text) || begins_as(text, unknown_begins_); }
  std::set<std::string> told_words() const;
  Status reword();
  void add_rows();
  void add_contrasts();
  void add_later();
  bool keep(Known known);

  const std::vector<Passage>& passages_;
  const ChatPrompt& chat_;
  const StudyOptions& o_;
  const StudyAnswerer& answerer_;
  const LearnEvents& events_;
  RandomStream random_;
  uint64_t asked_ = 0;
  std::vector<Known> known_;
  size_t first_reworded_ = 0;             // in known_
  std::map<std::string, size_t> by_key_;  // index in known_
  std::set<std::string> doubtful_;        // keys of questions that got two answers
  std::vector<StudyRow> general_;
  std::string unknown_begins_;  // how the model says that it does not know
  std::vector<QuestionAnswer> contrasts_;
  std::set<std::string> contrast_keys_;  // of all near misses that were asked
  std::set<std::string> untold_keys_;    // of all that was asked of what is not told
  StudyResult out_;
};

Status Study::write_round(int round) {
  for (size_t i = 0; i < passages_.size() && may_go_on(); ++i) {
    tell("writing questions", round * out_.passages + static_cast<int64_t>(i), kRounds * out_.passages);
    TRY(write_about(passages_[i], round, i));
  }
  return {};
}

Status Study::write_about(const Passage& passage, int round, size_t index) {
  const std::string_view wording = kStudyWrite[(static_cast<size_t>(round) + index * (round > 0)) % kStudyWrite.size()];
  const std::string_view count = kStudyCount[static_cast<size_t>(passage.questions - 1)];
  TRY_ASSIGN(const std::string written, answer(replaced(replaced(wording, "{COUNT}", count), "{TEXT}", passage.text),
                                               kWriteTokens, round == 0 ? 0 : kWarm));
  for (QuestionAnswer& pair : read_questions(written)) {
    ++out_.written;
    TRY_ASSIGN(const bool good, check(pair, passage));
    if (good && keep({std::move(pair), &passage})) ++out_.kept;
  }
  return {};
}

// Whether the pair can be trusted: asked again, with the passage before it, the model answers the same. That answer,
// which is in the form the model answers in, takes the place of the one it wrote.
Result<bool> Study::check(QuestionAnswer& pair, const Passage& passage) {
  pair.question = with_small_pronouns(pair.question);
  const bool sound = pair.question.size() <= kQuestionBytesMax && stands_alone(pair.question) &&
                     !is_unknown(pair.answer) && is_supported(pair, passage.text);
  if (!sound) return false;
  TRY_ASSIGN(std::string again, answer(messages_about(passage, pair.question), kAskTokens, 0));
  if (again.empty() || again.size() > kAnswerBytesMax || is_unknown(again)) return false;
  QuestionAnswer asked = {pair.question, std::move(again)};
  if (!agree(pair, asked) || !is_supported(asked, passage.text)) return false;
  pair = std::move(asked);
  return true;
}

// False for one that was there before. A question that has two answers is worth nothing: both go.
bool Study::keep(Known known) {
  const std::string key = key_of(known.pair.question);
  const auto [at, is_new] = by_key_.emplace(key, known_.size());
  if (is_new) {
    known_.push_back(std::move(known));
  } else if (!agree(known_[at->second].pair, known.pair)) {
    doubtful_.insert(key);
  }
  return is_new;
}

// The prompt with its marks filled in, each drawn anew but name and town; `task` counts the draws.
Status Study::answer_filled(const StudyPrompt& prompt, uint64_t& task) {
  std::string name, town;
  const auto filled = [&](std::string_view text) {
    std::string out(text);
    for (size_t at = out.find('{'); at != std::string::npos; at = out.find('{', at + 1)) {
      const char what = out[at + 1];
      std::string by;
      if (what == 'n') {
        by = std::to_string(2 + draw(task++, 59));
      } else if (what == 'w') {
        by = kStudyWords[draw(task++, kStudyWords.size())];
      } else if (what == 'N') {
        if (name.empty()) name = kStudyNames[draw(task++, kStudyNames.size())];
        by = name;
      } else {
        if (town.empty()) town = kStudyTowns[draw(task++, kStudyTowns.size())];
        by = town;
      }
      out.replace(at, 3, by);
    }
    return out;
  };
  StudyRow row = {"general", {}, filled(prompt.system), filled(prompt.told)};
  row.pair.question = filled(prompt.user);
  return answer_prompt(std::move(row));
}

Status Study::answer_prompt(StudyRow row) {
  TRY_ASSIGN(row.pair.answer, answer(prompt_messages(row), kGeneralTokens, 0));
  if (!row.pair.answer.empty()) general_.push_back(std::move(row));
  return {};
}

// What the document does not tell, by its words.
Status Study::answer_unknown(const std::set<std::string>& told) {
  for (const std::string_view question : kStudyUnknown) {
    const QuestionAnswer as_answer = {"", std::string(question)};
    const auto words = new_words(as_answer);
    const bool may_be_told = std::any_of(
        words.begin(), words.end(), [&](const std::string& word) { return word.size() > 3 && told.count(word) > 0; });
    if (!may_be_told && may_go_on()) TRY(answer_prompt({"general", {std::string(question), ""}}));
  }
  for (size_t i = 0; i < kStudyRelatives.size(); ++i) {
    const std::string relative(kStudyRelatives[i]);
    if (told.count(relative) > 0) continue;
    // A few of the questions for each, others for the next.
    for (size_t j = i % kEveryNth; j < kStudyOfRelatives.size() && may_go_on(); j += kEveryNth) {
      TRY(answer_prompt({"general", {replaced(kStudyOfRelatives[j], "{R}", relative), ""}}));
    }
  }
  return {};
}

std::set<std::string> Study::told_words() const {
  std::set<std::string> out;
  for (const Passage& passage : passages_) {
    for (std::string& word : words_of(passage.text)) out.insert(std::move(word));
  }
  return out;
}

Status Study::answer_general() {
  constexpr auto kTotal = static_cast<int64_t>(kGeneralRounds * kStudyGeneral.size());
  int64_t done = 0;
  TRY(answer_unknown(told_words()));
  std::vector<std::string> answers;
  for (const StudyRow& row : general_) answers.push_back(row.pair.answer);
  unknown_begins_ = usual_beginning(answers);
  uint64_t task = uint64_t{1} << 50;
  for (int round = 0; round < kGeneralRounds; ++round) {
    for (const StudyPrompt& prompt : kStudyGeneral) {
      tell("answering what has nothing to do with it", done++, kTotal);
      const bool other = round == 0 || format("{}{}", prompt.told, prompt.user).find('{') != std::string::npos ||
                         !prompt.system.empty();
      if (other && may_go_on()) TRY(answer_filled(prompt, task));
    }
  }
  return {};
}

// What is asked of relatives who are not in the document (answer_unknown) is asked of those who are, and learned where
// a passage tells it: else such wordings would come to mean that nobody knows.
Status Study::ask_of_told() {
  const std::string_view lead = kStudyLead.front();
  for (const std::string_view relative : kStudyToldRelatives) {
    for (const Passage& passage : passages_) {
      const auto words = words_of(passage.text);
      if (!passage.own || std::find(words.begin(), words.end(), relative) == words.end()) continue;
      for (const std::string_view frame : kStudyOfRelatives) {
        if (!may_go_on()) return {};
        QuestionAnswer pair = {replaced(frame, "{R}", relative), ""};
        TRY_ASSIGN(pair.answer, answer(messages_about(passage, replaced(lead, "{Q}", pair.question)), kAskTokens, 0));
        ++out_.written;
        TRY_ASSIGN(const bool good, check(pair, passage));
        if (good && keep({std::move(pair), &passage})) ++out_.kept;
      }
    }
  }
  return {};
}

// What people tell of themselves, where this document does not. The questions are everybody's, and so are their answers
// in a model that has learned what one person told: it takes more than a few to keep "I don't know" there.
Status Study::answer_untold() {
  for (size_t i = 0; i < kStudyUntold.size() && may_go_on(); ++i) {
    tell("asking what it was not told", static_cast<int64_t>(i), static_cast<int64_t>(kStudyUntold.size()));
    const std::string question(kStudyUntold[i]);
    TRY(add_untold(question));
    for (int round = 0; round < kUntoldRewordings && may_go_on(); ++round) {
      const auto wording = kStudyReword[(static_cast<size_t>(round) + i) % kStudyReword.size()];
      TRY_ASSIGN(std::string other, answer(replaced(wording, "{Q}", question), kRewordTokens, round == 0 ? 0 : kWarm));
      TRY(add_untold(std::move(other)));
    }
  }
  return {};
}

Status Study::add_untold(std::string question) {
  const std::string key = key_of(question);
  const bool fits = !key.empty() && question.find('\n') == std::string::npos && question.size() <= kQuestionBytesMax;
  if (!fits || by_key_.count(key) > 0 || !untold_keys_.insert(key).second) return {};
  TRY_ASSIGN(const bool untold, is_untold(question));
  if (!untold) return {};
  TRY_ASSIGN(std::string given, answer(question, kAskTokens, 0));
  if (says_unknown(given)) general_.push_back({"general", {std::move(question), std::move(given)}});
  return {};
}

// Whether none of the passages tells it that have a word of it, or of whose questions and answers one has.
Result<bool> Study::is_untold(const std::string& question) {
  std::map<const Passage*, std::string> words;
  for (const Known& known : known_) words[known.passage] += " " + known.pair.question + " " + known.pair.answer;
  const auto asked = new_words({"", question});
  size_t left = kUntoldPassages;
  for (const Passage& passage : passages_) {
    const auto has = new_words({"", passage.text + " " + words[&passage]});
    const bool may_tell =
        std::any_of(asked.begin(), asked.end(), [&](const auto& word) { return has.count(word) > 0; });
    if (!may_tell) continue;
    if (left-- == 0) return false;
    TRY_ASSIGN(const std::string with, answer(messages_about(passage, question), kAskTokens, 0));
    if (!says_unknown(with)) return false;
  }
  return true;
}

// One that learned how many hens there are says as much of chairs, and one that learned what I work as says it of
// others: so what is nearly asked is learned too, where nothing tells it. Before the other wordings, lest time leaves
// none.
Status Study::contrast() {
  const auto told = told_words();
  const size_t count = known_.size();
  uint64_t task = uint64_t{1} << 52;
  const auto drawn = [&](size_t n) { return draw(task++, n); };
  for (size_t round = 0; round < kContrastDraws; ++round) {
    for (size_t i = 0; i < count && contrasts_.size() < kContrasts * count && may_go_on(); ++i) {
      tell("asking what it was not told", static_cast<int64_t>(round * count + i),
           static_cast<int64_t>(kContrastDraws * count));
      const auto question = near_miss(known_[i].pair.question, told, drawn);
      if (!question || by_key_.count(key_of(*question)) > 0) continue;
      if (contrast_keys_.insert(key_of(*question)).second) TRY(answer_contrast(*question, *known_[i].passage));
    }
  }
  return {};
}

// Kept where the passage does not tell it either: the model says that it does not know, with the passage and without,
// or the same both times. What it says without is learned, so that nothing is but what it would say anyhow.
Status Study::answer_contrast(std::string question, const Passage& passage) {
  TRY_ASSIGN(const std::string with, answer(messages_about(passage, question), kAskTokens, 0));
  const bool unknown = says_unknown(with);
  if (with.empty()) return {};
  TRY_ASSIGN(std::string without, answer(question, kAskTokens, 0));
  const bool same = unknown ? says_unknown(without) : words_of(with) == words_of(without);
  if (same) contrasts_.push_back({std::move(question), std::move(without)});
  return {};
}

Status Study::reword() {
  const size_t count = known_.size();
  first_reworded_ = count;
  for (size_t round = 0; round < kRewordings; ++round) {
    for (size_t i = 0; i < count && may_go_on(); ++i) {
      tell("asking in other words", static_cast<int64_t>(round * count + i), static_cast<int64_t>(kRewordings * count));
      const Known known = known_[i];
      TRY_ASSIGN(std::string other,
                 answer(replaced(kStudyReword[(round + i) % kStudyReword.size()], "{Q}", known.pair.question),
                        kRewordTokens, round == 0 ? 0 : kWarm));
      const std::string key = key_of(other);
      if (other.find('\n') != std::string::npos || by_key_.count(key) + contrast_keys_.count(key) > 0) continue;
      QuestionAnswer pair = {std::move(other), known.pair.answer};
      if (pair.question.empty() || !agree(known.pair, pair)) continue;
      TRY_ASSIGN(const bool good, check(pair, *known.passage));
      if (good && keep({std::move(pair), known.passage})) ++out_.reworded;
    }
  }
  return {};
}

// Of the further wordings one in five is kept back: whether the model knows what it is asked in words that it has not
// learned is what the run measures.
void Study::add_rows() {
  constexpr size_t kKeptBack = 5;
  size_t lead = 0;
  for (size_t i = 0; i < known_.size(); ++i) {
    const QuestionAnswer& pair = known_[i].pair;
    if (doubtful_.count(key_of(pair.question)) > 0) continue;
    const bool again = i >= first_reworded_;
    if (again && (i - first_reworded_) % kKeptBack == 0) {
      out_.held_out.push_back({"reworded", pair});
      continue;
    }
    out_.rows.push_back({again ? "reworded" : "question", pair});
    out_.rows.push_back(
        {"lead", {replaced(kStudyLead[lead++ % kStudyLead.size()], "{Q}", pair.question), pair.answer}});
  }
  add_contrasts();
  add_later();
  out_.rows.insert(out_.rows.end(), general_.begin(), general_.end());
}

// Every other one with words before it, as questions have them.
void Study::add_contrasts() {
  for (size_t i = 0; i < contrasts_.size(); ++i) {
    QuestionAnswer pair = contrasts_[i];
    if (i % 2 == 1) pair.question = replaced(kStudyLead[i / 2 % kStudyLead.size()], "{Q}", pair.question);
    out_.rows.push_back({"contrast", std::move(pair)});
  }
  out_.contrasts = std::ssize(contrasts_);
}

// Every pair once more, behind one to three others: what is known is known later in a conversation too, and what is not
// known is not.
void Study::add_later() {
  std::vector<QuestionAnswer> pairs;
  for (const StudyRow& row : out_.rows) {
    if (row.kind != "lead") pairs.push_back(row.pair);
  }
  for (const StudyRow& row : general_) {
    if (row.system.empty() && row.told.empty()) pairs.push_back(row.pair);
  }
  uint64_t task = uint64_t{1} << 51;
  for (const QuestionAnswer& pair : pairs) {
    StudyRow row = {"later", pair};
    for (size_t left = 1 + draw(task++, 3); left > 0; --left) row.before.push_back(pairs[draw(task++, pairs.size())]);
    out_.rows.push_back(std::move(row));
  }
}

}  // namespace

Result<std::vector<Passage>> read_passages(const std::vector<std::string>& paths, std::optional<DataFormat> format,
                                           const std::atomic<bool>* stop) {
  std::vector<Passage> out;
  size_t seen = 0, stride = 1;  // one in `stride` is kept
  DataReport report;
  const ExampleSink sink = [&](Example&& example) -> Status {
    const DataFormat kind = report.files[example.file].format;
    if (kind != DataFormat::kText && kind != DataFormat::kMarkdown) return {};
    for (Passage& passage : cut_passages(example.text)) {
      if (seen++ % stride == 0) out.push_back(std::move(passage));
      if (out.size() <= kStudyPassagesMax) continue;
      for (size_t i = 1; 2 * i < out.size(); ++i) out[i] = std::move(out[2 * i]);
      out.resize((out.size() + 1) / 2);
      stride *= 2;
    }
    return {};
  };
  TRY(DataReader(report, sink, stop).read(paths, format));
  return out;
}

std::string StudyResult::describe() const {
  return format(
      "study: {} questions kept of {} written about {}, {} in other words, {} of what is not told{}; {} in {}",
      human_count(kept), human_count(written), counted(passages, "passage"), human_count(reworded),
      human_count(contrasts), out_of_time ? ", until its share of the time was used up" : "",
      counted(std::ssize(rows), "row"), human_seconds(seconds));
}

Json StudyResult::to_json() const {
  Json out = Json::object();
  out.set("passages", passages).set("questions_written", written).set("questions_kept", kept);
  out.set("questions_reworded", reworded).set("contrasts", contrasts).set("rows", static_cast<int64_t>(rows.size()));
  out.set("held_out_rows", static_cast<int64_t>(held_out.size()));
  out.set("seconds", seconds).set("out_of_time", out_of_time);
  return out;
}

Result<StudyResult> study(const std::vector<Passage>& passages, const Tokenizer& tokenizer, const StudyOptions& options,
                          const StudyAnswerer& answerer, const LearnEvents& events) {
  TRY_ASSIGN(const ChatPrompt chat, ChatPrompt::create(tokenizer, options.model_name));
  return Study(passages, chat, options, answerer, events).run();
}

Status write_study_rows(const std::vector<StudyRow>& rows, const std::string& path) {
  if (file_exists(path)) {
    TRY_ASSIGN(const std::string before, read_text_file(path));
    const auto first = parse_json(std::string_view(before).substr(0, before.find('\n')), path);
    if (!first.ok() || first->find("study") == nullptr) {
      return make_error("{}: there is a file of another kind in the run's place; choose another folder", path);
    }
  }
  std::string text;
  for (const StudyRow& row : rows) {
    Json messages = prompt_messages(row);
    messages.push(text_message("assistant", row.pair.answer));
    Json line = Json::object();
    line.set("messages", std::move(messages)).set("study", row.kind);
    text += line.dump() + "\n";
  }
  return write_text_file(path, text);
}

}  // namespace andiron
