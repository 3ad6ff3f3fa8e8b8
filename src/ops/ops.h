// Ops: the mathematics of a transformer over rows of floats, spread over a team of threads.
//
// Every op computes each output element in one fixed order, so its bits do not depend on how many threads there are,
// how many rows share the call, or how a prompt was cut up. Shapes: T rows (tokens), D model width, H query heads, G kv
// heads, F feed-forward width, V vocabulary. A matrix of rows is a `Rows` view; rows lie `stride` floats apart.
//
// An Ops object owns scratch memory sized at construction and may be used by one thread at a time; it allocates nothing
// after construction. The team's other threads work inside each call only.
#pragma once

#include <cstdint>
#include <span>

#include "base/buffer.h"
#include "base/thread_team.h"
#include "kernels/kernel_table.h"

namespace andiron {

// T rows of `cols` floats, `stride` apart. Does not own them.
struct Rows {
  float* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  float* row(int64_t i) const { return data + i * stride; }
  // The columns [first, first + count) of the same rows: how one fused product is read as q, k and v.
  Rows columns(int64_t first, int64_t count) const { return {data + first, rows, count, stride}; }
  Rows slice(int64_t first, int64_t count) const { return {data + first * stride, count, cols, stride}; }
};

// Outputs of a linear layer are written in groups of 16 columns.
inline int64_t padded_columns(int64_t n) { return (n + kGroupRows - 1) / kGroupRows * kGroupRows; }

// y = x W^T + b, W [n, k] packed (kernels/packing.h). Does not own its weights.
struct Linear {
  PackedFormat format = kPackedF32;
  int64_t n = 0;
  int64_t k = 0;
  const uint8_t* weight = nullptr;
  const float* bias = nullptr;  // [n], or null

  explicit operator bool() const { return weight != nullptr; }
};

// One product of several that share their input. y.cols == layer->n; y.stride >= padded_columns(n), and the columns up
// to there are overwritten.
struct LinearJob {
  const Linear* layer;
  Rows y;
};

// Called by Ops::linear with the input of every layer, before the product; on the calling thread, which may use the
// team. Null: nobody looks.
struct LinearObserver {
  void (*on_linear)(void* context, const Linear& layer, Rows x) = nullptr;
  void* context = nullptr;
};

class KvLayer;  // ops/kv_cache.h

// Which rows of a batch belong to one sequence, and where they stand in it.
struct BatchSegment {
  KvLayer* cache;     // of the layer at hand
  int64_t first_row;  // in the batch
  int64_t rows;
  int64_t position;  // of the first row; earlier positions are in the cache
};

struct AttentionShape {
  int64_t heads = 0;     // H
  int64_t kv_heads = 0;  // G, a divisor of H
  int64_t head_dim = 0;  // a multiple of 16, at most 512
  float scale = 1;       // usually head_dim^-1/2
  float softcap = 0;     // 0: none. Gemma 2: 50
  int64_t window = 0;    // 0: all positions; else a row sees itself and the window - 1 before it
};

class Ops {
 public:
  // Scratch for products of up to `rows_max` rows with up to `k_max` inputs. `kernels` and `team` must outlive this.
  Ops(const KernelTable& kernels, ThreadTeam& team, int64_t rows_max, int64_t k_max);

  const KernelTable& kernels() const { return kernels_; }
  ThreadTeam& team() { return team_; }
  void observe(LinearObserver observer) { observer_ = observer; }

  // All jobs read the same x [T, k]. x is quantised once where a job's weight is.
  void linear(Rows x, std::span<const LinearJob> jobs);
  void linear(Rows x, const Linear& layer, Rows y);

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

  // Rotary positions (Su et al. 2021, arXiv 2104.09864), in place, on each head of each row. cos_sin [T, half, 2] from
  // rope_table; `pairs`: neighbours rotate together (llama's GGUF order), else i with i + half.
  void rope(Rows x, int64_t head_dim, const float* cos_sin, int64_t half, bool pairs);

  // Appends k and v [T, G * head_dim] of each segment to its cache, then out [T, H * head_dim] = attention of q over
  // it, each row seeing its own and all earlier positions of its sequence. The caches must have room.
  void attention(const AttentionShape& shape, Rows q, Rows k, Rows v, std::span<const BatchSegment> segments, Rows out);

 private:
  void quantize(Rows x);
  Activations activations(Rows x) const;
  void multiply(const Activations& x, const LinearJob& job, int64_t begin, int64_t end, int worker);

  const KernelTable& kernels_;
  ThreadTeam& team_;
  LinearObserver observer_;
  int64_t rows_max_, k_max_;
  Buffer<float> contiguous_;  // x where its rows do not lie end to end
  Buffer<int8_t> q8_;
  Buffer<uint8_t> u8_;
  Buffer<float> scale_, dsum32_, dsum16_;
  Buffer<int32_t> sum16_;
  Buffer<uint8_t> matmul_scratch_;   // kMatmulScratchBytes for each worker
  Buffer<float> attention_scratch_;  // kAttentionScratchFloats for each worker
};

// cos and sin of position * inv_freq[i] times `magnitude`, for consecutive positions: out [rows, half, 2].
void rope_table(std::span<const double> inv_freq, int64_t position, int64_t rows, double magnitude, float* out);

}  // namespace andiron
