// AdapterStack: any number of adapters on one model, each with a strength, in the order in which they are added.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "adapter/adapter.h"
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

// Immutable: any number of sessions may wear one.
class AdapterStack {
 public:
  // Reads the adapters and holds each against the model. An adapter that does not fit is an Error; one that was made
  // for other weights of the same shapes is a note.
  static Result<std::shared_ptr<const AdapterStack>> load(std::span<const StackEntry> entries, const Model& model,
                                                          const KernelTable& kernels, ThreadTeam& team,
                                                          std::vector<std::string>& notes);

  const DeltaTable& deltas() const { return deltas_; }

 private:
  AdapterStack() = default;
  std::vector<std::unique_ptr<AdapterWeights>> adapters_;
  DeltaTable deltas_;
};

}  // namespace andiron
