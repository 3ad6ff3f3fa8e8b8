// Every table against a float64 reference, and against the scalar table bit for bit.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/kernels_fixture.h"

namespace andiron {
namespace {

// Activations of T tokens, quantised by `table`.
struct Inputs {
  Inputs(const KernelTable& table, int64_t tokens_count, int64_t columns, uint64_t seed)
      : tokens(tokens_count), k(columns), f32(normals(seed, static_cast<size_t>(tokens * k))) {
    if (k % 32 != 0) return;
    q8.resize(f32.size());
    u8.resize(f32.size());
    scale.resize(f32.size() / 32);
    dsum32.resize(f32.size() / 32);
    sum16.resize(f32.size() / 16);
    dsum16.resize(f32.size() / 16);
    for (int64_t t = 0; t < tokens; ++t) {
      const QuantizedRow row = {q8.data() + t * k,         u8.data() + t * k,          scale.data() + t * k / 32,
                                sum16.data() + t * k / 16, dsum32.data() + t * k / 32, dsum16.data() + t * k / 16};
      table.quantize_row(f32.data() + t * k, k, &row);
    }
  }
  Activations view() const {
    return {f32.data(), q8.data(), u8.data(), scale.data(), sum16.data(), dsum32.data(), dsum16.data(), tokens, k};
  }
  int64_t tokens, k;
  std::vector<float> f32;
  std::vector<int8_t> q8;
  std::vector<uint8_t> u8;
  std::vector<float> scale, dsum32, dsum16;
  std::vector<int32_t> sum16;
};

std::vector<float> multiply(const KernelTable& table, const Weight& w, const Inputs& x) {
  const int64_t groups = packed_groups(w.n);
  std::vector<float> y(static_cast<size_t>(x.tokens * groups * 16), NAN);
  Buffer<uint8_t> scratch(kMatmulScratchBytes);
  // In two pieces, as two threads would.
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, groups / 2}, {groups / 2, groups}}) {
    const MatmulArgs args = {w.packed.data(), begin, end, x.view(), y.data(), groups * 16, scratch.data(), false};
    table.matmul[packed_format(w.dtype)](&args);
  }
  return y;
}

// The product against float64 over the decoded weights and the activations as quantised. What is left is the rounding
// of at most 3 float operations per block of 16 or one per column: K + 3 roundings of relative size 2^-24 on the sum of
// magnitudes.
TEST(Matmul, EveryFormatAndTableMatchesFloat64) {
  for (const DTypeInfo& info : all_dtypes()) {
    const int64_t k = 512 + 256;
    const Weight w(info.dtype, 53, k, 7);
    for (const KernelTable& table : all_tables()) {
      const Inputs x(table, 37, k, 11);
      const auto y = multiply(table, w, x);
      const bool bf16_products = std::string(table.name) == "amx" && info.dtype == DType::kBF16;
      for (int64_t t = 0; t < x.tokens; ++t) {
        for (int64_t n = 0; n < w.n; ++n) {
          double sum = 0, magnitude = 0;
          for (int64_t i = 0; i < k; ++i) {
            const double xi = info.is_float ? x.f32[t * k + i] : double{x.scale[(t * k + i) / 32]} * x.q8[t * k + i];
            const double term = xi * w.decoded[n * k + i];
            sum += term;
            magnitude += std::fabs(term);
          }
          // bf16 activations: 2^-9 on every term.
          const double tolerance = magnitude * ((static_cast<double>(k) + 3) * 0x1p-24 + (bf16_products ? 0x1p-9 : 0));
          ASSERT_NEAR(y[t * 64 + n], sum, tolerance) << info.name << " " << table.name << " t=" << t << " n=" << n;
        }
      }
    }
  }
}

// Numbers of tokens that have a kernel of their own, those cut into up to three tiles and one more, and what AMX tiles
// of 32 leave over. A smaller batch is the beginning of the largest, and so are its results.
TEST(Matmul, TablesAgreeBitForBitAndBatchDoesNotMatter) {
  const int64_t most = 70;
  std::vector<int64_t> counts = {33, 34, 35, 36, 37, 38, 39, most};
  for (int64_t tokens = 1; tokens <= 19; ++tokens) counts.push_back(tokens);
  for (const DTypeInfo& info : all_dtypes()) {
    for (const int64_t k : {int64_t{256}, int64_t{1280}}) {
      const Weight w(info.dtype, 16 * 9 + 3, k, 3);
      const Inputs reference_x(kernels_of(Isa::kScalar), most, k, 5);
      const auto reference = multiply(kernels_of(Isa::kScalar), w, reference_x);
      for (const KernelTable& table : all_tables()) {
        const bool own_bits = std::string(table.name) == "amx" && info.dtype == DType::kBF16;
        const auto want = own_bits ? multiply(table, w, Inputs(table, most, k, 5)) : reference;
        for (const int64_t tokens : counts) {
          const Inputs x(table, tokens, k, 5);
          ASSERT_EQ(0, std::memcmp(x.q8.data(), reference_x.q8.data(), x.q8.size())) << table.name;
          ASSERT_EQ(0, std::memcmp(x.dsum16.data(), reference_x.dsum16.data(), 4 * x.dsum16.size())) << table.name;
          const auto y = multiply(table, w, x);
          ASSERT_EQ(0, std::memcmp(y.data(), want.data(), 4 * y.size()))
              << info.name << " " << table.name << " K=" << k << " T=" << tokens;
        }
      }
    }
  }
}

