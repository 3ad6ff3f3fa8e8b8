// Attention over cached keys and values, and its backward (Dao et al. 2022, arXiv 2205.14135, appendix B.4).
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "ops/each_row.h"
#include "ops/kv_cache.h"
#include "ops/ops.h"

namespace andiron {

namespace {

// One kernel call: up to kAttentionRowsMax (token, head) rows of one sequence that read the same kv head.
struct AttentionTask {
  const BatchSegment* segment;
  int64_t kv_head;
  int64_t first, count;  // rows of the kv head, numbered token by token, head by head
};

// `lse`: null, or [heads, T of the batch].
void run_attention(const KernelTable& kernels, const AttentionShape& shape, Rows q, Rows out, const AttentionTask& task,
                   float* scratch, float* lse) {
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
  float row_lse[kAttentionRowsMax];
  args.lse = lse != nullptr ? row_lse : nullptr;
  for (int64_t r = 0; r < task.count; ++r) {
    const int64_t token = (task.first + r) / per_token;
    const int64_t head = task.kv_head * per_token + (task.first + r) % per_token;
    args.q[r] = q.row(task.segment->first_row + token) + head * d;
    args.out[r] = out.row(task.segment->first_row + token) + head * d;
    args.end[r] = task.segment->position + token + 1;
    args.begin[r] = shape.window > 0 ? std::max<int64_t>(0, args.end[r] - shape.window) : 0;
  }
  kernels.attention(&args);
  for (int64_t r = 0; lse != nullptr && r < task.count; ++r) {
    const int64_t token = task.segment->first_row + (task.first + r) / per_token;
    const int64_t head = task.kv_head * per_token + (task.first + r) % per_token;
    lse[head * q.rows + token] = row_lse[r];
  }
}

}  // namespace

void Ops::attention(const AttentionShape& shape, Rows q, Rows k, Rows v, std::span<const BatchSegment> segments,
                    Rows out) {
  const OpScope scope(clock_, OpKind::kAttention);
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
  float* lse = tape_ != nullptr ? tape_->room<float>(shape.heads * q.rows) : nullptr;
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
                    attention_scratch_.data() + static_cast<size_t>(worker) * kAttentionScratchFloats, lse);
    });
  }
  if (tape_ != nullptr) record_attention(shape, q, k, v, segments, out, lse);
}

// --- backward ---

struct AttentionTape {
  AttentionShape shape;
  const Tape* tape;
  Rows q, k, v, out;                      // where gradients go and come from
  Rows kept_q, kept_k, kept_v, kept_out;  // k and v as the cache held them
  const float* lse;                       // [H, T]
  const BatchSegment* segments;
  int64_t segments_count;
};

void Ops::record_attention(const AttentionShape& shape, Rows q, Rows k, Rows v, std::span<const BatchSegment> segments,
                           Rows out, const float* lse) {
  AttentionTape kept = {shape,
                        tape_,
                        q,
                        k,
                        v,
                        out,
                        tape_->keep(q),
                        tape_->keep(k),
                        tape_->keep(v),
                        tape_->keep(out),
                        lse,
                        nullptr,
                        static_cast<int64_t>(segments.size())};
  kept.segments = tape_->keep(segments.data(), kept.segments_count);
  for (const BatchSegment& segment : segments) {
    // Earlier positions would need gradients that nobody holds.
    ANDIRON_CHECK(segment.position == 0 && segment.cache->format() == kKvF16);
  }
  for (const Rows rows : {kept.kept_k, kept.kept_v}) {
    std::vector<uint16_t> half(static_cast<size_t>(rows.cols));
    for (int64_t t = 0; t < rows.rows; ++t) {
      to_kept_f16(kernels_, rows.row(t), rows.cols, half.data());
      kernels_.from_f16(half.data(), rows.cols, rows.row(t));
    }
  }
  tape_->record([=](Ops& ops) { ops.attention_backward(kept); });
}

namespace {

// Rows of queries and of keys that are dealt with at a time: the four square matrices of a step fit the L2 cache.
constexpr int64_t kTileRows = 64;

// The backward of one kv head of one segment: S = scale Q K^T, P = exp(S - lse), O = P V, row by row; with
// D = rowsum(dO * O): dS = P * (dO V^T - D), dQ = scale dS K, dK = scale dS^T Q, dV = P^T dO.
class HeadBackward {
 public:
  static int64_t floats(int64_t rows, int64_t d) {
    const int64_t padded = (rows + 15) / 16 * 16;
    return 2 * d * padded + 2 * kTileRows * kTileRows + kTileRows + 64;
  }

  HeadBackward(const KernelTable& kernels, const AttentionTape& tape, const BatchSegment& segment, int64_t kv_head,
               float* memory, void* gemm_scratch)
      : kernels_(kernels),
        tape_(tape),
        segment_(segment),
        kv_head_(kv_head),
        d_(tape.shape.head_dim),
        padded_((segment.rows + 15) / 16 * 16),
        k_t_(memory),
        v_t_(k_t_ + d_ * padded_),
        p_(v_t_ + d_ * padded_),
        ds_(p_ + kTileRows * kTileRows),
        row_sum_(ds_ + kTileRows * kTileRows),
        gemm_scratch_(gemm_scratch) {}

  void run() {
    transpose(tape_.kept_k, k_t_);
    transpose(tape_.kept_v, v_t_);
    const int64_t per_token = tape_.shape.heads / tape_.shape.kv_heads;
    for (int64_t head = kv_head_ * per_token; head < (kv_head_ + 1) * per_token; ++head) {
      for (int64_t first = 0; first < segment_.rows; first += kTileRows) query_tile(head, first);
    }
  }

