#include "ops/lora.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "base/check.h"
#include "base/random.h"
#include "ops/each_row.h"
#include "ops/ops.h"
#include "tensor/half.h"

namespace andiron {

namespace {

// Pieces of a product that are small enough to share and large enough to be worth a call.
constexpr int64_t kPieceRows = 64, kPieceColumns = 192;

// Multiply-adds that a thread does in a nanosecond where rows and columns are few: each waits for the one before.
constexpr int64_t kLowProductsPerNs = 16;

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

// Rows as a file of this type has them, `stride` bytes apart.
void pack_rows(DType dtype, const uint8_t* rows, uint64_t stride, int64_t n, int64_t k, uint8_t* out) {
  const uint64_t group_bytes = packed_group_bytes(packed_format(dtype), k);
  for (int64_t first = 0; first < n; first += kGroupRows) {
    const int count = static_cast<int>(std::min<int64_t>(kGroupRows, n - first));
    std::array<const uint8_t*, kGroupRows> pointers{};
    for (int i = 0; i < count; ++i) {
      pointers[static_cast<size_t>(i)] = rows + static_cast<uint64_t>(first + i) * stride;
    }
    pack_group(dtype, pointers.data(), count, k, out);
    out += group_bytes;
  }
}

}  // namespace

void pack_matrix(const float* rows, int64_t n, int64_t k, uint8_t* out) {
  pack_rows(DType::kF32, reinterpret_cast<const uint8_t*>(rows), static_cast<uint64_t>(k) * sizeof(float), n, k, out);
}

float pack_matrix_f16(const float* rows, int64_t n, int64_t k, uint8_t* out) {
  constexpr int kShiftMax = 40;  // that of A times that of B, and a scale with them, stays a float
  float largest = 0;
  for (int64_t i = 0; i < n * k; ++i) largest = std::max(largest, std::fabs(rows[i]));
  const int exponent = largest > 0 && std::isfinite(largest) ? std::ilogb(largest) : 0;
  const int shift = std::clamp(14 - exponent, -kShiftMax, kShiftMax);
  const float factor = std::ldexp(1.0f, shift);
  std::vector<uint16_t> halves(static_cast<size_t>(n * k));
  std::transform(rows, rows + n * k, halves.begin(), [&](float x) { return f32_to_f16(x * factor); });
  pack_rows(DType::kF16, reinterpret_cast<const uint8_t*>(halves.data()), static_cast<uint64_t>(k) * sizeof(uint16_t),
            n, k, out);
  return std::ldexp(1.0f, -shift);
}

void Ops::adapt(std::span<const RowDeltas> deltas) {
  deltas_ = deltas;
  int64_t high = 0, base = 0;
  for (const RowDeltas& rows : deltas) {
    for (const auto& list : *rows.deltas) {
      for (const LoraDelta& delta : list) {
        if (delta.gain == nullptr) continue;
        high = std::max(high, padded_columns(delta.b.n));
        base = std::max(base, delta.b.n);
      }
    }
  }
  delta_high_.make_room(rows_max_ * high);
  delta_base_.make_room(rows_max_ * base);
}

std::span<const LoraDelta> Ops::deltas_of(const Linear& layer, const RowDeltas& rows) {
  const auto id = static_cast<size_t>(layer.id);
  if (layer.id < 0 || id >= rows.deltas->size()) return {};
  return (*rows.deltas)[id];
}

bool Ops::adapted(const Linear& layer) const {
  return std::any_of(deltas_.begin(), deltas_.end(),
                     [&](const RowDeltas& rows) { return !deltas_of(layer, rows).empty(); });
}

// Fills worn_ and computes the low rows of every delta. x's rows lie end to end.
void Ops::begin_deltas(Rows x, std::span<const LinearJob> jobs, const float* kept_x) {
  const OpScope scope(clock_, OpKind::kLora);
  worn_.clear();
  int64_t numbers = 0, rank_max = 0;
  for (size_t job = 0; job < jobs.size(); ++job) {
    const Linear& layer = *jobs[job].layer;
    const size_t first = worn_.size();
    for (const RowDeltas& rows : deltas_) {
      const auto list = deltas_of(layer, rows);
      for (size_t i = 0; i < list.size(); ++i) {
        WornDelta worn = {&list[i], static_cast<int64_t>(job), rows.first_row, rows.rows, {}};
        worn.kept.x = (kept_x != nullptr ? kept_x : x.data) + rows.first_row * x.cols;
        // Of dropout: a layer that is run again, to recompute its activations, drops the same numbers.
        const auto place = static_cast<uint64_t>(layer.id + 1) << 40 | static_cast<uint64_t>(rows.first_row);
        if (drops_ && list[i].dropout > 0) worn.kept.stream = place + (static_cast<uint64_t>(i) << 32);
        numbers += rows.rows * list[i].a.n;
        rank_max = std::max(rank_max, padded_columns(list[i].a.n));
        worn_.push_back(worn);
      }
    }
    const auto of_job = std::span(worn_).subspan(first);
    const bool gained =
        std::any_of(of_job.begin(), of_job.end(), [](const WornDelta& one) { return one.delta->gain != nullptr; });
    for (WornDelta& one : of_job) one.gained = gained;
  }
  if (worn_.empty()) return;
  if (tape_ == nullptr) delta_low_.make_room(numbers);
  float* low = tape_ != nullptr ? tape_->room<float>(numbers) : delta_low_.data();
  for (WornDelta& worn : worn_) {
    worn.kept.low = low;
    if (worn.kept.stream != 0) worn.kept.x = dropped(worn, x);
    low += worn.rows * worn.delta->a.n;
  }
  lower(x.cols, rank_max);
}

// x with numbers zeroed and the others scaled up; kept where a tape records.
const float* Ops::dropped(const WornDelta& worn, Rows x) {
  const int64_t numbers = worn.rows * x.cols;
  const auto place = static_cast<size_t>(&worn - worn_.data());
  if (delta_inputs_.size() <= place) delta_inputs_.resize(place + 1);
  if (tape_ == nullptr) delta_inputs_[place].make_room(numbers);
  float* out = tape_ != nullptr ? tape_->room<float>(numbers) : delta_inputs_[place].data();
  each_row(team_, worn.rows, x.cols, [&](int64_t t) {
    float* row = out + t * x.cols;
    dropout_mask(dropout_seed_, worn.kept.stream, t, 0, worn.delta->dropout, x.cols, row);
    for (int64_t i = 0; i < x.cols; ++i) row[i] *= x.row(worn.first_row + t)[i];
  });
  return out;
}

namespace {
Activations floats(const float* data, int64_t rows, int64_t cols) {
  return {data, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, rows, cols};
}
}  // namespace

// low = scale A x of all deltas, k inputs each. In one region: each alone is little, and they wait for nothing.
void Ops::lower(int64_t k, int64_t rank_max) {
  low_tasks_.clear();
  int64_t products = 0;
  for (const WornDelta& one : worn_) {
    const int64_t groups = packed_groups(one.delta->a.n);
    products += one.rows * groups * kGroupRows * k;
    const int64_t each = (one.rows + team_.size() - 1) / team_.size();
    const int64_t step = std::clamp<int64_t>(each, kStreamTokensMax, kPieceRows);
    for (int64_t row = 0; row < one.rows; row += step) {
      const int64_t rows = std::min(step, one.rows - row);
      // Few rows are bound by reading A: a piece of it for everyone. Many read A from the cache.
      const int64_t pieces = rows <= kStreamTokensMax ? std::min<int64_t>(groups, team_.size()) : 1;
      for (int64_t i = 0; i < pieces; ++i) {
        low_tasks_.push_back({&one, row, rows, groups * i / pieces, groups * (i + 1) / pieces});
      }
    }
  }
  // Those of the same rows side by side: they read the same x.
  std::sort(low_tasks_.begin(), low_tasks_.end(),
            [](const LowTask& a, const LowTask& b) { return a.worn->first_row + a.row < b.worn->first_row + b.row; });
  delta_wide_.make_room(team_.size() * kPieceRows * rank_max);
  team_.parallel_for(std::ssize(low_tasks_), products / kLowProductsPerNs, [&](int64_t i, int worker) {
    const LowTask& task = low_tasks_[static_cast<size_t>(i)];
    const LoraDelta& delta = *task.worn->delta;
    const int64_t rank = delta.a.n;
    const Rows wide = {delta_wide_.data() + worker * kPieceRows * rank_max, task.rows, rank, padded_columns(rank)};
    multiply(floats(task.worn->kept.x + task.row * k, task.rows, k), {&delta.a, wide}, task.begin, task.end, worker);
    const int64_t first = task.begin * kGroupRows, count = std::min(rank, task.end * kGroupRows) - first;
    for (int64_t t = 0; t < task.rows; ++t) {
      kernels_.scale(wide.row(t) + first, delta.scale, count, task.worn->kept.low + (task.row + t) * rank + first);
    }
  });
}

// y += low B for the groups [begin, end) of B, of deltas without a magnitude, while y is in the cache.
void Ops::add_low(const LinearJob& job, const WornDelta& worn, int64_t begin, int64_t end, int worker) {
  const LinearJob to_high = {&worn.delta->b, job.y.slice(worn.first_row, worn.rows), true};
  multiply(floats(worn.kept.low, worn.rows, worn.delta->a.n), to_high, begin, end, worker);
}

// What the deltas of a layer add where some of the product have a magnitude: of W x as it was before any.
void Ops::add_gained(const LinearJob& job, std::span<WornDelta> worn) {
  const OpScope scope(clock_, OpKind::kLora);
  const Linear& layer = *job.layer;
  const int64_t n = layer.n;
  const Rows base = {delta_base_.data(), job.y.rows, n, n};
  each_row(team_, base.rows, n, [&](int64_t t) {
    for (int64_t i = 0; i < n; ++i) base.row(t)[i] = job.y.row(t)[i] - (layer.bias != nullptr ? layer.bias[i] : 0.0f);
  });
  const float* kept_base = tape_ != nullptr ? keep(base).data : nullptr;
  for (WornDelta& one : worn) {
    const LoraDelta& delta = *one.delta;
    const Rows y = job.y.slice(one.first_row, one.rows), own = base.slice(one.first_row, one.rows);
    const bool gains = delta.gain != nullptr;
    const Rows high = {delta_high_.data(), one.rows, n, padded_columns(n)};
    const LinearJob to_high = {&delta.b, gains ? high : y, !gains};
    product(floats(one.kept.low, one.rows, delta.a.n), std::span(&to_high, 1), {});
    if (!gains) continue;
    if (tape_ != nullptr) {
      one.kept.base = kept_base + one.first_row * n;
      one.kept.high = keep(high).data;
    }
    each_row(team_, one.rows, n, [&](int64_t t) {
      for (int64_t i = 0; i < n; ++i) {
        const float g = delta.gain[i];
        y.row(t)[i] += delta.strength * ((g - 1) * own.row(t)[i] + g * high.row(t)[i]);
      }
    });
  }
}

// --- backward ---

// The gradients of the deltas that a layer wears. Leaves in dy what belongs to the product with W, and in low_backward_
// what the low rows add to dx.
void Ops::deltas_backward(const Tape& tape, std::span<const WornDelta> worn, Rows dy, Rows dx) {
  const OpScope scope(clock_, OpKind::kLora);
  low_backward_.clear();
  int64_t numbers = 0;
  for (const WornDelta& one : worn) numbers += one.rows * padded_columns(one.delta->a.n);
  delta_low_.make_room(numbers);
  float* low = delta_low_.data();
  bool gains = false;
  for (const WornDelta& one : worn) {
    const LoraDelta& delta = *one.delta;
    const Rows own = dy.slice(one.first_row, one.rows);
    Rows dhigh = own;  // of scale * B A x
    if (delta.gain != nullptr) {
      gains = true;
      dhigh = {delta_high_.data(), own.rows, own.cols, own.cols};
      each_row(team_, own.rows, own.cols, [&](int64_t t) {
        for (int64_t j = 0; j < own.cols; ++j) dhigh.row(t)[j] = own.row(t)[j] * delta.strength * delta.gain[j];
      });
      magnitude_gradient(tape, delta, one.kept, own);
    }
    const int64_t padded = padded_columns(delta.a.n);
    delta_backward(tape, one, dhigh, {low, one.rows, delta.a.n, padded}, dx);
    low += one.rows * padded;
  }
  if (gains) scale_by_gains(worn, dy);
}

void Ops::scale_by_gains(std::span<const WornDelta> worn, Rows dy) {
  each_row(team_, dy.rows, dy.cols, [&](int64_t t) {
    for (int64_t j = 0; j < dy.cols; ++j) {
      float factor = 1;
      for (const WornDelta& one : worn) {
        const bool wears = t >= one.first_row && t < one.first_row + one.rows && one.delta->gain != nullptr;
        if (wears) factor += one.delta->strength * (one.delta->gain[j] - 1);
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

// dlow = scale dhigh B; dB += dhigh^T low; dA += dlow^T x. dx += dlow A is left to the product with W, or done here
// where numbers were dropped.
void Ops::delta_backward(const Tape& tape, const WornDelta& worn, Rows dhigh, Rows dlow, Rows dx) {
  const LoraDelta& delta = *worn.delta;
  const int64_t rows = dhigh.rows, rank = delta.a.n, padded = dlow.stride, n = delta.b.n, k = delta.a.k;
  const float* a = delta.a.master;
  const float* b = delta.b.master;
  ANDIRON_CHECK(a != nullptr && b != nullptr);
  delta_b_.make_room(n * padded);
  const Rows wide_b = {delta_b_.data(), n, padded, padded};
  each_row(team_, n, padded,
           [&](int64_t i) { std::fill_n(std::copy_n(b + i * rank, rank, wide_b.row(i)), padded - rank, 0.0f); });
  team_.parallel_for((rows + kPieceRows - 1) / kPieceRows, [&](int64_t piece, int worker) {
    const int64_t begin = piece * kPieceRows, count = std::min(kPieceRows, rows - begin);
    gemm({count, padded, n, dhigh.row(begin), dhigh.stride, 1, wide_b.data, padded, dlow.row(begin), padded, false,
          nullptr},
         worker);
    kernels_.scale(dlow.row(begin), delta.scale, count * padded, dlow.row(begin));
  });
  if (float* db = tape.gradient(b); db != nullptr) delta_b_gradient(dhigh, worn.kept.low, rank, db);
  if (float* da = tape.gradient(a); da != nullptr) {
    team_.parallel_for((k + kPieceColumns - 1) / kPieceColumns, [&](int64_t piece, int worker) {
      const int64_t begin = piece * kPieceColumns, count = std::min(kPieceColumns, k - begin);
      gemm({rank, count, rows, dlow.data, 1, padded, worn.kept.x + begin, k, da + begin, k, true, nullptr}, worker);
    });
  }
  if (dx.data == nullptr) return;
  const LowBackward part = {worn.first_row, dlow, a, k};
  if (worn.kept.stream == 0) {
    low_backward_.push_back(part);
  } else {
    dropped_backward(worn, part, dx);
  }
}

// dx += dlow A on columns [begin, end) of the rows [first, first + rows) of a batch.
void Ops::add_low_backward(const LowBackward& part, int64_t first, int64_t rows, int64_t begin, int64_t end, Rows dx,
                           int worker) {
  const int64_t from = std::max(first, part.first_row);
  const int64_t count = std::min(first + rows, part.first_row + part.dlow.rows) - from;
  if (count <= 0) return;
  gemm({count, end - begin, part.dlow.cols, part.dlow.row(from - part.first_row), part.dlow.stride, 1, part.a + begin,
        part.k, dx.row(from) + begin, dx.stride, true, nullptr},
       worker);
}

// The gradient of what A saw, then, through the mask, that of x.
void Ops::dropped_backward(const WornDelta& worn, const LowBackward& part, Rows dx) {
  const int64_t rows = worn.rows, k = part.k;
  if (delta_inputs_.empty()) delta_inputs_.resize(1);
  delta_inputs_[0].make_room(rows * k);
  const Rows dinput = {delta_inputs_[0].data(), rows, k, k};
  team_.parallel_for((k + kPieceColumns - 1) / kPieceColumns, [&](int64_t piece, int worker) {
    const int64_t begin = piece * kPieceColumns, count = std::min(kPieceColumns, k - begin);
    gemm({rows, count, part.dlow.cols, part.dlow.data, part.dlow.stride, 1, part.a + begin, k, dinput.data + begin,
          dinput.stride, false, nullptr},
         worker);
  });
  each_row(team_, rows, k, [&](int64_t t) {
    float* to = dx.row(worn.first_row + t);
    for (int64_t i = 0; i < k; i += kMaskColumns) {
      std::array<float, kMaskColumns> mask;
      const int64_t count = std::min(kMaskColumns, k - i);
      dropout_mask(dropout_seed_, worn.kept.stream, t, i, worn.delta->dropout, count, mask.data());
      for (int64_t j = 0; j < count; ++j) to[i + j] += mask[static_cast<size_t>(j)] * dinput.row(t)[i + j];
    }
  });
}

}  // namespace andiron
