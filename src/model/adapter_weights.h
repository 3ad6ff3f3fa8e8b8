// AdapterWeights: one adapter on one model, in the form that the forward adds and that training changes.
//
//   TRY_ASSIGN(auto worn, AdapterWeights::create(adapter, model, kernels, team, AdapterForm::kExact));
//   DeltaTable stack;
//   worn->add_to(stack, 0.5f);   // any number of adapters, in the order in which they are added
//
// The numbers of a stack are views of its adapters, which must outlive it. Adapters may be shared by stacks and by
// batches; training one needs it alone. After its values have changed, repack().
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "adapter/adapter.h"
#include "base/buffer.h"
#include "base/result.h"
#include "base/thread_team.h"
#include "model/model.h"
#include "ops/lora.h"
#include "ops/ops.h"
#include "ops/parameter.h"

namespace andiron {

// How an adapter's numbers are kept.
enum class AdapterForm : uint8_t {
  // In f32, as training changes them and as its losses are measured.
  kExact,
  // For answering: what the kernels read and nothing else, in F16 (ops/lora.h), a quarter of the memory. A step of a
  // batch in several adapters reads all of each, and beside a small model that is as much as the model.
  kHalf,
};

class AdapterWeights {
 public:
  // An Error when it does not fit the model (adapter/adapter_base.h: match_base says more). DoRA reads the model's
  // matrices once, for the lengths of their rows, which are the magnitudes too where it has none yet.
  static Result<std::unique_ptr<AdapterWeights>> create(const Adapter& adapter, const Model& model,
                                                        const KernelTable& kernels, ThreadTeam& team, AdapterForm form);

  // Appends its deltas to a table, which grows to the model's matrices. A strength of 0 adds nothing.
  void add_to(DeltaTable& table, float strength, float dropout = 0) const;

  // Of one that is kExact: its numbers under PEFT's roles ("blk.0.attn_q.lora_A"), with gradients, which are zeros at
  // first and are made by the first call. `b_rate`: of B (LoRA+: Hayou et al. 2024, arXiv 2402.12354).
  std::vector<Parameter> parameters(float b_rate = 1);
  // Of one that is kExact. `ops`: with room for as many rows as the greatest rank (DoRA multiplies W with A).
  void repack(Ops& ops);
  int64_t rank_max() const;
  // Of one that is kExact: copies the values back into an adapter of the same matrices.
  void store(Adapter& adapter) const;

 private:
  struct Matrix {
    size_t id;  // Linear::id
    std::string layer;
    int64_t n, k, r;
    float scaling;
    Buffer<float> a, b, magnitude;        // [r, k], [n, r], [n] or empty; of kHalf all empty
    Buffer<float> da, db, dmagnitude;     // gradients; empty unless trained
    uint64_t packed_a = 0, packed_b = 0;  // where they begin in packed_
    float unit = 1;                       // by which their product is multiplied
    Buffer<double> norm_squares;          // DoRA: [n] of W's rows
    Buffer<float> gain;                   // DoRA: [n]
  };
  explicit AdapterWeights(AdapterForm form) : form_(form) {}
  PackedFormat kernel_format() const { return form_ == AdapterForm::kExact ? kPackedF32 : kPackedF16; }
  Status add_matrix(const Adapter& adapter, const AdapterMatrix& from, ThreadTeam& team);
  void make_room_to_pack();
  void pack(Matrix& matrix);
  void refresh(Ops& ops);
  void keep_packed_only();
  Status square_rows(Matrix& matrix, ThreadTeam& team) const;
  void refresh_gain(Matrix& matrix, Ops& ops) const;
  const Linear& base(const Matrix& matrix) const { return *bases_[matrix.id]; }

  const AdapterForm form_;
  const Model* model_ = nullptr;
  std::vector<const Linear*> bases_;  // the model's matrices by Linear::id
  std::vector<Matrix> matrices_;
  Buffer<uint8_t> packed_;  // A and B of each, as the kernels read them
};

}  // namespace andiron
