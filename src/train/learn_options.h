// What a training run is asked to do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "data/dataset.h"
#include "train/losses.h"
#include "train/optimizer.h"
#include "train/run_record.h"
#include "train/schedule.h"

namespace andiron {

// The weight of the pull towards the base model where that brings rows of its own to keep its skills by: ember keeps
// them with it, and learns as much.
inline constexpr double kUsualPull = 6;

enum class LearnMethod : uint8_t { kLora, kRsLora, kDora, kFull };
// "lora", "rslora", "dora", "full".
Result<LearnMethod> learn_method_from_name(std::string_view name);
std::string_view learn_method_name(LearnMethod method);

// Which layers run again in the backward pass instead of being remembered. The numbers are the same.
enum class Checkpointing : uint8_t {
  kAuto,  // as many as the memory asks for
  kOn,    // all
  kOff,   // none
};
// "auto", "on", "off".
Result<Checkpointing> checkpointing_from_name(std::string_view name);
std::string_view checkpointing_name(Checkpointing checkpointing);

// Whether a document is also learned as questions and answers that the model itself writes about it (train/study.h).
enum class StudyMode : uint8_t {
  kAuto,  // where the model chats and there is a text or Markdown among the data; a run's record says on or off
  kOn,
  kOff,
};
// "auto", "on", "off".
Result<StudyMode> study_mode_from_name(std::string_view name);
std::string_view study_mode_name(StudyMode mode);

// What is optional is chosen by the run where it is not given.
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
  DataOptions reading;  // seq_len, window, use and seed are set from what is below
  std::optional<int64_t> steps, seq_len, batch, grad_accum;
  std::optional<double> epochs;
  bool pack = true;
  Schedule::Kind schedule = Schedule::Kind::kCosine;
  std::optional<double> rate;  // default: 2e-4 for adapters (of models below 100M parameters 1e-3), 2e-5 for all
                               // weights, a tenth for preferences
  double warmup = 0.05;        // share of the steps
  OptimizerOptions optimizer;
  double neftune_alpha = 0;
  double kl_weight = 0;
  StudyMode study = StudyMode::kAuto;
  std::vector<std::string> replay;   // more rows, trained on beside the data
  std::vector<std::string> general;  // texts or rows: against forgetting; empty: a built-in text
  double general_harm_max = 0.1;     // the perplexity on it may rise by this share before the result is a draft
  int64_t patience = 3;              // measurements without a better held-out loss before it stops; 0: never
  std::optional<int64_t> save_every, measure_every;
  std::optional<int64_t> held_out_rows,
      general_rows;           // measured, of those there are; by default all that the time allows
  double budget_seconds = 0;  // for all of it, from the call of learn(); 0: none
  uint64_t memory_bytes = 0;  // 0: six tenths of what is free
  Checkpointing checkpointing = Checkpointing::kAuto;
  bool resume = false;
  uint64_t seed = 0;
  // Options that were given, as learn_options_json names them: a resumed run must have the same even where they are the
  // usual ones.
  std::vector<std::string> given;
};

// An Error that names the option as the command line does ("--dropout").
Status check_learn_options(const LearnOptions& options);

// Every option that is not a path or a name, under its name on the command line with "_" for "-"; null where nothing is
// given.
Json learn_options_json(const LearnOptions& options);
// Of them: those that change numbers. A run goes on only with the same.
Json learn_options_that_count(const LearnOptions& options);

// `given`, with everything that changes numbers as in the run of this record. An Error when an option is given that is
// neither the usual one nor the run's. `source` names the record in messages.
Result<LearnOptions> resumed_options(const LearnOptions& given, const RunRecord& record, std::string_view source);

}  // namespace andiron
