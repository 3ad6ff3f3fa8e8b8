// Ops against float64 definitions, and against themselves: any number of threads, any cut of the rows, the same bits.
#include "ops/ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "base/test_sanitizers.h"
#include "kernels/dispatch.h"
#include "ops/kv_cache.h"
#include "tensor/half.h"

namespace andiron {
namespace {

std::vector<float> normals(uint64_t seed, int64_t count) {
  const RandomStream random(seed);
  std::vector<float> v(static_cast<size_t>(count));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(random.normal(i));
  return v;
}

struct AttentionCase {
  AttentionShape shape;
  KvFormat format;
  int64_t tokens;
};

struct AttentionInputs {
  explicit AttentionInputs(const AttentionCase& c)
      : q(normals(1, c.tokens * c.shape.heads * c.shape.head_dim)),
        k(normals(2, c.tokens * c.shape.kv_heads * c.shape.head_dim)),
        v(normals(3, c.tokens * c.shape.kv_heads * c.shape.head_dim)) {}
  std::vector<float> q, k, v;
};

// Runs the tokens in chunks of `chunk` rows.
std::vector<float> run(const KernelTable& table, int threads, int64_t chunk, const AttentionCase& c,
                       AttentionInputs in) {
  ThreadTeam team(threads);
  Ops ops(table, team, c.tokens, 64);
  KvPages cache({c.format, 1, c.shape.kv_heads, c.shape.head_dim});
  cache.reserve(0, c.tokens);
  const int64_t width = c.shape.heads * c.shape.head_dim, kv_width = c.shape.kv_heads * c.shape.head_dim;
  std::vector<float> out(in.q.size(), NAN);
  for (int64_t t = 0; t < c.tokens; t += chunk) {
    const int64_t rows = std::min(chunk, c.tokens - t);
    const BatchSegment segment = {&cache, 0, rows, t};
    ops.attention(c.shape, {in.q.data() + t * width, rows, width, width},
                  {in.k.data() + t * kv_width, rows, kv_width, kv_width},
                  {in.v.data() + t * kv_width, rows, kv_width, kv_width}, std::span(&segment, 1),
                  {out.data() + t * width, rows, width, width});
  }
  return out;
}

// What the cache gives back: f16 rounding, or blocks of 32 with an f16 scale (tolerance below is for the numbers as
// stored).
std::vector<double> stored(KvFormat format, const std::vector<float>& x) {
  std::vector<double> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    if (format == kKvF16) {
      y[i] = f16_to_f32(f32_to_f16(x[i]));
      continue;
    }
    float top = 0;
    for (size_t j = i / 32 * 32; j < i / 32 * 32 + 32; ++j) top = std::max(top, std::fabs(x[j]));
    const float d = f16_to_f32(f32_to_f16(top / 127));
    y[i] = double{d} * std::nearbyint(std::min(127.0F, std::max(-127.0F, x[i] * (1 / d))));
  }
  return y;
}

// softmax(scale q k^T) v as the textbook writes it, in double.
std::vector<double> reference(const AttentionCase& c, const AttentionInputs& in) {
  const AttentionShape& s = c.shape;
  const auto k = stored(c.format, in.k), v = stored(c.format, in.v);
  std::vector<double> out(in.q.size(), 0);
  for (int64_t t = 0; t < c.tokens; ++t) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const int64_t g = h / (s.heads / s.kv_heads);
      const int64_t first = s.window > 0 ? std::max<int64_t>(0, t + 1 - s.window) : 0;
      std::vector<double> weight;
      double total = 0;
      for (int64_t p = first; p <= t; ++p) {
        double dot = 0;
        for (int64_t d = 0; d < s.head_dim; ++d) {
          dot += double{in.q[(t * s.heads + h) * s.head_dim + d]} * k[(p * s.kv_heads + g) * s.head_dim + d];
        }
        dot *= s.scale;
        if (s.softcap > 0) dot = s.softcap * std::tanh(dot / s.softcap);
        weight.push_back(std::exp(dot));
        total += weight.back();
      }
      for (int64_t p = first; p <= t; ++p) {
        for (int64_t d = 0; d < s.head_dim; ++d) {
          out[(t * s.heads + h) * s.head_dim + d] +=
              weight[p - first] / total * v[(p * s.kv_heads + g) * s.head_dim + d];
        }
      }
    }
  }
  return out;
}

