#include "train/memory_estimate.h"

#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {
// The program, its libraries, tokenizer and data: what a process has before it has a model.
constexpr uint64_t kProcess = uint64_t{64} << 20;
// In the kernels' copies A has whole groups of 16 rows: of rank 8, twice as many as it needs.
constexpr uint64_t kCopies = 2;
}  // namespace

MemoryEstimate estimate_memory(const MemoryInput& input) {
  MemoryEstimate out;
  out.weights = input.weight_bytes;
  out.gradients = sizeof(float) * static_cast<uint64_t>(input.parameters);
  out.parameters = out.gradients * (1 + kCopies);
  out.optimizer = input.optimizer_bytes;
  out.pass = input.pass_bytes;
  out.process = kProcess;
  return out;
}

std::string describe(const MemoryEstimate& e) {
  const std::pair<const char*, uint64_t> parts[] = {
      {"weights", e.weights},     {"trained numbers", e.parameters},  {"gradients", e.gradients},
      {"optimiser", e.optimizer}, {"activations and logits", e.pass}, {"everything else", e.process},
  };
  std::string text;
  for (const auto& [name, bytes] : parts) {
    if (bytes < e.total() / 100) continue;
    text += format("{}{} {}", text.empty() ? "" : ", ", name, human_bytes(bytes));
  }
  return format("{}: {}", human_bytes(e.total()), text);
}

}  // namespace andiron
