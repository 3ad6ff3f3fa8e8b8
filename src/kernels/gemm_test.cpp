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

// What dx holds before: rows of the columns asked for, some floats apart.
constexpr int64_t kGap = 5;
std::vector<float> before(int64_t tokens, int64_t columns) {
  std::vector<float> dx(static_cast<size_t>(tokens * (columns + kGap)), NAN);
  for (int64_t t = 0; t < tokens; ++t) {
    const auto row = normals(50 + static_cast<uint64_t>(t), static_cast<size_t>(columns));
    std::copy(row.begin(), row.end(), dx.begin() + t * (columns + kGap));
  }
  return dx;
}

// dy W added to `dx`, columns [begin, end) of W, in two pieces, as two threads would. dy [tokens, N].
void transposed_product(const KernelTable& table, const Weight& w, const std::vector<float>& dy, int64_t begin,
                        int64_t end, std::vector<float>& dx) {
  Buffer<uint8_t> scratch(kMatmulScratchBytes);
  const int64_t middle = begin + (end - begin) / 64 * 32;
  const int64_t tokens = static_cast<int64_t>(dy.size()) / w.n, blocks = (w.n + kGradientBlock - 1) / kGradientBlock;
  const int64_t ld_q = blocks * kGradientBlock + 4;
  std::vector<uint8_t> q(static_cast<size_t>(tokens * ld_q * kGradientBytesMax));
  std::vector<float> scale(static_cast<size_t>(tokens * blocks));
  for (int64_t t = 0; t < tokens; ++t) {
    table.quantize_gradient(&dy[t * w.n], w.n, &q[t * ld_q * table.gradient_bytes], &scale[t * blocks], false);
  }
  for (const auto& [from, to] : {std::pair<int64_t, int64_t>{begin, middle}, {middle, end}}) {
    const MatmulTransposedArgs args = {w.packed.data(),
                                       w.n,
                                       w.k,
                                       from,
                                       to,
                                       dy.data(),
                                       w.n,
                                       q.data(),
                                       ld_q,
                                       scale.data(),
                                       tokens,
                                       dx.data() - begin,
                                       end - begin + kGap,
                                       scratch.data()};
    table.matmul_transposed[packed_format(w.dtype)](&args);
  }
}

// What rounding a block's weights and gradients to 8 bits may change: half a step of each, at every row.
// w [rows, columns], dy [rows].
double integer_rounding(const std::vector<float>& w, int64_t columns, const float* dy, int64_t column) {
  double sum = 0;
  const int64_t rows = static_cast<int64_t>(w.size()) / columns;
  for (int64_t block = 0; block < rows; block += kGradientBlock) {
    double top_w = 0, top_dy = 0, all_w = 0, all_dy = 0;
    const int64_t end = std::min(rows, block + kGradientBlock);
    for (int64_t n = block; n < end; ++n) {
      const double a = std::fabs(w[n * columns + column]), b = std::fabs(dy[n]);
      top_w = std::max(top_w, a);
      top_dy = std::max(top_dy, b);
      all_w += a;
      all_dy += b;
    }
    const double half_w = top_w / (2 * kGradientWeightMax), half_dy = top_dy / (2 * kGradientMax);
    sum += half_w * all_dy + half_dy * all_w + static_cast<double>(end - block) * half_w * half_dy;
  }
  return 1.0001 * sum;  // the scales are rounded too
}

