#include "data/row_source.h"

#include "base/strings.h"

namespace andiron {

int64_t row_positions(const TokenRows& rows, size_t i) {
  return rows.rows[i].positions() + (rows.rejected.empty() ? 0 : rows.rejected[i].positions());
}

std::vector<int64_t> row_positions(const TokenRows& rows) {
  std::vector<int64_t> out(rows.rows.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = row_positions(rows, i);
  return out;
}

MemoryRows::MemoryRows(const TokenRows& rows, const PackOptions& options) : rows_(rows), options_(options) {}

void MemoryRows::plan(int64_t epoch) {
  epoch_begin_ = epoch == 0 ? 0 : epoch_begin_ + static_cast<int64_t>(plan_.size());
  epoch_ = epoch;
  plan_ = plan_epoch(row_positions(rows_), options_, static_cast<uint64_t>(epoch));
}

Result<SequenceBatch> MemoryRows::sequences(int64_t first, int64_t count) {
  if (rows_.rows.empty()) return make_error("there is nothing to train on");
  SequenceBatch out;
  if (epoch_ < 0 || first < epoch_begin_) plan(0);
  for (int64_t at = first; at < first + count; ++at) {
    while (at - epoch_begin_ >= static_cast<int64_t>(plan_.size())) plan(epoch_ + 1);
    auto& sequence = out.sequences.emplace_back();
    for (const uint32_t row : plan_[static_cast<size_t>(at - epoch_begin_)]) {
      sequence.push_back(static_cast<uint32_t>(out.rows.rows.size()));
      out.numbers.push_back(row);
      out.rows.rows.push_back(rows_.rows[row]);
      if (!rows_.rejected.empty()) out.rows.rejected.push_back(rows_.rejected[row]);
      if (!rows_.desirable.empty()) out.rows.desirable.push_back(rows_.desirable[row]);
    }
  }
  return out;
}

}  // namespace andiron
