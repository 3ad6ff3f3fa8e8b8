// Backward passes, the loss and the optimiser: formulas in double, and every table against the scalar one bit for bit.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/kernels_fixture.h"
#include "tensor/half.h"

namespace andiron {
namespace {

constexpr double kUlp = 0x1p-24;  // half a unit in the last place, relative
constexpr int64_t kCount = 1003;  // not a multiple of the lanes

struct Vectors {
  std::vector<float> a = normals(1, kCount, 3), b = normals(2, kCount, 2), dy = normals(3, kCount),
                     start = normals(4, kCount);
};

// Runs `pass(table, first, second)` on outputs that begin as v.start; `want(i)` gives for each output {what is added,
// tolerance}.
template <class Pass, class Want>
void check_backward(const Vectors& v, Pass pass, Want want, const char* what) {
  std::vector<float> reference[2] = {v.start, v.start};
  pass(kernels_of(Isa::kScalar), reference[0].data(), reference[1].data());
  for (const KernelTable& table : all_tables()) {
    std::vector<float> out[2] = {v.start, v.start};
    pass(table, out[0].data(), out[1].data());
    for (int o = 0; o < 2; ++o) {
      EXPECT_EQ(0, std::memcmp(out[o].data(), reference[o].data(), 4 * kCount)) << what << " " << table.name;
    }
  }
  for (int64_t i = 0; i < kCount; ++i) {
    const auto wanted = want(i);
    for (int o = 0; o < 2; ++o) {
      const auto& [sum, tolerance] = wanted[o];
      const double total = v.start[i] + sum;
      ASSERT_NEAR(reference[o][i], total, tolerance + kUlp * std::fabs(total)) << what << " " << o << " at " << i;
    }
  }
}

struct Wanted {
  double sum, tolerance;
};
typedef std::array<Wanted, 2> WantedPair;

// The sum of squares is rounded n / 16 times in a lane, four times in the tree; a dozen operations follow.
TEST(Backward, RmsNorm) {
  const Vectors v;
  const float eps = 1e-5F;
  double squares = 0, product = 0, magnitude = 0;
  for (int64_t i = 0; i < kCount; ++i) {
    squares += double{v.a[i]} * v.a[i];
    product += double{v.a[i]} * v.b[i] * v.dy[i];
    magnitude += std::fabs(double{v.a[i]} * v.b[i] * v.dy[i]);
  }
  const double n = kCount, r = 1 / std::sqrt(squares / n + eps), rounding = (n / 16 + 4 + 12) * kUlp;
  check_backward(
      v,
      [&](const KernelTable& t, float* dx, float* dw) {
        t.rms_norm_backward(v.a.data(), v.b.data(), eps, kCount, v.dy.data(), dx, dw);
      },
      [&](int64_t i) {
        const double x = v.a[i], direct = r * v.b[i] * v.dy[i], pull = x * r * r * r / n;
        return WantedPair{Wanted{direct - pull * product, rounding * (std::fabs(direct) + std::fabs(pull) * magnitude)},
                          Wanted{x * r * v.dy[i], rounding * std::fabs(x * r * v.dy[i])}};
      },
      "rms_norm_backward");
  for (const KernelTable& table : all_tables()) {  // without dw, dx is the same
    std::vector<float> with = v.start, without = v.start, dw = v.start;
    table.rms_norm_backward(v.a.data(), v.b.data(), eps, kCount, v.dy.data(), with.data(), dw.data());
    table.rms_norm_backward(v.a.data(), v.b.data(), eps, kCount, v.dy.data(), without.data(), nullptr);
    EXPECT_EQ(with, without);
  }
}

// The exponential is good to 1e-7 (for gelu its argument reaches 80, and two roundings of that are 1e-5); the two terms
// of the derivative may cancel, so the tolerance is of their magnitudes.
TEST(Backward, SiluAndGelu) {
  const Vectors v;
  const auto want = [&](int64_t i, double u, double slope, double rounding) {
    const double g = v.a[i], s = 1 / (1 + std::exp(-u)), rest = 1 / (1 + std::exp(u)), d = v.dy[i];
    return WantedPair{Wanted{(s + g * s * rest * slope) * v.b[i] * d,
                             rounding * (s + std::fabs(g * s * rest * slope)) * std::fabs(v.b[i] * d)},
                      Wanted{g * s * d, rounding * std::fabs(g * s * d)}};
  };
  check_backward(
      v,
      [&](const KernelTable& t, float* dgate, float* dup) {
        t.silu_mul_backward(v.a.data(), v.b.data(), kCount, v.dy.data(), dgate, dup);
      },
      [&](int64_t i) { return want(i, v.a[i], 1, 1e-6); }, "silu_mul_backward");
  check_backward(
      v,
      [&](const KernelTable& t, float* dgate, float* dup) {
        t.gelu_mul_backward(v.a.data(), v.b.data(), kCount, v.dy.data(), dgate, dup);
      },
      [&](int64_t i) {
        const double g = v.a[i], c = 1.5957691216057308;
        return want(i, c * (g + 0.044715 * g * g * g), c * (1 + 3 * 0.044715 * g * g), 2e-5);
      },
      "gelu_mul_backward");
}

// 1 - t^2 is rounded four times, to half a unit of 1 at most each.
TEST(Backward, Softcap) {
  const Vectors v;
  const double cap = 15;
  check_backward(
      v,
      [&](const KernelTable& t, float* dx, float*) {
        t.softcap_backward(v.a.data(), static_cast<float>(cap), kCount, v.dy.data(), dx);
      },
      [&](int64_t i) {
        const double t = v.a[i] / cap;
        return WantedPair{Wanted{(1 - t * t) * v.dy[i], 4 * kUlp * std::fabs(v.dy[i])}, Wanted{0, 0}};
      },
      "softcap_backward");
}

TEST(Backward, ExtremeGatesStayFinite) {
  const std::vector<float> gate = {-1e18F, -200, -88, -20, 0, 20, 88, 200, 1e18F};
  const auto n = static_cast<int64_t>(gate.size());
  const std::vector<float> ones(gate.size(), 1);
  for (const KernelTable& table : all_tables()) {
    for (const auto pass : {table.silu_mul_backward, table.gelu_mul_backward}) {
      std::vector<float> dgate(gate.size(), 0), dup(gate.size(), 0);
      pass(gate.data(), ones.data(), n, ones.data(), dgate.data(), dup.data());
      for (size_t i = 0; i < gate.size(); ++i) {
        // Far out the gate is shut or open: slope 0 or 1.
        const bool far = std::fabs(gate[i]) >= 88;
        EXPECT_NEAR(dgate[i], far ? gate[i] > 0 : 0.5, far ? 1e-6 : 0.6) << table.name << " " << gate[i];
        EXPECT_TRUE(std::isfinite(dup[i])) << gate[i];
      }
    }
  }
}

// The exponential is good to 1e-7, its argument is rounded, and a rounding or two follow; the sum is double.
TEST(CrossEntropy, LossAndGradientMatchFloat64) {
  for (const int64_t n : {1, 15, 16, 17, 1003}) {
    const auto x = normals(9, static_cast<size_t>(n), 5);
    double top = x[0], total = 0;
    for (const float v : x) top = std::max(top, double{v});
    for (const float v : x) total += std::exp(v - top);
    const int64_t target = n / 2;
    const float weight = 0.37F;
    const double loss = std::log(total) + top - x[target];
    std::vector<float> reference(x.size());
    kernels_of(Isa::kScalar).cross_entropy(x.data(), n, target, weight, reference.data());
    for (const KernelTable& table : all_tables()) {
      std::vector<float> gradient(x.size(), NAN), in_place = x;
      EXPECT_NEAR(table.cross_entropy(x.data(), n, target, weight, nullptr), loss, 3e-7 + kUlp * loss) << n;
      const float with = table.cross_entropy(x.data(), n, target, weight, gradient.data());
      const float within = table.cross_entropy(in_place.data(), n, target, weight, in_place.data());
      EXPECT_EQ(with, table.cross_entropy(x.data(), n, target, weight, nullptr));
      EXPECT_EQ(with, within);
      EXPECT_EQ(gradient, in_place);
      EXPECT_EQ(gradient, reference) << table.name;
      for (int64_t i = 0; i < n; ++i) {
        const double p = std::exp(x[i] - top) / total, rounding = 3e-7 + kUlp * std::fabs(x[i] - top);
        ASSERT_NEAR(gradient[i], weight * (p - (i == target)), weight * (rounding * p + (i == target) * kUlp)) << i;
      }
    }
  }
}

TEST(CrossEntropy, HostileLogits) {
  for (const KernelTable& table : all_tables()) {
    std::vector<float> far = {1e30F, -1e30F, 0, 5e4F};
    EXPECT_EQ(table.cross_entropy(far.data(), 4, 0, 1, nullptr), 0);
    EXPECT_EQ(table.cross_entropy(far.data(), 4, 2, 1, nullptr), 1e30F);
    for (const float broken : {NAN, INFINITY, -INFINITY}) {
      auto x = normals(1, 40);
      x[33] = broken;
      std::vector<float> gradient(40);
      EXPECT_TRUE(std::isnan(table.cross_entropy(x.data(), 40, 3, 1, gradient.data()))) << table.name;
      for (const float g : gradient) EXPECT_TRUE(std::isnan(g));
    }
  }
}

TEST(Rows, DotIsExactToDouble) {
  const Vectors v;
  for (const int64_t n : {0, 1, 16, 33, 1003}) {
    long double sum = 0, magnitude = 0;
    for (int64_t i = 0; i < n; ++i) {
      sum += static_cast<long double>(v.a[i]) * v.b[i];
      magnitude += std::fabs(static_cast<long double>(v.a[i]) * v.b[i]);
    }
    const double reference = kernels_of(Isa::kScalar).dot(v.a.data(), v.b.data(), n);
    EXPECT_NEAR(reference, static_cast<double>(sum), static_cast<double>(magnitude * (n / 16 + 4)) * 0x1p-53);
    for (const KernelTable& table : all_tables()) EXPECT_EQ(table.dot(v.a.data(), v.b.data(), n), reference);
  }
  const std::vector<float> huge(40, 3e38F);  // no overflow where f32 would
  for (const KernelTable& table : all_tables()) EXPECT_NEAR(table.dot(huge.data(), huge.data(), 40), 3.6e78, 1e73);
}

// A rounded number as a whole number, in whatever form the table keeps it.
int rounded_at(const KernelTable& table, const std::vector<uint8_t>& q, int64_t i) {
  if (table.gradient_bytes == 1) return q[static_cast<size_t>(i)] - 128;
  int16_t wide = 0;
  std::memcpy(&wide, q.data() + 2 * i, sizeof wide);
  return wide;
}

// Blocks of 128: every number to the nearest step of the block's largest / 127, or, dithered, to one of the two around
// it; zeros to the end of the last block.
TEST(Rows, QuantizeGradient) {
  Vectors v;
  std::fill_n(v.dy.begin() + 128, 128, 0.0F);
  std::fill_n(v.dy.begin() + 256, 128, 1e-31F);  // hardly there
  v.dy[390] = INFINITY;
  v.dy[520] = NAN;
  constexpr int64_t kBlocks = (kCount + kGradientBlock - 1) / kGradientBlock;
  for (const bool dithers : {false, true}) {
    std::vector<int> reference;
    for (const KernelTable& table : all_tables()) {
      std::vector<uint8_t> bytes(kBlocks * kGradientBlock * kGradientBytesMax, 77);
      std::vector<float> scale(kBlocks);
      table.quantize_gradient(v.dy.data(), kCount, bytes.data(), scale.data(), dithers);
      std::vector<int> q;
      for (int64_t i = 0; i < kBlocks * kGradientBlock; ++i) q.push_back(rounded_at(table, bytes, i));
      if (reference.empty()) reference = q;
      EXPECT_EQ(q, reference) << table.name;
      EXPECT_EQ(scale[1], 0);
      EXPECT_EQ(scale[2], 0);
      EXPECT_TRUE(std::isnan(scale[3]));
      EXPECT_TRUE(std::isnan(scale[4]));
      for (int64_t i = 0; i < kBlocks * kGradientBlock; ++i) {
        const float d = scale[static_cast<size_t>(i / kGradientBlock)];
        if (std::isnan(d)) continue;
        const double x = i < kCount && d > 0 ? v.dy[i] : 0;
        ASSERT_LE(std::abs(q[i]), kGradientMax);
        ASSERT_NEAR(q[i] * double{d}, x, (dithers ? 1.001 : 0.501) * d) << table.name << " " << i;
      }
    }
  }
}

// The mean of many rows' roundings is what was rounded: the error of each is below a step, so that of the mean of 4,096
// has a deviation below a 128th of a step, and is not five times that. Beside a number a thousand times larger,
// rounding to the nearest would leave nothing of the others.
TEST(Rows, DitheredGradientsHaveTheirMean) {
  constexpr int64_t kRows = 4096;
  const KernelTable& table = kernels_of(Isa::kScalar);  // the others have its bits
  std::vector<double> mean(kGradientBlock, 0);
  double step = 0;
  std::vector<float> dy(kGradientBlock);
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t i = 0; i < kGradientBlock; ++i) dy[static_cast<size_t>(i)] = 1e-3F * static_cast<float>(i % 7) / 7;
    dy[77] = -1;
    dy[0] = dy[64] = 0;  // of tokens without loss
    dy[90] = 1e-3F + 1e-9F * static_cast<float>(row);
    std::vector<uint8_t> bytes(kGradientBlock * kGradientBytesMax);
    float scale = 0;
    table.quantize_gradient(dy.data(), kGradientBlock, bytes.data(), &scale, true);
    step = double{scale};
    for (int64_t i = 0; i < kGradientBlock; ++i) {
      mean[static_cast<size_t>(i)] += step * rounded_at(table, bytes, i) / double{kRows};
    }
  }
  for (int64_t i = 0; i < kGradientBlock; ++i) {
    EXPECT_NEAR(mean[static_cast<size_t>(i)], double{dy[static_cast<size_t>(i)]}, 5 * step / 128) << i;
  }
}

