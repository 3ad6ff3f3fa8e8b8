// Folding adapters into the weights they change, row by row.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "adapter/adapter.h"

namespace andiron {

// An adapter as it is worn: the serving forward adds strength times what the adapter alone would add.
struct WornAdapter {
  const Adapter* adapter;
  float strength = 1;
};

// Whether any of them changes it.
bool changes_layer(std::span<const WornAdapter> worn, std::string_view layer);

// `rows` [count, k] are rows [first, first + count) of the base matrix "blk.0.attn_q" as float; they become what the
// adapters make of them together: W + sum of strength s B A, and of one with DoRA W + strength (g (W + s B A) - W),
// where g is magnitude / |W + s B A| of the row (a row of length 0 stays one). Rows of layers that none of them changes
// stay as they are. Sums are in double, one rounding at the end. The adapters fit the layer (match_base); first + count
// <= n.
void fold_rows(std::span<const WornAdapter> worn, std::string_view layer, int64_t first, int64_t count,
               std::span<float> rows);

}  // namespace andiron
