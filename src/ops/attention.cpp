// Attention over cached keys and values, and its backward (Dao et al. 2022, arXiv 2205.14135, appendix B.4).
#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

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
  const KvPages& cache = *task.segment->cache;
  args.pages = cache.data();
  args.keys = cache.layout().keys(task.segment->layer, task.kv_head);
  args.values = cache.layout().values(task.segment->layer, task.kv_head);
  args.format = cache.layout().format;
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

// By head, so that no two workers write the same cache line of a key block.
void store_head(const KernelTable& kernels, const BatchSegment& segment, int64_t head, Rows k, Rows v) {
  const int64_t d = segment.cache->layout().head_dim;
  for (int64_t i = 0; i < segment.rows; ++i) {
    const int64_t row = segment.first_row + i;
    segment.cache->store(kernels, segment.layer, head, segment.position + i, k.row(row) + head * d,
                         v.row(row) + head * d);
  }
}

}  // namespace

// Fills attention_list_ with the tasks of all segments, the largest first: whoever comes free late finds small ones.
// How they are cut depends on their own segment alone. Returns the work that they are, in nanoseconds.
int64_t Ops::list_attention(const AttentionShape& shape, std::span<const BatchSegment> segments) {
  const int64_t per_token = shape.heads / shape.kv_heads;
  const auto seen = [&](int64_t positions) { return shape.window > 0 ? std::min(positions, shape.window) : positions; };
  int64_t products = 0;
  attention_list_.clear();
  for (const BatchSegment& segment : segments) {
    ANDIRON_CHECK(segment.cache->are_reserved(segment.position, segment.position + segment.rows));
    const int64_t rows = segment.rows * per_token;
    const int64_t blocks = (rows + kAttentionRowsMax - 1) / kAttentionRowsMax;
    const int64_t largest = std::min<int64_t>(rows, kAttentionRowsMax) * seen(segment.position + segment.rows);
    attention_list_.push_back({&segment, blocks, largest, 0});
    const int64_t on_average = seen(segment.position + (segment.rows + 1) / 2);
    products += segment.rows * shape.heads * on_average * 2 * shape.head_dim;
  }
  std::sort(attention_list_.begin(), attention_list_.end(), [](const SegmentTasks& a, const SegmentTasks& b) {
    return a.largest != b.largest ? a.largest > b.largest : a.segment < b.segment;
  });
  int64_t end = 0;
  for (SegmentTasks& one : attention_list_) {
    end += one.blocks;
    one.end = end;
  }
  return products / kAttendedPerNs;
}

// Where several tasks read what a head stores here, it has to be there before any of them begins. Where there is one,
// as for an answer's next token, it stores for itself (in attention()).
void Ops::store_for_many(const AttentionShape& shape, Rows k, Rows v) {
  int64_t numbers = 0;
  for (const SegmentTasks& one : attention_list_) {
    if (one.blocks > 1) numbers += one.segment->rows * shape.kv_heads * shape.head_dim;
  }
  if (numbers == 0) return;
  const int64_t heads = std::ssize(attention_list_) * shape.kv_heads;
  team_.parallel_for(heads, numbers / kElementsPerNs, [&](int64_t i, int) {
    const SegmentTasks& one = attention_list_[static_cast<size_t>(i / shape.kv_heads)];
    if (one.blocks > 1) store_head(kernels_, *one.segment, i % shape.kv_heads, k, v);
  });
}

// One region for all segments: a batch of answers has few tasks and little work for each.
void Ops::attention(const AttentionShape& shape, Rows q, Rows k, Rows v, std::span<const BatchSegment> segments,
                    Rows out) {
  const OpScope scope(clock_, OpKind::kAttention);
  const int64_t per_token = shape.heads / shape.kv_heads;
  const int64_t work = list_attention(shape, segments);
  store_for_many(shape, k, v);
  float* lse = tape_ != nullptr ? tape_->room<float>(shape.heads * q.rows) : nullptr;
  // A kv head after another, so that what its tasks read is in the cache: the same keys and values for the rows of a
  // prompt, and for sequences that share pages.
  const int64_t blocks = attention_list_.empty() ? 0 : attention_list_.back().end;
  team_.parallel_for(shape.kv_heads * blocks, work, [&](int64_t i, int worker) {
    const int64_t kv_head = i / blocks, block = i % blocks;
    const auto of = std::upper_bound(attention_list_.begin(), attention_list_.end(), block,
                                     [](int64_t index, const SegmentTasks& one) { return index < one.end; });
    // Few rows: a task per kv head reads its cache once for all its heads. Later rows see more positions, so the last
    // come first.
    const int64_t first = (of->end - 1 - block) * kAttentionRowsMax;
    const BatchSegment& segment = *of->segment;
    if (of->blocks == 1) store_head(kernels_, segment, kv_head, k, v);
    const int64_t rows = std::min<int64_t>(kAttentionRowsMax, segment.rows * per_token - first);
    run_attention(kernels_, shape, q, out, {&segment, kv_head, first, rows},
                  attention_scratch_.data() + static_cast<size_t>(worker) * kAttentionScratchFloats, lse);
  });
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
                        keep(q),
                        keep(k),
                        keep(v),
                        keep(out),
                        lse,
                        nullptr,
                        static_cast<int64_t>(segments.size())};
  kept.segments = tape_->keep(segments.data(), kept.segments_count);
  for (const BatchSegment& segment : segments) {
    // Earlier positions would need gradients that nobody holds.
    ANDIRON_CHECK(segment.position == 0 && segment.cache->layout().format == kKvF16);
  }
  for (const Rows rows : {kept.kept_k, kept.kept_v}) {
    each_row(team_, rows.rows, rows.cols, [&](int64_t t) {
      std::array<uint16_t, 64> half;
      for (int64_t i = 0; i < rows.cols; i += 64) {
        const int64_t count = std::min<int64_t>(64, rows.cols - i);
        to_kept_f16(kernels_, rows.row(t) + i, count, half.data());
        kernels_.from_f16(half.data(), count, rows.row(t) + i);
      }
    });
  }
  tape_->record([=](Ops& ops) { ops.attention_backward(kept); });
}