TEST(Rows, Transpose) {
  constexpr int kStride = 33;
  const std::vector<float> from = normals(5, 31 * kStride);
  for (const auto& [rows, cols] : {std::pair{1, 1}, {16, 16}, {31, 20}, {5, 33}}) {
    for (const KernelTable& table : all_tables()) {
      std::vector<float> to(static_cast<size_t>(cols * 40), NAN);
      table.transpose(from.data(), kStride, rows, cols, to.data(), 40);
      for (int j = 0; j < cols; ++j) {
        for (int i = 0; i < 40; ++i) {
          const float got = to[j * 40 + i];
          ASSERT_TRUE(i < rows ? got == from[i * kStride + j] : std::isnan(got)) << table.name << " " << i << " " << j;
        }
      }
    }
  }
}

TEST(Rows, ExpSub) {
  const Vectors v;
  std::vector<float> reference(kCount);
  kernels_of(Isa::kScalar).exp_sub(v.a.data(), 2.5F, kCount, reference.data());
  for (int64_t i = 0; i < kCount; ++i) {
    const double want = std::exp(double{v.a[i]} - 2.5);  // the difference is rounded before the exponential
    ASSERT_NEAR(reference[i], want, want * (2e-7 + kUlp * std::fabs(v.a[i] - 2.5)));
  }
  for (const KernelTable& table : all_tables()) {
    std::vector<float> y(kCount);
    table.exp_sub(v.a.data(), 2.5F, kCount, y.data());
    EXPECT_EQ(y, reference);
  }
}

