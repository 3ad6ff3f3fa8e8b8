// The f32 products of training against float64, and every table against the scalar one bit for bit.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/kernels_fixture.h"

namespace andiron {
namespace {

// C [m, n] of one product with A and B as given; C begins as `c` when accumulating, else as NaN. Gaps between rows hold
// NaN before, and must after.
struct Product {
  int64_t m, n, k;
  bool a_transposed = false;
  std::vector<float> a, b, c;

  Product(int64_t rows, int64_t columns, int64_t depth, bool transposed)
      : m(rows),
        n(columns),
        k(depth),
        a_transposed(transposed),
        a(normals(1, static_cast<size_t>(m * k))),
        b(normals(2, static_cast<size_t>(k * n))),
        c(normals(3, static_cast<size_t>(m * n))) {}

  double a_at(int64_t i, int64_t l) const { return a[a_transposed ? l * m + i : i * k + l]; }

  // `pieces` cuts k.
  std::vector<float> run(const KernelTable& table, bool accumulate, int64_t pieces = 1) const {
    const int64_t ldc = n + 3;
    std::vector<float> out(static_cast<size_t>(m * ldc), NAN);
    for (int64_t i = 0; i < m && accumulate; ++i) std::copy_n(c.data() + i * n, n, out.data() + i * ldc);
    Buffer<uint8_t> scratch(kMatmulScratchBytes);
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const int64_t begin = k * piece / pieces, end = k * (piece + 1) / pieces;
      const GemmArgs args = {m,
                             n,
                             end - begin,
                             a.data() + begin * (a_transposed ? m : 1),
                             a_transposed ? 1 : k,
                             a_transposed ? m : 1,
                             b.data() + begin * n,
                             n,
                             out.data(),
                             ldc,
                             accumulate || piece > 0,
                             scratch.data()};
      table.gemm(&args);
    }
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = n; j < ldc; ++j) EXPECT_TRUE(std::isnan(out[i * ldc + j])) << table.name;
      std::copy_n(out.data() + i * ldc, n, out.data() + i * n);
    }
    out.resize(static_cast<size_t>(m * n));
    return out;
  }
};

// Each of the k fused multiply-adds rounds once: k roundings of 2^-24 on the sum of magnitudes.
TEST(Gemm, MatchesFloat64AndScalarBits) {
  for (const auto& [m, n, k] : std::vector<std::array<int64_t, 3>>{{1, 1, 1},
                                                                   {7, 5, 3},
                                                                   {8, 48, 128},
                                                                   {9, 49, 129},
                                                                   {3, 16, 0},
                                                                   {29, 47, 513},
                                                                   {50, 100, 260},
                                                                   {17, 33, 390}}) {
    for (const bool transposed : {false, true}) {
      const Product p(m, n, k, transposed);
      for (const bool accumulate : {false, true}) {
        const auto reference = p.run(kernels_of(Isa::kScalar), accumulate);
        for (int64_t i = 0; i < m; ++i) {
          for (int64_t j = 0; j < n; ++j) {
            double sum = accumulate ? double{p.c[i * n + j]} : 0, magnitude = std::fabs(sum);
            for (int64_t l = 0; l < k; ++l) {
              sum += p.a_at(i, l) * p.b[l * n + j];
              magnitude += std::fabs(p.a_at(i, l) * p.b[l * n + j]);
            }
            ASSERT_NEAR(reference[i * n + j], sum, magnitude * static_cast<double>(k) * 0x1p-24)
                << m << " " << n << " " << k << " at " << i << " " << j;
          }
        }
        for (const KernelTable& table : all_tables()) {
          const auto y = p.run(table, accumulate);
          ASSERT_EQ(0, std::memcmp(y.data(), reference.data(), 4 * y.size())) << table.name << " " << m << " " << n;
        }
      }
    }
  }
}

TEST(Gemm, CuttingTheSumKeepsTheBits) {
  const Product p(21, 70, 301, true);
  for (const KernelTable& table : all_tables()) {
    const auto whole = p.run(table, false), cut = p.run(table, false, 7);
    EXPECT_EQ(0, std::memcmp(whole.data(), cut.data(), 4 * whole.size())) << table.name;
  }
}

