// Ops: the mathematics of a transformer over rows of floats, spread over a team of threads.
//
// Every op computes each output element in one fixed order, so its bits do not depend on how many threads there are,
// how many rows share the call, or how a prompt was cut up. Shapes: T rows (tokens), D model width, H query heads, G kv
// heads, F feed-forward width, V vocabulary. A matrix of rows is a `Rows` view; rows lie `stride` floats apart.
//
// Each op stands in one file with its backward, which it records on a tape when there is one (ops/tape.h). Backwards
// compute in f32 and take rounding (activations to int8, keys and values to f16) as if it had not been there.
//
// An Ops object owns scratch memory sized at construction and may be used by one thread at a time; it allocates nothing
// after construction but for backwards and where more or larger deltas are worn than before. The team's other threads
// work inside each call only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/thread_team.h"
#include "kernels/kernel_table.h"
#include "ops/lora.h"
#include "ops/op_clock.h"
#include "ops/rows.h"
#include "ops/tape.h"

namespace andiron {

// Outputs of a linear layer are written in groups of 16 columns.
inline int64_t padded_columns(int64_t n) { return (n + kGroupRows - 1) / kGroupRows * kGroupRows; }

// Floats between rows of n results: a line more, as rows a power of two apart would share few sets of the cache.
inline int64_t result_stride(int64_t n) { return padded_columns(n) + kGroupRows; }

// One product of several that share their input. y.cols == layer->n; y.stride >= padded_columns(n), and the columns up
// to there are overwritten.
struct LinearJob {
  const Linear* layer;
  Rows y;
  bool accumulate = false;  // y += instead of y =; F32 and F16 weights without a bias, within ops
};

// Called by Ops::linear with the input of every layer, before the product; on the calling thread, which may use the
// team. Null: nobody looks.
struct LinearObserver {
  void (*on_linear)(void* context, const Linear& layer, Rows x) = nullptr;
  void* context = nullptr;
};

class KvPages;  // ops/kv_cache.h

// Which rows of a batch belong to one sequence, and where they stand in it.
struct BatchSegment {
  KvPages* cache;     // reserved for these rows
  int64_t first_row;  // in the batch
  int64_t rows;
  int64_t position;   // of the first row; earlier positions are in the cache
  int64_t layer = 0;  // the one at hand, as the cache counts them
};

struct AttentionShape {
  int64_t heads = 0;     // H
  int64_t kv_heads = 0;  // G, a divisor of H
  int64_t head_dim = 0;  // a multiple of 16, at most 512
  float scale = 1;       // usually head_dim^-1/2
  float softcap = 0;     // 0: none. Gemma 2: 50
  int64_t window = 0;    // 0: all positions; else a row sees itself and the window - 1 before it
};

// The tasks of one segment's attention with each kv head: blocks of kAttentionRowsMax of the rows that read it.
struct SegmentTasks {
  const BatchSegment* segment;
  int64_t blocks;
  int64_t largest;  // rows times positions of the block that has most
  int64_t end;      // behind its last block, those of all segments counted in the order of their list
};

// What the backward of one delta reads.
struct KeptDelta {
  const float* x = nullptr;     // [T, k] its input, after dropout
  float* low = nullptr;         // [T, r] scale A x
  const float* base = nullptr;  // [T, n] W x; with a magnitude only
  const float* high = nullptr;  // [T, n] scale B A x; likewise
  uint64_t stream = 0;          // of the dropout; 0: none
};

// A delta that rows [first_row, first_row + rows) of a batch wear in a product; T of `kept` is `rows`.
struct WornDelta {
  const LoraDelta* delta;
  int64_t job;  // of the product's jobs
  int64_t first_row, rows;
  KeptDelta kept;
  bool gained = false;  // some of this job have a magnitude, so all of them wait for the whole product
};

// low = scale A x: rows [row, row + rows) of a delta's, groups [begin, end) of its A.
struct LowTask {
  const WornDelta* worn;
  int64_t row, rows;
  int64_t begin, end;
};

// dx += dlow A on rows from first_row on: dlow [T, r], A [r, k].
struct LowBackward {
  int64_t first_row;
  Rows dlow;
  const float* a;
  int64_t k;
};

struct AttentionTape;  // ops/attention.cpp

class Ops {
 public:
  // Scratch for products of up to `rows_max` rows with up to `k_max` inputs. `kernels` and `team` must outlive this.
  Ops(const KernelTable& kernels, ThreadTeam& team, int64_t rows_max, int64_t k_max);

