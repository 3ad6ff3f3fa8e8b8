#include "ops/ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "ops/kv_cache.h"

namespace andiron {

namespace {

bool is_float(PackedFormat format) { return format <= kPackedBF16; }

// What a thread does in a nanosecond, roughly: for telling how much work a call is (ThreadTeam::parallel_for).
constexpr int64_t kElementsPerNs = 4;   // of element-wise work
constexpr int64_t kProductsPerNs = 32;  // multiply-adds with weights, which come from memory
constexpr int64_t kAttendedPerNs = 16;  // multiply-adds with keys and values

// Calls f(row) for every row, on the whole team when there is enough to share.
template <typename F>
void each_row(ThreadTeam& team, int64_t rows, int64_t cols, F f) {
  const int64_t step = std::max<int64_t>(1, rows / (4 * team.size()));
  team.parallel_for((rows + step - 1) / step, rows * cols / kElementsPerNs, [&](int64_t block, int) {
    for (int64_t i = block * step; i < std::min(rows, (block + 1) * step); ++i) f(i);
  });
}

}  // namespace

Ops::Ops(const KernelTable& kernels, ThreadTeam& team, int64_t rows_max, int64_t k_max)
    : kernels_(kernels), team_(team), rows_max_(rows_max), k_max_((k_max + 31) / 32 * 32) {
  const auto numbers = static_cast<size_t>(rows_max_ * k_max_);
  contiguous_ = Buffer<float>(numbers);
  q8_ = Buffer<int8_t>(numbers);
  u8_ = Buffer<uint8_t>(numbers);
  scale_ = Buffer<float>(numbers / 32);
  dsum32_ = Buffer<float>(numbers / 32);
  dsum16_ = Buffer<float>(numbers / 16);
  sum16_ = Buffer<int32_t>(numbers / 16);
  const auto workers = static_cast<size_t>(team_.size());
  matmul_scratch_ = Buffer<uint8_t>(workers * kMatmulScratchBytes);
  attention_scratch_ = Buffer<float>(workers * kAttentionScratchFloats);
}

void Ops::quantize(Rows x) {
  const int64_t k = x.cols;
  each_row(team_, x.rows, k, [&](int64_t i) {
    const QuantizedRow out = {q8_.data() + i * k,         u8_.data() + i * k,          scale_.data() + i * k / 32,
                              sum16_.data() + i * k / 16, dsum32_.data() + i * k / 32, dsum16_.data() + i * k / 16};
    kernels_.quantize_row(x.row(i), k, &out);
  });
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
                           matmul_scratch_.data() + static_cast<size_t>(worker) * kMatmulScratchBytes};
  kernels_.matmul[layer.format](&args);
  if (layer.bias == nullptr) return;
  const int64_t first = begin * kGroupRows;
  const int64_t count = std::min(layer.n, end * kGroupRows) - first;
  for (int64_t t = 0; t < x.tokens; ++t) {
    float* y = job.y.row(t) + first;
    kernels_.add(y, layer.bias + first, count, y);
  }
}

void Ops::linear(Rows x, const Linear& layer, Rows y) {
  const LinearJob job = {&layer, y};
  linear(x, std::span(&job, 1));
}

namespace {

int64_t products(Rows x, std::span<const LinearJob> jobs) {
  int64_t sum = 0;
  for (const LinearJob& job : jobs) sum += x.rows * padded_columns(job.layer->n) * x.cols;
  return sum;
}

}  // namespace

