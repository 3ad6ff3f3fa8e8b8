// AdapterStack: any number of adapters on one model, each with a strength, in the order in which they are added.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "adapter/adapter_base.h"
#include "base/result.h"
#include "base/thread_team.h"
#include "kernels/kernel_table.h"
#include "model/adapter_weights.h"
#include "model/model.h"
#include "ops/lora.h"

namespace andiron {

struct StackEntry {
  std::string path;    // a PEFT folder or a GGUF adapter
  float strength = 1;  // 0: not worn; negative takes away
};

// Reads one adapter and holds it against the model, which must outlive it and which `base` describes. One that does not
// fit is an Error; one that was made for other weights of the same shapes is a note. Whoever answers wears it in F16;
// whoever holds it against what training said needs kExact.
Result<std::shared_ptr<const AdapterWeights>> load_adapter(const std::string& path, const AdapterBase& base,
                                                           const Model& model, const KernelTable& kernels,
                                                           ThreadTeam& team, std::vector<std::string>& notes,
                                                           AdapterForm form = AdapterForm::kHalf);

// Immutable: any number of sessions may wear one.
class AdapterStack {
 public:
  struct Layer {
    std::shared_ptr<const AdapterWeights> adapter;
    float strength = 1;  // finite
  };

  // Of adapters that are loaded, which stacks may share.
  explicit AdapterStack(std::vector<Layer> layers);

  // Of files, as load_adapter().
  static Result<std::shared_ptr<const AdapterStack>> load(std::span<const StackEntry> entries, const Model& model,
                                                          const KernelTable& kernels, ThreadTeam& team,
                                                          std::vector<std::string>& notes,
                                                          AdapterForm form = AdapterForm::kHalf);

  const DeltaTable& deltas() const { return deltas_; }

 private:
  std::vector<Layer> layers_;
  DeltaTable deltas_;
};

}  // namespace andiron
