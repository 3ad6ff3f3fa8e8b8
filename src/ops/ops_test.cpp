// Ops against float64 definitions, and against themselves: any number of threads, any cut of the rows, the same bits.
#include "ops/ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
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

// Of one text of several; a shorter one is the beginning of a longer one.
struct AttentionInputs {
  explicit AttentionInputs(const AttentionCase& c, uint64_t text = 0)
      : q(normals(3 * text + 1, c.tokens * c.shape.heads * c.shape.head_dim)),
        k(normals(3 * text + 2, c.tokens * c.shape.kv_heads * c.shape.head_dim)),
        v(normals(3 * text + 3, c.tokens * c.shape.kv_heads * c.shape.head_dim)) {}
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

// A sequence of a batch: its rows are the positions [begin, end) of a text that starts with pages of text 0, which all
// who have them share.
struct BatchPart {
  int64_t begin, end, shared_pages;
};

// Next tokens and pieces of prompts, in no order of size; some begin or end at the edge of a page or beside it.
const BatchPart kBatch[] = {{0, 1, 0},    {62, 63, 0}, {199, 200, 2}, {63, 64, 0}, {64, 65, 1},
                            {64, 200, 1}, {0, 70, 0},  {130, 133, 2}, {63, 65, 0}, {128, 129, 2}};

AttentionInputs inputs_of(const AttentionCase& c, const BatchPart& part) {
  AttentionInputs in(c, static_cast<uint64_t>(&part - kBatch) + 1);
  const AttentionInputs first(c);
  const int64_t shared = kAttentionTile * part.shared_pages * c.shape.kv_heads * c.shape.head_dim;
  std::copy_n(first.k.begin(), shared, in.k.begin());
  std::copy_n(first.v.begin(), shared, in.v.begin());
  return in;
}

// Into a cache, the keys and values of the positions [begin, end) of a text.
void remember(const KernelTable& table, const AttentionInputs& in, int64_t begin, int64_t end, KvPages& cache) {
  const int64_t heads = cache.layout().kv_heads, d = cache.layout().head_dim;
  cache.reserve(begin, end);
  for (int64_t at = begin * heads; at < end * heads; ++at) {
    cache.store(table, 0, at % heads, at / heads, in.k.data() + at * d, in.v.data() + at * d);
  }
}

void append(const std::vector<float>& rows, int64_t width, const BatchPart& part, std::vector<float>& to) {
  to.insert(to.end(), rows.begin() + part.begin * width, rows.begin() + part.end * width);
}

// All of kBatch, in one call.
std::vector<float> run_batch(const KernelTable& table, int threads, const AttentionCase& c) {
  const int64_t width = c.shape.heads * c.shape.head_dim, kv_width = c.shape.kv_heads * c.shape.head_dim;
  const KvLayout layout = {c.format, 1, c.shape.kv_heads, c.shape.head_dim};
  KvPages first(layout);
  remember(table, AttentionInputs({c.shape, c.format, 2 * kAttentionTile}), 0, 2 * kAttentionTile, first);
  std::vector<KvPages> caches;
  caches.reserve(std::size(kBatch));
  std::vector<BatchSegment> segments;
  std::vector<float> q, k, v;
  int64_t rows = 0;
  for (const BatchPart& part : kBatch) {
    const AttentionInputs in = inputs_of({c.shape, c.format, part.end}, part);
    KvPages& cache = caches.emplace_back(layout);
    for (int64_t page = 0; page < part.shared_pages; ++page) cache.put(page, first.share(page));
    remember(table, in, kAttentionTile * part.shared_pages, part.begin, cache);
    cache.reserve(part.begin, part.end);
    segments.push_back({&cache, rows, part.end - part.begin, part.begin});
    append(in.q, width, part, q);
    append(in.k, kv_width, part, k);
    append(in.v, kv_width, part, v);
    rows += part.end - part.begin;
  }
  ThreadTeam team(threads);
  Ops ops(table, team, rows, 64);
  std::vector<float> out(q.size(), NAN);
  ops.attention(c.shape, {q.data(), rows, width, width}, {k.data(), rows, kv_width, kv_width},
                {v.data(), rows, kv_width, kv_width}, segments, {out.data(), rows, width, width});
  return out;
}

// Each alone: its whole text as one prompt, on one thread.
TEST(Attention, SequencesOfABatchAnswerAsAlone) {
  for (const AttentionCase& c : kCases) {
    const KernelTable& table = kernels_of(available_isas().back());
    const int64_t width = c.shape.heads * c.shape.head_dim;
    std::vector<float> want;
    std::vector<size_t> ends;
    for (const BatchPart& part : kBatch) {
      const AttentionCase alone = {c.shape, c.format, part.end};
      append(run(table, 1, part.end, alone, inputs_of(alone, part)), width, part, want);
      ends.push_back(want.size());
    }
    for (const int threads : thread_counts()) {
      const auto got = run_batch(table, threads, c);
      ASSERT_EQ(got.size(), want.size());
      for (size_t part = 0, at = 0; part < ends.size(); at = ends[part++]) {
        EXPECT_EQ(0, std::memcmp(got.data() + at, want.data() + at, 4 * (ends[part] - at)))
            << "case " << &c - kCases << ", threads " << threads << ", sequence " << part;
      }
    }
  }
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
    const Rows whole = {y.data(), 2, 16, 16};
    const std::array<Rows, 2> heads = {whole.columns(0, 8), whole.columns(8, 8)};
    ops.rope(heads, 8, table.data(), 4, pairs);
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
