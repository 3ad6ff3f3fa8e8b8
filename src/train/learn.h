// A training run from beginning to end: data, plan, steps, checkpoints, verdict, and what it leaves in its folder.
//
//   adapter_config.json, adapter_model.safetensors   the adapter (PEFT); of full training model.gguf
//   run.json, loss.csv, loss.svg                     the record
//   checkpoints/                                     the last two and the best
//   study.jsonl                                      questions and answers that the model wrote about documents; in
//                                                    study-held-out.jsonl those that are not learned, but measured
//
// The library prints nothing: what there is to say goes to LearnEvents. One thread; `stop` may be set from any other.
#pragma once

#include <cstddef>
#include <cstdint>
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
#include "train/planner.h"
#include "train/run_events.h"
#include "train/study.h"

namespace andiron {

// A run that was stopped or killed goes on with `resume`: the result is the same, byte for byte. Without it a folder
// that holds a run or an adapter is refused. When a step fails (a loss that is not finite, a full disk), what was
// learned until then is written as far as it can be, and the Error says so. Without `answerer` nothing is studied.
Result<LearnResult> learn(const Model& model, const Tokenizer& tokenizer, const KernelTable& kernels, ThreadTeam& team,
                          const LearnOptions& options, const LearnEvents& events,
                          const StudyAnswererMaker& answerer = {});

// What learn() would do, found out without doing it: the data is read, nothing is trained, written or measured.
struct LearnPlan {
  Plan plan;
  double rate = 0;                 // of the optimiser
  int64_t passages = 0;            // of documents that would be studied first; the rows that come of it are not planned
  std::vector<std::string> lines;  // for people, those of the plan and of the data
};
// `tokens_per_s`: of training, as an earlier run had it; 0: unknown, and the plan then says nothing of time and keeps
// to no budget. Errors as those of learn().
Result<LearnPlan> plan_learning(const Model& model, const Tokenizer& tokenizer, const KernelTable& kernels,
                                ThreadTeam& team, const LearnOptions& options, double tokens_per_s);

// Where one of LearnResult::samples is cut: its prompt stands before that. A text has none: its first sixteen tokens.
size_t sample_prompt_size(const TokenRow& row);

// The rate where none is given.
double usual_rate(const Model& model, const LearnOptions& options);

// The text whose perplexity tells what was forgotten where no other is given: plain English of our own.
std::string_view general_text();

}  // namespace andiron
