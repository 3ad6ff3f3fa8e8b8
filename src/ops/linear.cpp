// Products of rows with packed weights, and their backward: dx += dy W, dW += dy^T x, db += the sum of dy.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "ops/each_row.h"
#include "ops/ops.h"

namespace andiron {

namespace {
bool is_float(PackedFormat format) { return format <= kPackedBF16; }

int64_t products(const Activations& x, std::span<const LinearJob> jobs) {
  int64_t sum = 0;
  for (const LinearJob& job : jobs) sum += x.tokens * padded_columns(job.layer->n) * x.k;
  return sum;
}

// Asks for the groups [begin, end) of a weight, into L2; of large ones for the beginning, from which the processor
// goes on by itself.
void fetch_groups(const Linear& layer, int64_t begin, int64_t end) {
  constexpr uint64_t kBytesMax = 16 << 10, kLine = 64;
  const uint64_t group_bytes = packed_group_bytes(layer.format, layer.k);
  const uint8_t* groups = layer.weight + static_cast<uint64_t>(begin) * group_bytes;
  const uint64_t bytes = std::min(kBytesMax, static_cast<uint64_t>(end - begin) * group_bytes);
  for (uint64_t at = 0; at < bytes; at += kLine) __builtin_prefetch(groups + at, 0, 2);
}
}  // namespace

void Ops::quantize(Rows x) {
  const int64_t k = x.cols;
  each_row(team_, x.rows, k, [&](int64_t i) {
    const QuantizedRow out = {q8_.data() + i * k,         u8_.data() + i * k,          scale_.data() + i * k / 32,
                              sum16_.data() + i * k / 16, dsum32_.data() + i * k / 32, dsum16_.data() + i * k / 16};
    kernels_.quantize_row(x.row(i), k, &out);
  });
}

Rows Ops::contiguous(Rows x) {
  if (x.stride == x.cols || x.rows == 1) return x;
  each_row(team_, x.rows, x.cols, [&](int64_t i) {
    std::memcpy(contiguous_.data() + i * x.cols, x.row(i), static_cast<size_t>(x.cols) * sizeof(float));
  });
  return {contiguous_.data(), x.rows, x.cols, x.cols};
}

Activations Ops::activations(Rows x) const {
  return {x.data, q8_.data(), u8_.data(), scale_.data(), sum16_.data(), dsum32_.data(), dsum16_.data(), x.rows, x.cols};
}

void Ops::multiply(const Activations& x, const LinearJob& job, int64_t begin, int64_t end, int worker) {
  if (begin >= end) return;
  const Linear& layer = *job.layer;
  const MatmulArgs args = {layer.weight,
                           begin,
                           end,
                           x,
                           job.y.data,
                           job.y.stride,
                           matmul_scratch_.data() + static_cast<size_t>(worker) * kMatmulScratchBytes,
                           job.accumulate};
  kernels_.matmul[layer.format](&args);
  if (layer.bias == nullptr) return;
  const int64_t first = begin * kGroupRows;
  const int64_t count = std::min(layer.n, end * kGroupRows) - first;
  for (int64_t t = 0; t < x.tokens; ++t) {
    float* y = job.y.row(t) + first;
    kernels_.add(y, layer.bias + first, count, y);
  }
}

// With what deltas add, while these columns of y are in the cache. Where the product with W is bound by arithmetic, the
// pieces of every B, each in a place of its own and used for a moment, are fetched meanwhile.
void Ops::multiply_worn(const Activations& x, std::span<const LinearJob> jobs, size_t job,
                        std::span<const WornDelta> worn, int64_t begin, int64_t end, int worker) {
  if (begin >= end) return;
  const auto is_added = [&](const WornDelta& one) { return one.job == static_cast<int64_t>(job) && !one.gained; };
  for (const WornDelta& one : worn) {
    if (is_added(one) && x.tokens > kStreamTokensMax) fetch_groups(one.delta->b, begin, end);
  }
  multiply(x, jobs[job], begin, end, worker);
  for (const WornDelta& one : worn) {
    if (is_added(one)) add_low(jobs[job], one, begin, end, worker);
  }
}

void Ops::product(const Activations& x, std::span<const LinearJob> jobs, std::span<const WornDelta> worn) {
  if (x.tokens <= kStreamTokensMax) {  // bound by memory: each worker streams its own stretch of every weight
    const int64_t pieces = team_.size();
    team_.parallel_for(pieces, products(x, jobs) / kProductsPerNs, [&](int64_t i, int worker) {
      for (size_t job = 0; job < jobs.size(); ++job) {
        const int64_t groups = packed_groups(jobs[job].layer->n);
        multiply_worn(x, jobs, job, worn, groups * i / pieces, groups * (i + 1) / pieces, worker);
      }
    });
    return;
  }
  // Bound by arithmetic: small pieces, taken as workers come free, of all weights in one region. An even number of
  // groups, as kernels work on pairs.
  const auto step_of = [&](const LinearJob& job) {
    return std::clamp<int64_t>(packed_groups(job.layer->n) / (8 * team_.size()) / 2 * 2, 2, 16);
  };
  const auto pieces_of = [&](const LinearJob& job) {
    return (packed_groups(job.layer->n) + step_of(job) - 1) / step_of(job);
  };
  int64_t pieces = 0;
  for (const LinearJob& job : jobs) pieces += pieces_of(job);
  team_.parallel_for(pieces, products(x, jobs) / kProductsPerNs, [&](int64_t i, int worker) {
    size_t job = 0;
    int64_t piece = i;  // of that job
    while (piece >= pieces_of(jobs[job])) piece -= pieces_of(jobs[job++]);
    const int64_t step = step_of(jobs[job]), groups = packed_groups(jobs[job].layer->n);
    multiply_worn(x, jobs, job, worn, piece * step, std::min(groups, (piece + 1) * step), worker);
  });
}

void Ops::linear(Rows x, const Linear& layer, Rows y) {
  const LinearJob job = {&layer, y};
  linear(x, std::span(&job, 1));
}

void Ops::linear(Rows x, std::span<const LinearJob> jobs) {
  const OpScope scope(clock_, OpKind::kProducts);
  ANDIRON_CHECK(x.rows <= rows_max_ && x.cols <= k_max_);
  bool any_quantized = false, any_float = false, learns = false;
  for (const LinearJob& job : jobs) {
    ANDIRON_CHECK(job.layer->k == x.cols && job.y.rows == x.rows && job.y.stride >= padded_columns(job.layer->n));
    const bool adds = adapted(*job.layer);
    (is_float(job.layer->format) ? any_float : any_quantized) = true;
    any_float |= adds;
    learns |= adds || job.layer->master != nullptr;
    if (observer_.on_linear != nullptr) observer_.on_linear(observer_.context, *job.layer, x);
  }
  const Rows place = x;
  if (any_float) x = contiguous(x);
  if (any_quantized) quantize(x);
  const float* kept_x = tape_ != nullptr && learns ? keep(x).data : nullptr;
  begin_deltas(x, jobs, kept_x);
  product(activations(x), jobs, worn_);
  for (size_t job = 0, end = 0; job < jobs.size(); ++job) {
    const size_t first = end;
    while (end < worn_.size() && worn_[end].job == static_cast<int64_t>(job)) ++end;
    const std::span<WornDelta> worn(worn_.data() + first, end - first);
    if (!worn.empty() && worn.front().gained) add_gained(jobs[job], worn);
    if (tape_ != nullptr) record_linear(place, jobs[job], worn, kept_x);
  }
}

// --- backward ---

void Ops::gemm(GemmArgs args, int worker) {
  args.scratch = matmul_scratch_.data() + static_cast<size_t>(worker) * kMatmulScratchBytes;
  kernels_.gemm(&args);
}

namespace {
int64_t gradient_blocks(int64_t n) { return (n + kGradientBlock - 1) / kGradientBlock; }
// Numbers between rounded rows: a line more, for the sets of the cache.
int64_t gradient_stride(int64_t n) { return gradient_blocks(n) * kGradientBlock + 64; }
}  // namespace

// Into gradient_, as the kernels want it.
void Ops::round_gradient(const Linear& layer, Rows dy) {
  const int64_t blocks = gradient_blocks(dy.cols), stride = gradient_stride(dy.cols) * kernels_.gradient_bytes;
  gradient_.make_room(dy.rows * stride);
  gradient_scale_.make_room(dy.rows * blocks);
  each_row(team_, dy.rows, dy.cols, [&](int64_t t) {
    kernels_.quantize_gradient(dy.row(t), dy.cols, gradient_.data() + t * stride, gradient_scale_.data() + t * blocks,
                               layer.peaked);
  });
}

void Ops::linear_backward(const Linear& layer, Rows dy, Rows dx) { product_backward(layer, dy, dx, {}); }

// dx += dy W, and what deltas add to the same columns. Pieces of two of a kernel's panels or more, some for each
// worker, as they come free.
void Ops::product_backward(const Linear& layer, Rows dy, Rows dx, std::span<const LowBackward> parts) {
  ANDIRON_CHECK(dy.rows == dx.rows && dy.cols == layer.n && dx.cols == layer.k);
  if (kernels_.rounds_gradients && !is_float(layer.format)) round_gradient(layer, dy);
  constexpr int64_t kColumns = 96, kTokens = 512;
  const int64_t blocks = gradient_blocks(layer.n), stride = gradient_stride(layer.n);
  const int64_t wide = layer.k >= 4 * kColumns * team_.size() ? 2 * kColumns : kColumns;
  const int64_t pieces = (layer.k + wide - 1) / wide, stretches = (dy.rows + kTokens - 1) / kTokens;
  const int64_t work = dy.rows * layer.n * layer.k / kProductsPerNs;
  team_.parallel_for(pieces * stretches, work, [&](int64_t i, int worker) {
    const int64_t begin = i % pieces * wide, first = i / pieces * kTokens;
    const MatmulTransposedArgs args = {layer.weight,
                                       layer.n,
                                       layer.k,
                                       begin,
                                       std::min(layer.k, begin + wide),
                                       dy.row(first),
                                       dy.stride,
                                       gradient_.data() + first * stride * kernels_.gradient_bytes,
                                       stride,
                                       gradient_scale_.data() + first * blocks,
                                       std::min(kTokens, dy.rows - first),
                                       dx.row(first),
                                       dx.stride,
                                       matmul_scratch_.data() + static_cast<size_t>(worker) * kMatmulScratchBytes};
    kernels_.matmul_transposed[layer.format](&args);
    for (const LowBackward& part : parts) {
      add_low_backward(part, first, args.tokens, begin, args.k_end, dx, worker);
    }
  });
}

// dy^T into gradient_, in blocks of 128 tokens, dithered: few tokens may have most of a column.
void Ops::round_gradient_columns(Rows dy) {
  constexpr int64_t kColumns = 64;
  const int64_t pieces = (dy.cols + kColumns - 1) / kColumns, blocks = gradient_blocks(dy.rows);
  const int64_t bytes = kGradientBlock * kernels_.gradient_bytes;
  gradient_.make_room(blocks * dy.cols * bytes);
  gradient_scale_.make_room(blocks * dy.cols);
  team_.parallel_for(blocks * pieces, dy.rows * dy.cols / kElementsPerNs, [&](int64_t i, int worker) {
    const int64_t first = i / pieces * kGradientBlock, tokens = std::min<int64_t>(kGradientBlock, dy.rows - first);
    const int64_t column = i % pieces * kColumns, columns = std::min(kColumns, dy.cols - column);
    auto* turned = reinterpret_cast<float*>(matmul_scratch_.data() + static_cast<size_t>(worker) * kMatmulScratchBytes);
    kernels_.transpose(dy.row(first) + column, dy.stride, tokens, columns, turned, kGradientBlock);
    for (int64_t j = 0; j < columns; ++j) {
      const int64_t row = i / pieces * dy.cols + column + j;
      kernels_.quantize_gradient(turned + j * kGradientBlock, tokens, gradient_.data() + row * bytes,
                                 gradient_scale_.data() + row, true);
    }
  });
}

// In whole numbers, some thousand tokens at a time, which bounds gradient_.
void Ops::rounded_weight_gradient(const Linear& layer, Rows dy, const float* x, float* gradient) {
  constexpr int64_t kTokens = 16 * kGradientBlock, kColumns = 96, kRowsMin = 128, kRowsMax = 512;
  const int64_t pieces = (layer.k + kColumns - 1) / kColumns;
  const int64_t stretches = std::max((layer.n + kRowsMax - 1) / kRowsMax,
                                     std::min(layer.n / kRowsMin, (2 * team_.size() + pieces - 1) / pieces));
  for (int64_t first = 0; first < dy.rows; first += kTokens) {
    const Rows some = dy.slice(first, std::min(kTokens, dy.rows - first));
    round_gradient_columns(some);
    team_.parallel_for(pieces * stretches, some.rows * layer.n * layer.k / kProductsPerNs, [&](int64_t i, int worker) {
      const int64_t stretch = i / pieces, column = i % pieces * kColumns;
      const WeightGradientArgs args = {layer.n * stretch / stretches,
                                       layer.n * (stretch + 1) / stretches,
                                       column,
                                       std::min(layer.k, column + kColumns),
                                       gradient_.data(),
                                       gradient_scale_.data(),
                                       layer.n,
                                       some.rows,
                                       x + first * layer.k,
                                       layer.k,
                                       gradient,
                                       layer.k,
                                       matmul_scratch_.data() + static_cast<size_t>(worker) * kMatmulScratchBytes};
      kernels_.weight_gradient(&args);
    });
  }
}

// dW += dy^T x, x [T, k]. In the format of the products: quantised ones are rounded here too.
void Ops::weight_gradient(const Tape& tape, const Linear& layer, Rows dy, const float* x) {
  float* gradient = tape.gradient(layer.master);
  if (gradient == nullptr) return;
  if (!is_float(layer.format)) return rounded_weight_gradient(layer, dy, x, gradient);
  constexpr int64_t kRows = 32;
  team_.parallel_for((layer.n + kRows - 1) / kRows, [&](int64_t piece, int worker) {
    const int64_t begin = piece * kRows, end = std::min(layer.n, begin + kRows);
    gemm({end - begin, layer.k, dy.rows, dy.data + begin, 1, dy.stride, x, layer.k, gradient + begin * layer.k, layer.k,
          true, nullptr},
         worker);
  });
}

void Ops::record_linear(Rows x, const LinearJob& job, std::span<const WornDelta> worn, const float* kept_x) {
  const Tape* tape = tape_;
  const Rows y = job.y;
  // By value: a job's layer outlives the tape, the job does not.
  const Linear* layer = job.layer;
  const std::span<const WornDelta> kept(tape_->keep(worn.data(), static_cast<int64_t>(worn.size())), worn.size());
  tape_->record([=](Ops& ops) {
    const OpScope scope(ops.clock_, OpKind::kProductsBackward);
    const Rows dy = tape->gradient(y), dx = tape->gradient(x);
    if (dy.data == nullptr) return;
    ops.deltas_backward(*tape, kept, dy, dx);
    if (layer->master != nullptr) ops.weight_gradient(*tape, *layer, dy, kept_x);
    if (float* db = layer->bias != nullptr ? tape->gradient(layer->bias) : nullptr; db != nullptr) {
      for (int64_t t = 0; t < dy.rows; ++t) ops.kernels_.add(db, dy.row(t), layer->n, db);
    }
    if (dx.data != nullptr) ops.product_backward(*layer, dy, dx, ops.low_backward_);
    if (dy.data == y.data) return;  // gradients in the place of values: the next forward overwrites them
    each_row(ops.team_, dy.rows, dy.cols, [&](int64_t t) { std::fill_n(dy.row(t), layer->n, 0.0f); });
  });
}

}  // namespace andiron
