// Importance matrices: which columns of each weight matter, measured on a text.
//
// The error of a quantised product y = W x is a sum over columns of (error of W[., k])^2 * x[k]^2, so a column counts
// as much as the mean square of the input that meets it. quantize uses these means as weights. Files are GGUF in
// llama.cpp's layout (tools/imatrix/imatrix.cpp): for each matrix NAME a tensor "NAME.in_sum2" [E, K] with the sums of
// squares and "NAME.counts" [E, 1] with the number of rows they are sums over; E is 1, or the number of experts.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"
#include "kernels/kernel_table.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace andiron {

class Importance {
 public:
  struct Entry {
    int64_t columns = 0;
    std::vector<double> sums;     // [E, K] sums of squares
    std::vector<int64_t> counts;  // [E]
  };

  static Result<Importance> load(const std::string& path);
  // `dataset`: the text it was measured on, for the record; windows and their size likewise.
  Status save(const std::string& path, std::string_view dataset, int64_t windows, int64_t window) const;

  // Mean squares [K] for matrix `name` (expert `expert` of it), into `out`. False when there is no entry, or no row
  // ever met it. An Error when the entry has another number of columns, or fewer experts.
  Result<bool> lookup(std::string_view name, int64_t expert, int64_t columns, std::vector<float>& out) const;

  std::map<std::string, Entry, std::less<>>& entries() { return entries_; }
  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }

 private:
  std::map<std::string, Entry, std::less<>> entries_;  // by the tensor's name
};

struct ImportanceOptions {
  int64_t window = 512;
  int64_t windows_max = 0;                    // 0: the whole text
  const std::atomic<bool>* cancel = nullptr;  // looked at before every window; what was measured so far counts
  std::function<void(int64_t done, int64_t total)> progress = {};
};

struct ImportanceReport {
  Importance importance;
  int64_t windows = 0;
  int64_t experts_unseen = 0;  // experts that no token of the text chose
};

// Measures every matrix of the model's layers on windows of `tokens` (engine/text_windows.h).
Result<ImportanceReport> measure_importance(const Model& model, const Tokenizer& tokenizer,
                                            std::span<const int32_t> tokens, const KernelTable& kernels,
                                            ThreadTeam& team, const ImportanceOptions& options);

}  // namespace andiron
