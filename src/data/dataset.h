// From files and folders to rows of tokens, with what is held out of training.
//
// Reading is a stream: of the files only one row (of a text, one piece) is in memory at a time; the tokens of all are.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"
#include "data/encode.h"
#include "data/example.h"
#include "data/report.h"
#include "data/token_row.h"
#include "text/tokenizer.h"

namespace andiron {

// What is trained on. Data of another kind is an error that says so.
enum class DataUse : uint8_t {
  kRows,    // next-token loss: conversations, completions, texts
  kPairs,   // preference pairs (DPO, ORPO)
  kLabels,  // labelled answers (KTO); each side of a preference pair counts as one
};

enum class LongRows : uint8_t {
  kRefuse,  // counted in the report
  kSplit,   // cut into windows, as texts are; windows without a trained token are left out
};

struct DataOptions {
  std::optional<DataFormat> format = {};  // what all files are read as; otherwise each file's content decides
  DataUse use = DataUse::kRows;
  LossOn loss_on = LossOn::kAnswers;
  LongRows long_rows = LongRows::kRefuse;  // of texts every window is trained on, whatever this says
  int64_t seq_len = 512;                   // positions; a row may have one token more
  int64_t window = 0;                      // positions of the rows that texts are cut into; 0: seq_len

  // Held out of training: documents chosen by a hash of (seed, document), so that what other documents there are does
  // not move one from one side to the other. This part of the documents, at least one where there are two, and at most
  // so many token rows. A document with more than twice that part of all rows (a single text, say) is held out by
  // consecutive blocks. 0: nothing is held out.
  double held_out = 0.05;
  int64_t held_out_rows_max = 1000;
  uint64_t seed = 0;

  // What templates show as today, in seconds since 1970-01-01 00:00 of the local clock. To repeat a run, give the same.
  std::optional<int64_t> now = {};

  const std::atomic<bool>* stop = nullptr;  // once it is set, by whichever thread, reading ends with an Error
};

struct DataSet {
  TokenRows train;
  TokenRows held_out;
  DataReport report;
};

// Tokens of all rows, both sides of pairs; and those with a loss.
int64_t count_tokens(const TokenRows& rows);
int64_t count_trained(const TokenRows& rows);

// A row as it is read.
struct LoadedRow {
  TokenRow row;
  std::optional<TokenRow> rejected;  // of a pair
  std::optional<bool> desirable;     // of a labelled answer
  uint64_t order = 0;                // of its document: held_out_order()
  size_t file = 0;                   // index in DataReport::files
};
using RowSink = std::function<Status(LoadedRow&&)>;

// All rows of `paths`, one after another; what load_data() is made of, for data that does not fit the memory. Of the
// report all is set that does not tell sides apart. The sink's Error ends the reading.
Status read_rows(const std::vector<std::string>& paths, const Tokenizer& tokenizer, std::string_view model_name,
                 const DataOptions& options, ThreadTeam& team, DataReport& report, const RowSink& sink);

// Reads `paths`: files, and folders with all that is below them. Rows with something wrong are counted in the report;
// it is an Error when a path given cannot be read as data, or no row is left. `model_name` is for messages.
Result<DataSet> load_data(const std::vector<std::string>& paths, const Tokenizer& tokenizer,
                          std::string_view model_name, const DataOptions& options, ThreadTeam& team);

}  // namespace andiron