namespace {

// Rows of queries and of keys that are dealt with at a time: the two matrices of a step stay in the L2 cache.
constexpr int64_t kQueryRows = 64, kKeyRows = 96;

// Where a head's gradients of keys and values go: rows of d, `stride` apart, the first that of the segment's first row.
struct HeadGradients {
  float* dk = nullptr;
  float* dv = nullptr;
  int64_t stride = 0;
};

// The backward of one query head of one segment: S = scale Q K^T, P = exp(S - lse), O = P V, row by row; with
// D = rowsum(dO * O): dS = P * (dO V^T - D), dQ = scale dS K, dK = scale dS^T Q, dV = P^T dO.
class HeadBackward {
 public:
  static int64_t floats(int64_t rows, int64_t d) {
    return 2 * d * turned_stride(rows) + 2 * kQueryRows * kKeyRows + kQueryRows;
  }

  HeadBackward(const KernelTable& kernels, const AttentionTape& tape, const BatchSegment& segment, int64_t head,
               const HeadGradients& gradients, float* memory, void* gemm_scratch)
      : kernels_(kernels),
        tape_(tape),
        segment_(segment),
        head_(head),
        kv_head_(head / (tape.shape.heads / tape.shape.kv_heads)),
        d_(tape.shape.head_dim),
        padded_(turned_stride(segment.rows)),
        gradients_(gradients),
        dout_(tape.tape->gradient(tape.out)),
        dq_(tape.tape->gradient(tape.q)),
        k_t_(memory),
        v_t_(k_t_ + d_ * padded_),
        p_(v_t_ + d_ * padded_),
        ds_(p_ + kQueryRows * kKeyRows),
        row_sum_(ds_ + kQueryRows * kKeyRows),
        gemm_scratch_(gemm_scratch) {}

  void run() {
    for (const auto& [from, to] : {std::pair{tape_.kept_k, k_t_}, {tape_.kept_v, v_t_}}) {
      kernels_.transpose(from.row(segment_.first_row) + kv_head_ * d_, from.stride, segment_.rows, d_, to, padded_);
    }
    for (int64_t first = 0; first < segment_.rows; first += kQueryRows) query_tile(first);
  }

 private:
  // A line more: rows a power of two apart would share few cache sets.
  static int64_t turned_stride(int64_t rows) { return (rows + 15) / 16 * 16 + 16; }

  void gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, int64_t a_col, const float* b, int64_t ldb,
            float* c, int64_t ldc, bool accumulate) const {
    const GemmArgs args = {m, n, k, a, a_row, a_col, b, ldb, c, ldc, accumulate, gemm_scratch_};
    kernels_.gemm(&args);
  }

  // Queries [first, first + 64) against all keys they see.
  void query_tile(int64_t first) {
    const int64_t rows = std::min(kQueryRows, segment_.rows - first), at = segment_.first_row + first;
    for (int64_t i = 0; i < rows; ++i) {
      row_sum_[i] =
          static_cast<float>(kernels_.dot(dout_.row(at + i) + head_ * d_, tape_.kept_out.row(at + i) + head_ * d_, d_));
    }
    const int64_t window = tape_.shape.window;
    const int64_t begin = window > 0 ? std::max<int64_t>(0, first + 1 - window) / kKeyRows * kKeyRows : 0;
    for (int64_t key = begin; key < first + rows; key += kKeyRows) {
      key_tile(first, rows, key, std::min(kKeyRows, first + rows - key));
    }
  }

