#include "ops/ops.h"

#include <cstring>

#include "ops/each_row.h"

namespace andiron {

Ops::Ops(const KernelTable& kernels, ThreadTeam& team, int64_t rows_max, int64_t k_max)
    : kernels_(kernels), team_(team), rows_max_(rows_max), k_max_((k_max + 31) / 32 * 32) {
  const auto numbers = static_cast<size_t>(rows_max_ * k_max_);
  contiguous_ = Buffer<float>(numbers, Pages::kLarge);
  q8_ = Buffer<int8_t>(numbers, Pages::kLarge);
  u8_ = Buffer<uint8_t>(numbers, Pages::kLarge);
  scale_ = Buffer<float>(numbers / 32);
  dsum32_ = Buffer<float>(numbers / 32);
  dsum16_ = Buffer<float>(numbers / 16);
  sum16_ = Buffer<int32_t>(numbers / 16);
  const auto workers = static_cast<size_t>(team_.size());
  matmul_scratch_ = Buffer<uint8_t>(workers * kMatmulScratchBytes);
  attention_scratch_ = Buffer<float>(workers * kAttentionScratchFloats);
  attention_list_.reserve(static_cast<size_t>(rows_max_));  // a sequence has a row at least
}

Rows Ops::keep(Rows x) {
  const Rows out = {tape_->room<float>(x.rows * x.cols), x.rows, x.cols, x.cols};
  each_row(team_, x.rows, x.cols,
           [&](int64_t t) { std::memcpy(out.row(t), x.row(t), static_cast<size_t>(x.cols) * sizeof(float)); });
  return out;
}

}  // namespace andiron