// Extreme quants: every byte pattern may come from a file. Integer sums must not saturate on any tier.
TEST(Matmul, ArbitraryBlocksAgree) {
  const RandomStream random(99);
  for (const DTypeInfo& info : all_dtypes()) {
    if (info.is_float) continue;
    const int64_t k = 512, n = 32;
    std::vector<uint8_t> blocks(row_bytes(info.dtype, k * n));
    for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<uint8_t>(random.bits(i));
    const size_t stride = row_bytes(info.dtype, k);
    Weight w(info.dtype, n, k, 1);
    for (int64_t g = 0; g < 2; ++g) {
      std::vector<const uint8_t*> rows;
      for (int64_t r = 0; r < 16; ++r) rows.push_back(blocks.data() + (16 * g + r) * stride);
      pack_group(info.dtype, rows.data(), 16, k,
                 w.packed.data() + g * packed_group_bytes(packed_format(info.dtype), k));
    }
    for (const int64_t tokens : {1, 5, 16, 40}) {
      Inputs x(kernels_of(Isa::kScalar), tokens, k, 2);
      for (size_t i = 0; i < x.q8.size(); ++i) {  // the largest magnitudes
        x.q8[i] = i % 3 == 0 ? -127 : 127;
        x.u8[i] = static_cast<uint8_t>(x.q8[i] + 128);
      }
      for (size_t i = 0; i < x.sum16.size(); ++i) {
        x.sum16[i] = 0;
        for (size_t j = 0; j < 16; ++j) x.sum16[i] += x.q8[16 * i + j];
      }
      const auto reference = multiply(kernels_of(Isa::kScalar), w, x);
      for (const KernelTable& table : all_tables()) {
        const auto y = multiply(table, w, x);
        for (size_t i = 0; i < y.size(); ++i) {
          ASSERT_TRUE(std::memcmp(&y[i], &reference[i], 4) == 0 || (std::isnan(y[i]) && std::isnan(reference[i])))
              << info.name << " " << table.name << " " << i;
        }
      }
    }
  }
}

TEST(Matmul, OddColumnsInFloatFormats) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const Weight w(dtype, 19, 37, 3);
    const Inputs reference_x(kernels_of(Isa::kScalar), 5, 37, 5);
    const auto reference = multiply(kernels_of(Isa::kScalar), w, reference_x);
    for (const KernelTable& table : all_tables()) {
      const auto y = multiply(table, w, reference_x);
      if (std::string(table.name) == "amx" && dtype == DType::kBF16) continue;
      EXPECT_EQ(0, std::memcmp(y.data(), reference.data(), 4 * y.size())) << table.name;
    }
  }
}

// Sums of few columns that begin with what y holds, as low-rank deltas want them: K fused multiply-adds, each a
// rounding of 2^-24 on the sum of magnitudes. So many tokens that every tile has its turn.
TEST(Matmul, FloatSumsMayBeginWithWhatIsThere) {
  for (const DType dtype : {DType::kF32, DType::kF16}) {
    for (const auto& [n, k] : std::vector<std::array<int64_t, 2>>{{5, 1}, {37, 3}, {70, 16}, {19, 17}}) {
      const Weight w(dtype, n, k, 3);
      const int64_t groups = packed_groups(n), columns = groups * 16;
      for (int64_t tokens = 1; tokens <= 14; ++tokens) {
        const Inputs x(kernels_of(Isa::kScalar), tokens, k, 5);
        const auto before = normals(9, static_cast<size_t>(tokens * columns));
        std::vector<float> reference;
        for (const KernelTable& table : all_tables()) {
          auto y = before;
          Buffer<uint8_t> scratch(kMatmulScratchBytes);
          const MatmulArgs args = {w.packed.data(), 0, groups, x.view(), y.data(), columns, scratch.data(), true};
          table.matmul[packed_format(dtype)](&args);
          if (reference.empty()) reference = y;
          ASSERT_EQ(0, std::memcmp(y.data(), reference.data(), 4 * y.size())) << table.name << " T=" << tokens;
        }
        for (int64_t t = 0; t < tokens; ++t) {
          for (int64_t row = 0; row < n; ++row) {
            double sum = before[t * columns + row], magnitude = std::fabs(sum);
            for (int64_t i = 0; i < k; ++i) {
              const double term = double{w.decoded[row * k + i]} * x.f32[t * k + i];
              sum += term;
              magnitude += std::fabs(term);
            }
            ASSERT_NEAR(reference[t * columns + row], sum, magnitude * static_cast<double>(k) * 0x1p-24)
                << dtype_info(dtype).name << " T=" << tokens << " K=" << k << " t=" << t << " n=" << row;
          }
        }
      }
    }
  }
}

