// One prompt answered in one go, for the commands that compare answers.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/session.h"

namespace andiron {

struct WholeAnswer {
  std::string text;
  std::vector<int32_t> ids;
  FinishReason reason = FinishReason::kStop;  // kCancelled also where `go_on` said so
};

// `go_on` is shown the text so far as it grows; false ends the answer. May be empty.
Result<WholeAnswer> answer_whole(Session& session, std::span<const int32_t> prompt, const GenerateOptions& options,
                                 const std::function<bool(std::string_view)>& go_on = {});

}  // namespace andiron
