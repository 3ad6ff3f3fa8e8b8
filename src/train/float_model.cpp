#include "train/float_model.h"

#include <utility>
#include <vector>

#include "format/gguf.h"
#include "model/output_metadata.h"
#include "tensor/quantize.h"

namespace andiron {

Status write_float_model(const ModelSource& source, std::span<const Parameter> parameters, const std::string& path) {
  std::vector<TensorInfo> tensors;
  for (const TensorInfo& tensor : source.tensors()) {
    TRY_ASSIGN(TensorInfo info, make_tensor_info(tensor.name, DType::kF32, tensor.shape, path));
    tensors.push_back(std::move(info));
  }
  TRY_ASSIGN(const OutputMetadata metadata, OutputMetadata::create(source, 0));
  TRY_ASSIGN(GgufWriter writer, GgufWriter::create(path, metadata.entries(), tensors));
  std::vector<uint8_t> scratch;
  for (const TensorInfo& tensor : source.tensors()) {
    bool written = false;
    for (const Parameter& parameter : parameters) {  // experts of one tensor follow one another
      const std::string_view name = std::string_view(parameter.name).substr(0, parameter.name.find('#'));
      if (name != tensor.name) continue;
      TRY(writer.append(
          {reinterpret_cast<const uint8_t*>(parameter.value), static_cast<size_t>(parameter.size()) * sizeof(float)}));
      written = true;
    }
    if (written) continue;  // what is left is not trained: rotary divisors and the like
    TRY_ASSIGN(const auto bytes, source.whole(tensor, scratch));
    std::vector<float> numbers(tensor.elements);
    decode_row(tensor.dtype, bytes.data(), numbers.data(), tensor.elements);
    TRY(writer.append({reinterpret_cast<const uint8_t*>(numbers.data()), numbers.size() * sizeof(float)}));
  }
  return writer.finish();
}

}  // namespace andiron
