// Weights: a model's matrices, packed for the kernels, and its vectors as floats.
//
// Matrices lie in one block of memory (model/packed_store.h); the embedding stays in the model's file, of which a token
// reads one row.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "format/model_source.h"
#include "model/config.h"
#include "model/packed_store.h"
#include "ops/ops.h"

namespace andiron {

// One layer. Names are GGUF's, in brackets where they differ. What a family lacks stays empty.
struct LayerWeights {
  const float* attn_norm = nullptr;            // [D]
  Linear attn_q, attn_k, attn_v;               // [H * head_dim, D], [G * head_dim, D] twice, or
  Linear attn_qkv;                             // the three in one
  const float* attn_q_norm = nullptr;          // [head_dim]
  const float* attn_k_norm = nullptr;          // [head_dim]
  Linear attn_output;                          // [D, H * head_dim]
  const float* post_attention_norm = nullptr;  // [D]
  const float* ffn_norm = nullptr;             // [D]
  Linear ffn_gate, ffn_up;                     // [F, D], or
  Linear ffn_gate_up;                          // the two in one [ffn_up]
  Linear ffn_down;                             // [D, F]
  const float* post_ffw_norm = nullptr;        // [D]
  Linear router;                               // [E, D] [ffn_gate_inp]
  std::vector<Linear> expert_gate, expert_up;  // E of [F, D] each [ffn_gate_exps, ffn_up_exps]
  std::vector<Linear> expert_down;             // E of [D, F] each [ffn_down_exps]
};

// Which rows of which tensor a matrix is; its place in Weights::matrices is its Linear::id.
struct MatrixInfo {
  std::string tensor;  // "blk.0.attn_q.weight"
  int64_t first_row = 0;
  int64_t n = 0, k = 0;
  bool expert = false;  // one of many in its tensor; no deltas can be added to it
};

struct Weights {
  const TensorInfo* embedding = nullptr;  // [V, D], in the source
  const float* embedding_rows = nullptr;  // [V, D] where it is trained; null: read from the source
  const float* output_norm = nullptr;     // [D]
  Linear head;                            // [V, D]: "output.weight", or the embedding
  std::vector<LayerWeights> layers;
  std::vector<Buffer<float>> vectors;     // what the pointers above point to
  std::vector<std::string> vector_names;  // the tensors they came from
  std::vector<MatrixInfo> matrices;       // by Linear::id
  PackedStore store;                      // what the Linears point to
};

// Weights on their way in: which matrices are to be packed, and which tensors have found their place.
struct WeightsToLoad {
  const ModelSource& source;
  const ModelConfig& config;
  Weights& weights;
  std::vector<PackRequest> requests;
  std::unordered_set<const TensorInfo*> used;
};

// Finds the tensors of one layer, checks their shapes, and notes which matrices are to be packed. A tensor that is
// missing or of another shape is an Error naming it.
class LayerLoader {
 public:
  LayerLoader(WeightsToLoad& load, int64_t layer) : load_(load), layer_(layer) {}

  const ModelConfig& config() const { return load_.config; }
  // Names without the layer's prefix and ".weight": "attn_q".
  bool has(std::string_view name) const;
  Status vector(std::string_view name, int64_t size, const float*& out);
  // With the bias "name.bias" where the file has one.
  Status matrix(std::string_view name, int64_t n, int64_t k, Linear& out);
  // One matrix for each expert, from a tensor [E, n, k].
  Status experts(std::string_view name, int64_t n, int64_t k, std::vector<Linear>& out);

  // The parts that all families share: attn_norm, attn_q, attn_k, attn_v (or attn_qkv), attn_output;
  Status attention(LayerWeights& out);
  // attn_q_norm and attn_k_norm;
  Status head_norms(LayerWeights& out);
  // ffn_norm, ffn_gate, ffn_up, ffn_down.
  Status feed_forward(LayerWeights& out);

 private:
  std::string full_name(std::string_view name, std::string_view suffix = ".weight") const;

  WeightsToLoad& load_;
  int64_t layer_;
};

struct LoadOptions;
struct Family;

// The matrices by their ids.
std::vector<const Linear*> matrices_by_id(const Weights& weights);

// All that load_weights() does but packing: vectors are read, matrices are noted in `requests` (their ids set), every
// tensor has its place. `weights` must stay where it is while `requests` are in use.
Status find_weights(const ModelSource& source, const ModelConfig& config, const Family& family, Weights& weights,
                    std::vector<PackRequest>& requests);

// Every tensor of a layer ("blk.") must have a place: one that the family does not know would mean that the model
// computes something else.
Result<std::unique_ptr<const Weights>> load_weights(const ModelSource& source, const ModelConfig& config,
                                                    const Family& family, const LoadOptions& options,
                                                    std::vector<std::string>& notes);

}  // namespace andiron