  const KernelTable& kernels() const { return kernels_; }
  ThreadTeam& team() { return team_; }
  void observe(LinearObserver observer) { observer_ = observer; }
  // From now on ops append their backwards to `tape`; null: no more. Not owned.
  void record(Tape* tape) { tape_ = tape; }
  Tape* tape() const { return tape_; }
  // Which tells where time goes from now on; null: nobody asks. Not owned.
  void time(OpClock* clock) { clock_ = clock; }
  OpClock* clock() const { return clock_; }
  // What linear() adds to its products, until the next call. Not owned; the rows of two entries do not overlap.
  void adapt(std::span<const RowDeltas> deltas);
  // Whether deltas with dropout zero inputs (which is for learning only, whether a tape is set or not): which ones is a
  // function of the seed, the layer, the row and the column.
  void drop_out(bool on) { drops_ = on; }
  void seed_dropout(uint64_t seed) { dropout_seed_ = seed; }

  // All jobs read the same x [T, k]. x is quantised once where a job's weight is.
  void linear(Rows x, std::span<const LinearJob> jobs);
  void linear(Rows x, const Linear& layer, Rows y);
  // dx += dy W: what a tape does for linear().
  void linear_backward(const Linear& layer, Rows dy, Rows dx);

  // y = x / sqrt(mean(x^2) + eps) * w, row by row (Zhang and Sennrich 2019, arXiv 1910.07467). y may be x.
  void rms_norm(Rows x, const float* w, float eps, Rows y);
  // The same within each run of `head_dim` columns (Qwen 3, Gemma 3: q and k norms); w [head_dim].
  void head_norm(Rows x, int64_t head_dim, const float* w, float eps);
  void add(Rows x, Rows into);                 // into += x
  void scale(Rows x, float s);                 // x *= s
  void scale_add(Rows x, float s, Rows into);  // into += s * x

  void silu_mul(Rows gate, Rows up, Rows y);  // silu(gate) * up (Shazeer 2020, arXiv 2002.05202: SwiGLU)
  void gelu_mul(Rows gate, Rows up, Rows y);  // gelu_tanh(gate) * up: GeGLU
  void softcap(Rows x, float cap);            // cap * tanh(x / cap)
  void softmax(Rows x);

  // Rotary positions (Su et al. 2021, arXiv 2104.09864), in place, on each head of each row of all [T, H * head_dim and
  // G * head_dim]: at least one, of equally many rows. cos_sin [T, half, 2] from rope_table; `pairs`: neighbours rotate
  // together (llama's GGUF order), else i with i + half.
  void rope(std::span<const Rows> all, int64_t head_dim, const float* cos_sin, int64_t half, bool pairs);

  // Appends k and v [T, G * head_dim] of each segment to its cache, then out [T, H * head_dim] = attention of q over
  // it, each row seeing its own and all earlier positions of its sequence. The caches must have room and be different
  // ones; out overlaps none of q, k and v. What one segment's tasks write, another's may be reading.
  void attention(const AttentionShape& shape, Rows q, Rows k, Rows v, std::span<const BatchSegment> segments, Rows out);

