// FloatWeights: all of a float model's numbers where they can be trained, beside the packed copies that the kernels
// read.
//
// The forward reads the packed copies: after the numbers have changed, repack(). One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "base/thread_team.h"
#include "model/model.h"
#include "model/weights.h"
#include "ops/parameter.h"

namespace andiron {

// Whether a tensor of this name lies between the layers: neither embeddings nor the output (Parameter::hidden, where it
// is a matrix).
bool is_of_layer(std::string_view tensor);

class FloatWeights {
 public:
  // Decodes every tensor of `model`, which must outlive this. A model with quantised matrices is refused: their numbers
  // cannot move by less than a step.
  // `compute`: the format of the packed copies, that is of the products: F32, BF16, or Q8_0 (rows of
  // whole blocks), whose rounding gradients pass straight through; with Q8_0 the gradients of the matrices, too, are
  // sums of rounded products.
  static Result<std::unique_ptr<FloatWeights>> create(const Model& model, ThreadTeam& team,
                                                      DType compute = DType::kF32);

  const Weights& weights() const { return weights_; }
  // GGUF's names and shapes. Gradients are this object's, zeros at first. A tied embedding and head are one parameter.
  std::vector<Parameter> parameters();
  void repack(ThreadTeam& team);

 private:
  explicit FloatWeights(DType compute) : compute_(compute) {}
  Status read_matrix(const ModelSource& source, const MatrixInfo& info, Linear& linear);

  struct Matrix {
    const MatrixInfo* info;
    Buffer<float> master, gradient;
    Buffer<uint8_t> packed;
  };
  void pack(Matrix& matrix);

  DType compute_;
  Weights weights_;
  std::vector<Matrix> matrices_;                  // by Linear::id
  std::vector<Buffer<float>> vector_gradients_;   // of weights_.vectors
  Buffer<float> embedding_, embedding_gradient_;  // empty where the head is tied
};

}  // namespace andiron
