// AdapterBase: what an adapter needs to know of the model that it changes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "adapter/adapter.h"
#include "base/result.h"
#include "format/model_source.h"

namespace andiron {

// A matrix that adapters may change.
struct AdapterLayer {
  std::string name;  // "blk.0.attn_q"
  int64_t n = 0;     // outputs
  int64_t k = 0;     // inputs
};

struct AdapterBase {
  std::string name;          // for people and for PEFT's base_model_name_or_path
  std::string hash;          // see hash_base; empty: unknown
  std::string architecture;  // "general.architecture"
  uint32_t heads = 0;
  uint32_t heads_kv = 0;
  std::vector<AdapterLayer> layers;  // in the order of layer_order

  const AdapterLayer* find(std::string_view layer) const;
};

// Of a model file or folder; reads its samples for the hash. An Error for an architecture that is not supported.
Result<AdapterBase> describe_base(const ModelSource& source);

// What tells one model's weights from another's: XXH3-128, in 32 hexadecimal digits, over the name, the type and the
// shape of every tensor in the order of their names, and eight evenly spaced rows of each. So it costs a few MiB of
// reading whatever the size, does not depend on how tensors are spread over files, and differs between two fine-tunes
// or two number formats of one model. (The key of packed weights, model/packed_key.h, hashes all bytes: there a single
// changed one would be served wrongly. Here a mismatch is a warning, beside the shapes.)
Result<std::string> hash_base(const ModelSource& source);

enum class BaseMatch {
  kSame,     // trained on this very file
  kUnknown,  // it does not say
  kOther,    // same shapes, other weights: another number format of the same model, or another fine-tune of it
};
// An Error, naming the layer, both shapes and both models, when the adapter cannot be worn by this model at all.
Result<BaseMatch> match_base(const Adapter& adapter, const AdapterBase& base);

}  // namespace andiron
