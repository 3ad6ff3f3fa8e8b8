// Evaluation: how well a model, with or without adapters, does on rows of data. Rows are read, rendered and masked as
// for training (data/dataset.h), so the loss is the number that a run reports for the rows it holds out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"
#include "data/choices.h"
#include "data/dataset.h"
#include "kernels/kernel_table.h"
#include "model/model.h"
#include "model/train_pass.h"
#include "ops/lora.h"
#include "text/tokenizer.h"

namespace andiron {

// What counts as right.
enum class EvalMetric : uint8_t {
  kLoss,      // a token that no other is likelier than
  kExact,     // a greedy answer to the row's last question that equals the one expected
  kContains,  // one that contains it
  kChoice,    // the choice with the greatest mean log-probability over its tokens, the end of the answer included;
              // among equals the first
};
// "loss", "exact", "contains", "choice".
Result<EvalMetric> eval_metric_from_name(std::string_view name);
std::string_view eval_metric_name(EvalMetric metric);

// How answers are compared: without white space at both ends, and every run of it within as one space.
std::string normal_answer(std::string_view text);

struct EvalOptions {
  EvalMetric metric = EvalMetric::kLoss;
  // As for training: row_lengths(), format, mask. With `held_out` above 0 only the rows are used that a run with the
  // same data, part and seed holds out. kExact and kContains look at the last answer of a row; kChoice has its own
  // rows.
  DataOptions reading;
  int64_t rows_max = 0;  // only the first so many rows or questions; 0: all
};

struct EvalData {
  TokenRows rows;
  std::vector<ChoiceQuestion> questions;  // of kChoice
  DataReport report;
  int64_t seq_len = 0;  // positions of a sequence that holds each

  // Rows, or questions.
  int64_t size(EvalMetric metric) const {
    return static_cast<int64_t>(metric == EvalMetric::kChoice ? questions.size() : rows.rows.size());
  }
};
// An Error when nothing is left, or when texts are to be answered. `model_name` is for messages.
Result<EvalData> load_eval_data(const std::vector<std::string>& paths, const Tokenizer& tokenizer,
                                std::string_view model_name, const EvalOptions& options, ThreadTeam& team);

struct EvalReport {
  double loss = 0;      // mean over trained tokens, in nats; of kChoice, those of the right choices
  double accuracy = 0;  // share of tokens, rows or questions that are right
  int64_t rows = 0;     // or questions
  int64_t tokens = 0;   // trained
  int64_t right = 0;    // of rows or questions; 0 with kLoss

  double perplexity() const;
};

// Answers a prompt greedily: the text so far is shown to `go_on` as it grows, and no more of it is wanted once that
// says so. Returns the text, without the end of the answer.
using Answerer =
    std::function<Result<std::string>(std::span<const int32_t> prompt, const std::function<bool(std::string_view)>&)>;

// What a row of kExact or kContains was answered.
struct GivenAnswer {
  int64_t row = 0;  // 1 for the first of EvalData
  std::string expected, given;
  bool right = false;
};

struct EvalEvents {
  // Positions or rows done, of all; false: an Error ends the evaluation.
  std::function<bool(std::string_view what, int64_t done, int64_t total)> progress = {};
  // With it answers are not cut short once they are decided. An Error ends the evaluation.
  std::function<Status(const GivenAnswer& answer)> answered = {};
};

// Everything that scores rows of up to `seq_len` positions, ready to be used for several stacks.
Result<std::unique_ptr<TrainPass>> make_eval_pass(const Model& model, const KernelTable& kernels, ThreadTeam& team,
                                                  int64_t seq_len);

// `deltas`: of the adapters worn, or null; `answerer` is only needed for kExact and kContains, and wears the same.
// An Error for a loss that is not a finite number.
Result<EvalReport> evaluate(TrainPass& pass, const Tokenizer& tokenizer, const EvalData& data,
                            const EvalOptions& options, const DeltaTable* deltas, const Answerer& answerer,
                            const EvalEvents& events);

}  // namespace andiron
