// How much memory training takes, part by part.
#pragma once

#include <cstdint>
#include <string>

namespace andiron {

struct MemoryInput {
  uint64_t weight_bytes = 0;  // packed base
  int64_t parameters = 0;     // trained numbers
  uint64_t optimizer_bytes = 0;
  // Of a pass: activations as checkpointing keeps them, their gradients, a chunk of logits. TrainPass::bytes_needed.
  uint64_t pass_bytes = 0;
};

struct MemoryEstimate {
  uint64_t weights = 0;
  uint64_t parameters = 0;  // master values, and copies of them for the kernels
  uint64_t gradients = 0;
  uint64_t optimizer = 0;
  uint64_t pass = 0;     // activations and logits
  uint64_t process = 0;  // what it takes before anything else
  uint64_t total() const { return weights + parameters + gradients + optimizer + pass + process; }
};

MemoryEstimate estimate_memory(const MemoryInput& input);

// "1.2 GiB: weights 0.7 GiB, ..."; parts that hardly count are left out.
std::string describe(const MemoryEstimate& estimate);

}  // namespace andiron
