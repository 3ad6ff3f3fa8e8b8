// Questions with choices: from files to the rows of tokens by which a model chooses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/example.h"
#include "data/report.h"
#include "data/token_row.h"
#include "text/tokenizer.h"

namespace andiron {

// Rows [first, first + count) of a set are a question, each with one of the choices as its answer; only the answer is
// trained.
struct ChoiceQuestion {
  size_t first = 0;
  size_t count = 0;
  size_t right = 0;  // below count
};

struct ChoiceSet {
  TokenRows rows;
  std::vector<ChoiceQuestion> questions;
  DataReport report;
};

// A question with one of its choices as the answer, for ExampleEncoder.
Example answered(const Example& question, const std::string& choice);

// Reads files and folders as DataFormat::kChoice; preference pairs count as questions with two choices. A question is
// left out, and counted, when it is bad, seen before, or has a choice that takes more than `seq_len` positions. An
// Error when none is left. The rows are those that load_data would make of the same conversations.
Result<ChoiceSet> load_choices(const std::vector<std::string>& paths, const Tokenizer& tokenizer,
                               std::string_view model_name, int64_t seq_len);

}  // namespace andiron
