#include "train/score.h"

#include <algorithm>

#include "base/strings.h"
#include "train/losses.h"

namespace andiron {

std::vector<std::vector<uint32_t>> score_passes(std::span<const int64_t> positions, const ScoreOptions& options) {
  PackOptions packing = options.packing;
  packing.order = PackOptions::Order::kGiven;
  return join_sequences(plan_epoch(positions, packing, 0), positions, options.rows_per_pass);
}

Result<std::vector<RowScore>> score_rows(TrainPass& pass, std::span<const TokenRow> rows, const ScoreOptions& options) {
  std::vector<int64_t> positions;
  int64_t total = 0, done = 0;
  for (const TokenRow& row : rows) total += positions.emplace_back(row.positions());
  std::vector<RowScore> out(rows.size());
  std::vector<uint8_t> likeliest;
  for (const auto& indexes : score_passes(positions, options)) {
    if (options.progress && !options.progress(done, total)) return make_error("measuring was interrupted");
    std::vector<const TokenRow*> pointers;
    pointers.reserve(indexes.size());
    for (const uint32_t i : indexes) pointers.push_back(&rows[i]);
    const PackedBatch batch = pack_rows(pointers);
    TRY(run_layers(pass, batch, Recording::kOff));
    TRY_ASSIGN(const auto logps, target_logps(pass, batch, {}, &likeliest));
    const auto scores = segment_scores(batch, logps);
    auto top = likeliest.begin();
    for (size_t s = 0; s < indexes.size(); ++s) {
      const auto end = top + scores[s].tokens;
      out[indexes[s]] = {scores[s].logp, scores[s].tokens, std::count(top, end, uint8_t{1})};
      top = end;
    }
    done += static_cast<int64_t>(batch.tokens.size());
  }
  if (options.progress) options.progress(done, total);
  return out;
}

Measure sum_scores(std::span<const RowScore> scores) {
  Measure out;
  int64_t likeliest = 0;
  for (const RowScore& score : scores) {
    out.loss -= score.logp;
    out.tokens += score.tokens;
    likeliest += score.likeliest;
  }
  const auto tokens = static_cast<double>(std::max<int64_t>(1, out.tokens));
  out.loss /= tokens;
  out.accuracy = static_cast<double>(likeliest) / tokens;
  out.rows = static_cast<int64_t>(scores.size());
  return out;
}

}  // namespace andiron
