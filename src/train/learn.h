// A training run from beginning to end: data, plan, steps, checkpoints, verdict, and what it leaves in its folder.
//
//   adapter_config.json, adapter_model.safetensors   the adapter (PEFT); of full training model.gguf
//   run.json, loss.csv, loss.svg                     the record
//   checkpoints/                                     the last two and the best
//
// The library prints nothing: what there is to say goes to LearnEvents. One thread; `stop` may be set from any other.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"
#include "data/token_row.h"
#include "kernels/kernel_table.h"
#include "model/model.h"
#include "text/tokenizer.h"
#include "train/learn_options.h"
#include "train/loss_log.h"
#include "train/run_record.h"

namespace andiron {

// Any may be empty.
struct LearnEvents {
  std::function<void(std::string_view line)> say;
  // Long work beside the steps, again and again until done == total: "measuring the held-out loss", in tokens.
  std::function<void(std::string_view what, int64_t done, int64_t total)> working;
  // Before the first step: how many there are, and how many were done before, of a run that is taken up again.
  std::function<void(int64_t steps, int64_t done)> begin;
  std::function<void(const LossRow& row)> step;  // after each
  const std::atomic<bool>* stop = nullptr;       // ends the run after the current step, everything saved
};

struct LearnResult {
  RunRecord record;
  bool stopped = false;           // by `stop`: --resume goes on
  std::vector<LossRow> rows;      // of the whole run
  std::vector<TokenRow> samples;  // a few of the rows held out
};

// A run that was stopped or killed goes on with `resume`: the result is the same, byte for byte. Without it a folder
// that holds a run or an adapter is refused. When a step fails (a loss that is not finite, a full disk), what was
// learned until then is written as far as it can be, and the Error says so.
Result<LearnResult> learn(const Model& model, const Tokenizer& tokenizer, const KernelTable& kernels, ThreadTeam& team,
                          const LearnOptions& options, const LearnEvents& events);

// The text whose perplexity tells what was forgotten where no other is given: plain English of our own.
std::string_view general_text();

}  // namespace andiron