TEST(Rows, Bf16BothWays) {
  const RandomStream random(3);
  std::vector<float> x(2003);
  for (size_t i = 0; i < x.size(); ++i) {
    const auto bits = static_cast<uint32_t>(random.bits(i));  // NaNs, infinities and subnormals among them
    std::memcpy(&x[i], &bits, 4);
  }
  const std::vector<uint32_t> edges = {0x7f800000, 0xff800000, 0x7f800001, 0x7fffffff, 0x7f7fffff,
                                       0x3f808000, 0x3f818000, 0x00000001, 0x80000000};
  std::memcpy(x.data(), edges.data(), 4 * edges.size());
  const auto n = static_cast<int64_t>(x.size());
  for (const KernelTable& table : all_tables()) {
    std::vector<uint16_t> narrow(x.size() + 1, 0x1234);
    std::vector<float> wide(x.size());
    table.to_bf16(x.data(), n, narrow.data());
    table.from_bf16(narrow.data(), n, wide.data());
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(narrow[i], f32_to_bf16(x[i])) << table.name << " " << i;
      const float want = bf16_to_f32(narrow[i]);
      ASSERT_EQ(0, std::memcmp(&wide[i], &want, 4)) << table.name << " " << i;
    }
    EXPECT_EQ(narrow.back(), 0x1234);
  }
}

