#include "data/held_out_stream.h"

#include <iterator>

#include "base/check.h"
#include "data/split.h"

namespace andiron {

namespace {

int64_t positions_of(const std::vector<LoadedRow>& rows) {
  int64_t sum = 0;
  for (const LoadedRow& row : rows) sum += row.row.positions();
  return sum;
}

}  // namespace

HeldOutStream::HeldOutStream(double part, int64_t positions_max, RowSink train)
    : part_(part), positions_max_(positions_max), train_(std::move(train)) {
  ANDIRON_CHECK(part >= 0 && part < 1);
}

Status HeldOutStream::train(Unit&& unit) {
  for (LoadedRow& row : unit) {
    ++trained_;
    TRY(train_(std::move(row)));
  }
  return {};
}

Status HeldOutStream::add(LoadedRow&& row) {
  const bool begins = documents_ == 0 || row.order != document_;
  const bool is_full = positions_of(unit_) + row.row.positions() > positions_max_;
  if (begins || is_full || unit_.size() >= kBlockRows) {
    TRY(end_unit());
    block_ = begins ? 0 : block_ + 1;
    documents_ += begins;
    document_ = row.order;
  }
  unit_.push_back(std::move(row));
  return {};
}

Status HeldOutStream::end_unit() {
  if (unit_.empty()) return {};
  Unit unit = std::move(unit_);
  unit_.clear();
  if (part_ == 0) return train(std::move(unit));
  const uint64_t order = block_ == 0 ? document_ : held_out_order(document_, block_);
  positions_ += positions_of(unit);
  kept_.emplace(std::pair(order, units_++), std::move(unit));
  const double limit = part_ * 0x1p64;
  while (kept_.size() > 1) {
    const auto last = std::prev(kept_.end());
    if (positions_ <= positions_max_ && static_cast<double>(last->first.first) < limit) break;
    positions_ -= positions_of(last->second);
    TRY(train(std::move(last->second)));
    kept_.erase(last);
  }
  return {};
}

Result<std::vector<LoadedRow>> HeldOutStream::finish() {
  TRY(end_unit());
  if (trained_ == 0 && !kept_.empty()) {  // all there is, or so little that all was chosen: the last is for training
    const auto last = std::prev(kept_.end());
    TRY(train(std::move(last->second)));
    kept_.erase(last);
  }
  std::vector<LoadedRow> out;
  for (auto& [order, unit] : kept_) {
    for (LoadedRow& row : unit) out.push_back(std::move(row));
  }
  return out;
}

}  // namespace andiron
