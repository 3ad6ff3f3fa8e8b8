// FoldedSource: a model with adapters folded into it, as a model.
#pragma once

#include <memory>
#include <vector>

#include "adapter/fold.h"
#include "base/result.h"
#include "base/thread_team.h"
#include "format/model_source.h"

namespace andiron {

// What `base` holds, but for the matrices that the adapters change: these are F32 here, whatever they are there, and
// are made row by row as they are read (fold_rows). So nothing of the model is in memory, and a matrix that no adapter
// changes keeps its bytes. All that is given must outlive it; reading it uses the team. The adapters fit the model
// (match_base).
Result<std::unique_ptr<ModelSource>> fold_source(const ModelSource& base, std::vector<WornAdapter> worn,
                                                 ThreadTeam& team);

}  // namespace andiron
