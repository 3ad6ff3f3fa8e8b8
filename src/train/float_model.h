// A model with all its numbers as floats, as a file.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "format/model_source.h"
#include "ops/parameter.h"

namespace andiron {

// All weights as GGUF, in F32, under the metadata of the source: from `parameters` where they have the tensor
// (model/float_weights.h names them), otherwise from the source.
Status write_float_model(const ModelSource& source, std::span<const Parameter> parameters, const std::string& path);

}  // namespace andiron
