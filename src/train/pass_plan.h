// How a pass over a model is laid out so that training fits the memory, and how fast it then is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/thread_team.h"
#include "model/model.h"
#include "model/train_pass.h"
#include "train/learn_options.h"
#include "train/memory_estimate.h"
#include "train/run_events.h"
#include "train/trainer.h"

namespace andiron {

struct PassPlan {
  TrainLimits limits;
  MemoryInput memory;  // for any estimate of the same run
  int64_t layers = 0;

  // "656,000 trained numbers; all activations are remembered"
  std::string describe() const;
};

struct PassWishes {
  int64_t parameters = 0;  // trained numbers
  uint64_t optimizer_bytes = 0;
  int64_t rows = 0;  // positions that run together
  Checkpointing checkpointing = Checkpointing::kAuto;
  uint64_t memory_bytes = 0;     // that may be used; 0: six tenths of what is free
  std::string_view advice = {};  // what to do where it is too little
};

// What may be used.
uint64_t memory_wanted(uint64_t memory_bytes);

// An Error with `advice` where `needed` is more than may be used: `memory_bytes`, or if that is 0 all that is free and
// the `held_bytes` that are in memory already.
Status check_memory(const MemoryEstimate& needed, uint64_t memory_bytes, uint64_t held_bytes, std::string_view advice);

// The fewest layers run again with which training fits; an Error when it never does.
Result<PassPlan> plan_pass(const Model& model, const PassWishes& wishes, int threads);

// Trained tokens a second: the best of a few steps of the real thing, at a rate of 0, which changes nothing.
// `subject`'s parameters leave the pass again.
Result<double> measure_speed(TrainPass& pass, TrainSubject subject, const TrainData& data, TrainerOptions options,
                             ThreadTeam& team, const LearnEvents& events);

}  // namespace andiron
