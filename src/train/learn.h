// A training run from beginning to end: data, plan, steps, checkpoints, verdict, and what it leaves in its folder.
//
//   adapter_config.json, adapter_model.safetensors   the adapter (PEFT); of full training model.gguf
//   run.json, loss.csv, loss.svg                     the record
//   checkpoints/                                     while it runs, and after it was stopped
//
// The library prints nothing: what there is to say goes to LearnEvents. One thread; `stop` may be set from any other.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"
#include "data/dataset.h"
#include "kernels/kernel_table.h"
#include "model/model.h"
#include "text/tokenizer.h"
#include "train/loss_log.h"
#include "train/losses.h"
#include "train/optimizer.h"
#include "train/run_record.h"
#include "train/schedule.h"

namespace andiron {

enum class LearnMethod : uint8_t { kLora, kRsLora, kDora, kFull };
// "lora", "rslora", "dora", "full".
Result<LearnMethod> learn_method_from_name(std::string_view name);
std::string_view learn_method_name(LearnMethod method);

// Which layers run again in the backward pass instead of being remembered.
enum class Checkpointing : uint8_t {
  kAuto,  // as many as the memory asks for
  kOn,    // all
  kOff,   // none
};

struct LearnOptions {
  std::vector<std::string> data;
  std::string out;        // the run's folder; made when it is not there
  std::string name;       // for people
  std::string base_path;  // of the model, for the record
  std::string version;    // of the program, for the record
  LearnMethod method = LearnMethod::kLora;
  int64_t rank = 16;
  double alpha = 32;
  std::vector<std::string> targets = {"all"};  // "all", or the ends of layer names: "attn_q", "q_proj", "ffn_down"
  double dropout = 0;
  double rate_ratio = 1;  // LoRA+: the rate of B over that of A; 16 is that paper's
  LossKind loss = LossKind::kNextToken;
  double beta = 0.1;
  DataOptions reading;  // seq_len, use and seed are set from what is below
  std::optional<int64_t> steps, seq_len, batch, grad_accum;
  std::optional<double> epochs;
  bool pack = true;
  bool by_length = false;
  Schedule::Kind schedule = Schedule::Kind::kCosine;
  std::optional<double> rate;  // default: 2e-4 for adapters, 2e-5 for all weights, a tenth of it for preferences
  double warmup = 0.05;        // share of the steps
  AdamWOptions optimizer;
  double neftune_alpha = 0;
  double kl_weight = 0;
  std::vector<std::string> replay;  // more rows, trained on beside the data
  std::string general;              // a text: against forgetting; empty: a built-in one
  double general_harm_max = 0.1;    // the perplexity on it may rise by this share before the result is a draft
  int64_t patience = 3;             // measurements without a better held-out loss before it stops; 0: never
  std::optional<int64_t> save_every, measure_every;
  double budget_seconds = 0;  // 0: none
  uint64_t memory_bytes = 0;  // 0: six tenths of what is free
  Checkpointing checkpointing = Checkpointing::kAuto;
  bool resume = false;
  uint64_t seed = 0;
};

struct LearnStep {
  int64_t step = 0, steps = 0;
  LossRow row;
  double seconds_left = 0;
};

struct LearnEvents {
  std::function<void(std::string_view)> say;      // a line
  std::function<void(const LearnStep&)> step;     // after each
  std::function<void(std::string_view)> working;  // a long part begins ("measuring the held-out loss")
  const std::atomic<bool>* stop = nullptr;        // ends the run after the current step, everything saved
};

struct LearnResult {
  RunRecord record;
  bool stopped = false;           // by `stop`: --resume goes on
  std::vector<LossRow> rows;      // of the whole run
  std::vector<TokenRow> samples;  // a few of the rows held out
};

// A run that was stopped or killed goes on with `resume`: the result is the same, byte for byte. Without it a folder
// that holds a run is refused.
Result<LearnResult> learn(const Model& model, const Tokenizer& tokenizer, const KernelTable& kernels, ThreadTeam& team,
                          const LearnOptions& options, const LearnEvents& events);

// The text whose perplexity tells what was forgotten where no other is given: plain English of our own.
std::string_view general_text();

}  // namespace andiron
