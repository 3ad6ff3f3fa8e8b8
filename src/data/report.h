// What became of the data: every row that was read is in one of these counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "data/example.h"

namespace andiron {

struct RowProblem {
  std::string file;
  int64_t line = 0;  // 0: the whole file
  std::string reason;
};

// Counts everything, keeps the first few.
struct RowProblems {
  static constexpr size_t kKept = 5;
  int64_t count = 0;
  std::vector<RowProblem> examples;

  void add(std::string file, int64_t line, std::string reason);
};

struct DataFile {
  std::string path;
  DataFormat format = DataFormat::kText;
  uint64_t bytes = 0;
  std::string hash;        // content_hash() of its bytes
  int64_t rows = 0;        // read: rows, or 1 for a text
  RowProblems bad;         // of them: unusable, with the reasons
  int64_t duplicates = 0;  // of them: a row or text that came before
};

struct DataReport {
  std::vector<DataFile> files;  // read, in order
  RowProblems skipped;          // files found in folders and not read
  RowProblems too_long;         // rows longer than a sequence that were refused
  int64_t rows_split = 0;       // rows longer than a sequence that were cut into several
  // Answers that have a row of their own, since the template writes them otherwise once the conversation has gone on.
  int64_t answers_apart = 0;
  // Conversations whose template ends prompts otherwise than it writes answers (DeepSeek R1 opens "<think>").
  int64_t prompts_unlike = 0;
  bool plain_chat_format = false;  // the model has no template: the built-in plain one was used

  int64_t rows_used = 0;  // of those read: neither bad, duplicate nor refused
  int64_t documents = 0;
  int64_t held_out_documents = 0;  // or, of a single long text, blocks
  // Token rows that training sees: of texts and split rows, windows.
  int64_t train_rows = 0;
  int64_t held_out_rows = 0;
  int64_t train_tokens = 0;    // in train_rows, both sides of pairs
  int64_t trained_tokens = 0;  // of them: with loss
  int64_t held_out_tokens = 0;

  int64_t rows_read() const;
  int64_t bad() const;
  int64_t duplicates() const;
};

// For people, a line each, without line ends: what was read, and what was not and why.
std::vector<std::string> describe_files(const DataReport& report);
// The same, and what is trained on.
std::vector<std::string> describe_report(const DataReport& report);
// The same for run.json.
Json report_to_json(const DataReport& report);
// Why nothing is left of the data, with what is known of it below.
Error nothing_left(std::string_view what, const std::vector<std::string>& known);

}  // namespace andiron
