#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "tensor/quant_blocks.h"

namespace andiron {
namespace {

TEST(DType, SizesAreThoseOfTheBlockStructs) {
  struct {
    DType dtype;
    uint32_t elements;
    size_t bytes;
  } const cases[] = {
      {DType::kF32, 1, 4},
      {DType::kF16, 1, 2},
      {DType::kBF16, 1, 2},
      {DType::kQ4_0, kBlockElements, sizeof(BlockQ4_0)},
      {DType::kQ4_1, kBlockElements, sizeof(BlockQ4_1)},
      {DType::kQ5_0, kBlockElements, sizeof(BlockQ5_0)},
      {DType::kQ5_1, kBlockElements, sizeof(BlockQ5_1)},
      {DType::kQ8_0, kBlockElements, sizeof(BlockQ8_0)},
      {DType::kQ2_K, kSuperBlockElements, sizeof(BlockQ2_K)},
      {DType::kQ3_K, kSuperBlockElements, sizeof(BlockQ3_K)},
      {DType::kQ4_K, kSuperBlockElements, sizeof(BlockQ4_K)},
      {DType::kQ5_K, kSuperBlockElements, sizeof(BlockQ5_K)},
      {DType::kQ6_K, kSuperBlockElements, sizeof(BlockQ6_K)},
      {DType::kIQ4_NL, kBlockElements, sizeof(BlockIQ4_NL)},
      {DType::kIQ4_XS, kSuperBlockElements, sizeof(BlockIQ4_XS)},
  };
  ASSERT_EQ(std::size(cases), all_dtypes().size());
  for (const auto& c : cases) {
    const DTypeInfo& info = dtype_info(c.dtype);
    EXPECT_EQ(info.block_elements, c.elements) << info.name;
    EXPECT_EQ(info.block_bytes, c.bytes) << info.name;
    EXPECT_EQ(row_bytes(c.dtype, 3 * uint64_t{c.elements}), 3 * c.bytes) << info.name;
  }
}

TEST(DType, IsFoundByNumberAndByName) {
  std::set<uint32_t> known;
  for (const DTypeInfo& info : all_dtypes()) {
    known.insert(static_cast<uint32_t>(info.dtype));
    EXPECT_EQ(dtype_from_number(static_cast<uint32_t>(info.dtype)), info.dtype);
    EXPECT_EQ(dtype_from_name(info.name), info.dtype);
  }
  EXPECT_EQ(dtype_from_name("q4_k"), DType::kQ4_K);
  EXPECT_EQ(dtype_from_name("bf16"), DType::kBF16);
  EXPECT_EQ(dtype_from_name("Q4_KM"), std::nullopt);
  EXPECT_EQ(dtype_from_name(""), std::nullopt);
  for (uint32_t number = 0; number < 100; ++number) {
    EXPECT_EQ(dtype_from_number(number).has_value(), known.contains(number)) << number;
  }
  EXPECT_EQ(dtype_from_number(0xffffffffu), std::nullopt);
}

TEST(DType, ShapesAreWrittenOutermostFirst) {
  EXPECT_EQ(shape_text({}), "a single number");
  EXPECT_EQ(shape_text(std::vector<uint64_t>{7}), "7");
  EXPECT_EQ(shape_text(std::vector<uint64_t>{8, 64, 32}), "8 x 64 x 32");
}

}  // namespace
}  // namespace andiron
