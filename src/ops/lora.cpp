#include "ops/lora.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/random.h"
#include "ops/each_row.h"
#include "ops/ops.h"

namespace andiron {

namespace {

// Pieces of a product that are small enough to share and large enough to be worth a call.
constexpr int64_t kPieceRows = 64, kPieceColumns = 192;

constexpr int64_t kMaskColumns = 64;

// For columns [column, column + n) of a row, column a multiple of 8: 0 where it is dropped, else 1 / (1 - share). Each
// Philox block serves eight columns, so shares are whole numbers of 1 / 65536.
void dropout_mask(uint64_t seed, uint64_t stream, int64_t row, int64_t column, float share, int64_t n, float* out) {
  const auto threshold = static_cast<uint32_t>(share * 65536.0f);
  const float stays = 1.0f / (1.0f - share);
  for (int64_t i = 0; i < n; i += 8) {
    const auto words = philox4x32({static_cast<uint32_t>(column + i), static_cast<uint32_t>(row),
                                   static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                                  {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    for (int64_t j = 0; j < 8 && i + j < n; ++j) {
      const uint32_t half = words[static_cast<size_t>(j / 2)] >> (16 * (j % 2)) & 0xffff;
      out[i + j] = half < threshold ? 0.0f : stays;
    }
  }
}

}  // namespace

void pack_matrix(const float* rows, int64_t n, int64_t k, uint8_t* out) {
  const uint64_t group_bytes = packed_group_bytes(kPackedF32, k);
  for (int64_t first = 0; first < n; first += kGroupRows) {
    const int count = static_cast<int>(std::min<int64_t>(kGroupRows, n - first));
    std::array<const uint8_t*, kGroupRows> pointers{};
    for (int i = 0; i < count; ++i) {
      pointers[static_cast<size_t>(i)] = reinterpret_cast<const uint8_t*>(rows + (first + i) * k);
    }
    pack_group(DType::kF32, pointers.data(), count, k, out);
    out += group_bytes;
  }
}

void Ops::adapt(std::span<const RowDeltas> deltas) {
  deltas_ = deltas;
  int64_t low = 0, high = 0, base = 0;
  for (const RowDeltas& rows : deltas) {
    for (const auto& list : *rows.deltas) {
      for (const LoraDelta& delta : list) {
        low = std::max(low, padded_columns(delta.a.n));
        high = std::max(high, padded_columns(delta.b.n));
        if (delta.gain != nullptr) base = std::max(base, delta.b.n);
      }
    }
  }
  delta_low_.make_room(rows_max_ * 2 * low);  // as the product gives it, and without its padding
  delta_high_.make_room(rows_max_ * high);
  delta_base_.make_room(rows_max_ * base);
}

bool Ops::adapted(const Linear& layer) const {
  if (layer.id < 0) return false;
  return std::any_of(deltas_.begin(), deltas_.end(), [&](const RowDeltas& rows) {
    const auto id = static_cast<size_t>(layer.id);
    return id < rows.deltas->size() && !(*rows.deltas)[id].empty();
  });
}

void Ops::add_deltas(Rows x, const LinearJob& job, Rows place, const float* kept_x) {
  if (!adapted(*job.layer)) return;
  const OpScope scope(clock_, OpKind::kLora);
  const auto id = static_cast<size_t>(job.layer->id);
  for (const RowDeltas& rows : deltas_) {
    if (id >= rows.deltas->size() || (*rows.deltas)[id].empty()) continue;
    const float* kept = kept_x != nullptr ? kept_x + rows.first_row * x.cols : nullptr;
    // Of dropout: a layer that is run again, to recompute its activations, drops the same numbers.
    const uint64_t stream = static_cast<uint64_t>(id + 1) << 40 | static_cast<uint64_t>(rows.first_row);
    add_delta_list((*rows.deltas)[id], stream, x.slice(rows.first_row, rows.rows), *job.layer,
                   job.y.slice(rows.first_row, rows.rows), place.slice(rows.first_row, rows.rows), kept);
  }
}

// y += what each delta of the list gives for x, whose rows lie end to end. `place`: where x came from.
void Ops::add_delta_list(std::span<const LoraDelta> list, uint64_t stream, Rows x, const Linear& layer, Rows y,
                         Rows place, const float* kept_x) {
  const int64_t n = layer.n;
  const bool has_gain = std::any_of(list.begin(), list.end(), [](const LoraDelta& d) { return d.gain != nullptr; });
  const Rows base = {delta_base_.data(), x.rows, n, n};
  if (has_gain) {
    each_row(team_, x.rows, n, [&](int64_t t) {
      for (int64_t i = 0; i < n; ++i) base.row(t)[i] = y.row(t)[i] - (layer.bias != nullptr ? layer.bias[i] : 0.0f);
    });
  }
  KeptDelta* kept = tape_ != nullptr ? tape_->room<KeptDelta>(static_cast<int64_t>(list.size())) : nullptr;
  const float* kept_base = tape_ != nullptr && has_gain ? keep(base).data : nullptr;
  for (size_t i = 0; i < list.size(); ++i) {
    KeptDelta one;
    one.x = kept_x;
    one.base = kept_base;
    if (drops_ && list[i].dropout > 0) one.stream = stream + (static_cast<uint64_t>(i) << 32);
    add_delta(list[i], x, y, base, one);
    if (kept != nullptr) kept[i] = one;
  }
  if (tape_ == nullptr) return;
  const Tape* tape = tape_;
  tape_->record([=](Ops& ops) {
    const OpScope scope(ops.clock_, OpKind::kLora);
    const Rows dy = tape->gradient(y), dx = tape->gradient(place);
    if (dy.data != nullptr) ops.delta_list_backward(*tape, list, kept, dy, dx);
  });
}

// x with numbers zeroed and the others scaled up; kept where a tape records.
Rows Ops::dropped(const LoraDelta& delta, uint64_t stream, Rows x) {
  if (tape_ == nullptr) delta_input_.make_room(rows_max_ * x.cols);
  float* data = tape_ != nullptr ? tape_->room<float>(x.rows * x.cols) : delta_input_.data();
  const Rows y = {data, x.rows, x.cols, x.cols};
  each_row(team_, x.rows, x.cols, [&](int64_t t) {
    float* out = y.row(t);
    dropout_mask(dropout_seed_, stream, t, 0, delta.dropout, x.cols, out);
    for (int64_t i = 0; i < x.cols; ++i) out[i] *= x.row(t)[i];
  });
  return y;
}

// `kept.stream` says whether numbers are dropped; the rest of `kept` is filled where a tape records.
void Ops::add_delta(const LoraDelta& delta, Rows x, Rows y, Rows base, KeptDelta& kept) {
  const int64_t rank = delta.a.n, n = delta.b.n, padded = padded_columns(rank);
  if (kept.stream != 0) {
    x = dropped(delta, kept.stream, x);
    kept.x = x.data;
  }
  const Rows wide = {delta_low_.data(), x.rows, rank, padded};
  float* room = tape_ != nullptr ? tape_->room<float>(x.rows * rank) : delta_low_.data() + rows_max_ * padded;
  const Rows low = {room, x.rows, rank, rank};
  const Rows high = {delta_high_.data(), x.rows, n, padded_columns(n)};
  const bool has_gain = delta.gain != nullptr;
  const LinearJob to_low = {&delta.a, wide}, to_high = {&delta.b, has_gain ? high : y, !has_gain};
  const auto scale_low = [&](int64_t t) { kernels_.scale(wide.row(t), delta.scale, rank, low.row(t)); };
  const auto floats = [](Rows rows) {
    return Activations{rows.data, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, rows.rows, rows.cols};
  };
  if (x.rows <= kStreamTokensMax) {
    product(floats(x), std::span(&to_low, 1));
    for (int64_t t = 0; t < x.rows; ++t) scale_low(t);
    product(floats(low), std::span(&to_high, 1));
  } else {
    team_.parallel_for((x.rows + kPieceRows - 1) / kPieceRows, [&](int64_t piece, int worker) {
      const int64_t first = piece * kPieceRows, count = std::min(kPieceRows, x.rows - first);
      const auto part = [&](const LinearJob& job) {
        return LinearJob{job.layer, job.y.slice(first, count), job.accumulate};
      };
      multiply(floats(x.slice(first, count)), part(to_low), 0, padded / kGroupRows, worker);
      for (int64_t t = first; t < first + count; ++t) scale_low(t);
      multiply(floats(low.slice(first, count)), part(to_high), 0, padded_columns(n) / kGroupRows, worker);
    });
  }
  if (tape_ != nullptr) {
    kept.low = low.data;
    if (has_gain) kept.high = keep(high).data;
  }
  if (!has_gain) return;
  each_row(team_, x.rows, n, [&](int64_t t) {
    for (int64_t i = 0; i < n; ++i) {
      const float g = delta.gain[i];
      y.row(t)[i] += delta.strength * ((g - 1) * base.row(t)[i] + g * high.row(t)[i]);
    }
  });
}

// --- backward ---

// Leaves in dy what belongs to the product with W.
void Ops::delta_list_backward(const Tape& tape, std::span<const LoraDelta> list, const KeptDelta* kept, Rows dy,
                              Rows dx) {
  bool has_gain = false;
  for (size_t i = 0; i < list.size(); ++i) {
    const LoraDelta& delta = list[i];
    Rows dhigh = dy;  // of scale * B A x
    if (delta.gain != nullptr) {
      has_gain = true;
      dhigh = {delta_high_.data(), dy.rows, dy.cols, dy.cols};
      each_row(team_, dy.rows, dy.cols, [&](int64_t t) {
        for (int64_t j = 0; j < dy.cols; ++j) dhigh.row(t)[j] = dy.row(t)[j] * delta.strength * delta.gain[j];
      });
      magnitude_gradient(tape, delta, kept[i], dy);
    }
    delta_backward(tape, delta, kept[i], dhigh, dx);
  }
  if (!has_gain) return;
  each_row(team_, dy.rows, dy.cols, [&](int64_t t) {
    for (int64_t j = 0; j < dy.cols; ++j) {
      float factor = 1;
      for (const LoraDelta& delta : list) {
        if (delta.gain != nullptr) factor += delta.strength * (delta.gain[j] - 1);
      }
      dy.row(t)[j] *= factor;
    }
  });
}

// dm += the sum over t of dy strength (W x + scale B A x) / ||.||, where 1 / ||.|| = g / m.
void Ops::magnitude_gradient(const Tape& tape, const LoraDelta& delta, const KeptDelta& kept, Rows dy) {
  float* gradient = tape.gradient(delta.magnitude);
  if (gradient == nullptr) return;
  const int64_t n = delta.b.n;
  team_.parallel_for((n + kPieceRows - 1) / kPieceRows, [&](int64_t piece, int) {
    for (int64_t j = piece * kPieceRows; j < std::min(n, (piece + 1) * kPieceRows); ++j) {
      float sum = 0;
      for (int64_t t = 0; t < dy.rows; ++t) {
        sum += dy.row(t)[j] * (kept.base[t * n + j] + kept.high[t * n + j]);
      }
      if (delta.magnitude[j] != 0) gradient[j] += delta.strength * sum * delta.gain[j] / delta.magnitude[j];
    }
  });
}

// dB += dhigh^T low, with the scale in low. As (low^T dhigh)^T, whose lanes are columns of dhigh.
void Ops::delta_b_gradient(Rows dhigh, const float* low, int64_t rank, float* db) {
  const int64_t n = dhigh.cols;
  delta_piece_.make_room(team_.size() * rank * kPieceColumns);
  team_.parallel_for((n + kPieceColumns - 1) / kPieceColumns, [&](int64_t piece, int worker) {
    const int64_t begin = piece * kPieceColumns, count = std::min(kPieceColumns, n - begin);
    float* turned = delta_piece_.data() + worker * rank * kPieceColumns;
    for (int64_t i = 0; i < rank; ++i) {
      for (int64_t j = 0; j < count; ++j) turned[i * kPieceColumns + j] = db[(begin + j) * rank + i];
    }
    gemm(
        {rank, count, dhigh.rows, low, 1, rank, dhigh.data + begin, dhigh.stride, turned, kPieceColumns, true, nullptr},
        worker);
    for (int64_t j = 0; j < count; ++j) {
      for (int64_t i = 0; i < rank; ++i) db[(begin + j) * rank + i] = turned[i * kPieceColumns + j];
    }
  });
}

// dlow = scale dhigh B; dB += dhigh^T low; dA += dlow^T x; dx += dlow A.
void Ops::delta_backward(const Tape& tape, const LoraDelta& delta, const KeptDelta& kept, Rows dhigh, Rows dx) {
  const int64_t rows = dhigh.rows, rank = delta.a.n, padded = padded_columns(rank), n = delta.b.n, k = delta.a.k;
  const float* a = delta.a.master;
  const float* b = delta.b.master;
  ANDIRON_CHECK(a != nullptr && b != nullptr);
  // With dropout the gradient of what A saw, then, through the mask, that of x.
  const bool drops = kept.stream != 0;
  if (drops) delta_input_.make_room(rows_max_ * k);
  const Rows dinput = drops ? Rows{delta_input_.data(), rows, k, k} : dx;
  delta_b_.make_room(n * padded);
  const Rows wide_b = {delta_b_.data(), n, padded, padded};
  each_row(team_, n, padded,
           [&](int64_t i) { std::fill_n(std::copy_n(b + i * rank, rank, wide_b.row(i)), padded - rank, 0.0f); });
  const Rows dlow = {delta_low_.data(), rows, rank, padded};
  team_.parallel_for((rows + kPieceRows - 1) / kPieceRows, [&](int64_t piece, int worker) {
    const int64_t begin = piece * kPieceRows, count = std::min(kPieceRows, rows - begin);
    gemm({count, padded, n, dhigh.row(begin), dhigh.stride, 1, wide_b.data, padded, dlow.row(begin), padded, false,
          nullptr},
         worker);
    kernels_.scale(dlow.row(begin), delta.scale, count * padded, dlow.row(begin));
  });
  if (float* db = tape.gradient(b); db != nullptr) delta_b_gradient(dhigh, kept.low, rank, db);
  float* da = tape.gradient(a);
  team_.parallel_for((k + kPieceColumns - 1) / kPieceColumns, [&](int64_t piece, int worker) {
    const int64_t begin = piece * kPieceColumns, count = std::min(kPieceColumns, k - begin);
    if (da != nullptr) {
      gemm({rank, count, rows, dlow.data, 1, padded, kept.x + begin, k, da + begin, k, true, nullptr}, worker);
    }
    if (dx.data == nullptr) return;
    gemm({rows, count, rank, dlow.data, padded, 1, a + begin, k, dinput.data + begin, dinput.stride, !drops, nullptr},
         worker);
  });
  if (!drops || dx.data == nullptr) return;
  each_row(team_, rows, k, [&](int64_t t) {
    for (int64_t i = 0; i < k; i += kMaskColumns) {
      std::array<float, kMaskColumns> mask;
      const int64_t count = std::min(kMaskColumns, k - i);
      dropout_mask(dropout_seed_, kept.stream, t, i, delta.dropout, count, mask.data());
      for (int64_t j = 0; j < count; ++j) dx.row(t)[i + j] += mask[static_cast<size_t>(j)] * dinput.row(t)[i + j];
    }
  });
}

}  // namespace andiron
