#include "model/adapter_stack.h"

#include <cmath>
#include <utility>

#include "base/strings.h"

namespace andiron {

Result<std::shared_ptr<const AdapterWeights>> load_adapter(const std::string& path, const AdapterBase& base,
                                                           const Model& model, const KernelTable& kernels,
                                                           ThreadTeam& team, std::vector<std::string>& notes,
                                                           AdapterForm form) {
  TRY_ASSIGN(const Adapter adapter, read_adapter(path, &base));
  TRY_ASSIGN(const BaseMatch match, match_base(adapter, base));
  if (match == BaseMatch::kOther) {
    notes.push_back(format("{}: made on other weights ({}) than these; it fits in shape and may still help", path,
                           adapter.base_name.empty() ? "unnamed" : in_quotes(adapter.base_name)));
  }
  TRY_ASSIGN(auto weights, AdapterWeights::create(adapter, model, kernels, team, form));
  return std::shared_ptr<const AdapterWeights>(std::move(weights));
}

AdapterStack::AdapterStack(std::vector<Layer> layers) : layers_(std::move(layers)) {
  for (const Layer& layer : layers_) layer.adapter->add_to(deltas_, layer.strength);
}

Result<std::shared_ptr<const AdapterStack>> AdapterStack::load(std::span<const StackEntry> entries, const Model& model,
                                                               const KernelTable& kernels, ThreadTeam& team,
                                                               std::vector<std::string>& notes, AdapterForm form) {
  TRY_ASSIGN(const AdapterBase base, describe_base(model.source()));
  std::vector<Layer> layers;
  for (const StackEntry& entry : entries) {
    if (!std::isfinite(entry.strength)) return make_error("{}: its strength is not a finite number", entry.path);
    TRY_ASSIGN(auto adapter, load_adapter(entry.path, base, model, kernels, team, notes, form));
    layers.push_back({std::move(adapter), entry.strength});
  }
  return std::make_shared<const AdapterStack>(std::move(layers));
}

}  // namespace andiron
