// One prompt answered in one go, for the commands that compare answers and for what a model writes about documents.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/session.h"
#include "train/study.h"

namespace andiron {

struct WholeAnswer {
  std::string text;
  std::vector<int32_t> ids;
  FinishReason reason = FinishReason::kStop;  // kCancelled also where `go_on` said so
};

// `go_on` is shown the text so far as it grows; false ends the answer. May be empty.
Result<WholeAnswer> answer_whole(Session& session, std::span<const int32_t> prompt, const GenerateOptions& options,
                                 const std::function<bool(std::string_view)>& go_on = {});

// Whom to ask about the documents that are learned: the model itself. The cache that it holds goes with the answerer;
// all else must outlive it. Of the options, a context of 0 is one for passages, which are short.
Result<StudyAnswerer> study_answerer(std::shared_ptr<const Model> model, const Tokenizer& tokenizer,
                                     const KernelTable& kernels, ThreadTeam& team, SessionOptions options);

}  // namespace andiron
