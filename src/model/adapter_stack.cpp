#include "model/adapter_stack.h"

#include <cmath>
#include <utility>

#include "adapter/adapter_base.h"
#include "base/strings.h"

namespace andiron {

Result<std::shared_ptr<const AdapterStack>> AdapterStack::load(std::span<const StackEntry> entries, const Model& model,
                                                               const KernelTable& kernels, ThreadTeam& team,
                                                               std::vector<std::string>& notes) {
  TRY_ASSIGN(const AdapterBase base, describe_base(model.source()));
  std::shared_ptr<AdapterStack> stack(new AdapterStack());
  for (const StackEntry& entry : entries) {
    if (!std::isfinite(entry.strength)) return make_error("{}: its strength is not a finite number", entry.path);
    TRY_ASSIGN(const Adapter adapter, read_adapter(entry.path, &base));
    TRY_ASSIGN(const BaseMatch match, match_base(adapter, base));
    if (match == BaseMatch::kOther) {
      notes.push_back(format("{}: made on other weights ({}) than these; it fits in shape and may still help",
                             entry.path, adapter.base_name.empty() ? "unnamed" : quoted(adapter.base_name)));
    }
    TRY_ASSIGN(auto weights, AdapterWeights::create(adapter, model, kernels, team));
    weights->add_to(stack->deltas_, entry.strength);
    stack->adapters_.push_back(std::move(weights));
  }
  return std::shared_ptr<const AdapterStack>(std::move(stack));
}

}  // namespace andiron
