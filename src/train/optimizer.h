// AdamW with decoupled weight decay (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019), and
// clipping of the gradient by its global norm.
//
//   m <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2
//   w <- w - rate (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + decay w)
//
// The rate is step()'s, times the parameter's rate_scale. Where Muon is asked for, a hidden matrix goes its way instead
// (train/muon.h):
//
//   m <- momentum m + (1 - momentum) g      w <- w - rate (muon_scale O(momentum m + (1 - momentum) g) + decay w)
//
// Work is cut into blocks of one parameter (Muon's: whole matrices), each done by one thread, and sums over blocks run
// in their order: so the bits are the same for any number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "base/thread_team.h"
#include "kernels/kernel_table.h"
#include "ops/parameter.h"
#include "train/muon.h"

namespace andiron {

struct OptimizerOptions {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0;
  double clip_norm = 1;  // gradients of a greater global norm are scaled down to it; 0: never
  // m and v in one byte each (codes: kernel_table.h, AdamW8State) instead of four: 2 bytes a parameter instead of 8.
  bool state_8bit = false;
  bool muon = false;       // for hidden matrices; their m is in f32 always, and they have no v
  float momentum = 0.95f;  // Muon's
};

// A piece of the optimiser's state, to be written to a file and read back.
struct StateTensor {
  std::string name;    // the parameter's, with ".exp_avg", ".exp_avg_sq", and for 8 bits ".scale" after it
  bool bytes = false;  // elements are bytes, else floats
  std::vector<uint64_t> shape;
  std::span<uint8_t> data;
};

class Optimizer {
 public:
  // The parameters' values and gradients stay where they are for as long as this lives.
  Optimizer(std::vector<Parameter> parameters, const OptimizerOptions& options, const KernelTable& kernels,
            ThreadTeam& team);

  struct Report {
    double gradient_norm = 0;  // before clipping
    bool applied = false;      // false: the norm is not finite, nothing was changed
  };
  // One step with the gradients as they are. They are left alone: zero_gradients() readies the next step.
  Report step(double rate);
  void zero_gradients();
  // The norm of all gradients together, summed in double in a fixed order.
  double gradient_norm();

  std::span<const Parameter> parameters() const { return parameters_; }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  // Views of the state, in a fixed order; what is written to them is the state.
  std::vector<StateTensor> state();
  // What this holds now: state, and Muon's work memory, which grows with the first step.
  uint64_t bytes() const;
  // What it will hold at most, for parameters of which only names and shapes count.
  static uint64_t bytes_needed(std::span<const Parameter> parameters, const OptimizerOptions& options, int threads);
  // Bytes of AdamW's state for `count` numbers.
  static uint64_t state_bytes(int64_t count, bool state_8bit);

 private:
  struct Moments {
    Buffer<float> m, v;  // f32; of Muon m alone
    Buffer<int8_t> m8;   // 8 bits, and the scales of their blocks
    Buffer<uint8_t> v8;
    Buffer<float> m_scale, v_scale;
  };
  struct Block {
    int32_t parameter;
    int64_t begin, count;
  };

  bool by_muon(const Parameter& parameter) const { return options_.muon && parameter.hidden; }
  void update(const Block& block, double rate, float clip);
  void update_by_muon(const Block& block, double rate, float clip, int worker);

  std::vector<Parameter> parameters_;
  OptimizerOptions options_;
  const KernelTable& kernels_;
  ThreadTeam& team_;
  int64_t steps_ = 0;
  std::vector<Moments> moments_;  // one a parameter
  std::vector<Block> blocks_;
  std::vector<double> block_squares_;
  std::vector<Block> matrices_;                  // Muon's, the largest first
  std::vector<Orthogonalizer> orthogonalizers_;  // one a worker
  std::vector<Buffer<float>> directions_;
};

}  // namespace andiron
