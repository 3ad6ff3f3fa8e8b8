#include "model/float_weights.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "kernels/packing.h"
#include "model/family.h"
#include "tensor/quantize.h"

namespace andiron {

namespace {

Status decode_rows(const ModelSource& source, const TensorInfo& tensor, int64_t first, int64_t count, float* out) {
  std::vector<uint8_t> scratch;
  const auto columns = static_cast<int64_t>(tensor.columns());
  // A megabyte or so at a time: a source may have to build the rows.
  const int64_t step = std::max<int64_t>(1, (1 << 18) / columns);
  for (int64_t row = first; row < first + count; row += step) {
    const int64_t rows = std::min(step, first + count - row);
    TRY_ASSIGN(const auto bytes, source.rows(tensor, static_cast<uint64_t>(row), static_cast<uint64_t>(rows), scratch));
    decode_row(tensor.dtype, bytes.data(), out + (row - first) * columns, static_cast<uint64_t>(rows * columns));
  }
  return {};
}

}  // namespace

Status FloatWeights::read_matrix(const ModelSource& source, const MatrixInfo& info, Linear& linear) {
  const TensorInfo& tensor = *source.find_tensor(info.tensor);
  if (!dtype_info(tensor.dtype).is_float) {
    return make_error(
        "{}: the tensor \"{}\" is {}, and quantised numbers cannot be trained; train an adapter on this "
        "model, or open its original in F32, F16 or BF16",
        source.path(), in_quotes(info.tensor), dtype_info(tensor.dtype).name);
  }
  Matrix matrix;
  matrix.info = &info;
  const auto count = static_cast<size_t>(info.n * info.k);
  matrix.master = Buffer<float>(count);
  matrix.gradient = Buffer<float>(count);
  matrix.packed = Buffer<uint8_t>(packed_bytes(packed_format(compute_), info.n, info.k));
  TRY(decode_rows(source, tensor, info.first_row, info.n, matrix.master.data()));
  linear.format = packed_format(compute_);
  linear.weight = matrix.packed.data();
  linear.master = matrix.master.data();
  matrices_.push_back(std::move(matrix));
  return {};
}

Result<std::unique_ptr<FloatWeights>> FloatWeights::create(const Model& model, ThreadTeam& team, DType compute) {
  ANDIRON_CHECK(compute == DType::kF32 || compute == DType::kBF16 || compute == DType::kQ8_0);
  std::unique_ptr<FloatWeights> out(new FloatWeights(compute));
  const ModelSource& source = model.source();
  std::vector<PackRequest> requests;
  TRY(find_weights(source, model.config(), model.family(), out->weights_, requests));
  for (size_t i = 0; i < requests.size(); ++i) {
    TRY(out->read_matrix(source, out->weights_.matrices[i], *requests[i].out));
  }
  for (const auto& vector : out->weights_.vectors) out->vector_gradients_.emplace_back(vector.size());
  const TensorInfo& embedding = *out->weights_.embedding;
  const auto rows = static_cast<int64_t>(embedding.rows());
  if (out->matrices_.back().info->tensor == embedding.name) {
    out->weights_.embedding_rows = out->weights_.head.master;
  } else {
    out->embedding_ = Buffer<float>(embedding.elements);
    out->embedding_gradient_ = Buffer<float>(embedding.elements);
    TRY(decode_rows(source, embedding, 0, rows, out->embedding_.data()));
    out->weights_.embedding_rows = out->embedding_.data();
  }
  out->repack(team);
  return out;
}

bool is_of_layer(std::string_view tensor) { return tensor.starts_with("blk."); }

std::vector<Parameter> FloatWeights::parameters() {
  std::vector<Parameter> out;
  for (Matrix& matrix : matrices_) {
    std::string name = matrix.info->tensor;
    if (matrix.info->expert) name += format("#{}", matrix.info->first_row / matrix.info->n);
    const bool hidden = is_of_layer(name);
    out.push_back({std::move(name), {matrix.info->n, matrix.info->k}, matrix.master.data(), matrix.gradient.data()});
    out.back().hidden = hidden;
  }
  if (embedding_.size() > 0) {
    out.push_back(
        {weights_.embedding->name,
         {static_cast<int64_t>(weights_.embedding->rows()), static_cast<int64_t>(weights_.embedding->columns())},
         embedding_.data(),
         embedding_gradient_.data()});
  }
  for (size_t i = 0; i < weights_.vectors.size(); ++i) {
    Parameter vector;
    vector.name = weights_.vector_names[i];
    vector.shape = {static_cast<int64_t>(weights_.vectors[i].size())};
    vector.value = weights_.vectors[i].data();
    vector.gradient = vector_gradients_[i].data();
    vector.decay = false;
    out.push_back(std::move(vector));
  }
  return out;
}

void FloatWeights::pack(Matrix& matrix) {
  const int64_t n = matrix.info->n, k = matrix.info->k;
  if (compute_ == DType::kF32) {
    pack_matrix(matrix.master.data(), n, k, matrix.packed.data());
    return;
  }
  const uint64_t stride = row_bytes(compute_, static_cast<uint64_t>(k));
  const uint64_t group_bytes = packed_group_bytes(packed_format(compute_), k);
  std::vector<uint8_t> encoded(stride * kGroupRows);
  std::array<const uint8_t*, kGroupRows> rows{};
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = encoded.data() + i * stride;
  for (int64_t first = 0; first < n; first += kGroupRows) {
    const int64_t count = std::min<int64_t>(kGroupRows, n - first);
    const auto numbers = static_cast<uint64_t>(count * k);
    const float* from = matrix.master.data() + first * k;
    if (compute_ == DType::kQ8_0) {
      round_row_q8_0(from, encoded.data(), numbers);
    } else {
      encode_row(compute_, from, encoded.data(), numbers, nullptr);
    }
    pack_group(compute_, rows.data(), static_cast<int>(count), k,
               matrix.packed.data() + static_cast<uint64_t>(first / kGroupRows) * group_bytes);
  }
}

void FloatWeights::repack(ThreadTeam& team) {
  team.parallel_for(static_cast<int64_t>(matrices_.size()),
                    [&](int64_t i, int) { pack(matrices_[static_cast<size_t>(i)]); });
}

}  // namespace andiron