void Ops::linear(Rows x, std::span<const LinearJob> jobs) {
  ANDIRON_CHECK(x.rows <= rows_max_ && x.cols <= k_max_);
  bool any_quantized = false, any_float = false;
  for (const LinearJob& job : jobs) {
    ANDIRON_CHECK(job.layer->k == x.cols && job.y.rows == x.rows && job.y.stride >= padded_columns(job.layer->n));
    (is_float(job.layer->format) ? any_float : any_quantized) = true;
    if (observer_.on_linear != nullptr) observer_.on_linear(observer_.context, *job.layer, x);
  }
  if (any_float && x.stride != x.cols && x.rows > 1) {
    each_row(team_, x.rows, x.cols, [&](int64_t i) {
      std::memcpy(contiguous_.data() + i * x.cols, x.row(i), static_cast<size_t>(x.cols) * 4);
    });
    x.data = contiguous_.data();
    x.stride = x.cols;
  }
  if (any_quantized) quantize(x);
  const Activations input = activations(x);

  if (x.rows <= kStreamTokensMax) {  // bound by memory: each worker streams its own stretch of every weight
    const int64_t pieces = team_.size();
    team_.parallel_for(pieces, products(x, jobs) / kProductsPerNs, [&](int64_t i, int worker) {
      for (const LinearJob& job : jobs) {
        const int64_t groups = padded_columns(job.layer->n) / kGroupRows;
        multiply(input, job, groups * i / pieces, groups * (i + 1) / pieces, worker);
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
      multiply(input, job, i * step, std::min(groups, (i + 1) * step), worker);
    });
  }
}

void Ops::rms_norm(Rows x, const float* w, float eps, Rows y) {
  each_row(team_, x.rows, x.cols, [&](int64_t i) { kernels_.rms_norm(x.row(i), w, eps, x.cols, y.row(i)); });
}

void Ops::head_norm(Rows x, int64_t head_dim, const float* w, float eps) {
  each_row(team_, x.rows, x.cols, [&](int64_t i) {
    for (float* head = x.row(i); head < x.row(i) + x.cols; head += head_dim) {
      kernels_.rms_norm(head, w, eps, head_dim, head);
    }
  });
}

void Ops::add(Rows x, Rows into) {
  each_row(team_, x.rows, x.cols, [&](int64_t i) { kernels_.add(into.row(i), x.row(i), x.cols, into.row(i)); });
}

void Ops::scale(Rows x, float s) {
  each_row(team_, x.rows, x.cols, [&](int64_t i) { kernels_.scale(x.row(i), s, x.cols, x.row(i)); });
}

void Ops::scale_add(Rows x, float s, Rows into) {
  each_row(team_, x.rows, x.cols, [&](int64_t i) { kernels_.scale_add(x.row(i), s, x.cols, into.row(i)); });
}

void Ops::silu_mul(Rows gate, Rows up, Rows y) {
  each_row(team_, y.rows, y.cols, [&](int64_t i) { kernels_.silu_mul(gate.row(i), up.row(i), y.cols, y.row(i)); });
}

void Ops::gelu_mul(Rows gate, Rows up, Rows y) {
  each_row(team_, y.rows, y.cols, [&](int64_t i) { kernels_.gelu_mul(gate.row(i), up.row(i), y.cols, y.row(i)); });
}

void Ops::softcap(Rows x, float cap) {
  each_row(team_, x.rows, x.cols, [&](int64_t i) { kernels_.softcap(x.row(i), cap, x.cols, x.row(i)); });
}

void Ops::softmax(Rows x) {
  each_row(team_, x.rows, x.cols, [&](int64_t i) { kernels_.softmax(x.row(i), x.cols); });
}

void Ops::rope(Rows x, int64_t head_dim, const float* cos_sin, int64_t half, bool pairs) {
  each_row(team_, x.rows, x.cols, [&](int64_t i) {
    for (float* head = x.row(i); head < x.row(i) + x.cols; head += head_dim) {
      kernels_.rope(head, cos_sin + 2 * half * i, half, pairs ? 1 : 0);
    }
  });
}

void rope_table(std::span<const double> inv_freq, int64_t position, int64_t rows, double magnitude, float* out) {
  for (int64_t i = 0; i < rows; ++i) {
    for (const double frequency : inv_freq) {
      const double angle = static_cast<double>(position + i) * frequency;
      *out++ = static_cast<float>(std::cos(angle) * magnitude);
      *out++ = static_cast<float>(std::sin(angle) * magnitude);
    }
  }
}

namespace {

// One kernel call: up to kAttentionRowsMax (token, head) rows of one sequence that read the same kv head.
struct AttentionTask {
  const BatchSegment* segment;
  int64_t kv_head;
  int64_t first, count;  // rows of the kv head, numbered token by token, head by head
};

void run_attention(const KernelTable& kernels, const AttentionShape& shape, Rows q, Rows out, const AttentionTask& task,
                   float* scratch) {
  const int64_t d = shape.head_dim;
  const int64_t per_token = shape.heads / shape.kv_heads;
  AttentionArgs args{};
  args.keys = task.segment->cache->keys(task.kv_head);
  args.values = task.segment->cache->values(task.kv_head);
  args.format = task.segment->cache->format();
  args.head_dim = static_cast<int32_t>(d);
  args.rows = static_cast<int32_t>(task.count);
  args.scale = shape.scale;
  args.softcap = shape.softcap;
  args.scratch = scratch;
  for (int64_t r = 0; r < task.count; ++r) {
    const int64_t token = (task.first + r) / per_token;
    const int64_t head = task.kv_head * per_token + (task.first + r) % per_token;
    args.q[r] = q.row(task.segment->first_row + token) + head * d;
    args.out[r] = out.row(task.segment->first_row + token) + head * d;
    args.end[r] = task.segment->position + token + 1;
    args.begin[r] = shape.window > 0 ? std::max<int64_t>(0, args.end[r] - shape.window) : 0;
  }
  kernels.attention(&args);
}

}  // namespace

void Ops::attention(const AttentionShape& shape, Rows q, Rows k, Rows v, std::span<const BatchSegment> segments,
                    Rows out) {
  const int64_t d = shape.head_dim;
  const int64_t per_token = shape.heads / shape.kv_heads;
  for (const BatchSegment& segment : segments) {
    ANDIRON_CHECK(segment.position + segment.rows <= segment.cache->capacity());
    // By head, so that no two workers write the same cache line of a key block.
    const auto store_head = [&](int64_t head, int) {
      for (int64_t i = 0; i < segment.rows; ++i) {
        segment.cache->store(kernels_, head, segment.position + i, k.row(segment.first_row + i) + head * d,
                             v.row(segment.first_row + i) + head * d);
      }
    };
    team_.parallel_for(shape.kv_heads, segment.rows * shape.kv_heads * d / kElementsPerNs, store_head);
  }
  // Few rows: a task per kv head reads its cache once for all its heads. Later rows see more positions, so the last
  // come first.
  for (const BatchSegment& segment : segments) {
    const int64_t rows = segment.rows * per_token;
    const int64_t blocks = (rows + kAttentionRowsMax - 1) / kAttentionRowsMax;
    const int64_t positions = segment.position + (segment.rows + 1) / 2;  // of a row, on average
    const int64_t seen = shape.window > 0 ? std::min(positions, shape.window) : positions;
    const int64_t work = segment.rows * shape.heads * seen * 2 * d / kAttendedPerNs;
    team_.parallel_for(shape.kv_heads * blocks, work, [&](int64_t i, int worker) {
      const int64_t block = blocks - 1 - i / shape.kv_heads;
      const int64_t first = block * kAttentionRowsMax;
      const AttentionTask task = {&segment, i % shape.kv_heads, first,
                                  std::min<int64_t>(kAttentionRowsMax, rows - first)};
      run_attention(kernels_, shape, q, out, task,
                    attention_scratch_.data() + static_cast<size_t>(worker) * kAttentionScratchFloats);
    });
  }
}

}  // namespace andiron
