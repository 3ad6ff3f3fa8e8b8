// What a run tells while it goes on, and what it gives in the end.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "data/token_row.h"
#include "train/loss_log.h"
#include "train/run_record.h"

namespace andiron {

// Any may be empty.
struct LearnEvents {
  std::function<void(std::string_view line)> say;
  // Long work beside the steps, again and again until done == total: "measuring the held-out loss", in tokens.
  std::function<void(std::string_view what, int64_t done, int64_t total)> working;
  // Questions about a document being written, as `working`, in requests to the model.
  std::function<void(std::string_view what, int64_t done, int64_t total)> studying;
  // Before the first step: how many there are, and how many were done before, of a run that is taken up again.
  std::function<void(int64_t steps, int64_t done)> begin;
  std::function<void(const LossRow& row)> step;  // after each
  // Before the first step, where it is known: what the matrix products of a token's training take.
  std::function<void(double flop_per_token)> cost;
  // Ends the run after the current step, everything saved; before the first, while documents are studied, with an
  // Error.
  const std::atomic<bool>* stop = nullptr;

  void tell(std::string_view line) const {
    if (say) say(line);
  }
  bool stopped() const { return stop != nullptr && stop->load(); }
};

struct LearnResult {
  RunRecord record;
  bool stopped = false;           // by `stop`: --resume goes on
  std::vector<LossRow> rows;      // of the whole run
  std::vector<TokenRow> samples;  // a few of the rows held out
};

}  // namespace andiron
