// The texts of a Hugging Face folder that GGUF keeps as metadata: name, licence, chat templates.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "base/result.h"
#include "format/model_source.h"

namespace andiron {

// The entries' texts are views of strings appended to `storage`. Files that are absent give nothing; files that are
// there but malformed are an Error.
Result<std::vector<MetaEntry>> read_hf_texts(const std::string& folder, std::deque<std::string>& storage);

}  // namespace andiron