// Every table against float64 on columns [begin, end), and but for AMX against the scalar table bit for bit. N fused
// multiply-adds with weights that have the bits of decode_row; of quantised weights rounded as above. With AMX weight
// and gradient are rounded to bf16, 2^-9 each, so a term is off by 2^-8 + 2^-18 of itself, and tdpbf16ps may round
// twice per pair.
void expect_transposed_products(const Weight& w, int64_t tokens, int64_t begin, int64_t end) {
  const auto dy = normals(5, static_cast<size_t>(tokens * w.n));
  const int64_t columns = end - begin, stride = columns + kGap;
  const auto start = before(tokens, columns);
  auto reference = start;
  transposed_product(kernels_of(Isa::kScalar), w, dy, begin, end, reference);
  for (const KernelTable& table : all_tables()) {
    const std::string what = dtype_info(w.dtype).name.data() + std::string(" ") + table.name;
    const bool bf16 = std::string(table.name) == "amx";
    auto dx = start;
    transposed_product(table, w, dy, begin, end, dx);
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t i = 0; i < columns; ++i) {
        double sum = start[t * stride + i], magnitude = std::fabs(sum);
        for (int64_t n = 0; n < w.n; ++n) {
          const double term = double{w.decoded[n * w.k + begin + i]} * dy[t * w.n + n];
          sum += term;
          magnitude += std::fabs(term);
        }
        const auto terms = static_cast<double>(w.n);
        const double rounding = terms * 0x1p-24 + (bf16 ? 0x1p-8 + 0x1p-18 + terms * 0x1p-24 : 0);
        const bool integers = table.rounds_gradients && !dtype_info(w.dtype).is_float;
        const double steps = integers ? integer_rounding(w.decoded, w.k, &dy[t * w.n], begin + i) : 0;
        ASSERT_NEAR(dx[t * stride + i], sum, magnitude * rounding + steps) << what << " k=" << i << " t=" << t;
      }
      for (int64_t i = columns; i < stride; ++i) ASSERT_TRUE(std::isnan(dx[t * stride + i])) << "beyond the columns";
    }
    if (bf16) continue;
    ASSERT_EQ(0, std::memcmp(dx.data(), reference.data(), 4 * dx.size())) << what;
  }
}

TEST(MatmulTransposed, EveryFormatAndTableMatchesFloat64) {
  // More rows than a piece of any table has, an odd number of groups; columns of more than a piece; an odd token.
  for (const DTypeInfo& info : all_dtypes()) {
    expect_transposed_products(Weight(info.dtype, 16 * 18 + 5, 768, 7), 35, 32, 768);
  }
}

TEST(MatmulTransposed, OddColumnsInFloatFormats) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (const int64_t k : {1, 15, 37, 48, 61}) expect_transposed_products(Weight(dtype, 19, k, 3), 9, 0, k);
  }
}

// With a gradient of one 1 the product is the decoded row itself, whatever bytes a file holds: bit for bit, or of
// quantised weights, whose other rows are zeros and so do not matter to the scales, but for five roundings. What is not
// finite shows.
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
      std::vector<float> dy(16, 0.0F);
      dy[row] = 1;
      for (const KernelTable& table : all_tables()) {
        if (std::string(table.name) == "amx") continue;
        std::vector<float> dx(static_cast<size_t>(k + kGap), 0.0F);
        transposed_product(table, w, dy, 0, k, dx);
        for (int64_t i = 0; i < k; ++i) {
          const bool near = info.is_float ? want[i] == dx[i] || (std::isnan(want[i]) && std::isnan(dx[i]))
                            : std::isfinite(want[i]) && std::fabs(want[i]) < 1e34F
                                ? std::fabs(dx[i] - want[i]) <= 5 * 0x1p-24F * std::fabs(want[i]) + 1e-30F
                                : !(std::fabs(dx[i]) < 1e34F);
          ASSERT_TRUE(near) << info.name << " " << table.name << " column " << i << ": " << dx[i] << " for " << want[i];
        }
      }
    }
  }
}

// dW [n, k] of so many tokens: x [tokens, k], dy [n, tokens].
struct WeightGradient {
  int64_t tokens, n, k;
  std::vector<float> x, dy;

  WeightGradient(int64_t t, int64_t rows, int64_t columns)
      : tokens(t),
        n(rows),
        k(columns),
        x(normals(1, static_cast<size_t>(t * columns))),
        dy(normals(2, static_cast<size_t>(t * rows))) {}

  // Added to `dw`, whose rows lie kGap apart, rows from `cut` on first, as another thread would.
  void run(const KernelTable& table, int64_t cut, std::vector<float>& dw) const {
    const int64_t blocks = (tokens + kGradientBlock - 1) / kGradientBlock;
    std::vector<uint8_t> q(static_cast<size_t>(blocks * n * kGradientBlock * kGradientBytesMax));
    std::vector<float> scale(static_cast<size_t>(blocks * n));
    for (int64_t i = 0; i < blocks * n; ++i) {
      const int64_t first = i / n * kGradientBlock;
      table.quantize_gradient(&dy[i % n * tokens + first], std::min<int64_t>(kGradientBlock, tokens - first),
                              &q[i * kGradientBlock * table.gradient_bytes], &scale[i], false);
    }
    Buffer<uint8_t> scratch(kMatmulScratchBytes);
    const int64_t middle = k / 32 * 16;
    for (const auto& [from, to] : {std::pair<int64_t, int64_t>{cut, n}, {0, cut}}) {
      for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{middle, k}, {0, middle}}) {
        const WeightGradientArgs args = {from,   to,       begin, end,       q.data(), scale.data(),  n,
                                         tokens, x.data(), k,     dw.data(), k + kGap, scratch.data()};
        table.weight_gradient(&args);
      }
    }
  }
};

