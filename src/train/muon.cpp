#include "train/muon.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace andiron {

namespace {

constexpr int kIterations = 5;
constexpr float kA = 3.4445f, kB = -4.7750f, kC = 2.0315f;

void transpose(const float* from, int64_t rows, int64_t columns, float* to) {
  constexpr int64_t kTile = 16;
  for (int64_t row = 0; row < rows; row += kTile) {
    for (int64_t column = 0; column < columns; column += kTile) {
      for (int64_t r = row; r < std::min(rows, row + kTile); ++r) {
        for (int64_t c = column; c < std::min(columns, column + kTile); ++c) to[c * rows + r] = from[r * columns + c];
      }
    }
  }
}

void grow(Buffer<float>& buffer, int64_t size) {
  if (buffer.size() < static_cast<size_t>(size)) buffer = Buffer<float>(static_cast<size_t>(size));
}

}  // namespace

Orthogonalizer::Orthogonalizer(const KernelTable& kernels) : kernels_(kernels), scratch_(kMatmulScratchBytes) {}

void Orthogonalizer::product(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  const GemmArgs args = {m, n, k, a, k, 1, b, n, c, n, false, scratch_.data()};
  kernels_.gemm(&args);
}

void Orthogonalizer::iterate(int64_t rows, int64_t columns) {
  transpose(x_.data(), rows, columns, next_.data());
  product(rows, rows, columns, x_.data(), next_.data(), a_.data());
  product(rows, rows, rows, a_.data(), a_.data(), square_.data());
  float *a = a_.data(), *square = square_.data();
  for (int64_t i = 0; i < rows * rows; ++i) a[i] = kB * a[i] + kC * square[i];
  for (int64_t i = 0; i < rows; ++i) a[i * rows + i] += kA;
  product(rows, columns, rows, a, x_.data(), next_.data());
  std::swap(x_, next_);
}

void Orthogonalizer::orthogonalize(float* x, int64_t rows, int64_t columns) {
  const bool tall = rows > columns;
  const int64_t size = rows * columns, least = std::min(rows, columns), most = std::max(rows, columns);
  for (Buffer<float>* buffer : {&x_, &next_}) grow(*buffer, size);
  for (Buffer<float>* buffer : {&a_, &square_}) grow(*buffer, least * least);
  const double norm = std::sqrt(static_cast<double>(kernels_.dot(x, x, size)));
  const auto scale = static_cast<float>(1 / (norm + 1e-20));
  if (tall) {
    transpose(x, rows, columns, x_.data());
  } else {
    std::copy_n(x, size, x_.data());
  }
  kernels_.scale(x_.data(), scale, size, x_.data());
  for (int i = 0; i < kIterations; ++i) iterate(least, most);
  if (tall) {
    transpose(x_.data(), least, most, x);
  } else {
    std::copy_n(x_.data(), size, x);
  }
}

uint64_t Orthogonalizer::bytes() const {
  return scratch_.size() + sizeof(float) * (x_.size() + next_.size() + a_.size() + square_.size());
}

uint64_t Orthogonalizer::bytes_needed(int64_t size, int64_t least) {
  return kMatmulScratchBytes + 2 * sizeof(float) * static_cast<uint64_t>(size + least * least);
}

float muon_scale(int64_t rows, int64_t columns) {
  return 0.2f * std::sqrt(static_cast<float>(std::max(rows, columns)));
}

}  // namespace andiron
