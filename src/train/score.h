// Scores: what a model makes of rows of tokens, nothing learned. What a run measures on the rows it holds out and what
// `andiron eval` measures is computed here, so the two are the same numbers.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "data/packing.h"
#include "data/token_row.h"
#include "model/train_pass.h"

namespace andiron {

struct RowScore {
  double logp = 0;        // sum over the row's trained targets
  int64_t tokens = 0;     // trained targets
  int64_t likeliest = 0;  // of them: no token is likelier
};

struct ScoreOptions {
  PackOptions packing;          // seq_len, pack; rows are taken as they come
  int64_t rows_per_pass = 512;  // positions that run together; at least one sequence does
  // Called before every pass and at the end with the positions that are done and all there are; false before a pass: an
  // Error ends the scoring.
  std::function<bool(int64_t done, int64_t total)> progress = {};
};

// Positions that run together where sequences have `seq_len`: more than 512 are hardly faster.
inline int64_t rows_per_pass(int64_t seq_len) { return seq_len > 512 ? seq_len : 512; }

// Rows that run together, by index.
std::vector<std::vector<uint32_t>> score_passes(std::span<const int64_t> positions, const ScoreOptions& options);

// By row. The pass wears what the rows are to be scored with, and has room for rows_per_pass and for the longest row.
Result<std::vector<RowScore>> score_rows(TrainPass& pass, std::span<const TokenRow> rows, const ScoreOptions& options);

struct Measure {
  double loss = 0;      // mean over trained tokens, pairs or answers
  double accuracy = 0;  // of tokens: the share that no other is likelier than; of pairs: with a margin above 0
  int64_t tokens = 0;   // trained targets, where the mean is over them; else 0
  int64_t rows = 0;     // or pairs, or answers
};
Measure sum_scores(std::span<const RowScore> scores);

}  // namespace andiron
