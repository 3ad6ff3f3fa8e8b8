#include "base/atomic_file.h"
#include "base/strings.h"
#include "format/gguf.h"
#include "format/hf_source.h"
#include "format/model_source.h"

namespace andiron {

Result<std::unique_ptr<ModelSource>> open_model_source(const std::string& path) {
  if (is_folder(path)) return open_hf_folder(path);
  if (path.ends_with(".safetensors") || path.ends_with(".json")) {
    return make_error("{}: give the folder that holds it, with its config.json", path);
  }
  for (const char* pickle : {".bin", ".pt", ".pth", ".ckpt"}) {
    if (path.ends_with(pickle)) {
      return make_error(
          "{}: files of this kind can run code and are never opened; get the model as GGUF or safetensors", path);
    }
  }
  return open_gguf(path);
}

}  // namespace andiron