struct AdamState {
  std::vector<float> value, m, v;
};

const AdamWArgs kAdam = {1e-2F, 0.9F, 0.99F, 1e-8F, 0.1F, 1 - 0.729F, 1 - 0.970299F, 0.5F};

// One step from the same floats: m and v are rounded four times, the step some ten times more.
TEST(AdamW, StepMatchesFloat64) {
  const Vectors v;
  AdamState begin = {v.a, v.start, v.b}, reference;
  for (float& x : begin.v) x = x * x * 1e-3F;
  for (const KernelTable& table : all_tables()) {
    AdamState s = begin;
    table.adamw(s.value.data(), v.dy.data(), s.m.data(), s.v.data(), kCount, &kAdam);
    if (reference.m.empty()) reference = s;  // the scalar table comes first
    EXPECT_EQ(s.value, reference.value) << table.name;
    EXPECT_EQ(s.m, reference.m) << table.name;
    EXPECT_EQ(s.v, reference.v) << table.name;
  }
  for (int64_t i = 0; i < kCount; ++i) {
    const double g = 0.5 * v.dy[i], b1 = kAdam.beta1, b2 = kAdam.beta2;
    const double m = b1 * begin.m[i] + (1 - b1) * g, second = b2 * begin.v[i] + (1 - b2) * g * g;
    ASSERT_NEAR(reference.m[i], m, 4 * kUlp * (std::fabs(b1 * begin.m[i]) + std::fabs((1 - b1) * g)));
    ASSERT_NEAR(reference.v[i], second, 4 * kUlp * second);
    const double step = (reference.m[i] / double{kAdam.correction1}) /
                        (std::sqrt(reference.v[i] / double{kAdam.correction2}) + kAdam.eps);
    const double decay = double{kAdam.weight_decay} * begin.value[i];
    const double value = begin.value[i] - kAdam.rate * (decay + step);
    ASSERT_NEAR(reference.value[i], value,
                kUlp * std::fabs(value) + kAdam.rate * 10 * kUlp * (std::fabs(decay) + std::fabs(step)));
  }
}

