#include "model/adapter_weights.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "model/weights.h"
#include "tensor/quantize.h"

namespace andiron {

namespace {

Buffer<float> copy_of(const std::vector<float>& numbers) {
  Buffer<float> out(numbers.size());
  std::copy(numbers.begin(), numbers.end(), out.data());
  return out;
}

Buffer<float> lengths_of(const Buffer<double>& squares) {
  Buffer<float> out(squares.size());
  std::transform(squares.data(), squares.data() + squares.size(), out.data(),
                 [](double square) { return static_cast<float>(std::sqrt(square)); });
  return out;
}

std::string layer_of(const MatrixInfo& matrix) {
  constexpr std::string_view kSuffix = ".weight";
  return matrix.tensor.substr(0, matrix.tensor.size() - kSuffix.size());
}

}  // namespace

Status AdapterWeights::add_matrix(const Adapter& adapter, const AdapterMatrix& from, ThreadTeam& team) {
  const auto& matrices = model_->weights().matrices;
  const auto found = std::find_if(matrices.begin(), matrices.end(), [&](const MatrixInfo& matrix) {
    // A tied head is the embedding, which no adapter changes.
    return !matrix.expert && layer_of(matrix) == from.layer;
  });
  if (found == matrices.end() || found->n != from.n || found->k != from.k) {
    return make_error("{}: it changes \"{}\" of {} x {}, which {} does not have; it was made for another model",
                      adapter.path, in_quotes(from.layer), from.n, from.k, model_->source().path());
  }
  Matrix matrix;
  matrix.id = static_cast<size_t>(found - matrices.begin());
  matrix.layer = from.layer;
  matrix.n = from.n;
  matrix.k = from.k;
  matrix.r = from.r;
  matrix.scaling = adapter.scaling(from);
  matrix.a = copy_of(from.a);
  matrix.b = copy_of(from.b);
  if (adapter.dora) {
    matrix.gain = Buffer<float>(static_cast<size_t>(from.n));
    TRY(square_rows(matrix, team));
    matrix.magnitude = from.magnitude.empty() ? lengths_of(matrix.norm_squares) : copy_of(from.magnitude);
  }
  matrices_.push_back(std::move(matrix));
  return {};
}

// In one block, in the order in which the forward reads them: a batch reads some kilobytes here and some there of every
// adapter in it, and in pages of the usual size the processor would have to look up nearly each of those addresses.
void AdapterWeights::make_room_to_pack() {
  uint64_t bytes = 0;
  for (Matrix& matrix : matrices_) {
    matrix.packed_a = bytes;
    matrix.packed_b = matrix.packed_a + packed_bytes(kernel_format(), matrix.r, matrix.k);
    bytes = matrix.packed_b + packed_bytes(kernel_format(), matrix.n, matrix.r);
  }
  packed_ = Buffer<uint8_t>(bytes, Pages::kLarge);
}

Status AdapterWeights::square_rows(Matrix& matrix, ThreadTeam& team) const {
  const MatrixInfo& info = model_->weights().matrices[matrix.id];
  const ModelSource& source = model_->source();
  const TensorInfo& tensor = *source.find_tensor(info.tensor);
  matrix.norm_squares = Buffer<double>(static_cast<size_t>(info.n));
  std::vector<uint8_t> scratch;
  TRY_ASSIGN(const auto bytes,
             source.rows(tensor, static_cast<uint64_t>(info.first_row), static_cast<uint64_t>(info.n), scratch));
  const uint64_t row_size = row_bytes(tensor.dtype, static_cast<uint64_t>(info.k));
  team.parallel_for(info.n, info.n * info.k, [&](int64_t row, int) {
    std::vector<float> numbers(static_cast<size_t>(info.k));
    decode_row(tensor.dtype, bytes.data() + static_cast<uint64_t>(row) * row_size, numbers.data(), numbers.size());
    double sum = 0;
    for (const float number : numbers) sum += static_cast<double>(number) * static_cast<double>(number);
    matrix.norm_squares[static_cast<size_t>(row)] = sum;
  });
  return {};
}

Result<std::unique_ptr<AdapterWeights>> AdapterWeights::create(const Adapter& adapter, const Model& model,
                                                               const KernelTable& kernels, ThreadTeam& team,
                                                               AdapterForm form) {
  std::unique_ptr<AdapterWeights> out(new AdapterWeights(form));
  out->model_ = &model;
  out->bases_ = matrices_by_id(model.weights());
  for (const AdapterMatrix& matrix : adapter.matrices) TRY(out->add_matrix(adapter, matrix, team));
  out->make_room_to_pack();
  int64_t inputs = 32;
  for (const Matrix& matrix : out->matrices_) inputs = std::max(inputs, matrix.k);
  Ops ops(kernels, team, out->rank_max(), inputs);
  out->refresh(ops);
  if (form == AdapterForm::kHalf) out->keep_packed_only();
  return out;
}

void AdapterWeights::keep_packed_only() {
  for (Matrix& matrix : matrices_) {
    for (Buffer<float>* numbers : {&matrix.a, &matrix.b, &matrix.magnitude}) *numbers = Buffer<float>();
    matrix.norm_squares = Buffer<double>();
  }
}

void AdapterWeights::add_to(DeltaTable& table, float strength, float dropout) const {
  if (strength == 0) return;
  table.resize(std::max(table.size(), bases_.size()));
  for (const Matrix& matrix : matrices_) {
    const bool has_gain = matrix.gain.size() > 0;
    LoraDelta delta;
    delta.a = {kernel_format(), matrix.r, matrix.k, packed_.data() + matrix.packed_a, nullptr, -1, matrix.a.data()};
    delta.b = {kernel_format(), matrix.n, matrix.r, packed_.data() + matrix.packed_b, nullptr, -1, matrix.b.data()};
    delta.scale = matrix.unit * (has_gain ? matrix.scaling : matrix.scaling * strength);
    delta.strength = strength;
    delta.dropout = dropout;
    if (has_gain) {
      delta.gain = matrix.gain.data();
      delta.magnitude = matrix.magnitude.data();
    }
    table[matrix.id].push_back(delta);
  }
}

std::vector<Parameter> AdapterWeights::parameters(float b_rate) {
  ANDIRON_CHECK(form_ == AdapterForm::kExact);
  std::vector<Parameter> out;
  for (Matrix& matrix : matrices_) {
    if (matrix.da.size() == 0) {
      matrix.da = Buffer<float>(matrix.a.size());
      matrix.db = Buffer<float>(matrix.b.size());
      matrix.dmagnitude = Buffer<float>(matrix.magnitude.size());
    }
    out.push_back({matrix.layer + ".lora_A", {matrix.r, matrix.k}, matrix.a.data(), matrix.da.data(), 1, true});
    out.push_back({matrix.layer + ".lora_B", {matrix.n, matrix.r}, matrix.b.data(), matrix.db.data(), b_rate, true});
    if (matrix.magnitude.size() > 0) {
      out.push_back({matrix.layer + ".lora_magnitude_vector",
                     {matrix.n},
                     matrix.magnitude.data(),
                     matrix.dmagnitude.data(),
                     1,
                     false});
    }
  }
  return out;
}

// g = m / |W + s B A| by rows: |W|^2 + 2 s B . (W A^T) + s^2 (B A A^T) . B. In W A^T the rows of A are rounded as
// activations are where W is quantised.
void AdapterWeights::refresh_gain(Matrix& matrix, Ops& ops) const {
  const int64_t n = matrix.n, k = matrix.k, r = matrix.r;
  const int64_t stride = padded_columns(n);
  Buffer<float> crossed(r, stride);  // [r, n] A W^T, with the bias
  const Linear& linear = base(matrix);
  ops.adapt({});
  ops.linear({matrix.a.data(), r, k, k}, linear, {crossed.data(), r, n, stride});
  std::vector<double> gram(static_cast<size_t>(r * r));  // A A^T
  for (int64_t i = 0; i < r; ++i) {
    for (int64_t j = 0; j < r; ++j) {
      gram[static_cast<size_t>(i * r + j)] = ops.kernels().dot(matrix.a.data() + i * k, matrix.a.data() + j * k, k);
    }
  }
  const auto s = static_cast<double>(matrix.scaling);
  ops.team().parallel_for(n, n * r * r, [&](int64_t row, int) {
    const auto at = static_cast<size_t>(row);
    const float* b = matrix.b.data() + row * r;
    const double bias = linear.bias != nullptr ? static_cast<double>(linear.bias[row]) : 0.0;
    double square = matrix.norm_squares[at];
    for (int64_t i = 0; i < r; ++i) {
      const auto bi = static_cast<double>(b[i]);
      square += 2 * s * bi * (static_cast<double>(crossed[static_cast<size_t>(i * stride + row)]) - bias);
      for (int64_t j = 0; j < r; ++j)
        square += s * s * bi * gram[static_cast<size_t>(i * r + j)] * static_cast<double>(b[j]);
    }
    // Divided as floats: a magnitude that is the length of W's row, as a new one is, gives exactly 1.
    matrix.gain[at] = square > 0 ? matrix.magnitude[at] / static_cast<float>(std::sqrt(square)) : 1.0f;
  });
}

void AdapterWeights::pack(Matrix& matrix) {
  uint8_t* a = packed_.data() + matrix.packed_a;
  uint8_t* b = packed_.data() + matrix.packed_b;
  if (form_ == AdapterForm::kHalf) {
    matrix.unit = pack_matrix_f16(matrix.a.data(), matrix.r, matrix.k, a) *
                  pack_matrix_f16(matrix.b.data(), matrix.n, matrix.r, b);
  } else {
    pack_matrix(matrix.a.data(), matrix.r, matrix.k, a);
    pack_matrix(matrix.b.data(), matrix.n, matrix.r, b);
  }
}

void AdapterWeights::repack(Ops& ops) {
  ANDIRON_CHECK(form_ == AdapterForm::kExact);
  refresh(ops);
}

void AdapterWeights::refresh(Ops& ops) {
  ops.team().parallel_for(static_cast<int64_t>(matrices_.size()), ThreadTeam::kWorthSharing,
                          [&](int64_t i, int) { pack(matrices_[static_cast<size_t>(i)]); });
  for (Matrix& matrix : matrices_) {
    if (matrix.gain.size() > 0) refresh_gain(matrix, ops);
  }
}

int64_t AdapterWeights::rank_max() const {
  int64_t rank = 1;
  for (const Matrix& matrix : matrices_) rank = std::max(rank, matrix.r);
  return rank;
}

void AdapterWeights::store(Adapter& adapter) const {
  ANDIRON_CHECK(form_ == AdapterForm::kExact);
  for (size_t i = 0; i < matrices_.size(); ++i) {
    const Matrix& from = matrices_[i];
    AdapterMatrix& to = adapter.matrices[i];
    std::copy_n(from.a.data(), from.a.size(), to.a.data());
    std::copy_n(from.b.data(), from.b.size(), to.b.data());
    to.magnitude.assign(from.magnitude.data(), from.magnitude.data() + from.magnitude.size());
  }
}

}  // namespace andiron
