// A GGUF file: whatever is taken must be readable to its last byte.
#include <cstdlib>

#include "format/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace andiron;
  const std::span bytes(data, size);
  const auto contents = read_gguf(bytes, "input");
  if (!contents.ok()) {
    if (contents.error().message.empty()) std::abort();
    return 0;
  }
  uint64_t sum = 0;
  for (size_t i = 0; i < contents->tensors.size(); ++i) {
    const TensorInfo& tensor = contents->tensors[i];
    if (contents->offsets[i] > size || tensor.bytes > size - contents->offsets[i]) std::abort();
    if (row_bytes(tensor.dtype, tensor.columns()) * tensor.rows() != tensor.bytes) std::abort();
    for (const uint8_t byte : bytes.subspan(contents->offsets[i], tensor.bytes)) sum += byte;
  }
  for (const MetaEntry& entry : contents->metadata) {
    if (const auto* texts = std::get_if<MetaValue::Texts>(&entry.value.value)) {
      for (const auto text : *texts) {
        for (const char c : text) sum += static_cast<uint8_t>(c);
      }
    }
  }
  return sum == UINT64_MAX ? 1 : 0;  // so that the reads are not optimised away
}
