// Quantising: a model file in, the same model in another number format out.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/result.h"
#include "base/thread_team.h"
#include "engine/imatrix.h"
#include "format/model_source.h"
#include "model/quant_mix.h"

namespace andiron {

struct QuantizeOptions {
  QuantType type;
  // Each tensor in the number format it has there, instead of `type`; then the source's own file type is kept.
  const ModelSource* formats_of = nullptr;
  bool pure = false;                        // no recipe: see plan_tensor
  Existing existing = Existing::kReplaced;  // what is at `out`
  const Importance* importance = nullptr;   // weighs the errors; null: all columns alike
  const std::atomic<bool>* cancel = nullptr;
  // Bytes of the source that are done; `tensor` is being worked on.
  std::function<void(uint64_t done, uint64_t total, std::string_view tensor)> progress = {};
};

struct QuantizeReport {
  uint64_t bytes_before = 0;  // of the tensors
  uint64_t bytes_after = 0;
  uint64_t parameters = 0;
  std::map<DType, int64_t> tensors;  // how many got each format
  std::vector<std::string> notes;    // fallbacks, requantised tensors, tensors without importance
  bool cancelled = false;            // nothing was written
};

// Writes `out` (GGUF) with all metadata of the source; the tokenizer and the template of a Hugging Face folder become
// GGUF keys. The file appears when it is complete. The same source gives the same bytes whatever the number of threads.
// Memory: some dozen MiB beside the mapped source. Fails on a number that is not finite.
Result<QuantizeReport> quantize_model(const ModelSource& source, const std::string& out, ThreadTeam& team,
                                      const QuantizeOptions& options);

}  // namespace andiron
