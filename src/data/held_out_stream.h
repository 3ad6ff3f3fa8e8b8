// What is held out of rows that come one after another and are too many to keep. As in data/split.h documents are
// chosen by their order, but what is cut into blocks is told by a number of rows, not by the share of all rows, which
// nobody knows before the end; and positions are limited, not rows. So other rows are held out than there.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"

namespace andiron {

// A document, or of a longer one each block of so many rows (fewer where they are more than `positions_max` positions),
// is held out when its order (split.h: held_out_order) lies in the first `part` of all possible ones; at least one of
// two, never all, and no more than `positions_max` positions, or a single row: the first in order stay.
class HeldOutStream {
 public:
  static constexpr size_t kBlockRows = 16;

  // `train` gets the rows that are not held out, late: once that is known.
  HeldOutStream(double part, int64_t positions_max, RowSink train);

  // Rows of a document come one after another.
  Status add(LoadedRow&& row);
  // When all have been added: what is held out, by order.
  Result<std::vector<LoadedRow>> finish();

  int64_t documents() const { return documents_; }
  int64_t held_out() const { return std::ssize(kept_); }  // documents or blocks

 private:
  using Unit = std::vector<LoadedRow>;
  Status end_unit();
  Status train(Unit&& unit);

  double part_;
  int64_t positions_max_;
  RowSink train_;
  Unit unit_;                                          // being read
  uint64_t document_ = 0, block_ = 0;                  // it is of
  std::map<std::pair<uint64_t, int64_t>, Unit> kept_;  // by order and number
  int64_t positions_ = 0;                              // of `kept_`
  int64_t documents_ = 0, units_ = 0, trained_ = 0;
};

}  // namespace andiron