struct Adam8 {
  explicit Adam8(int64_t n)
      : m(static_cast<size_t>(n), 0),
        v(static_cast<size_t>(n), 0),
        m_scale(static_cast<size_t>((n + kAdamW8Block - 1) / kAdamW8Block), 0),
        v_scale(m_scale) {}
  AdamW8State view() { return {m.data(), v.data(), m_scale.data(), v_scale.data()}; }
  bool operator==(const Adam8&) const = default;
  std::vector<int8_t> m;
  std::vector<uint8_t> v;
  std::vector<float> m_scale, v_scale;
};

// The first step, from zeros, is that of the f32 form; the state kept is its m and v to the nearest code.
TEST(AdamW, EightBitStateHoldsTheNearestCodes) {
  Vectors v;
  v.dy[700] = 0;
  v.dy[701] = 1e-9F;  // far below its block: a code above zero for v all the same
  AdamState exact = {v.a, std::vector<float>(kCount, 0), std::vector<float>(kCount, 0)};
  kernels_of(Isa::kScalar).adamw(exact.value.data(), v.dy.data(), exact.m.data(), exact.v.data(), kCount, &kAdam);
  for (const KernelTable& table : all_tables()) {
    std::vector<float> value = v.a;
    Adam8 s(kCount);
    const AdamW8State view = s.view();
    table.adamw8(value.data(), v.dy.data(), &view, kCount, &kAdam);
    EXPECT_EQ(value, exact.value) << table.name;
    for (int64_t i = 0; i < kCount; ++i) {
      const double m = std::sqrt(std::fabs(exact.m[i]) / s.m_scale[i / kAdamW8Block]);
      const double root = std::sqrt(std::sqrt(exact.v[i] / s.v_scale[i / kAdamW8Block]));
      ASSERT_NEAR(s.m[i], std::copysign(127 * m, exact.m[i]), 0.5001) << i;
      ASSERT_NEAR(s.v[i], exact.v[i] > 0 ? std::max(1.0, 255 * root) : 0, 0.5001) << i;
    }
  }
}

