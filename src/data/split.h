// Which rows are held out of training.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace andiron {

struct HeldOutOptions {
  double part = 0.05;       // of the documents, in [0, 1)
  int64_t rows_max = 1000;  // of all held-out documents together
};

// A document's place in the order in which documents are held out: it depends on the document and the seed alone.
uint64_t held_out_order(std::string_view document, uint64_t seed);

// Likewise of block `block` of a document that counts as several; `document`: its own order.
uint64_t held_out_order(uint64_t document, uint64_t block);

struct HeldOut {
  std::vector<uint8_t> rows;  // by row: 1 when it is held out
  int64_t documents = 0;      // in all
  int64_t held_out = 0;       // of them, or blocks
};

// `orders`: by row, its document's held_out_order; the rows of a document in their order. Documents whose order lies in
// the first `part` of all possible ones are held out, so that others neither push one in nor out; but at least one of
// two, never all, and no more than rows_max rows (the first in order stay). A document with more than twice `part` of
// the rows counts as many: about 2 / part blocks of consecutive rows, each with an order of its own.
HeldOut hold_out(std::span<const uint64_t> orders, const HeldOutOptions& options);

}  // namespace andiron