// What is not finite reaches exactly the elements it belongs to: a padded lane must not spread it.
TEST(Gemm, NotFiniteStaysInItsRowAndColumn) {
  Product p(9, 20, 40, false);
  p.a[3 * 40 + 7] = INFINITY;
  p.b[5 * 20 + 19] = NAN;
  for (const KernelTable& table : all_tables()) {
    const auto y = p.run(table, false);
    for (int64_t i = 0; i < 9; ++i)
      for (int64_t j = 0; j < 20; ++j) EXPECT_EQ(!std::isfinite(y[i * 20 + j]), i == 3 || j == 19) << i << " " << j;
  }
}

// dx_t of columns [begin, end) of W, in two pieces, as two threads would.
std::vector<float> transposed_product(const KernelTable& table, const Weight& w, const std::vector<float>& dy,
                                      int64_t tokens, int64_t begin, int64_t end) {
  const int64_t ld_dx = tokens + 16;
  std::vector<float> dx(static_cast<size_t>((end - begin) * ld_dx), NAN);
  Buffer<uint8_t> scratch(kMatmulScratchBytes);
  const int64_t middle = begin + (end - begin) / 64 * 32;
  for (const auto& [from, to] : {std::pair<int64_t, int64_t>{begin, middle}, {middle, end}}) {
    const MatmulTransposedArgs args = {w.packed.data(),
                                       packed_groups(w.n),
                                       w.k,
                                       from,
                                       to,
                                       dy.data(),
                                       tokens,
                                       tokens,
                                       dx.data() + (from - begin) * ld_dx,
                                       ld_dx,
                                       scratch.data()};
    table.matmul_transposed[packed_format(w.dtype)](&args);
  }
  return dx;
}

std::vector<float> padded_rows(int64_t rows, int64_t tokens) {
  auto dy = normals(5, static_cast<size_t>(rows * tokens));
  dy.resize(static_cast<size_t>(16 * packed_groups(rows) * tokens), 0.0F);
  return dy;
}

// N fused multiply-adds with weights that have the bits of decode_row. With AMX weight and gradient are rounded to
// bf16, 2^-9 each, so a term is off by 2^-8 + 2^-18 of itself, and tdpbf16ps may round twice per pair.
TEST(MatmulTransposed, EveryFormatAndTableMatchesFloat64) {
  const int64_t k = 768, tokens = 48;
  for (const DTypeInfo& info : all_dtypes()) {
    const Weight w(info.dtype, 16 * 18 + 5, k, 7);  // more than a piece of any table, an odd number of groups
    const auto dy = padded_rows(w.n, tokens);
    const int64_t begin = 32, end = k;
    const auto reference = transposed_product(kernels_of(Isa::kScalar), w, dy, tokens, begin, end);
    for (const KernelTable& table : all_tables()) {
      const bool bf16 = std::string(table.name) == "amx";
      const auto dx = transposed_product(table, w, dy, tokens, begin, end);
      for (int64_t i = begin; i < end; ++i) {
        const float* row = dx.data() + (i - begin) * (tokens + 16);
        for (int64_t t = 0; t < tokens; ++t) {
          double sum = 0, magnitude = 0;
          for (int64_t n = 0; n < w.n; ++n) {
            const double term = double{w.decoded[n * k + i]} * dy[n * tokens + t];
            sum += term;
            magnitude += std::fabs(term);
          }
          const double rounding = static_cast<double>(w.n) * 0x1p-24 + (bf16 ? 0x1p-8 + 0x1p-18 + 300 * 0x1p-24 : 0);
          ASSERT_NEAR(row[t], sum, magnitude * rounding) << info.name << " " << table.name << " k=" << i << " t=" << t;
        }
        for (int64_t t = tokens; t < tokens + 16; ++t) ASSERT_TRUE(std::isnan(row[t])) << "beyond the tokens";
      }
      if (bf16) continue;
      ASSERT_EQ(0, std::memcmp(dx.data(), reference.data(), 4 * dx.size())) << info.name << table.name;
    }
  }
}