const AttentionCase kCases[] = {
    {{1, 1, 16, 0.25F, 0, 0}, kKvF16, 3},     {{4, 4, 64, 0.125F, 0, 0}, kKvF16, 130},
    {{9, 3, 64, 0.125F, 0, 0}, kKvF16, 70},   {{8, 1, 48, 0.2F, 50, 0}, kKvF16, 67},
    {{6, 2, 80, 0.11F, 0, 17}, kKvF16, 150},  {{4, 2, 64, 0.125F, 0, 0}, kKvQ8_0, 100},
    {{5, 1, 96, 0.1F, 30, 33}, kKvQ8_0, 129}, {{2, 1, 256, 0.0625F, 0, 64}, kKvF16, 140},
    {{12, 2, 32, 0.17F, 0, 0}, kKvF16, 66},   {{7, 1, 32, 0.17F, 0, 19}, kKvQ8_0, 70},
};

// Scores reach about 8: their float rounding (head_dim operations of 2^-24 on sums near 64) changes a weight by 1e-5 at
// most, and an output is a weighted mean of numbers of size 4.
TEST(Attention, MatchesFloat64) {
  for (const AttentionCase& c : kCases) {
    const AttentionInputs in(c);
    const auto want = reference(c, in);
    for (const Isa isa : available_isas()) {
      const auto got = run(kernels_of(isa), 2, 64, c, in);
      for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 5e-5) << isa_name(isa) << " " << i;
    }
  }
}

TEST(Attention, SameBitsForAnyThreadsChunksAndTables) {
  for (const AttentionCase& c : kCases) {
    const AttentionInputs in(c);
    const auto want = run(kernels_of(Isa::kScalar), 1, c.tokens, c, in);
    for (const Isa isa : available_isas()) {
      for (const int threads : thread_counts()) {
        for (const int64_t chunk : {int64_t{1}, int64_t{7}, int64_t{64}, c.tokens}) {
          const auto got = run(kernels_of(isa), threads, chunk, c, in);
          ASSERT_EQ(0, std::memcmp(got.data(), want.data(), 4 * got.size()))
              << isa_name(isa) << " threads " << threads << " chunk " << chunk;
        }
      }
    }
  }
}

// Several sequences in one batch answer as each alone.
TEST(Attention, SequencesDoNotMix) {
  const AttentionCase c = {{4, 2, 32, 0.2F, 0, 0}, kKvF16, 20};
  const AttentionInputs in(c);
  const int64_t width = 128, kv_width = 64;
  ThreadTeam team(2);
  Ops ops(kernels_of(available_isas().back()), team, 40, 64);
  KvPages first({kKvF16, 1, 2, 32}), second({kKvF16, 1, 2, 32});
  for (KvPages* cache : {&first, &second}) cache->reserve(0, 20);
  auto twice = [](const std::vector<float>& x) {
    auto y = x;
    y.insert(y.end(), x.begin(), x.end());
    return y;
  };
  auto q = twice(in.q), k = twice(in.k), v = twice(in.v);
  std::vector<float> out(q.size());
  const BatchSegment segments[] = {{&first, 0, 20, 0}, {&second, 20, 20, 0}};
  ops.attention(c.shape, {q.data(), 40, width, width}, {k.data(), 40, kv_width, kv_width},
                {v.data(), 40, kv_width, kv_width}, segments, {out.data(), 40, width, width});
  EXPECT_EQ(0, std::memcmp(out.data(), out.data() + out.size() / 2, 2 * out.size()));
  const auto alone = run(kernels_of(available_isas().back()), 1, 20, c, in);
  EXPECT_EQ(0, std::memcmp(out.data(), alone.data(), 4 * alone.size()));
}

// Rotation by the angle position * frequency, in both pairings.
TEST(Rope, RotatesPairsByTheAngle) {
  const std::vector<double> inv_freq = {1, 0.1, 0.01, 0.001};
  std::vector<float> table(2 * 4 * 2);
  rope_table(inv_freq, 5, 2, 1, table.data());
  ThreadTeam team(1);
  Ops ops(kernels_of(Isa::kScalar), team, 2, 32);
  const auto x = normals(4, 2 * 16);
  for (const bool pairs : {false, true}) {
    auto y = x;
    ops.rope({y.data(), 2, 16, 16}, 8, table.data(), 4, pairs);
    for (int64_t t = 0; t < 2; ++t) {
      for (int64_t h = 0; h < 2; ++h) {
        for (int64_t i = 0; i < 4; ++i) {
          const double angle = static_cast<double>(5 + t) * inv_freq[i];
          const int64_t a = t * 16 + h * 8 + (pairs ? 2 * i : i), b = pairs ? a + 1 : a + 4;
          EXPECT_NEAR(y[a], x[a] * std::cos(angle) - x[b] * std::sin(angle), 1e-6);
          EXPECT_NEAR(y[b], x[a] * std::sin(angle) + x[b] * std::cos(angle), 1e-6);
        }
      }
    }
  }
}

}  // namespace
}  // namespace andiron
