// The backward of every op but products, on every table, for any threads.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numeric>

#include "ops/gradient_fixture.h"
#include "ops/kv_cache.h"

namespace andiron {
namespace {

class OpGradients : public testing::TestWithParam<OpCase> {};
TEST_P(OpGradients, MatchTheFormula) { expect_gradients(GetParam()); }

// --- norms, activations, sums, rotations ---

Numbers silu_times(const Arguments& x) {
  return each(x[0], x[1], [](const Complex& g, const Complex& u) { return reference::silu(g) * u; });
}
Numbers gelu_times(const Arguments& x) {
  return each(x[0], x[1], [](const Complex& g, const Complex& u) { return reference::gelu(g) * u; });
}
Numbers normed_rows(const Arguments& x) {
  return by_row(x[0], 37, [&](const Numbers& row, int64_t) { return reference::rms_norm<Complex>(row, x[1], 1e-5); });
}
Numbers normed_heads(const Arguments& x) {
  Numbers y = x[0];
  reference::head_norm<Complex>(y, x[1], 1e-6);
  return y;
}

// Heads of 20 in rows of 60, of which 2 * half turn.
OpCase rope_case(const std::string& name, int64_t half, bool neighbours) {
  const std::vector<double> frequencies = {1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 3e-4};
  const std::vector<double> used(frequencies.begin(), frequencies.begin() + half);
  const double magnitude = 1.25;
  const auto run = [=](Ops& ops, const Views& x, Rows, Alive& alive) {
    const auto table = std::make_shared<std::vector<float>>(static_cast<size_t>(5 * 2 * half));
    rope_table(used, 3, 5, magnitude, table->data());
    alive.push_back(table);
    const std::array<Rows, 2> parts = {x[0].columns(0, 40), x[0].columns(40, 20)};  // as queries and keys lie
    ops.rope(parts, 20, table->data(), half, neighbours);
    std::fill(table->begin(), table->end(), NAN);  // the next batch's positions
    return x[0];
  };
  const auto formula = [=](const Arguments& x) {
    Numbers y = x[0];
    for (int64_t t = 0; t < 5; ++t) {
      for (int64_t head = 0; head < 3; ++head) {
        for (int64_t i = 0; i < half; ++i) {
          const double angle = static_cast<double>(3 + t) * used[static_cast<size_t>(i)];
          reference::rotate_pair(y.data() + t * 60 + head * 20, i, half, neighbours, std::cos(angle) * magnitude,
                                 std::sin(angle) * magnitude);
        }
      }
    }
    return y;
  };
  return {name, {{5, 60}}, 5, 60, run, formula, 8};
}

// Roundings: a sum of n terms has n, and each op around it one or two; exponentials are good to 3.
std::vector<OpCase> row_cases() {
  const Argument x = {5, 37};
  return {
      {"rms_norm",
       {x, {1, 37, true, 0.2, 1}},
       5,
       37,
       [](Ops& ops, const Views& v, Rows y, Alive&) {
         ops.rms_norm(v[0], v[1].data, 1e-5F, y);
         return y;
       },
       normed_rows,
       60},
      {"rms_norm_in_place",
       {x, {1, 37, true, 0.2, 1}},
       5,
       37,
       [](Ops& ops, const Views& v, Rows, Alive&) {
         ops.rms_norm(v[0], v[1].data, 1e-5F, v[0]);
         return v[0];
       },
       normed_rows,
       60},
      {"head_norm",
       {{5, 100}, {1, 20, true, 0.2, 1}},
       5,
       100,
       [](Ops& ops, const Views& v, Rows, Alive&) {
         ops.head_norm(v[0], 20, v[1].data, 1e-6F);
         return v[0];
       },
       normed_heads,
       60},
      {"add",
       {x, x},
       5,
       37,
       [](Ops& ops, const Views& v, Rows, Alive&) {
         ops.add(v[1], v[0]);
         return v[0];
       },
       [](const Arguments& a) { return each(a[0], a[1], [](const Complex& p, const Complex& q) { return p + q; }); },
       2},
      {"scale",
       {x},
       5,
       37,
       [](Ops& ops, const Views& v, Rows, Alive&) {
         ops.scale(v[0], 1.75F);
         return v[0];
       },
       [](const Arguments& a) { return each(a[0], a[0], [](const Complex& p, const Complex&) { return 1.75 * p; }); },
       2},
      {"scale_add",
       {x, x},
       5,
       37,
       [](Ops& ops, const Views& v, Rows, Alive&) {
         ops.scale_add(v[1], -0.5F, v[0]);
         return v[0];
       },
       [](const Arguments& a) {
         return each(a[0], a[1], [](const Complex& p, const Complex& q) { return p - 0.5 * q; });
       },
       2},
      {"silu_mul",
       {{5, 37, false, 3}, x},
       5,
       37,
       [](Ops& ops, const Views& v, Rows y, Alive&) {
         ops.silu_mul(v[0], v[1], y);
         return y;
       },
       silu_times,
       12},
      {"silu_mul_in_place",
       {{5, 37, false, 3}, x},
       5,
       37,
       [](Ops& ops, const Views& v, Rows, Alive&) {
         ops.silu_mul(v[0], v[1], v[0]);
         return v[0];
       },
       silu_times,
       12},
      {"gelu_mul",
       {{5, 37, false, 3}, x},
       5,
       37,
       [](Ops& ops, const Views& v, Rows y, Alive&) {
         ops.gelu_mul(v[0], v[1], y);
         return y;
       },
       gelu_times,
       20},
      {"gelu_mul_in_place",
       {{5, 37, false, 3}, x},
       5,
       37,
       [](Ops& ops, const Views& v, Rows, Alive&) {
         ops.gelu_mul(v[0], v[1], v[0]);
         return v[0];
       },
       gelu_times,
       20},
      {"softcap",
       {{5, 37, false, 3}},
       5,
       37,
       [](Ops& ops, const Views& v, Rows, Alive&) {
         ops.softcap(v[0], 3);
         return v[0];
       },
       [](const Arguments& a) {
         return each(a[0], a[0], [](const Complex& p, const Complex&) { return reference::softcap(p, 3); });
       },
       12},
      {"softmax",
       {{5, 37, false, 3}},
       5,
       37,
       [](Ops& ops, const Views& v, Rows, Alive&) {
         ops.softmax(v[0]);
         return v[0];
       },
       [](const Arguments& a) {
         return by_row(a[0], 37, [](const Numbers& row, int64_t) { return reference::softmax(row); });
       },
       60},
      rope_case("rope_neighbours", 8, true),
      rope_case("rope_halves", 8, false),
      rope_case("rope_few_neighbours", 5, true),
  };
}
INSTANTIATE_TEST_SUITE_P(Rows, OpGradients, testing::ValuesIn(row_cases()),
                         [](const auto& instance) { return instance.param.name; });

// --- attention ---

using Caches = std::vector<KvPages>;

OpCase attention_case(const std::string& name, const AttentionShape& shape, const std::vector<int64_t>& segments,
                      int64_t probe_every) {
  const int64_t rows = std::accumulate(segments.begin(), segments.end(), int64_t{0});
  const int64_t d = shape.head_dim, queries = shape.heads * d, kv = shape.kv_heads * d;
  const auto run = [=](Ops& ops, const Views& v, Rows y, Alive& alive) {
    const auto caches = std::make_shared<Caches>();
    alive.push_back(caches);
    std::vector<BatchSegment> list;
    int64_t row = 0;
    for (const int64_t count : segments) {
      caches->emplace_back(KvLayout{kKvF16, 1, shape.kv_heads, d});
      caches->back().reserve(0, count);
    }
    for (size_t i = 0; i < segments.size(); ++i) {
      list.push_back({&(*caches)[i], row, segments[i], 0});
      row += segments[i];
    }
    ops.attention(shape, v[0], v[1], v[2], list, y);
    return y;
  };
  const auto formula = [=](const Arguments& a) {
    Numbers k, v, out(a[0].size());
    for (const Complex& number : a[1]) k.push_back(reference::rounded_to_f16(number));
    for (const Complex& number : a[2]) v.push_back(reference::rounded_to_f16(number));
    int64_t first = 0;
    for (const int64_t count : segments) {
      for (int64_t t = first; t < first + count; ++t) {
        const int64_t begin = shape.window > 0 ? std::max(first, t + 1 - shape.window) : first;
        for (int64_t head = 0; head < shape.heads; ++head) {
          const int64_t column = head / (shape.heads / shape.kv_heads) * d;
          std::vector<const Complex*> keys, values;
          for (int64_t at = begin; at <= t; ++at) {
            keys.push_back(k.data() + at * kv + column);
            values.push_back(v.data() + at * kv + column);
          }
          const auto y =
              reference::attend<Complex>(row_of(a[0], 0, t * queries + head * d + d).last(static_cast<size_t>(d)), keys,
                                         values, shape.scale, shape.softcap);
          std::copy(y.begin(), y.end(), out.begin() + t * queries + head * d);
        }
      }
      first += count;
    }
    return out;
  };
  // Scores of size 1: sums of d products, an exponential, sums over the positions seen, and twice that for what comes
  // back through them.
  return {name,       {{rows, queries}, {rows, kv}, {rows, kv}}, rows, queries, run, formula, 2 * (d + rows) + 40,
          probe_every};
}

INSTANTIATE_TEST_SUITE_P(Attention, OpGradients,
                         testing::Values(attention_case("one_head", {1, 1, 16, 0.25F, 0, 0}, {3}, 1),
                                         attention_case("few_tokens", {2, 1, 32, 0.25F, 0, 0}, {1, 2}, 1),
                                         attention_case("grouped_packed", {4, 2, 16, 0.25F, 0, 0}, {70, 1, 9}, 97),
                                         attention_case("window_over_tiles", {3, 1, 32, 0.2F, 0, 17}, {150}, 293),
                                         attention_case("softcap_packed", {5, 1, 48, 0.2F, 2, 0}, {1, 67}, 307),
                                         attention_case("softcap_window_of_a_tile", {6, 2, 16, 0.4F, 3, 64}, {131, 5},
                                                        397)),
                         [](const auto& instance) { return instance.param.name; });

// The cache keeps what f16 cannot hold as the largest that it can: so must the backward.
TEST(AttentionGradient, ReadsTheKeysThatTheForwardRead) {
  const AttentionShape shape = {1, 1, 16, 1e-6F, 0, 0};
  std::vector<std::vector<float>> gradients;
  for (const float huge : {65504.0F, 1e6F, INFINITY}) {
    ThreadTeam team(1);
    Ops ops(kernels_of(Isa::kScalar), team, 4, 64);
    Tape tape;
    KvPages cache({kKvF16, 1, 1, 16});
    cache.reserve(0, 4);
    auto memory = normals(3, 4 * 64);
    memory[16] = memory[64 + 32 + 1] = huge;  // of the first key and the second value
    const Rows all = {memory.data(), 4, 64, 64}, out = all.columns(48, 16);
    tape.track(memory.data(), 4 * 64);
    const BatchSegment segment = {&cache, 0, 4, 0};
    ops.record(&tape);
    ops.attention(shape, all.columns(0, 16), all.columns(16, 16), all.columns(32, 16), {&segment, 1}, out);
    spread(normals(9, 4 * 16), tape.gradient(out));
    tape.backward(ops);
    gradients.push_back(compact(tape.gradient(all)));
  }
  for (const float g : gradients[0]) EXPECT_TRUE(std::isfinite(g));
  EXPECT_EQ(gradients[1], gradients[0]);
  EXPECT_EQ(gradients[2], gradients[0]);
}

// --- the loss ---

TEST(CrossEntropyGradient, MatchesTheFormula) {
  const auto logits = normals(4, 37, 3);
  const double weight = 0.35F;
  Numbers x(logits.begin(), logits.end());
  for (const size_t target : {size_t{0}, size_t{5}, size_t{36}}) {
    for (const Isa isa : available_isas()) {
      std::vector<float> gradient(37);
      const float loss =
          kernels_of(isa).cross_entropy(logits.data(), 37, static_cast<int64_t>(target), 0.35F, gradient.data());
      EXPECT_NEAR(static_cast<double>(loss), reference::cross_entropy(x, target).real(), 10 * 0x1p-24 * 10);
      for (size_t i = 0; i < 37; ++i) {
        x[i] += Complex(0, reference::kStep);
        EXPECT_NEAR(static_cast<double>(gradient[i]), weight * reference::slope(reference::cross_entropy(x, target)),
                    10 * 0x1p-24 * weight);
        x[i] = x[i].real();
      }
    }
  }
}

}  // namespace
}  // namespace andiron