// Every table against float64, with what rounding changes and, for each block, a fused multiply-add; and all with the
// same bits, wherever rows are cut. More columns and rows than a piece has, blocks with a tail, a single token.
TEST(WeightGradient, EveryTableMatchesFloat64) {
  for (const auto& [tokens, n, k] : std::vector<std::array<int64_t, 3>>{{300, 37, 176}, {1, 5, 16}, {130, 530, 32}}) {
    const WeightGradient g(tokens, n, k);
    const auto start = before(n, k);
    auto reference = start;
    g.run(kernels_of(Isa::kScalar), 0, reference);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < k; ++j) {
        const float was = start[i * (k + kGap) + j];
        double sum = was, magnitude = std::fabs(sum);
        for (int64_t t = 0; t < tokens; ++t) {
          const double term = double{g.x[t * k + j]} * g.dy[i * tokens + t];
          sum += term;
          magnitude += std::fabs(term);
        }
        const double steps = integer_rounding(g.x, k, &g.dy[i * tokens], j);
        ASSERT_NEAR(reference[i * (k + kGap) + j], sum, steps + magnitude * 3 * 0x1p-24) << n << " " << i << " " << j;
      }
      for (int64_t j = k; j < k + kGap; ++j) ASSERT_TRUE(std::isnan(reference[i * (k + kGap) + j])) << "beyond the row";
    }
    for (const KernelTable& table : all_tables()) {
      for (const int64_t cut : {int64_t{0}, n / 3}) {
        auto dw = start;
        g.run(table, cut, dw);
        ASSERT_EQ(0, std::memcmp(dw.data(), reference.data(), 4 * dw.size())) << table.name << " " << cut;
      }
    }
  }
}

// A column and a row that hold what is not finite are NaN, and no others.
TEST(WeightGradient, NotFiniteStaysInItsRowAndColumn) {
  WeightGradient g(140, 9, 48);
  g.x[135 * 48 + 20] = INFINITY;
  g.dy[7 * 140 + 3] = NAN;
  for (const KernelTable& table : all_tables()) {
    std::vector<float> dw(static_cast<size_t>(9 * (48 + kGap)), 0.0F);
    g.run(table, 0, dw);
    for (int64_t i = 0; i < 9; ++i) {
      for (int64_t j = 0; j < 48; ++j) {
        EXPECT_EQ(std::isnan(dw[i * (48 + kGap) + j]), i == 7 || j == 20) << table.name << " " << i << " " << j;
      }
    }
  }
}

// A token's gradient does not depend on its batch, nor a column's on the range it is asked for in: AMX included.
TEST(MatmulTransposed, TokensAndColumnsDoNotMatter) {
  const int64_t k = 512, tokens = 48, begin = 96, end = 256;
  for (const DType dtype : {DType::kQ4_0, DType::kQ6_K, DType::kBF16}) {
    const Weight w(dtype, 300, k, 7);
    const auto dy = normals(5, static_cast<size_t>(tokens * w.n));
    const std::vector<float> last(dy.end() - 16 * w.n, dy.end());
    for (const KernelTable& table : all_tables()) {
      auto all = before(tokens, k);
      std::vector<float> some(static_cast<size_t>(16 * (end - begin + kGap)), 0.0F);
      for (int64_t t = 0; t < 16; ++t) {
        std::copy_n(all.data() + (tokens - 16 + t) * (k + kGap) + begin, end - begin, &some[t * (end - begin + kGap)]);
      }
      transposed_product(table, w, dy, 0, k, all);
      transposed_product(table, w, last, begin, end, some);
      for (int64_t t = 0; t < 16; ++t) {
        ASSERT_EQ(0, std::memcmp(&all[(tokens - 16 + t) * (k + kGap) + begin], &some[t * (end - begin + kGap)],
                                 4 * (end - begin)))
            << table.name << " " << t;
      }
    }
  }
}

}  // namespace
}  // namespace andiron