 private:
  Rows keep(Rows x);  // as Tape's, by the team
  // ops/linear.cpp
  void quantize(Rows x);
  Rows contiguous(Rows x);
  Activations activations(Rows x) const;
  void multiply(const Activations& x, const LinearJob& job, int64_t begin, int64_t end, int worker);
  void multiply_worn(const Activations& x, std::span<const LinearJob> jobs, size_t job, std::span<const WornDelta> worn,
                     int64_t begin, int64_t end, int worker);
  void product(const Activations& x, std::span<const LinearJob> jobs, std::span<const WornDelta> worn);
  void record_linear(Rows x, const LinearJob& job, std::span<const WornDelta> worn, const float* kept_x);
  void product_backward(const Linear& layer, Rows dy, Rows dx, std::span<const LowBackward> parts);
  void gemm(GemmArgs args, int worker);  // args.scratch is set here
  void round_gradient(const Linear& layer, Rows dy);
  void round_gradient_columns(Rows dy);
  void rounded_weight_gradient(const Linear& layer, Rows dy, const float* x, float* gradient);
  void weight_gradient(const Tape& tape, const Linear& layer, Rows dy, const float* x);
  // ops/lora.cpp
  static std::span<const LoraDelta> deltas_of(const Linear& layer, const RowDeltas& rows);
  bool adapted(const Linear& layer) const;
  void begin_deltas(Rows x, std::span<const LinearJob> jobs, const float* kept_x);
  const float* dropped(const WornDelta& worn, Rows x);
  void lower(int64_t k, int64_t rank_max);
  void add_low(const LinearJob& job, const WornDelta& worn, int64_t begin, int64_t end, int worker);
  void add_gained(const LinearJob& job, std::span<WornDelta> worn);
  void deltas_backward(const Tape& tape, std::span<const WornDelta> worn, Rows dy, Rows dx);
  void scale_by_gains(std::span<const WornDelta> worn, Rows dy);
  void magnitude_gradient(const Tape& tape, const LoraDelta& delta, const KeptDelta& kept, Rows dy);
  void delta_b_gradient(Rows dhigh, const float* low, int64_t rank, float* db);
  void delta_backward(const Tape& tape, const WornDelta& worn, Rows dhigh, Rows dlow, Rows dx);
  void add_low_backward(const LowBackward& part, int64_t first, int64_t rows, int64_t begin, int64_t end, Rows dx,
                        int worker);
  void dropped_backward(const WornDelta& worn, const LowBackward& part, Rows dx);
  // ops/elementwise.cpp
  using GateBackward = decltype(KernelTable::silu_mul_backward);
  template <typename F>
  void take_rows(Rows dy, F f);
  void record_norm(Rows x, int64_t width, const float* w, float eps, Rows y);
  void norm_weight_gradient(Rows x, int64_t width, float eps, Rows dy, float* dw);
  void record_scale_add(Rows x, float s, Rows into);
  void record_gate(GateBackward backward, Rows gate, Rows up, Rows y);
  // ops/attention.cpp
  int64_t list_attention(const AttentionShape& shape, std::span<const BatchSegment> segments);
  void store_for_many(const AttentionShape& shape, Rows k, Rows v);
  void record_attention(const AttentionShape& shape, Rows q, Rows k, Rows v, std::span<const BatchSegment> segments,
                        Rows out, const float* lse);
  void attention_backward(const AttentionTape& kept);

  const KernelTable& kernels_;
  ThreadTeam& team_;
  LinearObserver observer_;
  Tape* tape_ = nullptr;
  OpClock* clock_ = nullptr;
  std::span<const RowDeltas> deltas_;
  bool drops_ = false;
  uint64_t dropout_seed_ = 0;
  int64_t rows_max_, k_max_;
  Buffer<float> contiguous_;  // x where its rows do not lie end to end
  Buffer<int8_t> q8_;
  Buffer<uint8_t> u8_;
  Buffer<float> scale_, dsum32_, dsum16_;
  Buffer<int32_t> sum16_;
  Buffer<uint8_t> matmul_scratch_;            // kMatmulScratchBytes for each worker
  Buffer<float> attention_scratch_;           // kAttentionScratchFloats for each worker
  std::vector<SegmentTasks> attention_list_;  // of one batch, the largest first
  std::vector<WornDelta> worn_;               // by the jobs of one product
  std::vector<LowTask> low_tasks_;
  std::vector<LowBackward> low_backward_;
  Buffer<float> delta_wide_;                 // [kPieceRows, r] A x with its padding, for each worker
  Buffer<float> delta_low_;                  // [T, r] of each delta: scale A x, or its gradient with padding
  Buffer<float> delta_high_;                 // [T, n] scale B A x
  Buffer<float> delta_base_;                 // [T, n] W x; with DoRA only
  std::vector<Buffer<float>> delta_inputs_;  // [T, k] of each delta: inputs with dropout; the first also for a gradient
  Buffer<float> delta_b_;                    // [n, r] B with padding
  Buffer<float> delta_piece_;                // [r, kPieceColumns] of the gradient of B^T, for each worker
  Buffer<uint8_t> gradient_;                 // dy of one product, rounded
  Buffer<float> gradient_scale_;
  Buffer<float> taken_;            // a row of gradients that is being passed on, for each worker
  Buffer<float> attention_heads_;  // what each worker's backward of attention holds
};

// cos and sin of position * inv_freq[i] times `magnitude`, for consecutive positions: out [rows, half, 2].
void rope_table(std::span<const double> inv_freq, int64_t position, int64_t rows, double magnitude, float* out);

}  // namespace andiron
