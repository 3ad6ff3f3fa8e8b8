// What a run trains, made ready: a fresh adapter, or all weights of a float model.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "adapter/adapter.h"
#include "adapter/adapter_base.h"
#include "base/result.h"
#include "model/adapter_weights.h"
#include "model/float_weights.h"
#include "model/train_pass.h"
#include "train/learn_options.h"
#include "train/trainer.h"

namespace andiron {

class Subject {
 public:
  // `base`: describe_base() of the model.
  static Result<std::unique_ptr<Subject>> create(const Model& model, const AdapterBase& base,
                                                 const KernelTable& kernels, ThreadTeam& team,
                                                 const LearnOptions& options);

  // Numbers that a subject of these options trains, without making it.
  static Result<int64_t> parameters_count(const Model& model, const AdapterBase& base, const LearnOptions& options);

  const Weights& weights() const;
  // For a trainer, one after another; `pass` is what repacking computes with. This must outlive it.
  TrainSubject trained(TrainPass& pass, ThreadTeam& team);
  bool is_adapter() const { return adapter_weights_ != nullptr; }

  // Writes what has been learned into the run's folder.
  Status write(const Model& model, const LearnOptions& options);

 private:
  Subject() = default;

  const Model* model_ = nullptr;
  double rate_ratio_ = 1;
  Adapter adapter_;
  std::unique_ptr<AdapterWeights> adapter_weights_;
  DeltaTable deltas_;
  std::unique_ptr<FloatWeights> float_weights_;
};

}  // namespace andiron
