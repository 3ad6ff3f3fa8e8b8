// RowSource: what a trainer reads, sequence by sequence, epoch after epoch; and the one that has all rows in memory.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "data/packing.h"
#include "data/token_row.h"

namespace andiron {

struct SequenceBatch {
  TokenRows rows;                                // sequence after sequence
  std::vector<std::vector<uint32_t>> sequences;  // indexes of `rows`
  std::vector<uint64_t> numbers;                 // by row: which of the data's rows it is, from 0
};

// The order depends on the data and the options alone, so a run can be taken up at any sequence. One thread at a time.
class RowSource {
 public:
  virtual ~RowSource() = default;
  RowSource(const RowSource&) = delete;
  RowSource& operator=(const RowSource&) = delete;

  // `count` sequences from number `first` on, counted over all epochs. Going backward may cost as much as beginning
  // anew.
  virtual Result<SequenceBatch> sequences(int64_t first, int64_t count) = 0;

 protected:
  RowSource() = default;
};

// Rows in memory (not owned), planned by plan_epoch().
class MemoryRows : public RowSource {
 public:
  MemoryRows(const TokenRows& rows, const PackOptions& options);
  Result<SequenceBatch> sequences(int64_t first, int64_t count) override;

 private:
  void plan(int64_t epoch);

  const TokenRows& rows_;
  PackOptions options_;
  int64_t epoch_ = -1, epoch_begin_ = 0;  // of the sequences planned, and where in the run they begin
  std::vector<std::vector<uint32_t>> plan_;
};

// Positions of row `i`; of a pair those of both sides.
int64_t row_positions(const TokenRows& rows, size_t i);
std::vector<int64_t> row_positions(const TokenRows& rows);

}  // namespace andiron
