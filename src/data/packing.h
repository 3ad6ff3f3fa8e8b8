// Packing: the order of rows in an epoch, and rows laid side by side into batches.
//
// Short rows share a sequence, each as a segment of its own: attention stays within it and positions start at 0. Which
// rows meet is decided by first-fit decreasing over windows of the shuffled rows, so sequences are nearly full and
// training still sees rows in random order. Everything depends on (lengths, options, epoch) only, so that a run can be
// resumed at any batch of any epoch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/token_row.h"
#include "text/tokenizer_spec.h"

namespace andiron {

struct PackOptions {
  int64_t seq_len = 512;  // positions of a sequence
  bool pack = true;       // false: a sequence is one row
  enum class Order : uint8_t {
    kShuffled,
    kGiven,  // as they come, for measuring
  };
  Order order = Order::kShuffled;
  uint64_t seed = 0;
};

// The sequences of an epoch as indexes of rows; every row is in exactly one. `positions` holds
// the lengths (TokenRow::positions, or of a pair the sum of both); a row longer than a sequence has one to itself.
std::vector<std::vector<uint32_t>> plan_epoch(std::span<const int64_t> positions, const PackOptions& options,
                                              uint64_t epoch);

// Sequences that run together: as many as fit `positions_max`, at least one; their rows, one after another.
std::vector<std::vector<uint32_t>> join_sequences(std::span<const std::vector<uint32_t>> sequences,
                                                  std::span<const int64_t> positions, int64_t positions_max);

struct PackedSegment {
  int32_t first = 0;  // position in the batch
  int32_t count = 0;
  uint32_t row = 0;  // index in what was given to pack_rows
};

// What the tokens of a row that are not trained weigh as targets, where those that are weigh 1. Not the one between a
// bos and a trained token: there a row goes on in the middle of a document, and nothing says what comes.
struct PromptLoss {
  float weight = 0;
  int32_t bos = kNoToken;
};

// By position: the token there, the one to predict and the weight of its loss, 0 where it has none.
struct PackedBatch {
  std::vector<int32_t> tokens;
  std::vector<int32_t> targets;
  std::vector<float> weights;
  std::vector<PackedSegment> segments;  // in order, without gaps
  double weight_sum = 0;
};

PackedBatch pack_rows(std::span<const TokenRow* const> rows, const PromptLoss& prompts = {});

}  // namespace andiron
