#include "data/packing.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/random.h"

namespace andiron {

namespace {

// Rows that first-fit decreasing sees at once: enough for bins filled to some 99%, few enough that rows stay shuffled.
constexpr size_t kWindow = 1024;
// The streams of an epoch's two shuffles; other users of the seed have other streams.
constexpr uint64_t kRowStream = 0x7061636b0000'0000;
constexpr uint64_t kBatchStream = 0x6261746300000000;

using Bin = std::vector<uint32_t>;

// First-fit decreasing over one window of rows, the longest first. Appends the bins.
void fill_bins(std::span<uint32_t> rows, std::span<const int64_t> positions, int64_t capacity, std::vector<Bin>& out) {
  std::stable_sort(rows.begin(), rows.end(), [&](uint32_t a, uint32_t b) { return positions[a] > positions[b]; });
  const size_t first = out.size();
  std::vector<int64_t> room;
  for (const uint32_t row : rows) {
    const auto fits = std::find_if(room.begin(), room.end(), [&](int64_t left) { return left >= positions[row]; });
    const auto bin = static_cast<size_t>(fits - room.begin());
    if (fits == room.end()) {
      room.push_back(capacity);
      out.emplace_back();
    }
    room[bin] -= positions[row];
    out[first + bin].push_back(row);
  }
}

std::vector<Bin> make_bins(std::vector<uint32_t>& rows, std::span<const int64_t> positions,
                           const PackOptions& options) {
  std::vector<Bin> bins;
  if (!options.pack) {
    for (const uint32_t row : rows) bins.push_back({row});
    return bins;
  }
  if (options.order == PackOptions::Order::kGiven) {  // next fit: keeps the order
    int64_t room = 0;
    for (const uint32_t row : rows) {
      if (bins.empty() || positions[row] > room) {
        bins.emplace_back();
        room = options.seq_len;
      }
      room -= positions[row];
      bins.back().push_back(row);
    }
    return bins;
  }
  for (size_t at = 0; at < rows.size(); at += kWindow) {
    fill_bins(std::span(rows).subspan(at, std::min(kWindow, rows.size() - at)), positions, options.seq_len, bins);
  }
  return bins;
}

// Whether a row that was cut begins in the middle of what is trained.
bool goes_on(const TokenRow& row, int32_t bos) {
  return row.tokens.size() > 2 && row.tokens[0] == bos && row.trained[1] == 0 && row.trained[2] != 0;
}

}  // namespace

std::vector<std::vector<uint32_t>> plan_epoch(std::span<const int64_t> positions, const PackOptions& options,
                                              uint64_t epoch) {
  ANDIRON_CHECK(options.seq_len > 0);
  const bool random = options.order == PackOptions::Order::kShuffled;
  std::vector<uint32_t> rows(positions.size());
  std::iota(rows.begin(), rows.end(), 0U);
  if (random) shuffle(rows, RandomStream(options.seed, kRowStream + epoch));
  std::vector<Bin> bins = make_bins(rows, positions, options);
  // They come longest rows first within a window.
  if (random) shuffle(bins, RandomStream(options.seed, kBatchStream + epoch));
  return bins;
}

std::vector<std::vector<uint32_t>> join_sequences(std::span<const std::vector<uint32_t>> sequences,
                                                  std::span<const int64_t> positions, int64_t positions_max) {
  std::vector<std::vector<uint32_t>> passes;
  int64_t used = 0;
  for (const auto& sequence : sequences) {
    int64_t count = 0;
    for (const uint32_t row : sequence) count += positions[row];
    if (passes.empty() || used + count > positions_max) {
      passes.emplace_back();
      used = 0;
    }
    passes.back().insert(passes.back().end(), sequence.begin(), sequence.end());
    used += count;
  }
  return passes;
}

PackedBatch pack_rows(std::span<const TokenRow* const> rows, const PromptLoss& prompts) {
  PackedBatch batch;
  size_t total = 0;
  for (const TokenRow* row : rows) total += row->tokens.size() - 1;
  batch.tokens.reserve(total);
  batch.targets.reserve(total);
  batch.weights.reserve(total);
  for (size_t i = 0; i < rows.size(); ++i) {
    const TokenRow& row = *rows[i];
    ANDIRON_CHECK(row.tokens.size() >= 2 && row.trained.size() == row.tokens.size());
    batch.segments.push_back(
        {static_cast<int32_t>(batch.tokens.size()), static_cast<int32_t>(row.positions()), static_cast<uint32_t>(i)});
    batch.tokens.insert(batch.tokens.end(), row.tokens.begin(), row.tokens.end() - 1);
    batch.targets.insert(batch.targets.end(), row.tokens.begin() + 1, row.tokens.end());
    const size_t first = batch.weights.size();
    for (size_t at = 1; at < row.trained.size(); ++at) {
      batch.weights.push_back(row.trained[at] != 0 ? 1 : prompts.weight);
    }
    if (goes_on(row, prompts.bos)) batch.weights[first] = 0;
  }
  batch.weight_sum = std::accumulate(batch.weights.begin(), batch.weights.end(), 0.0);
  return batch;
}

}  // namespace andiron
