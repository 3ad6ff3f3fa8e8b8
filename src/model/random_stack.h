// For tests only: adapters with random numbers for all matrices of a model.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "adapter/adapter_base.h"
#include "adapter/adapter_fixture.h"
#include "base/test_folder.h"
#include "kernels/dispatch.h"
#include "model/adapter_stack.h"

namespace andiron {

// Writes a GGUF adapter that fits the model.
inline void write_random_adapter(const Model& model, uint64_t seed, const std::string& path) {
  const auto base = describe_base(model.source());
  ASSERT_TRUE(base.ok());
  Adapter adapter;
  adapter.name = "random";
  adapter.rank = 2;
  adapter.alpha = 1;
  adapter.base_name = base->name;
  adapter.base_hash = base->hash;
  adapter.architecture = base->architecture;
  adapter.heads = base->heads;
  adapter.heads_kv = base->heads_kv;
  for (const AdapterLayer& layer : base->layers) {
    adapter.matrices.push_back(random_matrix(layer.name, layer.n, layer.k, 2, seed));
    adapter.matrices.back().alpha = 0.05F;
  }
  const Status written = write_gguf_adapter(adapter, path);
  ASSERT_TRUE(written.ok()) << (written.ok() ? "" : written.error().message);
}

inline std::shared_ptr<const AdapterStack> random_stack(const Model& model, uint64_t seed, const TestFolder& folder,
                                                        ThreadTeam& team) {
  const std::string path = folder.file("random-" + std::to_string(seed) + ".gguf");
  write_random_adapter(model, seed, path);
  const StackEntry entry = {path, 1};
  std::vector<std::string> notes;
  auto stack = AdapterStack::load({&entry, 1}, model, kernels_of(available_isas().back()), team, notes);
  EXPECT_TRUE(stack.ok()) << (stack.ok() ? "" : stack.error().message);
  return std::move(stack).value();
}

}  // namespace andiron