// Many steps: the same bits on every table, and close to the f32 form. A code of v is off by half of 1 in 255 of the
// fourth root, one of m by half of 1 in 127 of the square root; what that does to a path of 100 steps of 0.01 is held
// here to a tenth of the way, on the average.
TEST(AdamW, EightBitStateFollowsFloat) {
  const Vectors v;
  AdamState exact = {v.a, std::vector<float>(kCount, 0), std::vector<float>(kCount, 0)};
  std::vector<float> reference;
  Adam8 reference_state(kCount);
  for (const KernelTable& table : all_tables()) {
    std::vector<float> value = v.a;
    Adam8 s(kCount);
    const AdamW8State view = s.view();
    for (int step = 1; step <= 100; ++step) {
      AdamWArgs args = kAdam;
      args.weight_decay = 0;
      args.correction1 = static_cast<float>(1 - std::pow(0.9, step));
      args.correction2 = static_cast<float>(1 - std::pow(0.99, step));
      const auto noise = normals(100 + static_cast<uint64_t>(step), kCount);
      std::vector<float> gradient(kCount);
      for (int64_t i = 0; i < kCount; ++i) gradient[i] = v.b[i] + noise[i];
      table.adamw8(value.data(), gradient.data(), &view, kCount, &args);
      if (!reference.empty()) continue;
      table.adamw(exact.value.data(), gradient.data(), exact.m.data(), exact.v.data(), kCount, &args);
    }
    if (reference.empty()) {
      reference = value;
      reference_state = s;
    }
    EXPECT_EQ(value, reference) << table.name;
    EXPECT_EQ(s, reference_state) << table.name;
  }
  double off = 0, way = 0;
  for (int64_t i = 0; i < kCount; ++i) {
    off += std::fabs(reference[i] - exact.value[i]);
    way += std::fabs(exact.value[i] - v.a[i]);
  }
  EXPECT_LT(off, 0.1 * way);
  EXPECT_GT(way, 0.1 * kCount);  // it went somewhere
}

// A gradient that is not a number is not forgotten in its block.
TEST(AdamW, EightBitStateShowsWhatIsBroken) {
  for (const KernelTable& table : all_tables()) {
    std::vector<float> value(300, 1), gradient(300, 1);
    gradient[299] = NAN;
    Adam8 s(300);
    const AdamW8State view = s.view();
    table.adamw8(value.data(), gradient.data(), &view, 300, &kAdam);
    EXPECT_TRUE(std::isnan(value[299]) && std::isnan(s.m_scale[1]) && std::isnan(s.v_scale[1])) << table.name;
    EXPECT_TRUE(std::isfinite(value[298]) && std::isfinite(s.m_scale[0])) << table.name;
  }
}

}  // namespace
}  // namespace andiron
