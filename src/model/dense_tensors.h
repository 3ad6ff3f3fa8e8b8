// The tensors of a dense model: names and shapes as GGUF has them, from the model's numbers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace andiron {

// Letters as in model/config.h.
struct DenseShape {
  std::string architecture = "llama";  // GGUF's name of a family without experts
  int64_t layers = 0;
  int64_t width = 0;  // D
  int64_t heads = 0;  // H
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t feed_forward = 0;  // F
  int64_t vocabulary = 0;    // V
  bool tied = true;          // the output matrix is the embedding
};

struct DenseTensor {
  std::string name;
  std::vector<uint64_t> shape;
};

// In the order in which files have them. An Error for an architecture that is not supported, or has experts.
Result<std::vector<DenseTensor>> dense_tensors(const DenseShape& shape);

}  // namespace andiron