// With a gradient of one 1 the product is the decoded row itself: bit for bit, whatever bytes a file holds. The other
// rows are zeros, for 0 times a scale that is not finite would be NaN.
TEST(MatmulTransposed, UnpacksTheBitsOfDecode) {
  const RandomStream random(17);
  for (const DTypeInfo& info : all_dtypes()) {
    const int64_t k = 4096, n = 16;
    const size_t stride = row_bytes(info.dtype, k);
    Weight w(info.dtype, n, k, 1);
    std::vector<uint8_t> zeros(stride), bytes(stride);
    for (size_t i = 0; i < stride; ++i) bytes[i] = static_cast<uint8_t>(random.bits(i));
    std::vector<float> want(static_cast<size_t>(k));
    decode_row(info.dtype, bytes.data(), want.data(), k);
    for (const int64_t row : {0, 5, 15}) {
      std::vector<const uint8_t*> rows(16, zeros.data());
      rows[row] = bytes.data();
      pack_group(info.dtype, rows.data(), n, k, w.packed.data());
      std::vector<float> dy(16 * 16, 0.0F);
      std::fill_n(dy.data() + row * 16, 16, 1.0F);
      for (const KernelTable& table : all_tables()) {
        if (std::string(table.name) == "amx") continue;
        const auto dx = transposed_product(table, w, dy, 16, 0, k);
        for (int64_t i = 0; i < k; ++i) {
          const float got = dx[i * 32];
          ASSERT_TRUE(want[i] == got || (std::isnan(want[i]) && std::isnan(got)))
              << info.name << " " << table.name << " column " << i << ": " << got << " for " << want[i];
        }
      }
    }
  }
}

TEST(MatmulTransposed, OddColumnsInFloatFormats) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const Weight w(dtype, 19, 37, 3);
    const auto dy = padded_rows(w.n, 32);
    const auto reference = transposed_product(kernels_of(Isa::kScalar), w, dy, 32, 0, 37);
    for (const KernelTable& table : all_tables()) {
      const bool bf16 = std::string(table.name) == "amx";
      const auto dx = transposed_product(table, w, dy, 32, 0, 37);
      for (int64_t i = 0; i < 37; ++i) {
        double sum = 0, magnitude = 0;
        for (int64_t n = 0; n < w.n; ++n) {
          sum += double{w.decoded[n * 37 + i]} * dy[n * 32];
          magnitude += std::fabs(double{w.decoded[n * 37 + i]} * dy[n * 32]);
        }
        EXPECT_NEAR(dx[i * 48], sum, magnitude * (38 * 0x1p-24 + (bf16 ? 0x1p-8 + 0x1p-18 : 0))) << table.name;
      }
      if (bf16) continue;
      EXPECT_EQ(0, std::memcmp(dx.data(), reference.data(), 4 * dx.size())) << table.name;
    }
  }
}

// A token's gradient does not depend on its batch, nor a column's on the range it is asked for in: AMX included.
TEST(MatmulTransposed, TokensAndColumnsDoNotMatter) {
  const int64_t k = 512, tokens = 48;
  for (const DType dtype : {DType::kQ4_0, DType::kQ6_K, DType::kBF16}) {
    const Weight w(dtype, 300, k, 7);
    const auto dy = padded_rows(w.n, tokens);
    std::vector<float> last;  // 16 tokens
    for (size_t n = 0; n < dy.size() / tokens; ++n)
      for (int64_t t = 32; t < tokens; ++t) last.push_back(dy[n * tokens + t]);
    for (const KernelTable& table : all_tables()) {
      const auto all = transposed_product(table, w, dy, tokens, 0, k);
      const auto some = transposed_product(table, w, last, 16, 96, 256);
      for (int64_t i = 96; i < 256; ++i) {
        ASSERT_EQ(0, std::memcmp(&all[i * (tokens + 16) + 32], &some[(i - 96) * 32], 64)) << table.name << " " << i;
      }
    }
  }
}

}  // namespace
}  // namespace andiron
