// A model from nothing: random weights, trained as its configuration says.
//
//   initial.gguf                  the model before the first step
//   model.gguf                    what was made of it
//   tokens/                       the data as tokens (data/token_store.h); may be removed when all is done
//   run.json, loss.csv, loss.svg  the record
//   checkpoints/                  the last two and the best
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"
#include "kernels/kernel_table.h"
#include "train/learn_options.h"
#include "train/pretrain_config.h"
#include "train/run_events.h"

namespace andiron {

struct PretrainOptions {
  PretrainConfig config;
  std::vector<std::string> data;
  std::string out;               // the run's folder; made when it is not there
  std::string version;           // of the program, for the record
  std::optional<int64_t> steps;  // instead of the configuration's tokens, epochs or steps
  double budget_seconds = 0;     // for all of it, from the call of pretrain(); 0: none
  uint64_t memory_bytes = 0;     // 0: six tenths of what is free
  Checkpointing checkpointing = Checkpointing::kAuto;
  bool resume = false;
};

// A run that was stopped or killed goes on with `resume`, the same configuration, tokenizer and data: the result is the
// same, byte for byte. With others it is refused, and what it has stays as it is. The model ends with the values of the
// last step. A model for which memory or disk have no room is refused before anything is written.
Result<LearnResult> pretrain(const KernelTable& kernels, ThreadTeam& team, const PretrainOptions& options,
                             const LearnEvents& events);

}  // namespace andiron
