// ModelConfig: the numbers that define a model, read from a ModelSource and checked.
//
// Shape letters as in ops/ops.h: D width, H heads, G kv heads, F feed-forward width, V vocabulary, E experts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "format/model_source.h"

namespace andiron {

// How rotary positions are stretched beyond the length a model was trained at.
struct RopeScaling {
  enum class Kind : uint8_t { kNone, kLinear, kYarn };
  Kind kind = Kind::kNone;
  double factor = 1;            // of the context
  double original_context = 0;  // trained length: YaRN's and longrope's
  // YaRN (Peng et al. 2023, arXiv 2309.00071): how far the blend of old and new frequencies goes, and the numbers of
  // turns within the original context between which it happens.
  double extrapolation = 1;
  double beta_fast = 32;
  double beta_slow = 1;
  double magnitude = 1;  // multiplies cos and sin
};

struct RopeConfig {
  int64_t dimensions = 0;  // of each head, that rotate; even
  double base = 10000;
  RopeScaling scaling;
  bool pairs = false;  // neighbours rotate together, else i with i + dimensions / 2
};

struct ExpertConfig {
  int64_t count = 0;      // E; 0: no experts
  int64_t used = 0;       // for each token
  int64_t width = 0;      // F of one expert
  bool normalise = true;  // the weights of the used ones add up to 1
};

struct ModelConfig {
  std::string architecture;  // GGUF's name: "llama"
  std::string name;          // "general.name", or ""
  int64_t blocks = 0;
  int64_t width = 0;     // D
  int64_t heads = 0;     // H
  int64_t kv_heads = 0;  // G
  int64_t head_dim = 0;
  int64_t feed_forward = 0;  // F; 0 where every layer has experts only
  int64_t vocabulary = 0;    // V, rows of the embedding
  int64_t context = 0;       // trained length
  float norm_epsilon = 1e-5f;
  float attention_scale = 0;
  float attention_softcap = 0;  // 0: none
  float logit_softcap = 0;      // 0: none
  float embedding_scale = 1;
  std::vector<int64_t> windows;  // [blocks] positions a layer's rows see; 0: all
  RopeConfig rope;               // of layers without a window, and of all where `rope_local` is not in use
  RopeConfig rope_local;         // of layers with a window
  bool has_rope_local = false;
  ExpertConfig experts;

  int64_t query_width() const { return heads * head_dim; }
  int64_t kv_width() const { return kv_heads * head_dim; }
  // A head as the attention kernels and the cache hold it: in steps of 16 numbers, the rest zeros.
  int64_t padded_head_dim() const { return (head_dim + 15) / 16 * 16; }
};

struct Family;  // model/family.h

// Reads and checks everything above. An unknown architecture, a missing key, a value out of range: an Error that names
// the file, the key, what came and what is supported. `vocabulary` is taken from the tensor "token_embd.weight".
Result<ModelConfig> read_model_config(const ModelSource& source, const Family& family);

}  // namespace andiron
