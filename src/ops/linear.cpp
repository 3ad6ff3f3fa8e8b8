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

void Ops::product(const Activations& x, std::span<const LinearJob> jobs) {
  if (x.tokens <= kStreamTokensMax) {  // bound by memory: each worker streams its own stretch of every weight
    const int64_t pieces = team_.size();
    team_.parallel_for(pieces, products(x, jobs) / kProductsPerNs, [&](int64_t i, int worker) {
      for (const LinearJob& job : jobs) {
        const int64_t groups = padded_columns(job.layer->n) / kGroupRows;
        multiply(x, job, groups * i / pieces, groups * (i + 1) / pieces, worker);
      }
    });
    return;
  }
  // Bound by arithmetic: small pieces, taken as workers come free. An even number of groups, as kernels work on pairs.
  for (const LinearJob& job : jobs) {
    const int64_t groups = padded_columns(job.layer->n) / kGroupRows;
    const int64_t step = std::clamp<int64_t>(groups / (8 * team_.size()) / 2 * 2, 2, 16);
    const int64_t work = products(x, std::span(&job, 1)) / kProductsPerNs;
    team_.parallel_for((groups + step - 1) / step, work, [&](int64_t i, int worker) {
      multiply(x, job, i * step, std::min(groups, (i + 1) * step), worker);
    });
  }
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
  product(activations(x), jobs);
  const float* kept_x = tape_ != nullptr && learns ? keep(x).data : nullptr;
  for (const LinearJob& job : jobs) {
    if (tape_ != nullptr) record_linear(place, job, kept_x);
    add_deltas({x.data, x.rows, x.cols, x.cols}, job, place, kept_x);
  }
}

// --- backward ---

void Ops::gemm(GemmArgs args, int worker) {
  args.scratch = matmul_scratch_.data() + static_cast<size_t>(worker) * kMatmulScratchBytes;
  kernels_.gemm(&args);
}

// dx += dy W. Pieces of two of a kernel's panels or more, some for each worker, as they come free.
void Ops::linear_backward(const Linear& layer, Rows dy, Rows dx) {
  ANDIRON_CHECK(dy.rows == dx.rows && dy.cols == layer.n && dx.cols == layer.k);
  constexpr int64_t kColumns = 96, kTokens = 512;
  const bool integers = kernels_.integer_gradients && !is_float(layer.format);
  const int64_t blocks_n = (layer.n + kGradientBlock - 1) / kGradientBlock;
  const int64_t ld_q16 = blocks_n * kGradientBlock + 32;  // a line more, for the sets of the cache
  if (integers) {
    gradient16_.make_room(dy.rows * ld_q16);
    gradient_scale_.make_room(dy.rows * blocks_n);
    each_row(team_, dy.rows, dy.cols, [&](int64_t t) {
      kernels_.quantize_gradient(dy.row(t), dy.cols, gradient16_.data() + t * ld_q16,
                                 gradient_scale_.data() + t * blocks_n);
    });
  }
  const int64_t wide = layer.k >= 4 * kColumns * team_.size() ? 2 * kColumns : kColumns;
  const int64_t pieces = (layer.k + wide - 1) / wide, blocks = (dy.rows + kTokens - 1) / kTokens;
  const int64_t work = dy.rows * layer.n * layer.k / kProductsPerNs;
  team_.parallel_for(pieces * blocks, work, [&](int64_t i, int worker) {
    const int64_t begin = i % pieces * wide, first = i / pieces * kTokens;
    const MatmulTransposedArgs args = {layer.weight,
                                       layer.n,
                                       layer.k,
                                       begin,
                                       std::min(layer.k, begin + wide),
                                       dy.row(first),
                                       dy.stride,
                                       integers ? gradient16_.data() + first * ld_q16 : nullptr,
                                       ld_q16,
                                       integers ? gradient_scale_.data() + first * blocks_n : nullptr,
                                       std::min(kTokens, dy.rows - first),
                                       dx.row(first),
                                       dx.stride,
                                       matmul_scratch_.data() + static_cast<size_t>(worker) * kMatmulScratchBytes};
    kernels_.matmul_transposed[layer.format](&args);
  });
}

// dW += dy^T x, x [T, k].
void Ops::weight_gradient(const Tape& tape, const Linear& layer, Rows dy, const float* x) {
  float* gradient = tape.gradient(layer.master);
  if (gradient == nullptr) return;
  constexpr int64_t kRows = 32;
  team_.parallel_for((layer.n + kRows - 1) / kRows, [&](int64_t piece, int worker) {
    const int64_t begin = piece * kRows, end = std::min(layer.n, begin + kRows);
    gemm({end - begin, layer.k, dy.rows, dy.data + begin, 1, dy.stride, x, layer.k, gradient + begin * layer.k, layer.k,
          true, nullptr},
         worker);
  });
}

void Ops::record_linear(Rows x, const LinearJob& job, const float* kept_x) {
  const Tape* tape = tape_;
  const Rows y = job.y;
  // By value: a job's layer outlives the tape, the job does not.
  const Linear* layer = job.layer;
  tape_->record([=](Ops& ops) {
    const OpScope scope(ops.clock_, OpKind::kProductsBackward);
    const Rows dy = tape->gradient(y), dx = tape->gradient(x);
    if (dy.data == nullptr) return;
    if (layer->master != nullptr) ops.weight_gradient(*tape, *layer, dy, kept_x);
    if (float* db = layer->bias != nullptr ? tape->gradient(layer->bias) : nullptr; db != nullptr) {
      for (int64_t t = 0; t < dy.rows; ++t) ops.kernels_.add(db, dy.row(t), layer->n, db);
    }
    if (dx.data != nullptr) ops.linear_backward(*layer, dy, dx);
    each_row(ops.team_, dy.rows, dy.cols, [&](int64_t t) { std::fill_n(dy.row(t), layer->n, 0.0f); });
  });
}

}  // namespace andiron
