// Self-study: a model that has read a document does not by that answer questions about it. So it writes questions about
// each passage itself, answers them with the passage before it, and what can be trusted becomes rows to learn from,
// with the passage no longer there. Other wordings of the questions are learned beside them, and the model's own
// answers: that it does not know what is nearly a question and nowhere told, and to what has nothing to do with the
// document.
//
// Rows are the same for the same model, documents and seed, whatever the threads; time alone may end them early.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "data/example.h"
#include "text/tokenizer.h"
#include "train/run_events.h"
#include "train/study_text.h"

namespace andiron {

struct StudyRequest {
  std::span<const int32_t> prompt;
  int64_t tokens_max = 0;
  double temperature = 0;  // 0: the likeliest tokens
  uint64_t seed = 0;
  const std::atomic<bool>* stop = nullptr;  // once it is set, what the answer is does not matter
};
struct StudyAnswer {
  std::string text;
  bool whole = false;  // the model ended it itself
};
// Answers one prompt. An Error ends the study.
using StudyAnswerer = std::function<Result<StudyAnswer>(const StudyRequest&)>;
// Made when it is needed and gone before the training begins: it holds a cache.
using StudyAnswererMaker = std::function<Result<StudyAnswerer>()>;

// Passages of the documents of prose among `paths` (texts and Markdown), at most kStudyPassagesMax of them, evenly
// spread. `format` and `stop` as in DataOptions.
inline constexpr size_t kStudyPassagesMax = 1000;
Result<std::vector<Passage>> read_passages(const std::vector<std::string>& paths, std::optional<DataFormat> format,
                                           const std::atomic<bool>* stop = nullptr);

struct StudyOptions {
  std::string model_name;  // for messages
  uint64_t seed = 0;
  int64_t context = 0;         // tokens of the model's
  std::optional<int64_t> now;  // as in DataOptions
  double deadline = 0;         // by now_seconds(); what is not done then is left out. 0: none
};

struct StudyRow {
  std::string kind;  // "question"; "reworded", the same asked otherwise; "lead", one with words before it; "later", one
                     // behind others; "contrast", nearly the same of what is not told; "general"
  QuestionAnswer pair;
  // What the system message says, and what the message before the question tells; "": there is none.
  std::string system = {}, told = {};
  std::vector<QuestionAnswer> before = {};  // asked and answered earlier in the same conversation
};

struct StudyResult {
  std::vector<StudyRow> rows;
  std::vector<StudyRow> held_out;  // to measure by
  int64_t passages = 0;
  int64_t written = 0;    // questions that the model wrote
  int64_t kept = 0;       // of them
  int64_t reworded = 0;   // further wordings that were kept
  int64_t contrasts = 0;  // near misses that were kept
  double seconds = 0;
  bool out_of_time = false;

  // For people, and for run.json.
  std::string describe() const;
  Json to_json() const;
};

// An Error for a model without a chat template, and once `events.stop` is set.
Result<StudyResult> study(const std::vector<Passage>& passages, const Tokenizer& tokenizer, const StudyOptions& options,
                          const StudyAnswerer& answerer, const LearnEvents& events);

// Conversations, one a line, each with a member "study" that tells its kind. A file that is not of this kind is not
// replaced: an Error.
Status write_study_rows(const std::vector<StudyRow>& rows, const std::string& path);

}  // namespace andiron
