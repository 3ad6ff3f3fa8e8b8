// What a run reads: rows to train on, rows held out, and general text.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"
#include "data/dataset.h"
#include "data/token_row.h"
#include "text/tokenizer.h"
#include "train/learn_options.h"
#include "train/run_record.h"

namespace andiron {

struct RowLengths {
  int64_t most = 0;    // positions of a row
  int64_t window = 0;  // of the rows that texts are cut into
};
// `asked` for, or 2048 and 512, within the model's context.
RowLengths row_lengths(std::optional<int64_t> asked, int64_t context);
// Positions of a sequence: those of a window, or as many as the longest row needs.
int64_t sequence_length(const RowLengths& lengths, std::initializer_list<const TokenRows*> sides);

struct LearnData {
  DataSet set;  // studied and replayed rows stand behind the others
  TokenRows general;
  std::vector<DataFileRecord> files;  // all that were read
  int64_t seq_len = 0;                // positions of a sequence
};

// Rows that the model wrote about the documents, to train on and to hold out; "" where there are none.
struct StudiedFiles {
  std::string rows, held_out;
};

// `context`: of the model. Sequences are as row_lengths() and sequence_length() say, but no longer than `fits` the
// memory (asked for lengths above a window's alone).
Result<LearnData> read_learn_data(const LearnOptions& options, const StudiedFiles& studied, const Tokenizer& tokenizer,
                                  int64_t context, const std::function<bool(int64_t seq_len)>& fits, ThreadTeam& team);

// Tells whether two runs have the same rows of tokens on the same sides.
std::string hash_rows(std::initializer_list<const TokenRows*> sides);

// Positions of all rows, both sides of pairs.
int64_t positions_of(const TokenRows& rows);
// Removes all but `count` rows, which are spread evenly over what was there: files have one kind of row behind another.
void keep_spread(TokenRows& rows, int64_t count);
// General rows to measure forgetting by, which training does not hold on to: every fourth, which `rows` lose. Of fewer
// than eight rows all are measured and stay. Plain rows.
TokenRows take_measured(TokenRows& rows);

}  // namespace andiron