  void key_tile(int64_t first, int64_t rows, int64_t key, int64_t keys) const {
    const int64_t at = segment_.first_row + first, key_at = segment_.first_row + key;
    const float* q = tape_.kept_q.row(at) + head_ * d_;
    const float* dout = dout_.row(at) + head_ * d_;
    gemm(rows, keys, d_, q, tape_.kept_q.stride, 1, k_t_ + key, padded_, p_, kKeyRows, false);
    gemm(rows, keys, d_, dout, dout_.stride, 1, v_t_ + key, padded_, ds_, kKeyRows, false);
    for (int64_t i = 0; i < rows; ++i) score_row(first + i, i, key, keys);
    const float* k = tape_.kept_k.row(key_at) + kv_head_ * d_;
    gemm(rows, d_, keys, ds_, kKeyRows, 1, k, tape_.kept_k.stride, dq_.row(at) + head_ * d_, dq_.stride, true);
    const int64_t to = key * gradients_.stride, stride = gradients_.stride;
    gemm(keys, d_, rows, ds_, 1, kKeyRows, q, tape_.kept_q.stride, gradients_.dk + to, stride, true);
    gemm(keys, d_, rows, p_, 1, kKeyRows, dout, dout_.stride, gradients_.dv + to, stride, true);
  }

  // One row of the tile: scores to P, and dP to scale dS.
  void score_row(int64_t query, int64_t i, int64_t key, int64_t keys) const {
    const AttentionShape& shape = tape_.shape;
    const float lse = tape_.lse[head_ * tape_.q.rows + segment_.first_row + query];
    const int64_t seen_from = shape.window > 0 ? query + 1 - shape.window : 0;
    const ScoresBackwardArgs args = {shape.scale, shape.softcap, lse, row_sum_[i], seen_from - key, query + 1 - key};
    kernels_.attention_scores_backward(p_ + i * kKeyRows, ds_ + i * kKeyRows, keys, &args);
  }

  const KernelTable& kernels_;
  const AttentionTape& tape_;
  const BatchSegment& segment_;
  int64_t head_, kv_head_, d_, padded_;
  HeadGradients gradients_;
  Rows dout_, dq_;
  float *k_t_, *v_t_;  // [d, T]
  float *p_, *ds_;     // [kQueryRows, kKeyRows]
  float* row_sum_;     // [kQueryRows] D
  void* gemm_scratch_;
};

}  // namespace

// A head of queries at a time. Where several share keys and values, each has gradients of its own, which are then added
// up in their order: so there is work for more threads, and the sums are the same for any number of them.
void Ops::attention_backward(const AttentionTape& kept) {
  const OpScope scope(clock_, OpKind::kAttentionBackward);
  const int64_t heads = kept.shape.heads, per_token = heads / kept.shape.kv_heads, d = kept.shape.head_dim;
  int64_t rows = 0;
  for (int64_t i = 0; i < kept.segments_count; ++i) rows = std::max(rows, kept.segments[i].rows);
  const int64_t floats = (HeadBackward::floats(rows, d) + 15) / 16 * 16, of_head = kept.q.rows * d;
  attention_heads_.make_room(team_.size() * floats + (per_token > 1 ? 2 * heads * of_head : 0));
  float* own = attention_heads_.data() + team_.size() * floats;  // [H, 2, T, d]
  const Rows dk = kept.tape->gradient(kept.k), dv = kept.tape->gradient(kept.v);
  ANDIRON_CHECK(dk.stride == dv.stride);
  team_.parallel_for(kept.segments_count * heads, [&](int64_t i, int worker) {
    const BatchSegment& segment = kept.segments[i / heads];
    const int64_t head = i % heads;
    HeadGradients to;
    if (per_token == 1) {
      to = {dk.row(segment.first_row) + head * d, dv.row(segment.first_row) + head * d, dk.stride};
    } else {
      float* of_segment = own + 2 * head * of_head + segment.first_row * d;
      to = {of_segment, of_segment + of_head, d};
      std::fill_n(to.dk, segment.rows * d, 0.0f);
      std::fill_n(to.dv, segment.rows * d, 0.0f);
    }
    HeadBackward(kernels_, kept, segment, head, to, attention_heads_.data() + worker * floats,
                 matmul_scratch_.data() + static_cast<size_t>(worker) * kMatmulScratchBytes)
        .run();
  });
  const Rows dout = kept.tape->gradient(kept.out);
  each_row(team_, dout.rows, dout.cols, [&](int64_t t) {
    std::fill_n(dout.row(t), dout.cols, 0.0f);
    for (int64_t head = 0; per_token > 1 && head < heads; ++head) {
      const int64_t column = head / per_token * d;
      const float* from = own + 2 * head * of_head + t * d;
      kernels_.add(dk.row(t) + column, from, d, dk.row(t) + column);
      kernels_.add(dv.row(t) + column, from + of_head, d, dv.row(t) + column);
    }
  });
}

}  // namespace andiron
