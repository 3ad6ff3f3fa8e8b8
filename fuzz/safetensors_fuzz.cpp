// A safetensors file, and the same bytes as the text of an index.
#include <cstdlib>

#include "format/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace andiron;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto index = read_safetensors_index(text, "input"); index.ok()) {
    for (const auto& [tensor, file] : *index) {
      if (file.find('/') != std::string::npos || file.starts_with('.')) std::abort();
    }
  }
  const auto contents = read_safetensors(std::span(data, size), "input");
  if (!contents.ok()) return 0;
  uint64_t covered = 0;
  for (const SafeTensor& tensor : contents->tensors) {
    if (tensor.offset > size || tensor.bytes > size - tensor.offset) std::abort();
    covered += tensor.bytes;
  }
  if (covered > size) std::abort();  // no byte belongs to two tensors
  return 0;
}
