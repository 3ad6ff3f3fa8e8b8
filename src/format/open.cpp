#include <filesystem>

#include "base/strings.h"
#include "format/gguf.h"
#include "format/model_source.h"

namespace andiron {

Result<std::unique_ptr<ModelSource>> open_model_source(const std::string& path) { return open_gguf(path); }

}  // namespace andiron
