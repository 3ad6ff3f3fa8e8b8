// Block: the parts that layers are made of, over the weights of one layer and the rows of one batch.
//
// Each part returns a view of one of the run's buffers, which the next call of the same part overwrites; nothing is
// allocated. A family strings them together.
#pragma once

#include <cstdint>
#include <span>

#include "base/buffer.h"
#include "model/config.h"
#include "model/mixture.h"
#include "model/weights.h"
#include "ops/ops.h"

namespace andiron {

// Queries, keys and values: [T, H * head_dim], [T, G * head_dim] twice.
struct Heads {
  Rows q, k, v;
};

// The buffers of a run, for up to `rows` tokens.
struct RunBuffers {
  RunBuffers() = default;
  RunBuffers(const ModelConfig& config, int64_t rows);

  Buffer<float> x;        // [T, D] the residual stream
  Buffer<float> normed;   // [T, D]
  Buffer<float> heads;    // [T, query and kv widths]
  Buffer<float> padded;   // [T, the same and the output, with heads padded]; empty where heads need no padding
  Buffer<float> mixed;    // [T, H * head_dim] what attention gives
  Buffer<float> hidden;   // [T, 2 F] gate and up
  Buffer<float> product;  // [T, D] what a matrix gives back to the stream
  MixtureBuffers mixture;

  // Calls f(buffer) for each that holds numbers of the forward.
  template <typename F>
  void each(F f) const {
    for (const Buffer<float>* buffer : {&x, &normed, &heads, &padded, &mixed, &hidden, &product, &mixture.scores,
                                        &mixture.share, &mixture.gathered, &mixture.hidden, &mixture.outputs}) {
      f(*buffer);
    }
  }
};

// One rotary table: cos and sin for each row of the batch.
struct RopeTable {
  const float* cos_sin = nullptr;  // [T, half, 2]
  int64_t half = 0;
  bool pairs = false;
};

struct Block {
  Ops& ops;
  const ModelConfig& config;
  const LayerWeights& weights;
  RunBuffers& buffers;
  RopeTable rope;                          // of this layer
  int64_t window;                          // of this layer; 0: none
  std::span<const BatchSegment> segments;  // with this layer's caches

  Rows norm(Rows x, const float* w) const;         // [T, D]
  Heads project(Rows x) const;                     // attn_q, attn_k, attn_v, or attn_qkv
  void normalise(const Heads& heads) const;        // attn_q_norm, attn_k_norm
  void rotate(const Heads& heads) const;           // q and k
  Rows attend(const Heads& heads) const;           // [T, H * head_dim]
  Rows linear(Rows x, const Linear& layer) const;  // [T, D]; layer.n == D
  Rows silu_gate(Rows x) const;                    // silu(ffn_gate x) * ffn_up x, [T, F]
  Rows gelu_gate(Rows x) const;                    // gelu(ffn_gate x) * ffn_up x, [T, F]
  Rows mixture(Rows x) const;                      // what the experts give, [T, D]
  void add(Rows y, Rows into) const { ops.add(y, into); }

 private:
  struct GateUp {
    Rows gate, up;
  };
  GateUp gate_up(Rows x) const;
  void attend_padded(const AttentionShape& shape, const Heads& heads, Rows out) const;
};

}  // namespace andiron