// e^x through softmax of {x, 0}: p / (1 - p) = e^x. And each activation against its formula in double.
TEST(Elementwise, FormulasInDoubleAndSameBits) {
  const auto x = normals(1, 1003, 3), u = normals(2, 1003, 2);
  const auto n = static_cast<int64_t>(x.size());
  const KernelTable& scalar = kernels_of(Isa::kScalar);
  for (const KernelTable& table : all_tables()) {
    const auto check = [&](auto run, auto formula, double relative, const char* what) {
      std::vector<float> y(x.size()), reference(x.size());
      run(table, y.data());
      run(scalar, reference.data());
      EXPECT_EQ(0, std::memcmp(y.data(), reference.data(), 4 * y.size())) << what << " " << table.name;
      for (size_t i = 0; i < y.size(); ++i) {
        const double want = formula(double{x[i]}, double{u[i]});
        ASSERT_NEAR(y[i], want, relative * std::fabs(want) + 1e-37) << what << " " << table.name << " x=" << x[i];
      }
    };
    // The exponential is good to 1e-7 and is followed by a few roundings of 6e-8 each.
    check([&](const KernelTable& t, float* y) { t.silu_mul(x.data(), u.data(), n, y); },
          [](double g, double v) { return g / (1 + std::exp(-g)) * v; }, 1e-6, "silu_mul");
    check([&](const KernelTable& t, float* y) { t.gelu_mul(x.data(), u.data(), n, y); },
          [](double g, double v) { return g / (1 + std::exp(-1.5957691216057308 * (g + 0.044715 * g * g * g))) * v; },
          2e-5, "gelu_mul");  // the argument reaches 80: two roundings of 6e-8 of it are 1e-5 after the exponential
    check([&](const KernelTable& t, float* y) { t.softcap(x.data(), 5, n, y); },
          [](double g, double) { return 5 * std::tanh(g / 5); }, 1e-6, "softcap");
    check([&](const KernelTable& t, float* y) { t.add(x.data(), u.data(), n, y); },
          [](double a, double b) { return a + b; }, 1e-6, "add");
    check(
        [&](const KernelTable& t, float* y) {
          std::memcpy(y, x.data(), x.size() * 4);
          t.softmax(y, n);
        },
        [&](double a, double) {
          double top = -1e9, total = 0;
          for (const float v : x) top = std::max(top, double{v});
          for (const float v : x) total += std::exp(v - top);
          return std::exp(a - top) / total;
        },
        2e-6, "softmax");
    double squares = 0;
    for (const float v : x) squares += double{v} * v;
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(n) + 1e-5);
    check([&](const KernelTable& t, float* y) { t.rms_norm(x.data(), u.data(), 1e-5F, n, y); },
          [&](double a, double w) { return a * inverse * w; }, 1e-5, "rms_norm");
  }
}

TEST(Elementwise, ExtremeInputsStayFinite) {
  const std::vector<float> x = {-1e30F, -200, -88, -87.3F, 0, 87, 89, 200, 1e30F};
  for (const KernelTable& table : all_tables()) {
    std::vector<float> y(x.size()), ones(x.size(), 1);
    table.silu_mul(x.data(), ones.data(), static_cast<int64_t>(x.size()), y.data());
    for (size_t i = 0; i < x.size(); ++i) EXPECT_TRUE(std::isfinite(y[i])) << x[i];
    EXPECT_EQ(y.back(), 1e30F);
    table.softcap(x.data(), 30, static_cast<int64_t>(x.size()), y.data());
    EXPECT_FLOAT_EQ(y.front(), -30);
    EXPECT_FLOAT_EQ(y.back(), 30);
  }
}

}  // namespace
}  // namespace andiron
