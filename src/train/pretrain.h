// A model from nothing: random weights, trained as its configuration says.
//
//   initial.gguf                  the model before the first step
//   model.gguf                    what was made of it
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
#include "train/learn.h"
#include "train/pretrain_config.h"

namespace andiron {

struct PretrainOptions {
  PretrainConfig config;
  std::vector<std::string> data;
  std::string out;      // the run's folder; made when it is not there
  std::string version;  // of the program, for the record
  double budget_seconds = 0;
  uint64_t memory_bytes = 0;  // 0: six tenths of what is free
  Checkpointing checkpointing = Checkpointing::kAuto;
  bool resume = false;
};

Result<LearnResult> pretrain(const KernelTable& kernels, ThreadTeam& team, const PretrainOptions& options,
                             const LearnEvents& events);

}  // namespace andiron