 private:
  void transpose(Rows from, float* to) const {
    for (int64_t t = 0; t < segment_.rows; ++t) {
      const float* row = from.row(segment_.first_row + t) + kv_head_ * d_;
      for (int64_t i = 0; i < d_; ++i) to[i * padded_ + t] = row[i];
    }
  }

  void gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, int64_t a_col, const float* b, int64_t ldb,
            float* c, int64_t ldc, bool accumulate) const {
    const GemmArgs args = {m, n, k, a, a_row, a_col, b, ldb, c, ldc, accumulate, gemm_scratch_};
    kernels_.gemm(&args);
  }

  // Queries [first, first + 64) of one head against all keys they see.
  void query_tile(int64_t head, int64_t first) {
    const int64_t rows = std::min(kTileRows, segment_.rows - first), at = segment_.first_row + first;
    const Rows dout = tape_.tape->gradient(tape_.out);
    for (int64_t i = 0; i < rows; ++i) {
      row_sum_[i] =
          static_cast<float>(kernels_.dot(dout.row(at + i) + head * d_, tape_.kept_out.row(at + i) + head * d_, d_));
    }
    const int64_t window = tape_.shape.window;
    const int64_t begin = window > 0 ? std::max<int64_t>(0, first + 1 - window) / kTileRows * kTileRows : 0;
    for (int64_t key = begin; key < first + rows; key += kTileRows) key_tile(head, first, rows, key);
  }

  void key_tile(int64_t head, int64_t first, int64_t rows, int64_t key) {
    const int64_t keys = std::min(kTileRows, segment_.rows - key), at = segment_.first_row + first;
    const Rows dout = tape_.tape->gradient(tape_.out);
    const float* q = tape_.kept_q.row(at) + head * d_;
    const float* dout_head = dout.row(at) + head * d_;
    gemm(rows, keys, d_, q, tape_.kept_q.stride, 1, k_t_ + key, padded_, p_, kTileRows, false);
    gemm(rows, keys, d_, dout_head, dout.stride, 1, v_t_ + key, padded_, ds_, kTileRows, false);
    for (int64_t i = 0; i < rows; ++i) score_row(head, first + i, i, key, keys);
    add_gradients(head, rows, key, keys, at, q, dout_head, dout.stride);
  }

  // One row of the tile: scores to P, and dP to scale dS.
  void score_row(int64_t head, int64_t query, int64_t i, int64_t key, int64_t keys) {
    const AttentionShape& shape = tape_.shape;
    float* p = p_ + i * kTileRows;
    float* ds = ds_ + i * kTileRows;
    const float lse = tape_.lse[head * tape_.q.rows + segment_.first_row + query];
    kernels_.scale(p, shape.scale, keys, p);
    float capped[kTileRows];
    if (shape.softcap > 0) {
      kernels_.softcap(p, shape.softcap, keys, p);
      std::copy_n(p, keys, capped);
    }
    kernels_.exp_sub(p, lse, keys, p);
    const int64_t seen_from = shape.window > 0 ? query + 1 - shape.window : 0;
    for (int64_t j = 0; j < keys; ++j) {
      if (key + j > query || key + j < seen_from) p[j] = 0;
      ds[j] = p[j] * (ds[j] - row_sum_[i]) * shape.scale;
      if (shape.softcap > 0) ds[j] *= 1 - capped[j] / shape.softcap * (capped[j] / shape.softcap);
    }
  }

  void add_gradients(int64_t head, int64_t rows, int64_t key, int64_t keys, int64_t at, const float* q,
                     const float* dout, int64_t dout_stride) const {
    const Rows dq = tape_.tape->gradient(tape_.q), dk = tape_.tape->gradient(tape_.k),
               dv = tape_.tape->gradient(tape_.v);
    const int64_t key_at = segment_.first_row + key, column = kv_head_ * d_;
    const float* k = tape_.kept_k.row(key_at) + column;
    gemm(rows, d_, keys, ds_, kTileRows, 1, k, tape_.kept_k.stride, dq.row(at) + head * d_, dq.stride, true);
    gemm(keys, d_, rows, ds_, 1, kTileRows, q, tape_.kept_q.stride, dk.row(key_at) + column, dk.stride, true);
    gemm(keys, d_, rows, p_, 1, kTileRows, dout, dout_stride, dv.row(key_at) + column, dv.stride, true);
  }

  const KernelTable& kernels_;
  const AttentionTape& tape_;
  const BatchSegment& segment_;
  int64_t kv_head_, d_, padded_;
  float *k_t_, *v_t_;  // [d, T]
  float *p_, *ds_;     // [64, 64]
  float* row_sum_;     // [64] D
  void* gemm_scratch_;
};

}  // namespace

void Ops::attention_backward(const AttentionTape& kept) {
  const OpScope scope(clock_, OpKind::kAttentionBackward);
  int64_t rows = 0;
  for (int64_t i = 0; i < kept.segments_count; ++i) rows = std::max(rows, kept.segments[i].rows);
  const int64_t floats = (HeadBackward::floats(rows, kept.shape.head_dim) + 15) / 16 * 16;
  attention_heads_.make_room(team_.size() * floats);
  team_.parallel_for(kept.segments_count * kept.shape.kv_heads, [&](int64_t i, int worker) {
    HeadBackward(kernels_, kept, kept.segments[i / kept.shape.kv_heads], i % kept.shape.kv_heads,
                 attention_heads_.data() + worker * floats,
                 matmul_scratch_.data() + static_cast<size_t>(worker) * kMatmulScratchBytes)
        .run();
  });
  const Rows dout = kept.tape->gradient(kept.out);
  for (int64_t t = 0; t < dout.rows; ++t) std::fill_n(dout.row(t), dout.cols, 0.0f);
}

}  // namespace andiron
