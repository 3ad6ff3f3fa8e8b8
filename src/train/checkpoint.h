// Checkpoints: everything a training run needs to go on as if it had never stopped.
//
// One safetensors file a checkpoint, "step-000000120.safetensors": the parameters' values under their own names, the
// optimiser's state beside them, and in "__metadata__" the key "andiron_checkpoint" with the JSON of CheckpointState
// and "xxh3" with the XXH3-128 of that JSON and of all names, shapes and bytes. It is written to a file without a name,
// synced, put in place, and its folder synced (base/atomic_file.h); only then are older ones removed. So at every
// moment there is at least one whole checkpoint once the first has been saved, and no part of one.
//
// Kept are the last two and the best (CheckpointState::best_step).
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "ops/parameter.h"
#include "train/optimizer.h"

namespace andiron {

struct CheckpointState {
  int64_t step = 0;                                            // optimiser steps done
  int64_t data_position = 0;                                   // sequences consumed, over all epochs
  int64_t tokens = 0;                                          // trained on so far
  double best_loss = std::numeric_limits<double>::infinity();  // held-out; infinity: none yet
  int64_t best_step = -1;                                      // its checkpoint is kept; -1: none
  Json run = Json::object();      // what must be the same for the run to go on: see Checkpoints::restore
  Json trainer = Json::object();  // the rest of the trainer's state, kept as it came
};

class Checkpoints {
 public:
  // Makes the folder (its parent must exist). Nothing in it is touched.
  static Result<Checkpoints> open(const std::string& folder);

  // The steps of the checkpoints there, ascending, whole or not.
  Result<std::vector<int64_t>> steps() const;

  // "saved" may be said when this returns without an Error. On an Error (no space, a failing disk) the earlier
  // checkpoints are still there.
  Status save(const CheckpointState& state, Optimizer& optimizer);

  struct Restored {
    CheckpointState state;
    std::string path;
    std::vector<std::string> refused;  // a sentence for each newer checkpoint that could not be used
  };
  // Loads the newest whole checkpoint into the parameters and the optimiser; nothing when there is no checkpoint at
  // all. An Error when there are some and none is whole, or when the newest whole one is of another run: its `run`
  // differs from `expected_run`, or its tensors do not match. Parameters are written only once all has been checked.
  Result<std::optional<Restored>> restore(Optimizer& optimizer, const Json& expected_run);

  // Loads the parameters' values of one step, e.g. the best.
  Status load_values(int64_t step, std::span<const Parameter> parameters) const;

  // Removes all checkpoints (a run that is to begin again, or has ended).
  Status clear();

  std::string path_of(int64_t step) const;
  const std::string& folder() const { return folder_; }

  // Bytes of one checkpoint, headers included, rounded up.
  static uint64_t bytes_needed(Optimizer& optimizer);
  // An Error when the folder's disk has not room for `count` checkpoints of these bytes.
  Status check_space(uint64_t bytes, int count) const;

 private:
  explicit Checkpoints(std::string folder) : folder_(std::move(folder)) {}
  void prune(int64_t best_step);

  std::string folder_;
  int64_t last_ = -1;    // saved or restored last
  int64_t before_ = -1;  // the one before it
};

}  // namespace andiron
