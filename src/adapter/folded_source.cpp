#include "adapter/folded_source.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/strings.h"
#include "tensor/quantize.h"

namespace andiron {

namespace {

// "blk.0.attn_q" of "blk.0.attn_q.weight"; "" for other names.
std::string_view layer_of(std::string_view tensor) {
  constexpr std::string_view kWeight = ".weight";
  if (!tensor.ends_with(kWeight)) return "";
  tensor.remove_suffix(kWeight.size());
  return tensor;
}

// No adapter that helps makes weights so much larger, nor larger than the narrowest float format can hold; a model with
// such weights computes infinities.
constexpr float kGrowthMax = 1e4F, kWeightMax = 65504.0F;

// The largest; infinity where one is not finite.
float magnitude(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) return std::numeric_limits<float>::infinity();
    largest = std::max(largest, std::abs(value));
  }
  return largest;
}

class FoldedSource final : public ModelSource {
 public:
  FoldedSource(const ModelSource& base, std::vector<WornAdapter> worn, ThreadTeam& team)
      : ModelSource(base.path()), base_(base), worn_(std::move(worn)), team_(team) {}

  Status open() {
    std::vector<TensorInfo> tensors;
    for (const TensorInfo& tensor : base_.tensors()) {
      const bool changed = changes_layer(worn_, layer_of(tensor.name));
      TRY_ASSIGN(TensorInfo info,
                 make_tensor_info(tensor.name, changed ? DType::kF32 : tensor.dtype, tensor.shape, path()));
      tensors.push_back(std::move(info));
    }
    files_.assign(base_.files().begin(), base_.files().end());
    return set_contents({base_.metadata().begin(), base_.metadata().end()}, std::move(tensors));
  }

  Result<std::span<const uint8_t>> rows(const TensorInfo& tensor, uint64_t first, uint64_t count,
                                        std::vector<uint8_t>& scratch) const override {
    TRY_ASSIGN(const size_t index, check_rows(tensor, first, count));
    const TensorInfo& from = base_.tensors()[index];
    const std::string_view layer = layer_of(from.name);
    if (!changes_layer(worn_, layer)) return base_.rows(from, first, count, scratch);
    std::vector<uint8_t> raw;
    TRY_ASSIGN(const auto bytes, base_.rows(from, first, count, raw));
    const uint64_t columns = from.columns(), row_size = row_bytes(from.dtype, columns);
    scratch.resize(count * columns * sizeof(float));
    std::vector<float> before(count), after(count);
    team_.parallel_for(static_cast<int64_t>(count), [&](int64_t i, int) {
      const auto row = static_cast<uint64_t>(i);
      std::vector<float> values(columns);
      decode_row(from.dtype, bytes.data() + row * row_size, values.data(), columns);
      before[row] = magnitude(values);
      fold_rows(worn_, layer, static_cast<int64_t>(first + row), 1, values);
      after[row] = magnitude(values);
      std::memcpy(scratch.data() + row * columns * sizeof(float), values.data(), columns * sizeof(float));
    });
    const float largest = magnitude(before), folded = magnitude(after);
    if (folded > std::max(largest, std::min(kWeightMax, largest > 0 ? kGrowthMax * largest : kWeightMax))) {
      return make_error(
          "{}: tensor \"{}\": its largest weight would go from {} to {} with the adapters folded in; expected weights "
          "of a like size: choose smaller strengths",
          path(), in_quotes(tensor.name), largest, folded);
    }
    return std::span<const uint8_t>(scratch);
  }

  void drop(const TensorInfo& tensor) const override {
    if (const TensorInfo* from = base_.find_tensor(tensor.name)) base_.drop(*from);
  }
  Status check_intact() const override { return base_.check_intact(); }
  Result<std::string> side_file(std::string_view name) const override { return base_.side_file(name); }

 private:
  const ModelSource& base_;
  std::vector<WornAdapter> worn_;
  ThreadTeam& team_;
};

}  // namespace

Result<std::unique_ptr<ModelSource>> fold_source(const ModelSource& base, std::vector<WornAdapter> worn,
                                                 ThreadTeam& team) {
  auto source = std::make_unique<FoldedSource>(base, std::move(worn), team);
  TRY(source->open());
  return std::unique_ptr<ModelSource>(std::move(source));
}

}  // namespace andiron
